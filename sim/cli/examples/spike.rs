#![allow(clippy::all, missing_docs)]
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let t = Instant::now();
    let library = scenario::Library::new(vec![]);
    let loaded = match scenario::load(&args[0], &args[1..], &library) { Ok(l) => l, Err(e) => { println!("{}", e.render(false)); return; } };
    eprintln!("load {:?}", t.elapsed());
    let t = Instant::now();
    let program = match plan::lower(&loaded.plan) { Ok(p) => p, Err(e) => { println!("{e}"); return; } };
    eprintln!("lower {:?}: {} kernels {} templates {} ops; exchange alone {:?}", t.elapsed(), program.kernels.len(), program.templates.len(), program.ops.len(),
      program.exchanges.iter().map(|x| (x[0].alone.get()*1e3, x[1].alone.get()*1e3)).collect::<Vec<_>>());
    if let Some(p) = &program.pool { eprintln!("cv {:?} max {:?} nodes {:?}", p.load_cv(), p.max_over_mean(), p.nodes_per_token()); }
    let t = Instant::now();
    let out = plan::run(&program, plan::Keep { ranks: plan::Recording::OnePerStage, streams: false }).unwrap();
    eprintln!("run {:?} tasks {} flows {}", t.elapsed(), out.n_tasks, out.n_flows);
    println!("step {}", out.step.seconds());
    let n = f64::from(out.n_simulated);
    let mut m = [0.0; 6];
    for (r, x) in out.ranks.iter().enumerate() {
        let p = x.phases; let v = [p.forward, p.backward, p.weight_gradient, p.overlapped, p.optimizer].map(|s| s.seconds() / n);
        let bubble = out.step.seconds() - v.iter().sum::<f64>();
        println!("{r}: F {:.3} B {:.3} W {:.3} FB {:.3} opt {:.3} bubble {:.3} | compute {:.3} waited {:.3} transferred {:.3}", v[0], v[1], v[2], v[3], v[4], bubble, x.compute.seconds()/n, x.waited.seconds()/n, x.transferred.seconds()/n);
        for i in 0..5 { m[i] += v[i] / out.ranks.len() as f64; } m[5] += bubble / out.ranks.len() as f64;
    }
    println!("mean F {:.3} B {:.3} W {:.3} FB {:.3} opt {:.3} bubble {:.3}", m[0], m[1], m[2], m[3], m[4], m[5]);
    if std::env::var("OPS").is_ok() { let mut ops: Vec<_> = program.ops.iter().zip(&out.ops).collect(); ops.sort_by_key(|o| std::cmp::Reverse(o.1.span));
      for (name, t) in ops.iter().take(60) { println!("{:28} {:16?} pair={} n={} each {:.1} us total/rank {:.3} tensor {:.2} mem {:.2}", name.name, name.pass, name.overlapped, t.count, t.span.seconds() * 1e6 / t.count.max(1) as f64, t.span.seconds() / n / 16.0, t.tensor.seconds()/t.span.seconds(), t.memory.seconds()/t.span.seconds()); } }
    match plan::check_memory(&loaded.plan, program.pool.as_ref()) { Ok(m) => println!("memory max {}", m.iter().map(|m| m.total.get()).fold(0.0, f64::max) / 1e9), Err(e) => println!("{e}") }
}

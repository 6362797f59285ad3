use crate::flight::*;
#[test]
fn probe() {
    let show = |name: &str, sets: &[&str]| {
        let mut all = vec![BALANCED];
        if sets.iter().any(|s| s.starts_with("traffic.router")) { all.clear(); }
        all.extend(sets);
        let t = std::time::Instant::now();
        let sets: Vec<String> = all.iter().map(|s| (*s).to_owned()).collect();
        let plan = match scenario::load(name, &sets, &scenario::Library::built_in()) { Ok(l) => l.plan, Err(e) => { println!("{all:?}: {e}"); return; } };
        match run(plan) {
            Ok(f) => println!("{:9.5} F {:.3} B {:.3} W {:.3} FB {:.3} opt {:.3} bub {:.3} comp {:.3} wait {:.3} xfer {:.3} IB {:.4e} NVL {:.4e} mem {:.3e} tasks {} law {:?} [{:?}] {all:?}", f.seconds(), f.mean(|p| p.forward), f.mean(|p| p.backward), f.mean(|p| p.weight_gradient), f.mean(|p| p.overlapped), f.mean(|p| p.optimizer), f.bubble(),
              f.outcome.ranks.iter().map(|r| r.compute.seconds()).sum::<f64>()/f.outcome.ranks.len() as f64/f64::from(f.outcome.n_simulated),
              f.outcome.ranks.iter().map(|r| r.waited.seconds()).sum::<f64>()/f.outcome.ranks.len() as f64/f64::from(f.outcome.n_simulated),
              f.outcome.ranks.iter().map(|r| r.transferred.seconds()).sum::<f64>()/f.outcome.ranks.len() as f64/f64::from(f.outcome.n_simulated),
              f.outcome.ports.out_bytes, f.outcome.ports.up_bytes, f.outcome.ports.memory_bytes, f.outcome.n_tasks, f.outcome.laws.overclaim_max, t.elapsed()),
            Err(e) => println!("ERR {e} {all:?}"),
        }
    };
    let list = std::env::var("PROBE").unwrap();
    let name = std::env::var("NAME").unwrap_or("deepseek-v3-2048".into());
    for line in list.lines() {
        show(&name, &line.split_whitespace().collect::<Vec<_>>());
    }
}

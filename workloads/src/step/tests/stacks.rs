//! Where casts run, and the kernels that software stacks run.

use super::*;

/// Bytes of all casts and transposes of a layer of experts, and what products read beyond FP8.
fn cast_bytes(shape: &Shape) -> (f64, f64) {
    let passes = layer(&deepseek_v3(), shape, LayerKind::Moe);
    let ops = [passes.forward, passes.input_gradient, passes.weight_gradient].concat();
    let casts = ops.iter().map(|op| match op.kind {
        OpKind::Stream { kernel: Stream::Cast | Stream::CastTranspose, reads, writes, .. } => (reads + writes).get(),
        _ => 0.0,
    });
    (casts.sum(), ops.iter().map(|op| op.widened.get()).sum())
}

#[test]
fn where_casts_run_moves_their_bytes() {
    let with = |casting, transposed_reads| Shape { casting, transposed_reads, ..published() };
    let (kernel, none) = cast_bytes(&with(Casting::Kernel, false));
    assert_eq!(none, 0.0);
    assert_eq!(cast_bytes(&with(Casting::Memory, false)), (kernel / 2.0, 0.0));
    let (norm, _) = cast_bytes(&with(Casting::Norm, false));
    let (transposed, _) = cast_bytes(&with(Casting::Kernel, true));
    let (product, wide) = cast_bytes(&with(Casting::Product, false));
    assert!(norm < kernel && transposed < kernel && product < kernel && wide > 0.0);
    // What is left beside both: the two casts that travel, and the core's output to and from the form it is kept in.
    let (both, _) = cast_bytes(&with(Casting::Product, true));
    let (width, rows, core) = (1.0 + 4.0 / 128.0, (T * D) as f64, (T * 16384) as f64);
    let kept = 1.5 + 4.0 / 128.0;
    let expectation = 2.0 * rows * (2.0 + width) + core * (2.0 + kept) + core * (kept + 2.0);
    assert!((both - expectation).abs() < 1e-6 * expectation, "expectation {expectation}, actual {both}");
}

#[test]
fn a_product_that_casts_reads_bf16() {
    let shape = Shape { casting: Casting::Product, transposed_reads: true, ..published() };
    let passes = attention(&deepseek_v3(), &shape, LayerKind::Moe);
    let wide = |ops: &[Op], name: &str, pass: Pass| {
        ops.iter().find(|op| op.name == name && op.pass == pass).map_or(0.0, |op| op.widened.get())
    };
    let more = 2.0 - (1.0 + 4.0 / 128.0);
    let expectation = (T * 1536) as f64 * more;
    assert_eq!(wide(&passes.forward, "query-up", Pass::Forward), expectation, "its input");
    let expectation = (T * 24576) as f64 * more;
    assert_eq!(wide(&passes.input_gradient, "query-up", Pass::InputGradient), expectation, "its gradient");
    let expectation = (T * (1536 + 24576)) as f64 * more;
    let actual = wide(&passes.weight_gradient, "query-up", Pass::WeightGradient);
    assert!((actual - expectation).abs() < 1e-6, "both: expectation {expectation}, actual {actual}");
}

#[test]
fn a_norm_that_casts_writes_fp8_in_place_of_bf16() {
    let shape = Shape { casting: Casting::Norm, ..published() };
    let passes = attention(&deepseek_v3(), &shape, LayerKind::Moe);
    let width = 1.0 + 4.0 / 128.0;
    let rows = (T * D) as f64;
    let (reads, writes) = bytes(&passes.forward, "attention-norm", Pass::Forward, Stream::Norm);
    assert_eq!((reads, writes), (rows * 2.0, rows * width));
    // The gate reads BF16 beside the dispatch's FP8.
    let (_, writes) = bytes(&passes.forward, "mlp-norm", Pass::Forward, Stream::Norm);
    assert!((writes - rows * (2.0 + width)).abs() < 1e-3);
}

fn recipe(kernels: &[(MemoryOp, &[&str])], projections: Projections) -> Recipe {
    let parsed = |pieces: &[&str]| pieces.iter().map(|piece| piece.parse().expect("a piece")).collect();
    Recipe {
        kernels: kernels.iter().map(|(op, pieces)| (*op, parsed(pieces))).collect(),
        projections,
        ..Recipe::default()
    }
}

/// Bytes of the memory-bound kernels of a name, and how many there are.
fn streams(passes: &Passes, name: &str) -> (usize, f64) {
    let all = passes.forward.iter().chain(&passes.input_gradient).filter(|op| op.name == name);
    all.fold((0, 0.0), |(count, sum), op| match op.kind {
        OpKind::Stream { reads, writes, .. } => (count + 1, sum + (reads + writes).get()),
        _ => (count, sum),
    })
}

#[test]
fn a_stack_moves_bytes_and_kernels_and_no_arithmetic() {
    let dense = Shape { ep: 1, linear: LinearPrecision::Bf16, ..published() };
    let model = llama_405b();
    let with = |recipe: Recipe| layer(&model, &Shape { recipe, ..dense.clone() }, LayerKind::Dense);
    let whole = with(Recipe::default());
    let seven = ["elementwise 2 -> 4", "reduce 4 -> 0", "2 x elementwise 4 -> 4"];
    let apart = with(recipe(&[(MemoryOp::Norm, &seven), (MemoryOp::Residual, &[])], Projections::Apart));
    for (a, b) in [
        (&whole.forward, &apart.forward),
        (&whole.input_gradient, &apart.input_gradient),
        (&whole.weight_gradient, &apart.weight_gradient),
    ] {
        let flops = |ops: &[Op]| ops.iter().map(|op| op.flops().get()).sum::<f64>();
        assert_eq!(flops(a), flops(b));
    }
    // Six bytes, four, and twice eight per element, forward and again in the backward pass.
    let elements = (T * model.hidden) as f64;
    assert_eq!(streams(&whole, "attention-norm").0, 3);
    assert_eq!(streams(&apart, "attention-norm"), (4 + 4 + 1, elements * (2.0 * 26.0 + 6.0)));
    assert_eq!(streams(&apart, "mlp-residual").0, 0, "an op without kernels is fused into others");
    // Three projections give their input three gradients, two additions of six bytes each per element in one kernel that reads all.
    assert_eq!(streams(&apart, "attention-input-sum"), (1, elements * 8.0));
    assert_eq!(streams(&whole, "attention-input-sum").0, 0);
}

#[test]
fn gradients_in_bf16_are_added_by_kernels_where_there_are_several_micro_batches() {
    let shape = |gradients, accumulates| Shape { gradients, accumulates, ..published() };
    let added = |shape: &Shape| {
        let ops = layer(&deepseek_v3(), shape, LayerKind::Moe).weight_gradient;
        ops.iter().filter(|op| op.name == MemoryOp::GradientAdd.name()).count()
    };
    let products = layer(&deepseek_v3(), &published(), LayerKind::Moe).weight_gradient.len();
    assert_eq!(added(&shape(Gradients::Bf16, true)), products);
    assert_eq!(added(&shape(Gradients::Bf16, false)) + added(&shape(Gradients::Fp32, true)), 0);
}

#[test]
fn the_core_backward_is_prepared_and_finished_as_flash_attention_does_where_its_time_has_neither() {
    let whole = attention(&deepseek_v3(), &published(), LayerKind::Moe);
    assert_eq!(streams(&whole, "attention-row-sums").0 + streams(&whole, "attention-query-gradient").0, 0);
    let around = [(MemoryOp::CoreBefore, &["copy"][..]), (MemoryOp::CoreAfter, &["copy"])];
    let apart = Shape { recipe: recipe(&around, Projections::Joint), ..published() };
    let passes = attention(&deepseek_v3(), &apart, LayerKind::Moe);
    let back = |name| bytes(&passes.input_gradient, name, Pass::InputGradient, Stream::Copy);
    let (queries, values, rows) = ((T * 128 * 192) as f64, (T * 128 * 128) as f64, (T * 128) as f64);
    assert_eq!(back("attention-row-sums"), (values * 4.0, rows * 4.0 + queries * 4.0));
    assert_eq!(back("attention-query-gradient"), (queries * 4.0, queries * 2.0));
}

//! One iteration of a unit, op by op.

use calibrate::EstimateKey;
use workloads::iteration::{ExpertRows, FeedForwardOps, after_layers, attention, before_layers, feed_forward};
use workloads::model::LayerKind;
use workloads::op::{Op, OpKind, Precision};

use super::host::Launched;
use super::job::IterationOverlap;
use super::overlap::{self, Halves};
use super::price::IterationPricer;
use super::time::{IterationTime, UnitLoad};
use crate::PlanError;
use crate::launches::Launches;

impl IterationPricer<'_> {
    /// What an iteration takes.
    ///
    /// # Errors
    /// Where the device cannot run an op.
    pub fn iteration(&self, load: &UnitLoad) -> Result<IterationTime, PlanError> {
        let (job, batch) = (self.plan.job, &load.fullest);
        let mut time = IterationTime::default();
        if batch.rows() == 0 {
            return Ok(time);
        }
        let launches = if batch.prompts.is_empty() { job.stack.decode } else { job.stack.prefill };
        let mut launched = Launched::default();
        let model = &job.model;
        for ops in [before_layers(model, &job.layout, batch), after_layers(model, &job.layout, batch)] {
            self.in_turn(&ops, 1.0, &mut time)?;
            self.launch(&mut launched, &ops, 1.0);
        }
        let rows = self.expert_rows(load);
        for kind in [LayerKind::Dense, LayerKind::Moe] {
            let n = (0..model.layers).filter(|index| model.layer_kind(*index) == kind).count() as f64;
            if n > 0.0 {
                self.layers((kind, n), (load, &rows), &mut launched, &mut time)?;
            }
        }
        self.drafts(load, &rows, &mut time)?;
        if launches == Launches::Each {
            self.each(launched, &mut time);
        }
        let requests = batch.decoding.requests + batch.prompts.len() as u64;
        time.host("host", job.stack.step.get() + job.stack.request.get() * requests as f64);
        time.check()?;
        Ok(time)
    }

    fn launch(&self, launched: &mut Launched, ops: &[Op], times: f64) {
        launched.add(&self.plan.site.profile, self.plan.job.stack.launch, ops, times);
    }

    /// Kernels that are launched one by one have gaps, and wait for a host that is slower than they are.
    fn each(&self, launched: Launched, time: &mut IterationTime) {
        let gaps = launched.n * self.plan.site.profile.value(EstimateKey::KernelGap);
        time.host("launches", (launched.seconds - time.seconds).max(gaps));
    }

    fn expert_rows(&self, load: &UnitLoad) -> ExpertRows {
        let job = self.plan.job;
        let Some(experts) = &job.model.experts else { return ExpertRows::default() };
        ExpertRows::fullest(experts, [job.layout.ep, job.layout.redundant], load.rows, job.popularity)
    }

    /// So many layers of a kind.
    fn layers(
        &self,
        (kind, n): (LayerKind, f64),
        (load, rows): (&UnitLoad, &ExpertRows),
        launched: &mut Launched,
        time: &mut IterationTime,
    ) -> Result<(), PlanError> {
        let job = self.plan.job;
        if kind == LayerKind::Moe && job.overlap.kind == IterationOverlap::TwoBatches && load.fullest.rows() > 1 {
            time.seconds += overlap::two_batches(self, &Halves::of(load), n, time)?;
            return Ok(());
        }
        let ops = attention(&job.model, &job.layout, &load.fullest);
        let ffn = feed_forward(&job.model, &job.layout, kind, &load.fullest, rows);
        self.in_turn(&ops, n, time)?;
        self.feed_forward(&ffn, n, (load, rows), time)?;
        let FeedForwardOps { before, dispatch, shared, routed, combine, after } = &ffn;
        [&ops, before, dispatch, shared, routed, combine, after].iter().for_each(|ops| self.launch(launched, ops, n));
        Ok(())
    }

    /// The second half of so many layers, one thing after the other but for what the policy runs beside the dispatch.
    fn feed_forward(
        &self,
        ffn: &FeedForwardOps,
        n: f64,
        (load, rows): (&UnitLoad, &ExpertRows),
        time: &mut IterationTime,
    ) -> Result<(), PlanError> {
        self.in_turn(&ffn.before, n, time)?;
        let before = time.seconds;
        self.in_turn(&ffn.dispatch, n, time)?;
        let exchange = if ffn.routed.is_empty() { None } else { self.exchange(load, rows)? };
        if let Some([dispatch, _]) = &exchange {
            time.add("dispatch", dispatch, n);
            time.seconds += dispatch.seconds() * n;
        }
        let on_way = time.seconds - before;
        self.in_turn(&ffn.shared, n, time)?;
        if self.plan.job.overlap.kind == IterationOverlap::SharedExpert {
            time.seconds -= on_way.min(time.seconds - before - on_way);
        }
        self.in_turn(&ffn.routed, n, time)?;
        self.in_turn(&ffn.combine, n, time)?;
        if let Some([_, combine]) = &exchange {
            time.add("combine", combine, n);
            time.seconds += combine.seconds() * n;
        }
        self.in_turn(&ffn.after, n, time)
    }

    /// Guesses of the modules after the last layer, one after the other: a projection of two norms, a layer, the head.
    fn drafts(&self, load: &UnitLoad, rows: &ExpertRows, time: &mut IterationTime) -> Result<(), PlanError> {
        let job = self.plan.job;
        let n = job.drafts.acceptance.len() as f64;
        if n == 0.0 || load.fullest.decoding.requests == 0 {
            return Ok(());
        }
        let mut guess = load.clone();
        let decoding = &mut guess.fullest.decoding;
        guess.rows = (load.rows / decoding.queries).max(1);
        decoding.queries = 1;
        let kind = job.model.layer_kind(job.model.layers);
        let few =
            ExpertRows { rows: rows.rows.iter().map(|rows| rows.div_ceil(load.fullest.decoding.queries)).collect() };
        let mut drafts = IterationTime::default();
        let hidden = job.model.hidden;
        let precision = if job.layout.weights.is_fp8() { Precision::Fp8Block } else { Precision::Bf16 };
        let output = workloads::op::Output::Bf16;
        let projection = OpKind::Gemm { m: guess.fullest.rows(), n: hidden, k: 2 * hidden, precision, output };
        self.in_turn(&[Op::new("draft-projection", workloads::op::Pass::Forward, projection)], 1.0, &mut drafts)?;
        let ops = attention(&job.model, &job.layout, &guess.fullest);
        let ffn = feed_forward(&job.model, &job.layout, kind, &guess.fullest, &few);
        self.in_turn(&ops, 1.0, &mut drafts)?;
        self.feed_forward(&ffn, 1.0, (&guess, &few), &mut drafts)?;
        self.in_turn(&after_layers(&job.model, &job.layout, &guess.fullest), 1.0, &mut drafts)?;
        time.merge("drafts", &drafts, n);
        Ok(())
    }
}

//! Sampled traffic, kept: points whose patches leave traffic and the layout of experts alone share it, and so do all draws.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use workloads::traffic::{ExpertLayout, PicksPool, TrafficError, TrafficSpec};

type Kept = Arc<OnceLock<Result<PicksPool, TrafficError>>>;

/// Every pool of batches that was asked for, by what it depends on.
#[derive(Debug, Default)]
pub(crate) struct Traffic(Mutex<BTreeMap<String, Kept>>);

impl Traffic {
    /// As [`PicksPool::sample`], each once; who asks while another thread samples waits for it. On one thread: the points of a study have the
    /// others, and one that waits for its own pool while it samples would wait for ever.
    pub(crate) fn sample(&self, spec: &TrafficSpec, layout: &ExpertLayout) -> Result<PicksPool, TrafficError> {
        self.sample_by(spec, layout, PicksPool::sample)
    }

    /// The same by another function that gives the same, such as one on many threads, where none of these waits here.
    pub(crate) fn sample_by(
        &self,
        spec: &TrafficSpec,
        layout: &ExpertLayout,
        sample: fn(&TrafficSpec, &ExpertLayout) -> Result<PicksPool, TrafficError>,
    ) -> Result<PicksPool, TrafficError> {
        // `Debug` of floats is their shortest exact form, so equal texts are equal questions.
        let key = format!("{spec:?}{layout:?}");
        let kept = Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
        kept.get_or_init(|| sample(spec, layout)).clone()
    }
}

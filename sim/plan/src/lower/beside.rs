//! Kernels beside rings of replicas.

use calibrate::CannotRun;
use platform::Kernel;
use workloads::op::Pass;

/// Rings beside the kernels of chunks.
#[derive(Clone, Copy, Debug)]
pub(super) struct RingsBeside {
    /// SMs that they hold.
    pub(super) sms: u32,
    /// Shares of the time in which they run: of forward chunks, and of backward ones.
    pub(super) shares: [f64; 2],
}

impl RingsBeside {
    /// A kernel beside the rings: `on` gives it on so many SMs.
    pub(super) fn mixed(
        &self,
        pass: Pass,
        sms: u32,
        on: impl Fn(u32) -> Result<Kernel, CannotRun>,
    ) -> Result<Kernel, CannotRun> {
        let (alone, beside) = (on(sms)?, on(sms.saturating_sub(self.sms).max(1))?);
        let share = self.shares[usize::from(pass != Pass::Forward)];
        let mix = |a: f64, b: f64| a + share * (b - a).max(0.0);
        Ok(Kernel { shortest: mix(alone.shortest, beside.shortest), tensor: mix(alone.tensor, beside.tensor), ..alone })
    }
}

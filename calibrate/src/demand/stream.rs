//! Kernels bound by memory.
//!
//! On all SMs a kernel reaches `F` of the memory peak (`stream.KIND.peak-fraction`). On `n` SMs that
//! each keep `r` bytes a second in flight (`memory.rate-per-sm`) it takes longer, by how `g` falls:
//!
//! `B g(N) / (F peak g(n))` seconds, `g(n) = ((n r)^-p + peak^-p)^(-1/p)`:
//!
//! A kernel that works on a row at a time (`StreamKernel::is_by_rows`) moves `R` bytes' worth more per row (`row-bytes`), and ends no sooner than a block has
//! passed one row at `row-rate`: few long rows are slow, and so are many short ones.
//!
//! few SMs wait for latency, many for the memory, and between them latency grows with the queue; `p` (`memory.sharpness`) says
//! how sharply the one turns into the other. Source of the form: Little's law with a queue; `r` and `p` are fitted to copies on 1
//! to all SMs and taken for every kernel. Breaks for data that stays in L2.

use units::{Bytes, BytesPerSec, Seconds};

use super::{Asked, Estimator};
use workloads::recipe::Grid;

use crate::{EstimateKey, StreamKernel, StreamTerm as Term};

impl Estimator<'_> {
    pub(super) fn stream(&self, kernel: StreamKernel, rows: u64, memory: Bytes, sms: u32) -> Asked {
        let [fraction, latency] = [Term::Fraction, Term::Latency].map(|term| EstimateKey::Stream(kernel, term));
        let (of_rows, row) = self.rows(kernel, rows, memory);
        let on_all = (memory + of_rows) / (self.device.memory_rate() * self.profile.value(fraction));
        let slower = if kernel.is_norm() && self.grids.norms == Grid::Whole {
            self.in_waves(sms, self.profile.value(EstimateKey::Stream(kernel, Term::Lone)))
        } else {
            self.bend(sms) / self.bend(self.device.sms)
        };
        let shortest = on_all * slower;
        // Of the two, what takes more of the time.
        let limit = if slower > 2.0 { EstimateKey::MemoryRatePerSm } else { fraction };
        let latency = Seconds::new(self.profile.value(latency)) + row;
        Asked { power: self.memory_power(memory), memory, shortest, limit, latency }
    }

    /// What rows cost a kernel that works on one at a time: bytes in whose time all of them begin and end, and the time in which a block
    /// passes one.
    fn rows(&self, kernel: StreamKernel, rows: u64, memory: Bytes) -> (Bytes, Seconds) {
        if !kernel.is_by_rows() || rows == 0 {
            return (Bytes::ZERO, Seconds::ZERO);
        }
        let [bytes, rate] =
            [Term::RowBytes, Term::RowRate].map(|term| self.profile.value(EstimateKey::Stream(kernel, term)));
        let rows = rows as f64;
        (Bytes::new(bytes * rows), memory / rows / BytesPerSec::new(rate))
    }

    /// How much longer a kernel takes on some SMs that has a block for each of the device, all with as much to do: a wave of blocks begins when the
    /// one before has ended, and the last may leave most SMs idle, of which none is more than `lone` times as fast as one of all.
    fn in_waves(&self, sms: u32, lone: f64) -> f64 {
        let all = self.device.sms;
        let wave = |blocks: u32| {
            let share = f64::from(blocks) / f64::from(all);
            (share * self.bend(blocks.max(1)) / self.bend(all)).max(if blocks > 0 { 1.0 / lone } else { 0.0 })
        };
        f64::from(all / sms.max(1)) * wave(sms) + wave(all % sms.max(1))
    }

    /// `1 / g(n)`: seconds a byte on some SMs.
    fn bend(&self, sms: u32) -> f64 {
        let asked = BytesPerSec::new(self.profile.value(EstimateKey::MemoryRatePerSm)) * f64::from(sms);
        let byte = Bytes::new(1.0);
        bent(byte / asked, byte / self.device.memory_rate(), self.profile.value(EstimateKey::MemorySharpness)).get()
    }

    /// Seconds for which traffic alone takes all the power.
    pub(super) fn memory_power(&self, memory: Bytes) -> Seconds {
        memory / (self.device.memory_rate() * self.profile.value(EstimateKey::MemoryPower))
    }
}

/// The norm of two times: their sum for a sharpness of one, the longer for a large one.
fn bent(a: Seconds, b: Seconds, sharpness: f64) -> Seconds {
    let (short, long) = if a < b { (a, b) } else { (b, a) };
    if long.get() <= 0.0 {
        return Seconds::ZERO;
    }
    long * (1.0 + (short / long).powf(sharpness)).powf(1.0 / sharpness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sharp_bend_is_the_longer_time_and_a_soft_one_the_sum() {
        let [a, b] = [3.0, 4.0].map(Seconds::new);
        assert!((bent(a, b, 1.0).get() - 7.0).abs() < 1e-12);
        assert!((bent(a, b, 2.0).get() - 5.0).abs() < 1e-12);
        assert!((bent(a, b, 200.0).get() - 4.0).abs() < 1e-9);
        assert_eq!(bent(Seconds::ZERO, Seconds::ZERO, 2.0), Seconds::ZERO);
    }
}

//! The clock that mean power leaves.
//!
//! A device keeps its *mean* power over some tens of milliseconds at its limit, by its clock. A kernel that would draw more for as long as it runs alone is
//! slowed only as far as what runs before and after it leaves no power: beside copies, norms and pauses the same product is faster than in a row of
//! products. Of kernels that follow each other within that time, each with a time `b` at the full clock and a time `p` in which it draws the whole limit,
//! those with `p > b` take `d = b + t (p - b)`, with one `t` from 0 (full clock) to 1 (as alone). Energy falls with the clock: at `d` a kernel takes
//! `p (p / d)^g`. `t` is the least at which the sum of energies is no more than the sum of times.
//!
//! Source: duty cycles and mixes measured on an H200 (`calibrate/import/power.py`): periods up to 40 ms follow their mean, the limit acts 35 to 75 ms
//! after a load begins. Breaks for phases longer than that, each of which has a clock of its own here only if it has kernels of its own, and does not know
//! the power that communication takes.

use crate::Kernel;

/// Halvings of the interval in which the slowdown lies.
const N_HALVINGS: u32 = 40;

/// How far kernels are slowed towards what they take alone: 0 at the full clock, 1 in a row of their like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throttle(f64);

impl Throttle {
    /// Of kernels that follow each other, `memory` bytes per second of the device, energy falling with this power of the clock.
    #[must_use]
    pub fn of(kernels: &[Kernel], memory: f64, exponent: f64) -> Self {
        let fits = |slowed: f64| {
            let taken = |kernel: &Kernel| Self(slowed).time(kernel, memory);
            let energy = |kernel: &Kernel| match taken(kernel) {
                time if time > 0.0 && kernel.tensor > time => kernel.tensor * (kernel.tensor / time).powf(exponent),
                _ => kernel.tensor,
            };
            let latency: f64 = kernels.iter().map(|kernel| kernel.latency.seconds()).sum();
            kernels.iter().map(energy).sum::<f64>() <= latency + kernels.iter().map(taken).sum::<f64>()
        };
        if fits(0.0) {
            return Self(0.0);
        }
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..N_HALVINGS {
            let middle = (low + high) / 2.0;
            if fits(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Self(high)
    }

    /// Seconds of a kernel, its latency apart.
    fn time(self, kernel: &Kernel, memory: f64) -> f64 {
        let full = kernel.shortest.max(kernel.memory / memory);
        full + self.0 * (kernel.tensor - full).max(0.0)
    }

    /// The kernel at the clock that is left: no longer drawing power moment by moment.
    #[must_use]
    pub fn slowed(self, kernel: Kernel, memory: f64) -> Kernel {
        let shortest =
            if kernel.tensor > 0.0 { self.time(&kernel, memory).max(kernel.shortest) } else { kernel.shortest };
        // What only its traffic bounds stays so, as others share the memory.
        let is_traffic = kernel.memory / memory >= shortest;
        Kernel { tensor: 0.0, shortest: if is_traffic { kernel.shortest } else { shortest }, ..kernel }
    }
}

#[cfg(test)]
mod tests {
    use calibrate::EstimateKey;
    use units::SimSpan;

    use super::*;

    const EXPONENT: f64 = 1.4;

    /// `full` seconds at the full clock, `power` seconds of the whole limit.
    fn kernel(full: f64, power: f64) -> Kernel {
        let (limit, latency) = (EstimateKey::MemoryFraction, SimSpan::ZERO);
        Kernel { sms: 1, tensor: power, memory: 0.0, shortest: full, latency, limit }
    }

    fn time(throttle: Throttle, kernel: Kernel) -> f64 {
        throttle.slowed(kernel, 1.0).shortest
    }

    #[test]
    fn alone_a_kernel_takes_as_long_as_its_power_and_in_a_row_of_its_like_too() {
        for n in [1, 2, 50] {
            let product = kernel(1.0, 1.2);
            let throttle = Throttle::of(&vec![product; n], 1.0, EXPONENT);
            assert!((time(throttle, product) - 1.2).abs() < 1e-9, "{n}");
        }
    }

    #[test]
    fn beside_enough_that_draws_little_it_takes_its_time_at_the_full_clock() {
        let (product, copy) = (kernel(1.0, 1.2), kernel(1.0, 0.3));
        let throttle = Throttle::of(&[product, copy], 1.0, EXPONENT);
        assert_eq!(time(throttle, product), 1.0);
        assert_eq!(time(throttle, copy), 1.0);
    }

    #[test]
    fn more_that_draws_little_never_slows_and_energy_is_the_limit_where_it_binds() {
        let (product, copy) = (kernel(1.0, 1.25), kernel(1.0, 0.6));
        let mut before = f64::INFINITY;
        for n_copies in 0..8 {
            let all = [vec![product; 4], vec![copy; n_copies]].concat();
            let throttle = Throttle::of(&all, 1.0, EXPONENT);
            let taken = time(throttle, product);
            assert!(taken <= before + 1e-12 && (1.0..=1.25 + 1e-9).contains(&taken), "{n_copies}: {taken}");
            if taken > 1.0 {
                let energy = 4.0 * 1.25 * (1.25 / taken).powf(EXPONENT) + 0.6 * n_copies as f64;
                assert!((energy - 4.0 * taken - n_copies as f64).abs() < 1e-6, "{n_copies}");
            }
            before = taken;
        }
    }

    #[test]
    fn what_traffic_bounds_keeps_its_bytes_and_its_time() {
        let copy = Kernel { memory: 4.0, ..kernel(1.0, 0.5) };
        let slowed = Throttle::of(&[copy, kernel(1.0, 3.0)], 2.0, EXPONENT).slowed(copy, 2.0);
        assert_eq!((slowed.memory, slowed.shortest, slowed.tensor), (4.0, 1.0, 0.0));
    }
}

//! Fast draws: sixteen xorshift generators side by side, so that the compiler can run them in vector registers.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Generators side by side.
const N_LANES: usize = 16;

/// The standard exponential that a draw of all ones stands for: above all that 32 bits of a uniform draw come to (23).
pub(super) const EXPONENTIAL_MAX: f64 = 32.0;

/// What a stream of random numbers is for; each purpose has its own, so that none shifts another.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// Batch of the pool.
    Batch(u32),
    /// Persistent popularity and its bias.
    Learning,
    /// Expectations of the balanced router.
    Expectation,
    /// Drawing from the pool.
    Pool,
}

/// The stream of `seed` for one purpose.
pub(super) fn stream(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(match purpose {
        Purpose::Learning => 0,
        Purpose::Expectation => 1,
        Purpose::Pool => 2,
        Purpose::Batch(index) => 3 + u64::from(index),
    });
    rng
}

/// One standard normal draw (Box and Muller).
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    // Shifted by half a step, so that the logarithm never sees zero.
    let mut uniform = || (f64::from(rng.next_u32()) + 0.5) / (f64::from(u32::MAX) + 1.0);
    (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()
}

/// Uniform 32-bit draws, as many at a time as there are experts.
pub(super) struct Noise {
    lanes: [u64; N_LANES],
    draws: Vec<[u32; 2 * N_LANES]>,
    n: usize,
}

impl Noise {
    /// Lanes seeded from a stream, for `n` draws at a time.
    pub(super) fn new(rng: &mut ChaCha8Rng, n: usize) -> Self {
        // Zero is the one state that xorshift never leaves.
        let lanes = std::array::from_fn(|_| rng.next_u64() | 1);
        Self { lanes, draws: vec![[0; 2 * N_LANES]; n.div_ceil(2 * N_LANES)], n }
    }

    /// The next draws.
    pub(super) fn draw(&mut self) -> &[u32] {
        // A copy, which the compiler can keep in registers.
        let mut lanes = self.lanes;
        for draws in &mut self.draws {
            for (at, lane) in lanes.iter_mut().enumerate() {
                *lane ^= *lane << 13;
                *lane ^= *lane >> 7;
                *lane ^= *lane << 17;
                draws[2 * at] = *lane as u32;
                draws[2 * at + 1] = (*lane >> 32) as u32;
            }
        }
        self.lanes = lanes;
        &self.draws.as_flattened()[..self.n]
    }

    /// The next draws, of a standard exponential, in units of [`EXPONENTIAL_MAX`] / 2^32.
    pub(super) fn draw_exponential(&mut self) -> &[u32] {
        self.draw();
        let draws = &mut self.draws.as_flattened_mut()[..self.n];
        draws.iter_mut().for_each(|draw| *draw = exponential(*draw));
        draws
    }
}

/// The exponential draw of a uniform one, by inversion.
fn exponential(draw: u32) -> u32 {
    const N_DRAWS: f32 = u32::MAX as f32;
    // Shifted by half a step, so that the logarithm never sees zero.
    let uniform = (draw as f32 + 0.5) / N_DRAWS;
    (-uniform.ln() * (N_DRAWS / EXPONENTIAL_MAX as f32)) as u32
}

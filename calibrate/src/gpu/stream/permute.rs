//! Tokens into the order of their experts, and back.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Buffer, CHECKED, NUMBERS, Rows, Streamed, compare, grid, words};
use crate::bench::BenchError;
use crate::gpu::device::{Fill, Gpu};
use crate::gpu::failure::At;
use crate::gpu::rotation::{Rotation, samples};

const SOURCE: &str = include_str!("../../../kernels/permute.cu");

/// Threads of a block.
const THREADS: u32 = 256;
/// Vectors of a token that a thread keeps in registers.
const TOP_K_MAX: u32 = 32;

/// Each row to `top_k` places; 2 bytes read and `2 top_k` written a number.
pub(super) fn permute(gpu: &Gpu, rows: Rows, top_k: u32) -> Result<Streamed, BenchError> {
    let kernel = gpu.kernel(&source(top_k)?, "permute")?;
    let config = grid(gpu, &kernel, THREADS, rows.vectors().div_ceil(2 * THREADS as usize))?;
    let spread = rows.bytes() * top_k as usize;
    let sets = gpu.sets((rows.bytes() + spread) as u64);
    let buffers = vec![
        Buffer::Rotating(Rotation::empty(gpu, sets, spread)?),
        Buffer::Rotating(Rotation::random(gpu, sets, rows.bytes(), Fill::Bf16Normal, 7)?),
        uploaded_places(gpu, rows.tokens, top_k)?,
    ];
    let counts = vec![rows.vectors(), rows.width()];
    Ok(Streamed { kernel, config, rows, buffers, counts, numbers: vec![], check: check_permute })
}

/// The sum of `top_k` rows, each with its weight; `2 top_k` bytes read and 2 written a number.
pub(super) fn unpermute(gpu: &Gpu, rows: Rows, top_k: u32) -> Result<Streamed, BenchError> {
    let kernel = gpu.kernel(&source(top_k)?, "unpermute")?;
    let config = grid(gpu, &kernel, THREADS, rows.vectors().div_ceil(THREADS as usize))?;
    let spread = rows.bytes() * top_k as usize;
    let sets = gpu.sets((rows.bytes() + spread) as u64);
    let buffers = vec![
        Buffer::Rotating(Rotation::empty(gpu, sets, rows.bytes())?),
        Buffer::Rotating(Rotation::random(gpu, sets, spread, Fill::Bf16Normal, 8)?),
        uploaded_places(gpu, rows.tokens, top_k)?,
        Buffer::Fixed(gpu.random(Fill::F32Scale, rows.tokens * top_k as usize, 9)?),
    ];
    let counts = vec![rows.vectors(), rows.width()];
    Ok(Streamed { kernel, config, rows, buffers, counts, numbers: vec![], check: check_unpermute })
}

fn source(top_k: u32) -> Result<String, BenchError> {
    if top_k == 0 || top_k > TOP_K_MAX {
        return Err(BenchError::Failed(format!("{top_k} copies of a row: this kernel makes 1 to {TOP_K_MAX}")));
    }
    Ok(format!("#define TOP_K {top_k}\n{NUMBERS}\n{SOURCE}"))
}

fn check_permute(this: &mut Streamed, gpu: &Gpu) -> Result<(), BenchError> {
    this.run(gpu, &[0])?;
    let dim = this.rows.dim;
    for token in samples(this.rows.tokens, CHECKED) {
        let want = this.bf16_row(gpu, 1, token, dim)?;
        for place in this.places(gpu, token)? {
            compare("permute", place, &this.bf16_row(gpu, 0, place, dim)?, &want)?;
        }
    }
    Ok(())
}

fn check_unpermute(this: &mut Streamed, gpu: &Gpu) -> Result<(), BenchError> {
    this.run(gpu, &[0])?;
    let dim = this.rows.dim;
    for token in samples(this.rows.tokens, CHECKED) {
        let places = this.places(gpu, token)?;
        let weights = this.floats(gpu, 3, token * places.len(), places.len())?;
        let mut want = vec![0.0; dim];
        for (&place, weight) in places.iter().zip(weights) {
            let row = this.bf16_row(gpu, 1, place, dim)?;
            want.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x);
        }
        compare("unpermute", token, &this.bf16_row(gpu, 0, token, dim)?, &want)?;
    }
    Ok(())
}

impl Streamed {
    /// The places of a token: buffer 2, for both kernels.
    fn places(&self, gpu: &Gpu, token: usize) -> Result<Vec<usize>, BenchError> {
        let top_k = match &self.buffers[2] {
            Buffer::Fixed(places) => places.len() / 4 / self.rows.tokens,
            Buffer::Rotating(_) => return Err(BenchError::Failed("places do not rotate".into())),
        };
        let bytes = self.bytes(gpu, 2, token * top_k * 4, top_k * 4)?;
        Ok(words(&bytes).map(|place| place as usize).collect())
    }
}

fn uploaded_places(gpu: &Gpu, tokens: usize, top_k: u32) -> Result<Buffer, BenchError> {
    let bytes: Vec<u8> = places(tokens, top_k as usize).into_iter().flat_map(u32::to_le_bytes).collect();
    Ok(Buffer::Fixed(gpu.stream.clone_htod(&bytes).at("copy places to the device")?))
}

/// Where the copies of each token go when all copies are sorted by expert, then by token. Each token picks `top_k` different
/// experts of eight times as many, all equally likely.
fn places(tokens: usize, top_k: usize) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut experts: Vec<usize> = (0..8 * top_k).collect();
    let mut picks = Vec::with_capacity(tokens * top_k);
    for _ in 0..tokens {
        picks.extend_from_slice(experts.partial_shuffle(&mut rng, top_k).0);
    }
    let mut next = vec![0_u32; experts.len() + 1];
    for &expert in &picks {
        next[expert + 1] += 1;
    }
    for expert in 0..experts.len() {
        next[expert + 1] += next[expert];
    }
    let place = |expert: usize| {
        next[expert] += 1;
        next[expert] - 1
    };
    picks.into_iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::compile::compile_in_test;

    #[test]
    fn every_copy_has_a_place_of_its_own() {
        for (tokens, top_k) in [(1, 1), (64, 8), (1000, 6), (333, 3)] {
            let mut places = places(tokens, top_k);
            places.sort_unstable();
            let want: Vec<u32> = (0..).take(tokens * top_k).collect();
            assert_eq!(places, want, "{tokens} tokens, {top_k} copies");
        }
    }

    #[test]
    fn copies_of_one_expert_stay_in_the_order_of_their_tokens_and_are_scattered() {
        let places = places(4096, 8);
        let near = places.chunks_exact(8).filter(|copies| copies[0].abs_diff(copies[1]) < 256).count();
        assert!(near < 4096 / 8, "{near} tokens have their first two copies side by side");
    }

    #[test]
    fn the_kernels_compile() {
        for top_k in [1, 6, 8] {
            compile_in_test(&source(top_k).expect("not too many"));
        }
        assert!(source(0).is_err() && source(33).is_err());
    }
}

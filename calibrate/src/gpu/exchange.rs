//! Dispatch and combine among the GPUs of a node, by kernels of our own on few SMs.
//!
//! - *Dispatch:* each rank's tokens, FP8 with an FP32 scale per 128 elements, are stored straight into the rows that await
//!   them on the ranks of their experts: one copy a token and rank, the own rank's included. A rank's kernel ends when all
//!   ranks have sent.
//! - *Combine:* each rank reads the BF16 rows of its tokens back from those ranks, sums them in FP32 and writes BF16. A
//!   rank's kernel starts when all ranks have come, and ends when all have read.
//!
//! Who goes where ([`Layout`]) is counted beforehand, as public benchmarks do with their handles; counting is not timed.

pub(crate) mod layout;

use std::collections::BTreeMap;
use std::sync::Arc;

use cudarc::driver::{CudaFunction, CudaStream, LaunchConfig, PushKernelArg};

use self::layout::Layout;
use super::device::{Fill, Gpu};
use super::failure::At;
use super::multi::{FLAGS, MultiCall, PeerMemory, patience, sets_within, streams, synchronize};
use crate::bench::BenchError;
use crate::question::Question;

mod verify;

pub(crate) use verify::bf16;

const SOURCE: &str = include_str!("../../kernels/exchange.cu");

/// Elements that share a scale.
const SCALED: usize = 128;
/// Bytes of a word, the unit that kernels move.
const WORD: usize = 16;
/// Most words that a lane moves at once, for which the registers suffice.
const ROUND_MAX: usize = 8;
/// What a `Post` of the kernels takes: turn, arrived, late, 32 flags.
const POST: usize = 16 + 32 * 8;
/// Where `late` lies in it.
const POST_LATE: usize = 12;
/// Operand sets kept at most.
const N_SETS_MAX: usize = 128;

/// Which way tokens go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Dispatch,
    Combine,
}

impl Way {
    const fn kernel(self) -> &'static str {
        match self {
            Self::Dispatch => "dispatch",
            Self::Combine => "combine",
        }
    }

    /// Threads of a block; 32 warps have registers for a token's words, 16 for its sums.
    const fn n_threads(self) -> u32 {
        match self {
            Self::Dispatch => 1024,
            Self::Combine => 512,
        }
    }

    const fn element(self) -> Fill {
        match self {
            Self::Dispatch => Fill::E4m3Normal,
            Self::Combine => Fill::Bf16Normal,
        }
    }
}

/// Sizes of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    way: Way,
    n_ranks: usize,
    tokens: usize,
    dim: usize,
}

impl Sizes {
    fn new(way: Way, n_ranks: u32, tokens: u64, dim: u64) -> Result<Self, BenchError> {
        let unit = (SCALED * WORD / 4) as u64;
        if dim == 0 || !dim.is_multiple_of(unit) || dim > u64::from(u16::MAX) {
            let next = dim.clamp(1, unit * 100).next_multiple_of(unit);
            return Err(BenchError::Unsupported(format!(
                "tokens of width {dim}; the kernels move rows and scales in words of 16 bytes: take a multiple of {unit}, such as {next}"
            )));
        }
        Ok(Self { way, n_ranks: n_ranks as usize, tokens: tokens as usize, dim: dim as usize })
    }

    /// Bytes of a row without scales.
    const fn row(&self) -> usize {
        self.dim * self.way.element().size()
    }

    /// Bytes of a row's scales.
    const fn scales(&self) -> usize {
        match self.way {
            Way::Dispatch => self.dim / SCALED * 4,
            Way::Combine => 0,
        }
    }

    /// Words that a lane moves at once: the most for which 32 lanes come out even with the row.
    fn round(&self) -> usize {
        let words_a_lane = self.row() / WORD / 32;
        (1..=ROUND_MAX).rev().find(|round| words_a_lane.is_multiple_of(*round)).unwrap_or(1)
    }
}

/// Memory of one rank. `rows` has room for the fullest rank's rows, so that a set begins at the same place everywhere.
struct Side {
    kernel: CudaFunction,
    config: LaunchConfig,
    /// Dispatch: read, `[set][token]`. Combine: written.
    tokens: PeerMemory,
    /// Scales of the tokens; one word where there are none.
    token_scales: PeerMemory,
    /// Dispatch: written by all, `[set][row]`. Combine: read by all.
    rows: PeerMemory,
    row_scales: PeerMemory,
    slots: PeerMemory,
    post: PeerMemory,
}

/// Addresses by rank, as each rank's kernel wants them.
struct Tables {
    rows: PeerMemory,
    scales: PeerMemory,
    posts: PeerMemory,
}

struct Exchange {
    sizes: Sizes,
    layout: Layout,
    n_sets: usize,
    rows_max: usize,
    sides: Vec<Side>,
    tables: Vec<Tables>,
}

/// `Dispatch` or `Combine` as a call of its ranks, with random tokens and balanced random picks.
///
/// # Errors
/// `Unsupported` for numbers that make no exchange, with a way out.
pub(crate) fn prepare(gpus: &[Gpu], question: &Question) -> Result<Box<dyn MultiCall>, BenchError> {
    let (way, (ranks, tokens, dim, experts, top_k, sms)) = match question {
        Question::Dispatch { ranks, tokens, dim, experts, top_k, sms } => {
            (Way::Dispatch, (*ranks, *tokens, *dim, *experts, *top_k, *sms))
        }
        Question::Combine { ranks, tokens, dim, experts, top_k, sms } => {
            (Way::Combine, (*ranks, *tokens, *dim, *experts, *top_k, *sms))
        }
        other => return Err(BenchError::Unsupported(format!("{other:?} is no exchange of tokens"))),
    };
    let layout = Layout::balanced(ranks, tokens, experts, top_k, 1)?;
    let sizes = Sizes::new(way, ranks, tokens, dim)?;
    let gpus = gpus
        .get(..sizes.n_ranks)
        .ok_or_else(|| BenchError::Unsupported(format!("{ranks} ranks on {} GPUs", gpus.len())))?;
    gpus.iter().try_for_each(|gpu| gpu.check_sms(sms))?;
    Ok(Box::new(Exchange::new(gpus, sizes, layout, sms)?))
}

impl Exchange {
    fn new(gpus: &[Gpu], sizes: Sizes, layout: Layout, sms: u32) -> Result<Self, BenchError> {
        let rows_max = layout.rows_max();
        let n_read = if sizes.way == Way::Dispatch { sizes.tokens } else { rows_max };
        let n_sets = sets_within(&gpus[0], n_read * sizes.row(), N_SETS_MAX);
        let sides = gpus
            .iter()
            .enumerate()
            .map(|(rank, gpu)| Side::new(gpu, rank, &sizes, &layout, n_sets, sms))
            .collect::<Result<Vec<_>, _>>()?;
        let addresses = |of: fn(&Side) -> &PeerMemory| sides.iter().map(|side| of(side).address()).collect::<Vec<_>>();
        let [rows, scales, posts] =
            [addresses(|side| &side.rows), addresses(|side| &side.row_scales), addresses(|side| &side.post)];
        let tables = gpus
            .iter()
            .map(|gpu| {
                Ok(Tables {
                    rows: PeerMemory::table(gpu, &rows)?,
                    scales: PeerMemory::table(gpu, &scales)?,
                    posts: PeerMemory::table(gpu, &posts)?,
                })
            })
            .collect::<Result<Vec<_>, BenchError>>()?;
        Ok(Self { sizes, layout, n_sets, rows_max, sides, tables })
    }

    /// One rank's part of the call on operand set `set`.
    fn launch(&self, stream: &Arc<CudaStream>, rank: usize, set: usize) -> Result<(), BenchError> {
        let (side, tables, sizes) = (&self.sides[rank], &self.tables[rank], &self.sizes);
        let (tokens, slots) = (side.tokens.address(), side.slots.address());
        let (rows, posts) = (tables.rows.address(), tables.posts.address());
        let [n_tokens, n_ranks, words] = [sizes.tokens, sizes.n_ranks, sizes.row() / WORD].map(|n| n as u32);
        let [rank, set, rows_max] = [rank, set, self.rows_max].map(|n| n as u32);
        let patience = patience();
        let mut launch = stream.launch_builder(&side.kernel);
        // SAFETY (of both): arguments in the kernel's order and of its types; every set, row and slot is inside what was
        // allocated for it, and all of that lives until the streams are idle.
        match sizes.way {
            Way::Dispatch => {
                let (token_scales, scales) = (side.token_scales.address(), tables.scales.address());
                let scale_words = (sizes.scales() / WORD) as u32;
                launch.arg(&tokens).arg(&token_scales).arg(&slots).arg(&rows).arg(&scales).arg(&posts);
                launch.arg(&n_tokens).arg(&n_ranks).arg(&rank).arg(&words).arg(&scale_words);
                launch.arg(&rows_max).arg(&set).arg(&patience);
                unsafe { launch.launch(side.config) }.at("launch a dispatch")?;
            }
            Way::Combine => {
                launch.arg(&tokens).arg(&slots).arg(&rows).arg(&posts);
                launch.arg(&n_tokens).arg(&n_ranks).arg(&rank).arg(&words);
                launch.arg(&rows_max).arg(&set).arg(&patience);
                unsafe { launch.launch(side.config) }.at("launch a combine")?;
            }
        }
        Ok(())
    }
}

impl Side {
    fn new(
        gpu: &Gpu,
        rank: usize,
        sizes: &Sizes,
        layout: &Layout,
        n_sets: usize,
        sms: u32,
    ) -> Result<Self, BenchError> {
        let kernel = gpu.kernel(&source(sizes.round()), sizes.way.kernel())?;
        let shared_mem_bytes = gpu.alone(&kernel)?;
        let config = LaunchConfig { grid_dim: (sms, 1, 1), block_dim: (sizes.way.n_threads(), 1, 1), shared_mem_bytes };
        let (n_tokens, n_rows) = (n_sets * sizes.tokens, n_sets * layout.rows_max());
        let seed = 1 + rank as u32;
        let random = |n: usize| PeerMemory::random(gpu, sizes.way.element(), n * sizes.dim, seed);
        let written = |n: usize, row: usize| PeerMemory::new(gpu, n * row, 0);
        let (tokens, token_scales, rows) = match sizes.way {
            Way::Dispatch => (
                random(n_tokens)?,
                PeerMemory::random(gpu, Fill::F32Scale, n_tokens * sizes.scales() / 4, seed)?,
                written(n_rows, sizes.row())?,
            ),
            Way::Combine => (written(n_tokens, sizes.row())?, written(0, 0)?, random(n_rows)?),
        };
        let slots: Vec<u8> = layout.slots(rank).iter().flat_map(|slot| slot.to_ne_bytes()).collect();
        Ok(Self {
            kernel,
            config,
            tokens,
            token_scales,
            rows,
            row_scales: written(n_rows, sizes.scales())?,
            slots: PeerMemory::of(gpu, &slots)?,
            post: PeerMemory::new(gpu, POST, 0)?,
        })
    }
}

impl MultiCall for Exchange {
    fn implementation(&self) -> String {
        "windtunnel".into()
    }

    fn kind(&self) -> String {
        format!("{} of {} words at once", self.sizes.way.kernel(), self.sizes.round())
    }

    fn n_sets(&self) -> usize {
        self.n_sets
    }

    fn verify(&mut self, gpus: &[Gpu]) -> Result<(), BenchError> {
        for side in &mut self.sides {
            let written = match self.sizes.way {
                Way::Dispatch => [&mut side.rows, &mut side.row_scales],
                Way::Combine => [&mut side.tokens, &mut side.token_scales],
            };
            written.into_iter().try_for_each(|memory| memory.fill(0xA5))?;
        }
        let sets = [0, self.n_sets - 1];
        for set in sets {
            self.enqueue(&streams(gpus), set)?;
        }
        synchronize(gpus)?;
        self.check()?;
        sets.into_iter().try_for_each(|set| match self.sizes.way {
            Way::Dispatch => verify::dispatch(self, set),
            Way::Combine => verify::combine(self, set),
        })
    }

    fn enqueue(&mut self, streams: &[Arc<CudaStream>], i: usize) -> Result<(), BenchError> {
        streams
            .iter()
            .take(self.sizes.n_ranks)
            .enumerate()
            .try_for_each(|(rank, stream)| self.launch(stream, rank, i % self.n_sets))
    }

    fn check(&mut self) -> Result<(), BenchError> {
        for (rank, side) in self.sides.iter().enumerate() {
            if side.post.read(POST_LATE..POST_LATE + 4)? != [0; 4] {
                let what = self.sizes.way.kernel();
                return Err(BenchError::Failed(format!("{what}: rank {rank} waited for a peer in vain")));
            }
        }
        Ok(())
    }

    fn extras(&self) -> BTreeMap<String, f64> {
        // What goes out in a dispatch comes back in a combine.
        let most = |rows: fn(&Layout, usize) -> usize| {
            let rows = (0..self.sizes.n_ranks).map(|rank| rows(&self.layout, rank)).max().unwrap_or(0);
            (rows * (self.sizes.row() + self.sizes.scales())) as f64
        };
        let (out, into) = (most(Layout::rows_out), most(Layout::rows_in));
        let (sent, received) = if self.sizes.way == Way::Dispatch { (out, into) } else { (into, out) };
        BTreeMap::from([("bytes-sent".into(), sent), ("bytes-received".into(), received)])
    }
}

/// The kernels for lanes that move `round` words at once.
fn source(round: usize) -> String {
    format!("#define ROUND {round}\n{FLAGS}{SOURCE}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_compile() {
        for round in 1..=ROUND_MAX {
            crate::gpu::compile::compile_in_test(&source(round));
        }
    }

    #[test]
    fn rounds_come_out_even_with_rows() {
        for dim in (512..=16_384).step_by(512) {
            for way in [Way::Dispatch, Way::Combine] {
                let sizes = Sizes::new(way, 2, 1, dim).expect("a width");
                let words = sizes.row() / WORD;
                assert_eq!(words % (32 * sizes.round()), 0, "{way:?} of {dim}");
                assert_eq!(sizes.scales() % WORD, 0, "{way:?} of {dim}");
            }
        }
    }

    #[test]
    fn a_row_has_its_elements_and_scales() {
        let dispatch = Sizes::new(Way::Dispatch, 2, 1, 7168).expect("a width");
        assert_eq!((dispatch.row(), dispatch.scales(), dispatch.round()), (7168, 56 * 4, 7));
        let combine = Sizes::new(Way::Combine, 2, 1, 7168).expect("a width");
        assert_eq!((combine.row(), combine.scales(), combine.round()), (2 * 7168, 0, 7));
    }

    #[test]
    fn odd_widths_are_refused_with_a_way_out() {
        for dim in [0, 100, 7169, 65_536] {
            let error = Sizes::new(Way::Dispatch, 2, 1, dim).expect_err("no width").to_string();
            assert!(error.contains(&format!("width {dim}")) && error.contains("such as"), "{error}");
        }
    }
}

//! Two GPUs and the links between them: bytes stored by a kernel, bytes moved by a kernel's bulk copies or by a copy engine, one flag.

use std::sync::Arc;

use cudarc::driver::{CudaFunction, CudaStream, LaunchConfig, PushKernelArg, result};

use super::device::{Fill, Gpu};
use super::failure::At;
use super::multi::{FLAGS, MultiCall, PEER, PeerMemory, patience, sets_within, synchronize, time, verify_once};
use super::timing::{Effort, Timing};
use crate::bench::BenchError;
use crate::question::Question;
use crate::sample::Reading;

/// The bulk copies, after the instructions they are made of.
const BULK: [&str; 2] = [include_str!("../../kernels/wgmma.cu"), include_str!("../../kernels/peer_bulk.cu")];

/// A word of a copy, in bytes.
const WORD: u64 = 16;
/// Bytes of a bulk copy: about a token.
const PIECE: u32 = 8192;
/// Bulk copies that an SM's shared memory has room for.
const N_PIECES: u32 = 24;
/// Threads of a block that says what is copied in bulk: one warp.
const N_BULK_THREADS: u32 = 32;
/// Compute capability from which SMs have bulk copies.
const BULK_SINCE: (i32, i32) = (9, 0);
/// Threads of a block that copies.
const N_THREADS: u32 = 512;
/// Round trips of a flag in one launch, and those before that are not counted.
const N_ROUNDS: [u32; 2] = [2000, 100];

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ways {
    /// The first GPU to the second.
    One,
    /// Each to the other at once.
    Both,
}

/// `PeerCopy`, `PeerBulk` or `PeerEngine`: seconds one way, and `both-ways-seconds` when both GPUs send at once.
///
/// # Errors
/// `Unsupported` for sizes that cannot be asked for, `Failed` if a byte arrives wrong.
pub(crate) fn measure(gpus: &[Gpu], effort: &Effort, question: &Question) -> Result<Reading, BenchError> {
    let timing_of = |ways| -> Result<(Timing, String), BenchError> {
        let mut call = prepare(gpus, question, ways)?;
        verify_once(gpus, call.as_mut())?;
        let senders = if ways == Ways::One { &gpus[..1] } else { gpus };
        Ok((time(senders, effort, call.as_mut())?, call.implementation()))
    };
    let (mut one, implementation) = timing_of(Ways::One)?;
    one.extras.insert("both-ways-seconds".into(), timing_of(Ways::Both)?.0.seconds);
    Ok(one.reading(implementation))
}

/// A copy between the first two GPUs as a call.
///
/// # Errors
/// `Unsupported` for sizes that cannot be asked for and for other questions.
pub(crate) fn prepare(gpus: &[Gpu], question: &Question, ways: Ways) -> Result<Box<dyn MultiCall>, BenchError> {
    let [first, second, ..] = gpus else { return Err(BenchError::Unsupported("needs 2 GPUs".into())) };
    let (bytes, by) = match question {
        Question::PeerCopy { bytes, sms } => (*bytes, By::Stores(*sms)),
        Question::PeerBulk { bytes, sms } => (*bytes, By::Bulk(*sms)),
        Question::PeerEngine { bytes } => (*bytes, By::Engine),
        other => return Err(BenchError::Unsupported(format!("{other:?} is no copy between peers"))),
    };
    check(bytes)?;
    let len = bytes as usize;
    let n_sets = sets_within(first, len, 256);
    let mut lanes = Vec::new();
    for (rank, (from, to)) in [(first, second), (second, first)].into_iter().enumerate() {
        if ways == Ways::One && rank > 0 {
            continue;
        }
        let kernel = match by {
            By::Stores(sms) => Some(Kernel::stores(from, sms)?),
            By::Bulk(sms) => Some(Kernel::bulk(from, sms)?),
            By::Engine => None,
        };
        lanes.push(Lane {
            kernel,
            source: PeerMemory::random(from, Fill::F32Normal, len * n_sets / Fill::F32Normal.size(), rank as u32 + 1)?,
            target: PeerMemory::new(to, len * n_sets, 0)?,
        });
    }
    Ok(Box::new(Copy { lanes, by, len, n_sets, ways }))
}

/// One flag to the second GPU and back between two kernels: median seconds of half a round trip.
///
/// Both kernels are one thread that stores a release and polls with acquires, system scope; time is that of the first
/// GPU's clock over 2,000 rounds.
///
/// # Errors
/// `Failed` if a flag gets lost.
pub(crate) fn latency(gpus: &[Gpu], effort: &Effort) -> Result<Reading, BenchError> {
    let [first, second, ..] = gpus else { return Err(BenchError::Unsupported("needs 2 GPUs".into())) };
    let mut sides = Vec::new();
    for gpu in [first, second] {
        let kernel = gpu.kernel(&format!("{FLAGS}{PEER}"), "ping")?;
        // The flag, this side's turn, and what it measured: three words far from each other.
        sides.push((gpu, kernel, PeerMemory::new(gpu, 3 * 128, 0)?));
    }
    // One launch takes about 2,000 round trips of a few microseconds.
    let n_runs = ((effort.seconds / 0.01).ceil() as usize).clamp(5, 40);
    let mut seconds = Vec::new();
    for _ in 0..=n_runs {
        seconds.push(ping(&sides)? / f64::from(N_ROUNDS[0]) / 2.0);
    }
    // The first run loads the kernels.
    seconds.remove(0);
    Ok(Timing::new(seconds, Default::default())?.reading("windtunnel".into()))
}

/// Seconds of the counted round trips.
fn ping(sides: &[(&Gpu, CudaFunction, PeerMemory)]) -> Result<f64, BenchError> {
    let config = LaunchConfig { grid_dim: (1, 1, 1), block_dim: (1, 1, 1), shared_mem_bytes: 0 };
    let [rounds, warm] = N_ROUNDS;
    let patience = patience();
    for (rank, (gpu, kernel, words)) in sides.iter().enumerate() {
        let theirs = sides[1 - rank].2.address();
        let (mine, turn, elapsed) = (words.address(), words.address() + 128, words.address() + 256);
        let serves = u32::from(rank == 0);
        let mut launch = gpu.stream.launch_builder(kernel);
        launch.arg(&theirs).arg(&mine).arg(&turn).arg(&warm).arg(&rounds).arg(&serves).arg(&patience).arg(&elapsed);
        // SAFETY: the kernel touches one word at each address; both allocations outlive it, for we wait for it below.
        unsafe { launch.launch(config) }.at("launch the ping")?;
    }
    for (gpu, ..) in sides {
        gpu.synchronize()?;
    }
    let bytes = sides[0].2.read(256..264)?;
    match bytes.try_into().map(u64::from_ne_bytes) {
        Ok(nanoseconds) if nanoseconds > 0 => Ok(nanoseconds as f64 * 1e-9),
        _ => Err(BenchError::Failed("a flag did not come back from the peer".into())),
    }
}

fn check(bytes: u64) -> Result<(), BenchError> {
    if bytes > 0 && bytes.is_multiple_of(WORD) {
        return Ok(());
    }
    let next = bytes.next_multiple_of(WORD).max(WORD);
    Err(BenchError::Unsupported(format!("a copy of {bytes} bytes; take a multiple of {WORD}, such as {next}")))
}

/// What moves the bytes: a kernel on some SMs, or no kernel at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Stores(u32),
    Bulk(u32),
    Engine,
}

/// A copying kernel whose blocks each have an SM; both kinds take target, source, and a length in words or bytes.
struct Kernel {
    function: CudaFunction,
    config: LaunchConfig,
    /// Bytes that a unit of the length is.
    unit: u64,
}

impl Kernel {
    fn stores(gpu: &Gpu, sms: u32) -> Result<Self, BenchError> {
        Self::new(gpu, sms, gpu.kernel(&format!("{FLAGS}{PEER}"), "push")?, N_THREADS, WORD)
    }

    fn bulk(gpu: &Gpu, sms: u32) -> Result<Self, BenchError> {
        if gpu.capability < BULK_SINCE {
            return Err(BenchError::Unsupported("its SMs have no bulk copies; they came with Hopper".into()));
        }
        let needed = PIECE * N_PIECES;
        let kernel = Self::new(gpu, sms, gpu.kernel(&bulk_source(), "push_bulk")?, N_BULK_THREADS, 1)?;
        let has = kernel.config.shared_mem_bytes;
        if has < needed {
            return Err(BenchError::Unsupported(format!("needs {needed} bytes of shared memory an SM, and has {has}")));
        }
        Ok(kernel)
    }

    fn new(gpu: &Gpu, sms: u32, function: CudaFunction, n_threads: u32, unit: u64) -> Result<Self, BenchError> {
        gpu.check_sms(sms)?;
        let shared_mem_bytes = gpu.alone(&function)?;
        let config = LaunchConfig { grid_dim: (sms, 1, 1), block_dim: (n_threads, 1, 1), shared_mem_bytes };
        Ok(Self { function, config, unit })
    }
}

fn bulk_source() -> String {
    format!("#define PIECE {PIECE}u\n#define PIECES {N_PIECES}u\n{}", BULK.concat())
}

/// One direction.
struct Lane {
    /// None: a copy engine.
    kernel: Option<Kernel>,
    /// On the sender, all sets.
    source: PeerMemory,
    /// On the receiver, as many.
    target: PeerMemory,
}

struct Copy {
    lanes: Vec<Lane>,
    by: By,
    len: usize,
    n_sets: usize,
    ways: Ways,
}

impl MultiCall for Copy {
    fn implementation(&self) -> String {
        match self.by {
            By::Stores(_) => "windtunnel",
            By::Bulk(_) => "windtunnel bulk",
            By::Engine => "copy engine",
        }
        .into()
    }

    fn kind(&self) -> String {
        format!("peer copy, {}, {:?}", self.implementation(), self.ways)
    }

    fn n_sets(&self) -> usize {
        self.n_sets
    }

    fn verify(&mut self, gpus: &[Gpu]) -> Result<(), BenchError> {
        for lane in &mut self.lanes {
            lane.target.fill(0xA5)?;
        }
        let streams = super::multi::streams(gpus);
        (0..self.n_sets).try_for_each(|i| self.enqueue(&streams, i))?;
        synchronize(gpus)?;
        for (rank, lane) in self.lanes.iter().enumerate() {
            let wrong = n_different(&gpus[rank], &lane.source, &lane.target)?;
            if wrong > 0 {
                return Err(BenchError::Failed(format!(
                    "{}: {wrong} of {} words of 16 bytes from GPU {rank} arrived wrong",
                    self.kind(),
                    self.len * self.n_sets / 16
                )));
            }
        }
        Ok(())
    }

    fn enqueue(&mut self, streams: &[Arc<CudaStream>], i: usize) -> Result<(), BenchError> {
        let offset = (i % self.n_sets * self.len) as u64;
        for (lane, stream) in self.lanes.iter().zip(streams) {
            let (from, to) = (lane.source.address() + offset, lane.target.address() + offset);
            match &lane.kernel {
                Some(Kernel { function, config, unit }) => {
                    let n = self.len as u64 / unit;
                    let mut launch = stream.launch_builder(function);
                    launch.arg(&to).arg(&from).arg(&n);
                    // SAFETY: both sides have `len` bytes at the offset, and live until the streams are idle.
                    unsafe { launch.launch(*config) }.at("launch a copy")?;
                }
                None => {
                    stream.context().bind_to_thread().at("make a device current")?;
                    // SAFETY: as above. Addresses are unified, so the driver finds the two devices by them.
                    unsafe { result::memcpy_dtod_async(to, from, self.len, stream.cu_stream()) }
                        .at("copy to the peer")?;
                }
            }
        }
        Ok(())
    }
}

/// Words of 16 bytes in which two memories of equal length differ.
fn n_different(gpu: &Gpu, a: &PeerMemory, b: &PeerMemory) -> Result<u64, BenchError> {
    let kernel = gpu.kernel(&format!("{FLAGS}{PEER}"), "differ")?;
    let count = PeerMemory::new(gpu, 8, 0)?;
    let (a, b, n, to) = (a.address(), b.address(), a.len().min(b.len()) as u64 / WORD, count.address());
    let config = LaunchConfig { grid_dim: (gpu.sms * 4, 1, 1), block_dim: (N_THREADS, 1, 1), shared_mem_bytes: 0 };
    let mut launch = gpu.stream.launch_builder(&kernel);
    launch.arg(&a).arg(&b).arg(&n).arg(&to);
    // SAFETY: `n` words of each are read, one word is written; all live until the stream is idle.
    unsafe { launch.launch(config) }.at("compare two memories")?;
    gpu.synchronize()?;
    let bytes = count.read(0..8)?;
    Ok(bytes.try_into().map_or(u64::MAX, u64::from_ne_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_compile() {
        crate::gpu::compile::compile_in_test(&format!("{FLAGS}{PEER}"));
        crate::gpu::compile::compile_in_test(&bulk_source());
    }

    #[test]
    fn odd_sizes_are_refused_with_a_way_out() {
        assert!(check(1 << 20).is_ok());
        assert!(check(0).is_err());
        let error = check(17).expect_err("17 bytes").to_string();
        assert!(error.contains("17 bytes") && error.contains("such as 32"), "{error}");
    }
}

//! Copy, read and write: what the memory gives to so many SMs.

use std::sync::Arc;

use cudarc::driver::{CudaFunction, CudaStream, LaunchConfig, PushKernelArg};

use super::device::{Fill, Gpu};
use super::failure::At;
use super::rotation::{Rotation, samples};
use super::timing::Call;
use crate::bench::BenchError;
use crate::question::Question;

const SOURCE: &str = include_str!("../../kernels/memory.cu");

/// Threads of a block; the question says so.
const THREADS: u32 = 512;
/// Bytes of an access.
const WORD: usize = 16;
/// Bytes compared at a place, and places.
const PIECE: usize = 1 << 16;
const PIECES: usize = 64;

/// Prepares a copy, read or write.
///
/// # Errors
/// `Unsupported` for more SMs than there are; `Failed` for sizes that are no whole words.
pub(super) fn prepare(gpu: &Gpu, question: &Question) -> Result<Box<dyn Call>, BenchError> {
    let (way, bytes, sms) = match *question {
        Question::Copy { bytes, sms } => (Way::Copy, bytes, sms),
        Question::Read { bytes, sms } => (Way::Read, bytes, sms),
        Question::Write { bytes, sms } => (Way::Write, bytes, sms),
        ref other => return Err(BenchError::Unsupported(format!("{other:?} is no copy, read or write"))),
    };
    gpu.check_sms(sms)?;
    let size = usize::try_from(bytes).ok().filter(|size| *size > 0 && size % WORD == 0);
    let size = size.ok_or_else(|| BenchError::Failed(format!("{bytes} bytes are no multiple of {WORD} above zero")))?;
    let kernel = gpu.kernel(SOURCE, way.kernel())?;
    let config =
        LaunchConfig { grid_dim: (sms, 1, 1), block_dim: (THREADS, 1, 1), shared_mem_bytes: gpu.alone(&kernel)? };
    let moved = if matches!(way, Way::Copy) { 2 * bytes } else { bytes };
    let sets = gpu.sets(moved);
    let input = match way {
        Way::Write => None,
        Way::Copy | Way::Read => Some(Rotation::random(gpu, sets, size, Fill::Bf16Normal, 1)?),
    };
    let out_size = if matches!(way, Way::Read) { WORD } else { size };
    let output = Rotation::empty(gpu, sets, out_size)?;
    Ok(Box::new(Moved { way, kernel, config, size, input, output }))
}

#[derive(Clone, Copy)]
enum Way {
    Copy,
    Read,
    Write,
}

impl Way {
    const fn kernel(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

struct Moved {
    way: Way,
    kernel: CudaFunction,
    config: LaunchConfig,
    /// Bytes of a call.
    size: usize,
    input: Option<Rotation>,
    output: Rotation,
}

impl Call for Moved {
    fn implementation(&self) -> String {
        "windtunnel".to_owned()
    }

    fn verify(&mut self, gpu: &Gpu) -> Result<(), BenchError> {
        match self.way {
            Way::Read => self.verify_read(gpu),
            Way::Copy | Way::Write => self.verify_written(gpu),
        }
    }

    fn enqueue(&mut self, stream: &Arc<CudaStream>, i: usize) -> Result<(), BenchError> {
        self.launch(stream, i, self.size)
    }
}

impl Moved {
    fn launch(&self, stream: &Arc<CudaStream>, i: usize, size: usize) -> Result<(), BenchError> {
        let (n, out) = ((size / WORD) as u64, self.output.of_call(i));
        let input = self.input.as_ref().map(|input| input.of_call(i));
        let mut launch = stream.launch_builder(&self.kernel);
        launch.arg(&out);
        if let Some(input) = &input {
            launch.arg(input);
        }
        launch.arg(&n);
        // SAFETY: input and output have at least `size` bytes a set; what `read` writes is one word.
        unsafe { launch.launch(self.config) }.at(self.way.kernel())?;
        Ok(())
    }

    fn verify_written(&mut self, gpu: &Gpu) -> Result<(), BenchError> {
        self.output.poison(gpu)?;
        self.launch(&gpu.stream, 0, self.size)?;
        for piece in samples(self.size.div_ceil(PIECE), PIECES) {
            let range = piece * PIECE..((piece + 1) * PIECE).min(self.size);
            let want = match &self.input {
                Some(input) => input.read(gpu, range.clone())?,
                None => pattern(range.clone()),
            };
            let got = self.output.read(gpu, range.clone())?;
            if let Some(at) = (0..got.len()).find(|&at| got[at] != want[at]) {
                let (got, want, at) = (got[at], want[at], range.start + at);
                return Err(BenchError::Failed(format!("{}: byte {at} is {got}, not {want}", self.way.kernel())));
            }
        }
        Ok(())
    }

    fn verify_read(&mut self, gpu: &Gpu) -> Result<(), BenchError> {
        // What the host has to read back, an odd number of tiles; the kernel is the same for any size.
        let size = self.size.min((THREADS as usize * WORD * 4) * 1001 + WORD);
        self.output.poison(gpu)?;
        self.launch(&gpu.stream, 0, size)?;
        let got = self.output.read(gpu, 0..4)?;
        let got = u32::from_le_bytes([got[0], got[1], got[2], got[3]]);
        let input =
            self.input.as_ref().ok_or_else(|| BenchError::Failed("read: no input".into()))?.read(gpu, 0..size)?;
        let words = input.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        // The kernel adds to what is there, and that is the poison.
        let want = words.fold(u32::MAX, |all, word| all ^ word);
        if got == want { Ok(()) } else { Err(BenchError::Failed(format!("read: words give {got:#x}, not {want:#x}"))) }
    }
}

/// What `write` writes there.
fn pattern(range: std::ops::Range<usize>) -> Vec<u8> {
    let words = range.start / WORD..range.end / WORD;
    words
        .flat_map(|i| {
            #[expect(clippy::cast_possible_truncation, reason = "the kernel keeps the lower half too")]
            let i = i as u32;
            [i, i, !i, !i].into_iter().flat_map(u32::to_le_bytes)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::compile::compile_in_test;

    #[test]
    fn the_kernels_compile() {
        compile_in_test(SOURCE);
    }

    #[test]
    fn the_pattern_is_each_words_index() {
        let bytes = pattern(16..48);
        assert_eq!(bytes.len(), 32);
        assert_eq!(&bytes[..4], &1_u32.to_le_bytes());
        assert_eq!(&bytes[28..], &(!2_u32).to_le_bytes());
    }
}

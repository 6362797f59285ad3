//! One GPU: its context, streams, compiled kernels and operands.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::sys::{self, CUdevice_attribute_enum as Attribute};
use cudarc::driver::{CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;

use super::compile;
use super::failure::At;
use super::meter::Meter;
use crate::bench::BenchError;

/// Source of [`Gpu::random`] and the empty kernel.
pub(crate) const SOURCE: &str = include_str!("../../kernels/device.cu");

/// A GPU that is ready to be measured.
pub(crate) struct Gpu {
    /// The device's primary context, without cudarc's tracking of events.
    pub(crate) ctx: Arc<CudaContext>,
    /// What is timed.
    pub(crate) stream: Arc<CudaStream>,
    /// What runs beside it; of higher priority, so that its blocks are placed first.
    pub(crate) side: Arc<CudaStream>,
    /// SMs.
    pub(crate) sms: u32,
    /// L2 in bytes.
    pub(crate) l2: usize,
    /// Most dynamic shared memory of a block in bytes: a block that asks for it is alone on its SM.
    pub(crate) shared_max: u32,
    /// Architecture as the compiler names it: `sm_90a`.
    pub(crate) arch: String,
    /// Compute capability.
    pub(crate) capability: (i32, i32),
    /// Clock and power, where NVML is there.
    pub(crate) meter: Option<Meter>,
    modules: Mutex<BTreeMap<String, Arc<CudaModule>>>,
    verified: Mutex<BTreeSet<String>>,
}

/// What operands are filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// BF16, standard normal.
    Bf16Normal,
    /// E4M3, normal; the largest of some millions is near a quarter of the largest number.
    E4m3Normal,
    /// FP32 ones.
    F32One,
    /// FP32, uniform between a half and three halves.
    F32Scale,
    /// FP32, standard normal.
    F32Normal,
}

impl Fill {
    /// Bytes of an element.
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::E4m3Normal => 1,
            Self::Bf16Normal => 2,
            Self::F32One | Self::F32Scale | Self::F32Normal => 4,
        }
    }

    /// The number by which the kernel knows it.
    const fn kind(self) -> u32 {
        match self {
            Self::Bf16Normal => 0,
            Self::E4m3Normal => 1,
            Self::F32One => 2,
            Self::F32Scale => 3,
            Self::F32Normal => 4,
        }
    }
}

impl Gpu {
    /// Opens the device of that ordinal. The driver must be loaded and initialized.
    ///
    /// # Errors
    /// `Failed` or `Lost` with the call that failed.
    pub(crate) fn open(ordinal: usize) -> Result<Self, BenchError> {
        let ctx = CudaContext::new(ordinal).at("open the device")?;
        // SAFETY: no slice exists yet. Slices are used on their own stream or after a synchronize, see each use.
        unsafe { ctx.disable_event_tracking() };
        let capability = ctx.compute_capability().at("compute capability")?;
        let priority = cudarc::driver::result::stream::get_priority_range().map_or(0, |range| range.1);
        let mut gpu = Self {
            stream: ctx.new_stream().at("create a stream")?,
            side: ctx.new_stream_with_priority(priority).at("create a stream")?,
            sms: 0,
            l2: 0,
            shared_max: 0,
            arch: compile::arch(capability.0, capability.1),
            capability,
            meter: None,
            modules: Mutex::default(),
            verified: Mutex::default(),
            ctx,
        };
        gpu.sms = gpu.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        gpu.l2 = gpu.attribute(Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)? as usize;
        gpu.shared_max = gpu.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
        gpu.meter = gpu.bus().ok().and_then(|bus| Meter::open(&bus));
        Ok(gpu)
    }

    /// An attribute that is a count or a size.
    pub(crate) fn attribute(&self, attribute: Attribute) -> Result<u32, BenchError> {
        let value = self.ctx.attribute(attribute).at(&format!("{attribute:?}"))?;
        u32::try_from(value).map_err(|_| BenchError::Failed(format!("{attribute:?} is {value}")))
    }

    /// Place on the PCI bus, by which NVML knows the same device.
    fn bus(&self) -> Result<String, BenchError> {
        let mut text = [0; 32];
        // SAFETY: the buffer has the length given; the driver ends the text with a zero.
        unsafe {
            sys::cuDeviceGetPCIBusId(text.as_mut_ptr(), 32, self.ctx.cu_device()).result().at("PCI bus id")?;
            Ok(CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned())
        }
    }

    /// Compiles and loads `source`; the same source is compiled once.
    ///
    /// # Errors
    /// The compiler's log.
    pub(crate) fn module(&self, source: &str) -> Result<Arc<CudaModule>, BenchError> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(source) {
            return Ok(module.clone());
        }
        let code = compile::compile(source, &self.arch)?;
        let module = self.ctx.load_module(Ptx::from_binary(code)).at("load a module")?;
        modules.insert(source.to_owned(), module.clone());
        Ok(module)
    }

    /// A kernel of `source` by its name.
    pub(crate) fn kernel(&self, source: &str, name: &str) -> Result<CudaFunction, BenchError> {
        self.module(source)?.load_function(name).at(&format!("find kernel `{name}`"))
    }

    /// Lets a kernel ask for all shared memory, so that each of its blocks is alone on an SM. Returns the bytes to ask for.
    pub(crate) fn alone(&self, kernel: &CudaFunction) -> Result<u32, BenchError> {
        let fixed = u32::try_from(kernel.shared_size_bytes().at("shared memory of a kernel")?).unwrap_or(0);
        let bytes = self.shared_max.saturating_sub(fixed);
        let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        kernel.set_attribute(attribute, bytes.cast_signed()).at("ask for all shared memory")?;
        Ok(bytes)
    }

    /// Memory of unspecified content.
    ///
    /// # Errors
    /// `Failed` where there is not enough.
    pub(crate) fn bytes(&self, n: usize) -> Result<CudaSlice<u8>, BenchError> {
        // SAFETY: every use writes before it reads; verification poisons first. An empty slice is not asked for.
        unsafe { self.stream.alloc::<u8>(n.max(16)) }.at(&format!("allocate {n} bytes"))
    }

    /// `count` random elements, the same for the same seed.
    ///
    /// # Errors
    /// `Failed` where there is not enough memory.
    pub(crate) fn random(&self, fill: Fill, count: usize, seed: u32) -> Result<CudaSlice<u8>, BenchError> {
        let mut out = self.bytes(count * fill.size())?;
        let kernel = self.kernel(SOURCE, "fill")?;
        let (n, kind) = (count as u64, fill.kind());
        let config = LaunchConfig { grid_dim: (self.sms * 8, 1, 1), block_dim: (256, 1, 1), shared_mem_bytes: 0 };
        let mut launch = self.stream.launch_builder(&kernel);
        launch.arg(&mut out).arg(&n).arg(&kind).arg(&seed);
        // SAFETY: the kernel writes `count` elements of the fill's size, which is what was allocated.
        unsafe { launch.launch(config) }.at("fill operands")?;
        Ok(out)
    }

    /// Operand sets to rotate through, so that a round of them is more than twice the L2.
    pub(crate) fn sets(&self, bytes_a_call: u64) -> usize {
        sets(self.l2, bytes_a_call)
    }

    /// Verifies what is called `kind`, unless that went well before.
    ///
    /// # Errors
    /// Of `verify`.
    pub(crate) fn once(&self, kind: &str, verify: impl FnOnce() -> Result<(), BenchError>) -> Result<(), BenchError> {
        if self.verified.lock().unwrap_or_else(PoisonError::into_inner).contains(kind) {
            return Ok(());
        }
        verify()?;
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).insert(kind.to_owned());
        Ok(())
    }

    /// Whether it has that many SMs.
    ///
    /// # Errors
    /// `Unsupported` where it has fewer, `Failed` for none.
    pub(crate) fn check_sms(&self, sms: u32) -> Result<(), BenchError> {
        match sms {
            0 => Err(BenchError::Failed("a kernel on no SM".into())),
            n if n <= self.sms => Ok(()),
            n => Err(BenchError::Unsupported(format!("asks for {n} SMs, this device has {}", self.sms))),
        }
    }

    /// Waits for everything on both streams.
    pub(crate) fn synchronize(&self) -> Result<(), BenchError> {
        self.stream.synchronize().at("synchronize")?;
        self.side.synchronize().at("synchronize")
    }
}

fn sets(l2: usize, bytes_a_call: u64) -> usize {
    let round = 2 * l2 as u64;
    usize::try_from(round / bytes_a_call.max(1)).unwrap_or(usize::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_more_than_twice_the_cache() {
        for bytes in [1, 4096, 100_000, 1 << 20, 50 << 20, 1 << 30] {
            let l2 = 50 << 20;
            let n = sets(l2, bytes);
            assert!(n as u64 * bytes > 2 * l2 as u64, "{n} sets of {bytes}");
            assert!((n - 1) as u64 * bytes <= 2 * l2 as u64, "and not one more than needed");
        }
    }

    #[test]
    fn the_kernels_compile() {
        compile::compile_in_test(SOURCE);
    }
}

//! Some of a device's SMs, and a stream whose kernels run on no others.

use std::mem::MaybeUninit;
use std::sync::Arc;

use cudarc::driver::CudaStream;
use cudarc::driver::sys::{self, CUdevResource, CUdevResourceType, CUgreenCtx, CUgreenCtxCreate_flags, CUstream_flags};

use super::device::Gpu;
use super::failure::At;
use crate::bench::BenchError;

/// A partition of the SMs, a green context of the driver.
///
/// The driver deals SMs out in groups whose blocks can form clusters, eight on Hopper, so it may give a few more than were
/// asked for. Blocks that sleep on the other SMs would hold any number, but they break the clusters of the rest: library
/// kernels were seen to take four times as long beside 24 of them.
pub(crate) struct Part {
    /// Kernels enqueued here run on these SMs only.
    pub(crate) stream: Arc<CudaStream>,
    /// SMs given.
    pub(crate) sms: u32,
    context: CUgreenCtx,
}

impl Gpu {
    /// At least `sms` of its SMs, as few as the driver can give: what "SMs left to it" means.
    ///
    /// # Errors
    /// `Unsupported` or `Failed` where the driver cannot part the device.
    pub(crate) fn part(&self, sms: u32) -> Result<Part, BenchError> {
        Part::new(self, sms)
    }
}

impl Part {
    /// At least `sms` SMs, as few as the driver can give.
    ///
    /// # Errors
    /// `Unsupported` where the driver does not part devices.
    fn new(gpu: &Gpu, sms: u32) -> Result<Self, BenchError> {
        gpu.ctx.bind_to_thread().at("bind the context")?;
        let device = gpu.ctx.cu_device();
        // SAFETY: plain data of the C interface, filled by the call before it is read.
        let mut all: CUdevResource = unsafe { MaybeUninit::zeroed().assume_init() };
        // SAFETY: as above.
        let mut part: CUdevResource = unsafe { MaybeUninit::zeroed().assume_init() };
        // SAFETY: as above.
        let mut rest: CUdevResource = unsafe { MaybeUninit::zeroed().assume_init() };
        let kind = CUdevResourceType::CU_DEV_RESOURCE_TYPE_SM;
        let mut n_groups = 1;
        let mut description = std::ptr::null_mut();
        let mut context = std::ptr::null_mut();
        let mut stream = std::ptr::null_mut();
        let flags = CUgreenCtxCreate_flags::CU_GREEN_CTX_DEFAULT_STREAM as u32;
        // SAFETY: every pointer is to a local of the right type; the handles are used in the order the driver asks for.
        unsafe {
            sys::cuDeviceGetDevResource(device, &raw mut all, kind).result().at("SMs of the device")?;
            sys::cuDevSmResourceSplitByCount(&raw mut part, &raw mut n_groups, &raw const all, &raw mut rest, 0, sms)
                .result()
                .at("part the SMs")?;
            sys::cuDevResourceGenerateDesc(&raw mut description, &raw mut part, 1).result().at("describe the part")?;
            sys::cuGreenCtxCreate(&raw mut context, description, device, flags).result().at("green context")?;
            let non_blocking = CUstream_flags::CU_STREAM_NON_BLOCKING as u32;
            let created = sys::cuGreenCtxStreamCreate(&raw mut stream, context, non_blocking, 0).result();
            if let Err(error) = created {
                let _ = sys::cuGreenCtxDestroy(context);
                return Err(error).at("stream of the part");
            }
        }
        // SAFETY: the split has filled the member for SMs.
        let given = unsafe { part.__bindgen_anon_1.sm.smCount };
        // SAFETY: the stream lives until drop destroys it, and nothing keeps the wrapper longer.
        let stream = unsafe { gpu.ctx.wrap_borrowed_stream(stream) };
        Ok(Self { stream, sms: given, context })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // An error here is an error of the device, which the next call gives too.
        let _ = self.stream.synchronize();
        // SAFETY: made by `new`, used by nobody after this.
        unsafe {
            let _ = sys::cuStreamDestroy_v2(self.stream.cu_stream());
            let _ = sys::cuGreenCtxDestroy(self.context);
        }
    }
}

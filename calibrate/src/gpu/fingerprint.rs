//! What the machine is, as samples remember it.

use std::collections::BTreeMap;

use cudarc::driver::sys::{self, CUdevice_attribute_enum as Attribute};
use cudarc::{cublaslt, nccl, nvrtc};

use super::device::Gpu;
use super::failure::At;
use super::library::Libraries;
use crate::bench::BenchError;
use crate::sample::Fingerprint;

/// Settings of NCCL that move its times.
const SETTINGS: [&str; 12] = [
    "NCCL_NVLS_ENABLE",
    "NCCL_ALGO",
    "NCCL_PROTO",
    "NCCL_MIN_CTAS",
    "NCCL_MAX_CTAS",
    "NCCL_MIN_NCHANNELS",
    "NCCL_MAX_NCHANNELS",
    "NCCL_NTHREADS",
    "NCCL_BUFFSIZE",
    "NCCL_P2P_DISABLE",
    "NCCL_P2P_LEVEL",
    "CUDA_DEVICE_MAX_CONNECTIONS",
];

/// Takes the fingerprint of `gpus`, the first of which is measured.
pub(super) fn take(gpus: &[Gpu], libraries: &Libraries) -> Result<Fingerprint, BenchError> {
    let gpu = &gpus[0];
    let meter = gpu.meter.as_ref();
    let (_, memory) = gpu.ctx.mem_get_info().at("size of the memory")?;
    let clock = kilohertz(gpu, Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
    let memory_clock = kilohertz(gpu, Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
    let width = gpu.attribute(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH)?;
    Ok(Fingerprint {
        device: gpu.ctx.name().at("name of the device")?,
        n_devices: u32::try_from(gpus.len()).unwrap_or(u32::MAX),
        sms: gpu.sms,
        clock_max: meter.and_then(super::meter::Meter::clock_max).or(clock).unwrap_or(0.0),
        l2: gpu.l2 as u64,
        memory: memory as u64,
        // Two transfers a clock, eight bits a byte.
        memory_peak: meter.and_then(super::meter::Meter::memory_clock_max).or(memory_clock).unwrap_or(0.0)
            * 2.0
            * f64::from(width)
            / 8.0,
        power_limit: meter.and_then(super::meter::Meter::power_limit).unwrap_or(0.0),
        versions: versions(gpu, libraries),
        settings: SETTINGS.iter().filter_map(|&name| Some((name.to_owned(), std::env::var(name).ok()?))).collect(),
    })
}

/// Newer drivers refuse the clocks and leave them to NVML.
fn kilohertz(gpu: &Gpu, attribute: Attribute) -> Option<f64> {
    let clock = gpu.attribute(attribute).ok().filter(|&clock| clock > 0)?;
    Some(f64::from(clock) * 1e3)
}

fn versions(gpu: &Gpu, libraries: &Libraries) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    let mut note =
        |name: &str, version: Option<String>| version.map(|version| versions.insert(name.to_owned(), version));
    note("driver", gpu.meter.as_ref().and_then(super::meter::Meter::driver));
    note("cuda", cuda());
    note("nvrtc", nvrtc_version());
    note(
        "cublaslt",
        libraries.has("libcublasLt").then(|| {
            // SAFETY: the library is loaded; the call has no arguments.
            packed(unsafe { cublaslt::sys::cublasLtGetVersion() }, 10_000, 100)
        }),
    );
    let nccl = libraries.has("libnccl").then(|| nccl::result::get_nccl_version().ok()).flatten();
    note("nccl", nccl.and_then(|version| usize::try_from(version).ok()).map(|version| packed(version, 10_000, 100)));
    note("compute-capability", Some(format!("{}.{}", gpu.capability.0, gpu.capability.1)));
    versions
}

fn cuda() -> Option<String> {
    let mut version = 0;
    // SAFETY: the driver is loaded; the result has somewhere to go.
    unsafe { sys::cuDriverGetVersion(&raw mut version) }.result().ok()?;
    Some(format!("{}.{}", version / 1000, version % 1000 / 10))
}

fn nvrtc_version() -> Option<String> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the library is loaded; the results have somewhere to go.
    unsafe { nvrtc::sys::nvrtcVersion(&raw mut major, &raw mut minor) }.result().ok()?;
    Some(format!("{major}.{minor}"))
}

/// A version packed into decimal digits, as `2.28.9` is into 22809 where the major part counts ten thousands.
fn packed(version: usize, major: usize, minor: usize) -> String {
    format!("{}.{}.{}", version / major, version % major / minor, version % minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_unpacked() {
        assert_eq!(packed(22_809, 10_000, 100), "2.28.9");
        assert_eq!(packed(130_100, 10_000, 100), "13.1.0");
    }
}

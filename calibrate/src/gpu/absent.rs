//! Why this machine cannot be measured at all.

/// What is missing before any question can be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Absent {
    /// There is no driver.
    #[error(
        "no NVIDIA driver here: `libcuda.so.1` is not found; run this on a machine with a GPU, or import samples that were taken on one"
    )]
    Driver,
    /// The driver does not start.
    #[error("the NVIDIA driver does not start: cuInit says {name} ({code}){}", hint(*.code))]
    Init {
        /// Name of the code, as CUDA has it.
        name: String,
        /// The code.
        code: u32,
    },
    /// A driver, and no device.
    #[error("a driver, but no device; `nvidia-smi -L` lists those there are, and `CUDA_VISIBLE_DEVICES` hides some")]
    Device,
    /// No device of that ordinal.
    #[error("no device {asked}: here are {n_devices}, counted from 0")]
    Ordinal {
        /// What was asked for.
        asked: usize,
        /// Devices there are.
        n_devices: usize,
    },
    /// The compiler of kernels is missing; without it no kernel of ours runs.
    #[error(
        "`libnvrtc.so` is not found, which compiles our kernels: install the CUDA toolkit or `pip install nvidia-cuda-nvrtc`, and name its folder if it is an unusual one"
    )]
    Compiler,
    /// Libraries lie outside the loader's path, and the program cannot be started again with their folders in it.
    #[error(
        "the program cannot be started again with CUDA's libraries: {text}; set `LD_LIBRARY_PATH` to their folders and `NCCL_NVLS_ENABLE=0`"
    )]
    Restart {
        /// Why not.
        text: String,
    },
    /// A library is there and does not do what it should.
    #[error("the device cannot be opened: {text}")]
    Broken {
        /// What went wrong.
        text: String,
    },
}

/// What usually helps with a code of `cuInit`.
fn hint(code: u32) -> &'static str {
    match code {
        34 => "; this `libcuda.so` is the stub for linking, take its folder off `LD_LIBRARY_PATH`",
        100 => "; the driver sees no device, see `nvidia-smi -L` and `CUDA_VISIBLE_DEVICES`",
        803 | 804 => "; the library and the kernel module of the driver differ, or a compatibility package is too old",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_what_is_missing_and_a_way_out() {
        let init = |code| Absent::Init { name: "CUDA_ERROR".into(), code }.to_string();
        assert!(init(100).contains("CUDA_ERROR (100); the driver sees no device"));
        assert!(init(34).contains("stub"));
        assert!(init(999).ends_with("CUDA_ERROR (999)"));
        assert!(Absent::Driver.to_string().contains("libcuda.so.1"));
        assert!(Absent::Compiler.to_string().contains("nvidia-cuda-nvrtc"));
        assert_eq!(Absent::Ordinal { asked: 3, n_devices: 2 }.to_string(), "no device 3: here are 2, counted from 0");
    }
}

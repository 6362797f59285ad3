//! Errors of CUDA's libraries as [`BenchError`], with what was being done.

use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult;

use crate::bench::BenchError;

/// Turns an error of a library into one of the bench that says what was tried.
pub(crate) trait At<T> {
    /// Adds `what`, the call that failed, in a few words.
    fn at(self, what: &str) -> Result<T, BenchError>;
}

impl<T> At<T> for Result<T, DriverError> {
    fn at(self, what: &str) -> Result<T, BenchError> {
        self.map_err(|DriverError(code)| driver_failure(code, what))
    }
}

impl<T> At<T> for Result<T, cudarc::nvrtc::result::NvrtcError> {
    fn at(self, what: &str) -> Result<T, BenchError> {
        self.map_err(|error| BenchError::Failed(format!("{what}: {:?}", error.0)))
    }
}

impl<T> At<T> for Result<T, cudarc::cublaslt::result::CublasError> {
    fn at(self, what: &str) -> Result<T, BenchError> {
        self.map_err(|error| BenchError::Failed(format!("{what}: {:?}", error.0)))
    }
}

impl<T> At<T> for Result<T, cudarc::nccl::result::NcclError> {
    fn at(self, what: &str) -> Result<T, BenchError> {
        self.map_err(|error| BenchError::Failed(format!("{what}: {:?}", error.0)))
    }
}

/// Some codes poison the context: every later call gives them again, so nothing more can be measured.
fn driver_failure(code: CUresult, what: &str) -> BenchError {
    // By the name of the enum: asking the driver for a text panics where there is no driver.
    let text = format!("{what}: {code:?} ({})", code as u32);
    match code {
        CUresult::CUDA_ERROR_ILLEGAL_ADDRESS
        | CUresult::CUDA_ERROR_LAUNCH_FAILED
        | CUresult::CUDA_ERROR_LAUNCH_TIMEOUT
        | CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION
        | CUresult::CUDA_ERROR_MISALIGNED_ADDRESS
        | CUresult::CUDA_ERROR_INVALID_ADDRESS_SPACE
        | CUresult::CUDA_ERROR_INVALID_PC
        | CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR
        | CUresult::CUDA_ERROR_ASSERT
        | CUresult::CUDA_ERROR_ECC_UNCORRECTABLE
        | CUresult::CUDA_ERROR_NVLINK_UNCORRECTABLE
        | CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED
        | CUresult::CUDA_ERROR_DEINITIALIZED
        | CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE
        | CUresult::CUDA_ERROR_SYSTEM_NOT_READY
        | CUresult::CUDA_ERROR_UNKNOWN => BenchError::Lost(text),
        _ => BenchError::Failed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poisoned_context_is_lost_and_a_refused_call_is_not() {
        let lost: Result<(), _> = Err(DriverError(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS));
        let text = "copy: CUDA_ERROR_ILLEGAL_ADDRESS (700)".to_owned();
        assert_eq!(lost.at("copy"), Err(BenchError::Lost(text)));
        let refused: Result<(), _> = Err(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY));
        assert!(matches!(refused.at("allocate"), Err(BenchError::Failed(text)) if text.contains("OUT_OF_MEMORY")));
    }
}

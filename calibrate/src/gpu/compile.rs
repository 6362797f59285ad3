//! From CUDA C++ to machine code, by NVRTC; needs no GPU.

use std::ffi::CString;

use cudarc::nvrtc::{result, sys};

use super::failure::At;
use crate::bench::BenchError;

/// The name of an architecture for the compiler, with the suffix that its own instructions ask for: `sm_90a`.
pub(crate) fn arch(major: i32, minor: i32) -> String {
    let suffix = if major >= 9 { "a" } else { "" };
    format!("sm_{major}{minor}{suffix}")
}

/// Compiles `source` for `arch` into a CUBIN. No headers: kernels include nothing.
///
/// # Errors
/// `Unsupported` without NVRTC; `Failed` with the compiler's log, or where it gives no code.
pub(crate) fn compile(source: &str, arch: &str) -> Result<Vec<u8>, BenchError> {
    if !present() {
        return Err(BenchError::Unsupported("no libnvrtc, which compiles the kernels".into()));
    }
    let text = CString::new(source).map_err(|_| BenchError::Failed("a kernel's source has a zero byte".into()))?;
    let program = Program { handle: result::create_program(&text, None).at("nvrtcCreateProgram")? };
    let options = [format!("--gpu-architecture={arch}"), "--std=c++17".to_owned()];
    // SAFETY: the program lives until the end of this function, and so does its source.
    unsafe { result::compile_program(program.handle, &options) }
        .map_err(|error| BenchError::Failed(format!("compiling for {arch}: {:?}\n{}", error.0, program.log())))?;
    program.cubin()
}

/// Whether NVRTC can be loaded.
pub(crate) fn present() -> bool {
    // SAFETY: loads a library by name; its initializers are NVIDIA's.
    unsafe { sys::is_culib_present() }
}

/// Destroys the program when it goes.
struct Program {
    handle: sys::nvrtcProgram,
}

impl Program {
    fn log(&self) -> String {
        // SAFETY: the handle is a live program.
        let log = unsafe { result::get_program_log(self.handle) }.unwrap_or_default();
        let bytes: Vec<u8> = log.iter().take_while(|&&c| c != 0).map(|&c| c.cast_unsigned()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn cubin(&self) -> Result<Vec<u8>, BenchError> {
        let mut size = 0;
        // SAFETY: the handle is a live, compiled program; the buffer has the size that was asked for.
        let code = unsafe {
            sys::nvrtcGetCUBINSize(self.handle, &raw mut size).result().at("nvrtcGetCUBINSize")?;
            let mut code = vec![0_u8; size];
            sys::nvrtcGetCUBIN(self.handle, code.as_mut_ptr().cast()).result().at("nvrtcGetCUBIN")?;
            code
        };
        if code.is_empty() {
            return Err(BenchError::Failed("the compiler gave no machine code".into()));
        }
        Ok(code)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and nobody has it after this.
        let _ = unsafe { result::destroy_program(self.handle) };
    }
}

/// Compiles `source` for Hopper in a test and returns the code; `None`, with a word, where NVRTC is missing.
#[cfg(test)]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn compile_in_test(source: &str) -> Option<Vec<u8>> {
    if !present() {
        eprintln!("skipped: no libnvrtc on the loader path");
        return None;
    }
    Some(compile(source, "sm_90a").unwrap_or_else(|error| panic!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_have_the_compilers_names() {
        assert_eq!(arch(9, 0), "sm_90a");
        assert_eq!(arch(8, 9), "sm_89");
        assert_eq!(arch(10, 0), "sm_100a");
    }

    #[test]
    fn a_mistake_in_a_kernel_is_shown_by_its_line() {
        if compile_in_test("__global__ void k() {}").is_none() {
            return;
        }
        let error = compile("__global__ void k() { nonsense; }", "sm_90a").expect_err("does not compile").to_string();
        assert!(error.contains("nonsense") && error.contains("(1)"), "{error}");
    }
}

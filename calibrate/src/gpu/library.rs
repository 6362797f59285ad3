//! CUDA's libraries: found on the loader's path or in the usual folders, or named as missing.
//!
//! The loader reads `LD_LIBRARY_PATH` once, when a program starts. A library in a folder outside its path, as in the packages of a
//! Python environment, therefore needs the program to start again with that folder in the variable.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use cudarc::driver::sys::{self as driver, CUresult};
use cudarc::{cublaslt, nccl, nvrtc};

use super::absent::Absent;

/// What to open, and how hard to measure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Ordinal of the device, as CUDA counts those it can see.
    pub device: usize,
    /// Shorter warm-up and timing.
    pub quick: bool,
    /// Folders to look for libraries in before the usual ones.
    pub folders: Vec<PathBuf>,
}

/// The libraries there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Libraries {
    /// Files found outside the loader's path.
    pub found: Vec<PathBuf>,
    /// Libraries that are missing, each with what is skipped without it.
    pub missing: Vec<String>,
}

/// Set for the program started again: what was found. Its presence ends the search.
const FOUND: &str = "WINDTUNNEL_LIBRARIES";
/// NVLink multicast stays off unless the caller asks for it: on shared hosts it can disturb others.
const NVLS: &str = "NCCL_NVLS_ENABLE";

/// Where toolkits, drivers and Python packages put libraries; `*` is any part of a name.
const FOLDERS: [&str; 14] = [
    "/usr/local/nvidia/lib64",
    "/usr/local/nvidia/lib",
    "/usr/lib/wsl/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/local/cuda/lib64",
    "/usr/local/cuda-13*/lib64",
    "/usr/local/cuda*/targets/*/lib",
    "/usr/local/lib/python3*/*-packages/nvidia/*/lib",
    "/usr/lib/python3*/*-packages/nvidia/*/lib",
    "/opt/*/lib/python3*/site-packages/nvidia/*/lib",
    "/opt/*/.venv/lib/python3*/site-packages/nvidia/*/lib",
    "/opt/*/*/lib/python3*/site-packages/nvidia/*/lib",
];

/// One library we can use.
struct Wanted {
    name: &'static str,
    /// File names it is installed under, the one we prefer first.
    files: &'static [&'static str],
    /// Name to link it under where the loader would not try its own.
    link: Option<&'static str>,
    present: fn() -> bool,
    /// What is skipped without it.
    serves: &'static str,
}

const WANTED: [Wanted; 4] = [
    Wanted {
        name: "libcuda",
        files: &["libcuda.so.1"],
        link: None,
        // SAFETY: loads a library by name, here and below; the initializers are NVIDIA's.
        present: || unsafe { driver::is_culib_present() },
        serves: "everything",
    },
    Wanted {
        name: "libnvrtc",
        files: &["libnvrtc.so.13", "libnvrtc.so.12"],
        link: None,
        // SAFETY: as above.
        present: || unsafe { nvrtc::sys::is_culib_present() },
        serves: "all kernels of our own",
    },
    Wanted {
        name: "libcublasLt",
        files: &["libcublasLt.so.13", "libcublasLt.so.12"],
        link: None,
        // SAFETY: as above.
        present: || unsafe { cublaslt::sys::is_culib_present() },
        serves: "products of the library",
    },
    Wanted {
        name: "libnccl",
        // The only name in NVIDIA's packages, and one that cudarc never tries.
        files: &["libnccl.so.2"],
        link: Some("libnccl.so"),
        // SAFETY: as above.
        present: || unsafe { nccl::sys::is_culib_present() },
        serves: "collectives",
    },
];

impl Libraries {
    /// Looks for all libraries; starts the program again where some lie outside the loader's path.
    ///
    /// # Errors
    /// [`Absent::Driver`] and [`Absent::Compiler`]; other libraries are only noted as missing.
    pub fn load(options: &Options) -> Result<Self, Absent> {
        let mut this = Self::default();
        if let Some(found) = std::env::var_os(FOUND) {
            this.found = std::env::split_paths(&found).filter(|path| !path.as_os_str().is_empty()).collect();
        } else {
            restart(&search(options))?;
        }
        for wanted in WANTED.iter().filter(|wanted| !(wanted.present)()) {
            this.missing.push(format!("{}: without it no {}", wanted.name, wanted.serves));
        }
        for (wanted, absent) in WANTED.iter().zip([Absent::Driver, Absent::Compiler]) {
            if !(wanted.present)() {
                return Err(absent);
            }
        }
        keep();
        Ok(this)
    }

    /// Whether NCCL and cuBLASLt can be asked; a message names the one that is missing.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        !self.missing.iter().any(|missing| missing.starts_with(name))
    }
}

/// Starts the driver; devices it sees.
///
/// # Errors
/// What is absent.
pub(crate) fn initialize() -> Result<usize, Absent> {
    // SAFETY: the driver's library is loaded, and this is the first call it asks for.
    let code = unsafe { driver::cuInit(0) };
    if code != CUresult::CUDA_SUCCESS {
        // By the name of the enum: asking the driver for a text would need the driver.
        return Err(Absent::Init { name: format!("{code:?}"), code: code as u32 });
    }
    let mut n = 0;
    // SAFETY: the driver is started; the result has somewhere to go.
    let code = unsafe { driver::cuDeviceGetCount(&raw mut n) };
    match usize::try_from(n) {
        Ok(n) if n > 0 && code == CUresult::CUDA_SUCCESS => Ok(n),
        _ => Err(Absent::Device),
    }
}

/// A library that the loader does not find, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    file: PathBuf,
    link: Option<&'static str>,
}

fn search(options: &Options) -> Vec<Found> {
    let usual = FOLDERS.iter().flat_map(|pattern| matching(Path::new("/"), pattern));
    let folders: Vec<PathBuf> = options.folders.iter().cloned().chain(usual).collect();
    let absent = WANTED.iter().filter(|wanted| !(wanted.present)());
    absent.filter_map(|wanted| find(&folders, wanted.files, wanted.link)).collect()
}

/// The first of `files` in the first of `folders` that has one.
fn find(folders: &[PathBuf], files: &[&str], link: Option<&'static str>) -> Option<Found> {
    let mut places = folders.iter().flat_map(|folder| files.iter().map(move |file| folder.join(file)));
    Some(Found { file: places.find(|place| place.exists())?, link })
}

/// Folders below `root` that match a pattern of parts, in alphabetical order.
fn matching(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut folders = vec![root.to_path_buf()];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        folders = folders.iter().flat_map(|folder| inside(folder, part)).collect();
    }
    folders
}

fn inside(folder: &Path, part: &str) -> Vec<PathBuf> {
    if !part.contains('*') {
        let path = folder.join(part);
        return if path.is_dir() { vec![path] } else { Vec::new() };
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| fits(name, part)));
    let mut paths: Vec<PathBuf> = names.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    paths.sort();
    paths
}

/// Whether `name` is the pattern with something, or nothing, for each `*`.
fn fits(name: &str, pattern: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return name == pattern };
    let Some(rest) = name.strip_prefix(before) else { return false };
    (0..=rest.len()).filter_map(|at| rest.get(at..)).any(|rest| fits(rest, after))
}

/// Replaces this program by itself with the folders of `found` before the loader; returns where that is not needed.
///
/// # Errors
/// [`Absent::Restart`] where it cannot be started.
fn restart(found: &[Found]) -> Result<(), Absent> {
    let driver_here = (WANTED[0].present)() || found.iter().any(|found| found.file.ends_with(WANTED[0].files[0]));
    let settled = found.is_empty() && std::env::var_os(NVLS).is_some();
    if settled || !driver_here {
        return Ok(());
    }
    let failed = |text: &dyn std::fmt::Display| Absent::Restart { text: text.to_string() };
    let files = std::env::join_paths(found.iter().map(|found| &found.file)).map_err(|error| failed(&error))?;
    let path = loader_path(found).map_err(|error| failed(&error))?;
    let mut arguments = std::env::args_os();
    let mut again = Command::new("/proc/self/exe");
    again.arg0(arguments.next().unwrap_or_else(|| "windtunnel".into())).args(arguments);
    again.env("LD_LIBRARY_PATH", path).env(FOUND, files);
    if std::env::var_os(NVLS).is_none() {
        again.env(NVLS, "0");
    }
    // Returns only if it fails.
    Err(failed(&again.exec()))
}

/// The loader's path with the folders of `found` first, and a folder of links for names that nobody would try.
fn loader_path(found: &[Found]) -> io::Result<OsString> {
    let mut folders = Vec::new();
    let linked: Vec<(&Path, &str)> = found.iter().filter_map(|f| Some((f.file.as_path(), f.link?))).collect();
    if !linked.is_empty() {
        folders.push(links(&linked)?);
    }
    folders.extend(found.iter().filter_map(|found| Some(found.file.parent()?.to_path_buf())));
    folders.extend(std::env::var_os("LD_LIBRARY_PATH").iter().flat_map(std::env::split_paths));
    std::env::join_paths(folders).map_err(io::Error::other)
}

/// A folder of this user's own with links to files under other names.
fn links(linked: &[(&Path, &str)]) -> io::Result<PathBuf> {
    use std::os::unix::fs::{DirBuilderExt, symlink};
    let folder = links_folder();
    // Made new: a folder that somebody else put there could hold anything.
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    for (file, name) in linked {
        symlink(file, folder.join(name))?;
    }
    Ok(folder)
}

fn links_folder() -> PathBuf {
    std::env::temp_dir().join(format!("windtunnel-libraries-{}", std::process::id()))
}

/// Loads what was linked for good, so that the links can go.
fn keep() {
    if (WANTED[3].present)() {
        // SAFETY: it was just seen to load.
        unsafe { nccl::sys::culib() };
    }
    // Starting again keeps the process's number, so this is the folder made before it, if one was.
    let _ = fs::remove_dir_all(links_folder());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("windtunnel-test-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).expect("a folder for the test");
        root
    }

    #[test]
    fn stars_fit_any_part_of_a_name() {
        for (name, pattern, want) in [
            ("python3.12", "python3*", true),
            ("python2.7", "python3*", false),
            ("site-packages", "*-packages", true),
            ("lib", "*", true),
            ("lib64", "lib", false),
            ("cuda-13.0", "cuda*-13*0", true),
        ] {
            assert_eq!(fits(name, pattern), want, "{name} {pattern}");
        }
    }

    #[test]
    fn libraries_are_found_in_the_packages_of_an_environment() {
        let root = folder("find");
        for package in ["nccl", "cu13"] {
            fs::create_dir_all(root.join(format!("opt/x/lib/python3.12/site-packages/nvidia/{package}/lib")))
                .expect("folder");
        }
        let folders = matching(&root, "/opt/*/lib/python3*/site-packages/nvidia/*/lib");
        assert_eq!(folders.len(), 2);
        assert!(folders[0] < folders[1], "in one order on every machine");
        fs::write(folders[1].join("libnccl.so.2"), "").expect("file");
        let found = find(&folders, &["libnccl.so.3", "libnccl.so.2"], Some("libnccl.so")).expect("it is there");
        assert_eq!(found.file, folders[1].join("libnccl.so.2"));
        assert_eq!(find(&folders, &["libnvrtc.so.13"], None), None);
        fs::remove_dir_all(root).expect("removed");
    }

    #[test]
    fn a_name_nobody_tries_is_linked_before_everything_else() {
        let root = folder("link");
        let file = root.join("libnccl.so.2");
        fs::write(&file, "nccl").expect("file");
        let path = loader_path(&[Found { file: file.clone(), link: Some("libnccl.so") }]).expect("a path");
        let first = std::env::split_paths(&path).next().expect("a folder");
        assert_eq!(fs::read(first.join("libnccl.so")).expect("linked"), b"nccl");
        assert_eq!(std::env::split_paths(&path).nth(1), Some(root.clone()));
        fs::remove_dir_all(first).and_then(|()| fs::remove_dir_all(root)).expect("removed");
    }

    #[test]
    fn a_machine_without_a_driver_is_told_so() {
        let wanted = &WANTED[0];
        if !(wanted.present)() {
            let folders = Options { folders: vec![std::env::temp_dir()], ..Options::default() };
            assert_eq!(Libraries::load(&folders), Err(Absent::Driver));
        }
    }

    #[test]
    fn what_is_missing_is_named_with_what_it_costs() {
        let libraries = Libraries { found: vec![], missing: vec!["libnccl: without it no collectives".into()] };
        assert!(!libraries.has("libnccl") && libraries.has("libcublasLt"));
    }
}

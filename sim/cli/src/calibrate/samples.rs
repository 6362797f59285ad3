//! Files of samples on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use calibrate::session::Records;
use calibrate::{Fingerprint, Sample};
use scenario::disk::{self, Content};

use crate::exit::{Failure, talk};

/// A file of samples that is gone on with: what it holds, and its end to write at.
pub(super) struct Journal {
    pub(super) records: Records,
    pub(super) file: File,
}

impl Journal {
    /// Opens or begins a file; a last line that was cut is taken away, with a word. Nobody else may write to it meanwhile.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let io = |error: io::Error| Failure::usage(format!("`{}` cannot be opened: {error}", path.display()));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io)?;
        }
        if path.exists() {
            // A pipe would block where it is opened.
            disk::head(path, 0).map_err(io)?;
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        if let Err(fs::TryLockError::WouldBlock) = file.try_lock() {
            let message = "another calibration writes to it: wait for it, or name another file with `--samples`";
            return Err(Failure::usage(format!("`{}`: {message}", path.display())));
        }
        let bytes = disk::read_open(&mut file, Content::Measurements).map_err(io)?;
        let records = read(path, &bytes)?;
        file.set_len(records.n_bytes).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        Ok(Self { records, file })
    }
}

/// Samples of some files, each once.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) samples: Vec<Sample>,
    pub(super) machines: BTreeMap<String, Fingerprint>,
    /// Samples of files read before, as text that is equal where they are.
    texts: BTreeSet<String>,
}

impl Known {
    /// Reads files of samples in the order given. The same sample in two files counts once.
    pub(super) fn read_all(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut known = Self::default();
        for path in paths {
            let bytes = disk::read(path, Content::Measurements).map_err(|error| unread(path, &error))?;
            let records = read(path, &bytes)?;
            known.machines.extend(records.machines);
            let of_this = records.samples.into_iter().map(|sample| (text(&sample), sample));
            let new: Vec<(String, Sample)> = of_this.filter(|(text, _)| !known.texts.contains(text)).collect();
            for (text, sample) in new {
                known.texts.insert(text);
                known.samples.push(sample);
            }
        }
        Ok(known)
    }
}

fn text(sample: &Sample) -> String {
    // A sample can always be written: it was read from such a text.
    serde_json::to_string(sample).unwrap_or_default()
}

/// Why a file that was named cannot be read.
pub(super) fn unread(path: &Path, error: &io::Error) -> Failure {
    let message = format!("`{}` cannot be read: {error}", path.display());
    if error.kind() == io::ErrorKind::NotFound { Failure::absent(message) } else { Failure::usage(message) }
}

fn read(path: &Path, bytes: &[u8]) -> Result<Records, Failure> {
    let records = Records::read(bytes).map_err(|bad| {
        let hint = "hint: a file of samples has one JSON object a line, as `windtunnel calibrate` writes them";
        Failure::usage(format!("`{}`, {bad}\n{hint}", path.display()))
    })?;
    if records.n_torn > 0 {
        let n_bytes = records.n_torn;
        talk(&format!(
            "note: the last line of `{}` was cut while it was written; its {n_bytes} bytes are left out",
            path.display()
        ));
    }
    Ok(records)
}

//! Files in memory, for tests that need no disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use scenario::{Library, Sources};

/// Texts by path.
pub(crate) struct Memory(BTreeMap<PathBuf, String>);

impl Memory {
    /// A library that looks in `folders` among `files`, then in the compiled-in copy.
    pub(crate) fn library(folders: &[&str], files: &[(&str, &str)]) -> Library {
        let files = files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
        Library::with_sources(folders.iter().map(PathBuf::from).collect(), Box::new(Self(files)))
    }
}

impl Sources for Memory {
    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        Ok(self.0.get(path).cloned())
    }

    fn entries(&self, folder: &Path) -> Vec<String> {
        let inside = self.0.keys().filter(|path| path.parent() == Some(folder));
        inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
    }
}

//! Where presets are found.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use include_dir::{Dir, include_dir};

use crate::diagnostic::{Diagnostic, Mistakes};
use crate::disk::{self, Content};
use crate::kind::Kind;
use crate::origin::{Origin, Place, Source};
use crate::tree::{list, nearest};

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../scenarios");

/// The only way this crate reads files, so that tests need no disk.
pub trait Sources {
    /// The text of a file; `None` where there is none.
    ///
    /// # Errors
    /// The file is there and cannot be read, or is no UTF-8.
    fn read(&self, path: &Path) -> io::Result<Option<String>>;

    /// The text of a file of data, such as a trace of requests, which may be larger than one of keys; `None` where there is none.
    ///
    /// # Errors
    /// As [`Sources::read`].
    fn data(&self, path: &Path) -> io::Result<Option<String>> {
        self.read(path)
    }

    /// Names of the entries of a folder; empty where there is none.
    fn entries(&self, folder: &Path) -> Vec<String>;
}

/// The disk.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Sources for Disk {
    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        present(disk::read_text(path, Content::Keys))
    }

    fn data(&self, path: &Path) -> io::Result<Option<String>> {
        present(disk::read_text(path, Content::Measurements))
    }

    fn entries(&self, folder: &Path) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

/// A file that is not there is none.
fn present(text: io::Result<String>) -> io::Result<Option<String>> {
    match text {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Folders of presets, in the order they are asked: those given, `scenarios` of the working folder, the library that the
/// naming file is part of, the copy compiled in.
pub struct Library {
    folders: Vec<PathBuf>,
    sources: Box<dyn Sources + Send + Sync>,
}

impl Library {
    /// A library on disk: `dirs` first (`--library`), then `scenarios`, then the compiled-in copy.
    #[must_use]
    pub fn new(dirs: Vec<PathBuf>) -> Self {
        let mut folders = dirs;
        folders.push(PathBuf::from("scenarios"));
        Self::with_sources(folders, Box::new(Disk))
    }

    /// A library that reads through `sources`: exactly `folders`, then the compiled-in copy.
    #[must_use]
    pub fn with_sources(folders: Vec<PathBuf>, sources: Box<dyn Sources + Send + Sync>) -> Self {
        Self { folders, sources }
    }

    /// The compiled-in presets alone.
    #[must_use]
    pub fn built_in() -> Self {
        Self::with_sources(Vec::new(), Box::new(Disk))
    }

    /// Names of all presets of a kind, sorted.
    #[must_use]
    pub fn names(&self, kind: Kind) -> Vec<String> {
        let mut files: Vec<String> = Vec::new();
        for folder in &self.folders {
            files.extend(self.sources.entries(&folder.join(kind.folder())));
        }
        if let Some(folder) = BUILT_IN.get_dir(kind.folder()) {
            let built_in = folder.files().filter_map(|file| file.path().file_name()?.to_str());
            files.extend(built_in.map(str::to_owned));
        }
        let mut names: Vec<String> =
            files.iter().filter_map(|file| file.strip_suffix(".toml").map(str::to_owned)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Kinds that hold a preset of this name.
    #[must_use]
    pub fn kinds_of(&self, name: &str) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| self.names(*kind).iter().any(|known| known == name)).collect()
    }

    /// A file as it is, for readers that are not in this crate: a preset by its name, or a file by its path, relative to the
    /// file that names it (the working folder without one).
    ///
    /// # Errors
    /// There is no such file, with the names there are, or it cannot be read.
    pub fn text(&self, kind: Kind, reference: &str, from: Option<&Text>) -> Result<Text, Mistakes> {
        let origin = from.map(|text| Origin::whole(&text.0));
        let source = self.open(kind, reference, origin.as_ref());
        source.map(Text).map_err(|absent| Mistakes::new(vec![absent]))
    }

    /// Opens a preset by its name, or a file by its path relative to `from` (the working folder without one).
    pub(crate) fn open(&self, kind: Kind, reference: &str, from: Option<&Origin>) -> Result<Arc<Source>, Diagnostic> {
        let found =
            if is_path(reference) { self.open_path(reference, from) } else { self.open_name(kind, reference, from) };
        let at = |diagnostic: Diagnostic| match from {
            Some(origin) => diagnostic.at(origin),
            None => diagnostic,
        };
        match found {
            Ok(Some(source)) => Ok(source),
            Ok(None) => Err(at(self.absent(kind, reference))),
            Err((path, error)) => Err(at(Diagnostic::error(format!("`{}` cannot be read: {error}", path.display())))),
        }
    }

    /// Reads a file of data that a file of keys names: a path, relative to that file.
    pub(crate) fn data(&self, reference: &str, from: Option<&Origin>) -> Result<Source, Diagnostic> {
        let at = |message: String| {
            let diagnostic = Diagnostic::error(message);
            match from {
                Some(origin) => diagnostic.at(origin),
                None => diagnostic,
            }
        };
        let path = match from.map(|origin| &origin.source().place) {
            Some(Place::Disk(file)) => beside(file, reference),
            Some(Place::BuiltIn(_) | Place::Argument) | None => PathBuf::from(reference),
        };
        match self.sources.data(&path) {
            Ok(Some(text)) => Ok(Source { name: path.display().to_string(), text, place: Place::Disk(path) }),
            Ok(None) => Err(at(format!("there is no file `{}`", path.display()))
                .hint("a path is relative to the file that names it, and on the command line to the working folder")),
            Err(error) => Err(at(format!("`{}` cannot be read: {error}", path.display()))),
        }
    }

    /// Opens what a file names, first in the library that the file itself is part of.
    pub(crate) fn open_beside(&self, kind: Kind, reference: &str, from: &Origin) -> Result<Arc<Source>, Diagnostic> {
        let source = from.source();
        let file = Path::new(kind.folder()).join(format!("{reference}.toml"));
        let own = match &source.place {
            Place::Disk(_) => source.library().map(|library| self.read(&library.join(&file))),
            Place::BuiltIn(_) => Some(Ok(built_in(&file))),
            Place::Argument => None,
        };
        match own {
            Some(Ok(Some(source))) if !is_path(reference) => Ok(source),
            Some(_) | None => self.open(kind, reference, Some(from)),
        }
    }

    fn open_path(&self, reference: &str, from: Option<&Origin>) -> Result<Option<Arc<Source>>, (PathBuf, io::Error)> {
        let place = from.map(|origin| &origin.source().place);
        match place {
            Some(Place::BuiltIn(file)) => Ok(built_in(&beside(file, reference))),
            Some(Place::Disk(file)) => self.read(&beside(file, reference)),
            Some(Place::Argument) | None => self.read(Path::new(reference)),
        }
    }

    fn open_name(
        &self,
        kind: Kind,
        name: &str,
        from: Option<&Origin>,
    ) -> Result<Option<Arc<Source>>, (PathBuf, io::Error)> {
        let file = Path::new(kind.folder()).join(format!("{name}.toml"));
        let own = from.and_then(|origin| origin.source().library());
        for folder in self.folders.iter().map(PathBuf::as_path).chain(own) {
            if let Some(source) = self.read(&folder.join(&file))? {
                return Ok(Some(source));
            }
        }
        Ok(built_in(&file))
    }

    fn read(&self, path: &Path) -> Result<Option<Arc<Source>>, (PathBuf, io::Error)> {
        let text = self.sources.read(path).map_err(|error| (path.to_owned(), error))?;
        let place = Place::Disk(path.to_owned());
        Ok(text.map(|text| Arc::new(Source { name: path.display().to_string(), text, place })))
    }

    fn absent(&self, kind: Kind, reference: &str) -> Diagnostic {
        let mut names = self.names(kind);
        if kind == Kind::Scenario {
            names.extend(self.names(Kind::Service));
        }
        let stem = stem(reference);
        if is_path(reference) {
            let diagnostic = Diagnostic::error(format!("there is no file `{reference}`"));
            return match names.iter().find(|name| **name == stem) {
                Some(name) => {
                    diagnostic.hint(format!("there is a {} preset `{name}`: name it without a path", kind.name()))
                }
                None => diagnostic.hint(format!(
                    "a path is relative to the file that names it; {} presets: {}",
                    kind.name(),
                    list(&names)
                )),
            };
        }
        let diagnostic = Diagnostic::error(format!("there is no {} preset `{reference}`", kind.name()));
        if let Some(other) = self.kinds_of(reference).first() {
            return diagnostic.hint(format!("it is the name of a {}: {}", other.name(), other.way(reference)));
        }
        match nearest(reference, names.iter().map(String::as_str)) {
            Some(near) => diagnostic.hint(format!("did you mean `{near}`? there are {}", list(&names))),
            None => diagnostic.hint(format!("there are {}; a path ends in `.toml`", list(&names))),
        }
    }
}

/// A file of a library that is not read further here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Arc<Source>);

impl Text {
    /// How messages call the file: its path as it was found.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What is in it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// A reference of this file as [`load`](crate::load) takes it: a name as it is, a path as it is from the working folder.
    #[must_use]
    pub fn resolve(&self, reference: &str) -> String {
        if is_path(reference) {
            beside(Path::new(self.name()), reference).display().to_string()
        } else {
            reference.to_owned()
        }
    }
}

impl Source {
    /// The library on disk that the file is part of: its folder is one that presets of a kind have.
    fn library(&self) -> Option<&Path> {
        let Place::Disk(path) = &self.place else { return None };
        let folder = path.parent()?;
        let name = folder.file_name()?;
        Kind::ALL.iter().any(|kind| name == kind.folder()).then(|| folder.parent()).flatten()
    }
}

/// A preset's name: the file without folders and ending. A name may have dots of its own (`llama-3.1-405b`).
#[must_use]
pub fn stem(reference: &str) -> String {
    let name = Path::new(reference).file_name().and_then(|name| name.to_str()).unwrap_or(reference);
    let ending = [".toml", ".json"].into_iter().find_map(|ending| name.strip_suffix(ending));
    ending.unwrap_or(name).to_owned()
}

fn is_path(reference: &str) -> bool {
    reference.contains(['/', '\\']) || reference.ends_with(".toml") || reference.ends_with(".json")
}

fn built_in(path: &Path) -> Option<Arc<Source>> {
    let text = BUILT_IN.get_file(path)?.contents_utf8()?.to_owned();
    let name = format!("scenarios/{}", path.display());
    Some(Arc::new(Source { name, text, place: Place::BuiltIn(path.to_owned()) }))
}

/// A path relative to the folder of `file`, with `..` taken away where it can be.
fn beside(file: &Path, reference: &str) -> PathBuf {
    let mut path = file.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(reference).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if path.file_name().is_some() => {
                path.pop();
            }
            Component::ParentDir | Component::Normal(_) | Component::RootDir | Component::Prefix(_) => path.push(part),
        }
    }
    path
}

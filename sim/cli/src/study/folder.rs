//! The folder of a study: manifest, finished points, answer. Several shards may write to it at once.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::out::Files;
use scenario::disk::{self, Content};
use study::{Answer, FinishedPoint, Manifest, ResultTable, Shard, Store, StudyError};

/// What a file is called until it is complete.
const PARTIAL: &str = ".partial";
const MANIFEST: &str = "manifest.toml";
const BASE: &str = "base.toml";
const POINTS: &str = "points";
const FIGURES: &str = "figures";
const SENSITIVITY: &str = "sensitivity.json";
const OF_A_STUDY: [&str; 9] =
    [MANIFEST, BASE, POINTS, FIGURES, SENSITIVITY, "study.json", "table.csv", "table.parquet", "report.html"];
/// Figures that a study may have; those of sweeps are numbered.
const FIGURES_OF_A_STUDY: [&str; 10] = [
    "intervals",
    "binding",
    "tornado",
    "front",
    "matrix",
    "shapley",
    "pair-before",
    "pair-after",
    "pipeline-before",
    "pipeline-after",
];
const OF_A_SWEEP: &str = "sweep-";

/// A folder that may be written to.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// What tells our unfinished files from those of other shards.
    writer: String,
}

impl Folder {
    /// The folder of a study: new, empty, or of the same study before. Under `resume` it may be of an earlier version of the study: points that are still
    /// asked for are kept. `base` is the base as a file.
    pub(crate) fn claim(
        path: &Path,
        manifest: &Manifest,
        base: &str,
        shard: Shard,
        resume: bool,
    ) -> Result<Self, StudyError> {
        let writer = format!("{}-{}", shard.index, std::process::id());
        let folder = Self { path: path.to_owned(), writer };
        folder.refuse_foreign()?;
        let text = manifest.to_toml()?;
        match read(&path.join(MANIFEST))? {
            Some(there) if there == text => {
                folder.write(BASE, base.as_bytes())?;
                return Ok(folder);
            }
            Some(_) if !resume => {
                return Err(
                    folder.refusal("it holds another study, or this one as another build of the program has it")
                );
            }
            Some(_) | None => {}
        }
        folder.write(MANIFEST, text.as_bytes())?;
        folder.write(BASE, base.as_bytes())?;
        Ok(folder)
    }

    /// A folder that shards have written to, and what they agreed on.
    pub(crate) fn open(path: &Path) -> Result<(Self, Manifest), StudyError> {
        let file = path.join(MANIFEST);
        let Some(text) = read(&file)? else {
            let message = format!("there is no `{}`", file.display());
            return Err(StudyError::Store(format!("{message}\nhint: name the folder that was given as `--out`")));
        };
        let manifest = Manifest::from_toml(&file.display().to_string(), &text)?;
        Ok((Self { path: path.to_owned(), writer: format!("merge-{}", std::process::id()) }, manifest))
    }

    /// The base as a file, which `claim` has written.
    pub(crate) fn base(&self) -> PathBuf {
        self.path.join(BASE)
    }

    /// Writes the answer, its tables and its page, and takes away what killed shards and an earlier version of the study
    /// left.
    pub(crate) fn finish(&self, answer: &Answer, page: &Files) -> Result<(), StudyError> {
        let table = ResultTable::of(answer);
        self.write("table.csv", &table.csv()?)?;
        self.write("table.parquet", &table.parquet()?)?;
        self.write("study.json", answer.json()?.as_bytes())?;
        page.iter().try_for_each(|(name, bytes)| self.write(name, bytes))?;
        self.tidy(page)
    }

    fn tidy(&self, page: &Files) -> Result<(), StudyError> {
        let mut idle = Vec::new();
        for folder in [None, Some(POINTS), Some(FIGURES)] {
            let path = folder.map_or_else(|| self.path.clone(), |folder| self.path.join(folder));
            for name in names(&path)? {
                let whole = folder.map_or_else(|| name.clone(), |folder| format!("{folder}/{name}"));
                let is_figure = folder == Some(FIGURES) && is_figure(&name);
                let is_stale = is_figure || whole == SENSITIVITY;
                if name.ends_with(PARTIAL) || is_stale && page.iter().all(|(ours, _)| ours != whole) {
                    idle.push(path.join(name));
                }
            }
        }
        for file in idle {
            // Somebody else may have been faster.
            let _ = fs::remove_file(file);
        }
        Ok(())
    }

    fn refuse_foreign(&self) -> Result<(), StudyError> {
        let is_ours = |name: &String| OF_A_STUDY.contains(&name.as_str()) || name.ends_with(PARTIAL);
        match names(&self.path)?.into_iter().find(|name| !is_ours(name)) {
            Some(foreign) => Err(self.refusal(&format!("`{foreign}` is not a file of a study"))),
            None => Ok(()),
        }
    }

    fn refusal(&self, reason: &str) -> StudyError {
        let hint = "name a new folder, remove this one, or keep the points that are still asked for with `--resume`";
        StudyError::Store(format!("`--out {}` is not empty, and {reason}\nhint: {hint}", self.path.display()))
    }

    /// Under another name first, so that nobody ever reads half a file.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StudyError> {
        let path = self.path.join(name);
        let partial = self.path.join(format!("{name}.{}{PARTIAL}", self.writer));
        let folder = path.parent().unwrap_or(&self.path);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&partial, bytes));
        written.and_then(|()| fs::rename(&partial, &path)).map_err(|error| failure("written", &path, &error))
    }

    fn point(&self, key: &str) -> PathBuf {
        self.path.join(POINTS).join(format!("{key}.toml"))
    }
}

impl Store for Folder {
    fn get(&self, key: &str) -> Result<Option<FinishedPoint>, StudyError> {
        let path = self.point(key);
        let Some(text) = read(&path)? else { return Ok(None) };
        let broken =
            |error| StudyError::Store(format!("`{}` is no finished point: {error}\nhint: remove it", path.display()));
        FinishedPoint::from_toml(&text).map(Some).map_err(broken)
    }

    fn has(&self, key: &str) -> Result<bool, StudyError> {
        Ok(self.point(key).is_file())
    }

    fn put(&self, key: &str, finished: &FinishedPoint) -> Result<(), StudyError> {
        let text = finished.to_toml().map_err(StudyError::Fault)?;
        self.write(&format!("{POINTS}/{key}.toml"), text.as_bytes())
    }
}

/// Whether a study may have written a file of this name among its figures.
fn is_figure(name: &str) -> bool {
    let stem = name.strip_suffix(".svg");
    stem.is_some_and(|stem| FIGURES_OF_A_STUDY.contains(&stem) || stem.starts_with(OF_A_SWEEP))
}

fn read(path: &Path) -> Result<Option<String>, StudyError> {
    match disk::read_text(path, Content::Results) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failure("read", path, &error)),
    }
}

/// Names in a folder; none where there is no folder.
fn names(path: &Path) -> Result<Vec<String>, StudyError> {
    let listed = match fs::read_dir(path) {
        Ok(listed) => listed,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failure("read as a folder", path, &error)),
    };
    let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> =
        listed.map(name).collect::<Result<_, _>>().map_err(|error| failure("read as a folder", path, &error))?;
    names.sort();
    Ok(names)
}

fn failure(what: &str, path: &Path, error: &io::Error) -> StudyError {
    let hint = "name a folder that is there, or can be made, and may be written to";
    StudyError::Store(format!("`{}` cannot be {what}: {error}\nhint: {hint}", path.display()))
}

//! Folders of results: claimed before the work, written whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use scenario::Library;
use scenario::disk::{self, Content};
use serde_json::Value;
use tunnel::studies::PageFiles;

use crate::exit::Failure;

/// What a file is called until it is complete.
const PARTIAL: &str = ".partial";
/// Files that say whose a folder is.
const SIGNED: [&str; 3] = ["summary.json", "plan.toml", "sensitivity.json"];
const OF_A_RUN: [&str; 5] = ["summary.json", "plan.toml", "report.html", "trace.pftrace", "figures"];
const OF_A_SENSITIVITY: [&str; 3] = ["sensitivity.json", "tornado.svg", "report.html"];

/// Files to be, by name; a name may have one folder in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    pub(crate) fn of<const N: usize>(files: [(&str, String); N]) -> Self {
        Self(files.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect())
    }

    /// Files that the library has made.
    pub(crate) fn made(files: PageFiles) -> Self {
        Self(files.into_iter().collect())
    }

    pub(crate) fn add(&mut self, name: &str, bytes: Vec<u8>) {
        self.0.insert(name.to_owned(), bytes);
    }

    /// Names and contents, sorted by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }
}

/// A folder that may be written to.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The folder of a run: new, empty, or with nothing in it but results of the same plan.
    pub(crate) fn of_run(path: &Path, digest: &str, library: &Library) -> Result<Self, Failure> {
        Self::of_digest(path, ("a run", &OF_A_RUN), digest, library)
    }

    /// The folder of a sensitivity, likewise.
    pub(crate) fn of_sensitivity(path: &Path, digest: &str, library: &Library) -> Result<Self, Failure> {
        Self::of_digest(path, ("a sensitivity", &OF_A_SENSITIVITY), digest, library)
    }

    fn of_digest(
        path: &Path,
        (whose, ours): (&str, &[&str]),
        digest: &str,
        library: &Library,
    ) -> Result<Self, Failure> {
        let entries = entries(path).map_err(Failure::Usage)?;
        let complete: Vec<&String> = entries.iter().filter(|name| !name.ends_with(PARTIAL)).collect();
        let foreign = entries.iter().find(|name| !ours.contains(&name.trim_end_matches(PARTIAL)));
        if let Some(foreign) = foreign {
            return Err(refusal(path, &format!("`{foreign}` is not a file of {whose}")));
        }
        if complete.is_empty() {
            return Ok(Self(path.to_owned()));
        }
        let signed: Vec<String> = SIGNED.iter().filter_map(|name| signature(&path.join(name), library)).collect();
        match signed.iter().find(|signature| *signature != digest) {
            Some(other) => Err(refusal(path, &format!("it holds another run, digest {}", short(other)))),
            None if signed.is_empty() && complete.len() == entries.len() => {
                Err(refusal(path, "nothing in it says which run it is of"))
            }
            None => Ok(Self(path.to_owned())),
        }
    }

    /// A folder of exactly these files: new, empty, or with some of them as they are to be.
    pub(crate) fn of_files(path: &Path, files: &Files) -> Result<Self, Failure> {
        for name in entries(path).map_err(Failure::Usage)? {
            let is_ours = files
                .0
                .get(&name)
                .is_some_and(|bytes| disk::read(&path.join(&name), Content::Results).is_ok_and(|old| old == *bytes));
            let is_partial = name.strip_suffix(PARTIAL).is_some_and(|name| files.0.contains_key(name));
            if !is_ours && !is_partial {
                return Err(refusal(path, &format!("`{name}` is not a file of this result")));
            }
        }
        Ok(Self(path.to_owned()))
    }

    /// A folder of a validation: new, empty, or with nothing in it but files of these names, of any validation.
    pub(crate) fn of_validation(path: &Path, files: &Files) -> Result<Self, Failure> {
        let entries = entries(path).map_err(Failure::Usage)?;
        let is_ours = |name: &String| files.0.contains_key(name.trim_end_matches(PARTIAL));
        if let Some(foreign) = entries.iter().find(|name| !is_ours(name)) {
            return Err(refusal(path, &format!("`{foreign}` is not a file of a validation")));
        }
        Ok(Self(path.to_owned()))
    }

    /// Writes every file under another name, then renames all; the file that says whose the folder is comes first.
    pub(crate) fn write(&self, files: &Files) -> Result<(), Failure> {
        self.try_write(files).map_err(Failure::Usage)
    }

    fn try_write(&self, files: &Files) -> Result<()> {
        let partial = |name: &str| self.0.join(format!("{name}{PARTIAL}"));
        let is_signed = |name: &&String| SIGNED.contains(&name.as_str());
        let (signed, others): (Vec<_>, Vec<_>) = files.0.keys().partition(is_signed);
        let names: Vec<&String> = signed.into_iter().chain(others).collect();
        for name in &names {
            let path = partial(name);
            let folder = path.parent().unwrap_or(&self.0);
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
            fs::write(&path, &files.0[*name]).with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        for name in names {
            let path = self.0.join(name);
            fs::rename(partial(name), &path).with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        Ok(())
    }
}

/// Names in a folder, sorted; none where there is no folder.
fn entries(path: &Path) -> Result<Vec<String>> {
    let listed = match fs::read_dir(path) {
        Ok(listed) => listed,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            bail!("`{}` is a file\nhint: `--out` takes a folder", path.display())
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read the folder `{}`", path.display())),
    };
    let mut names = Vec::new();
    for entry in listed {
        let entry = entry.with_context(|| format!("cannot read the folder `{}`", path.display()))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The digest of the run that a file is of; a file that cannot say counts as another run's. None where there is no file.
fn signature(path: &Path, library: &Library) -> Option<String> {
    let text = disk::read_text(path, Content::Results).ok()?;
    let digest = if path.extension().is_some_and(|extension| extension == "json") {
        let value: Option<Value> = serde_json::from_str(&text).ok();
        value.and_then(|value| value["digest"].as_str().map(str::to_owned))
    } else {
        let loaded = scenario::load(&path.display().to_string(), &[], library);
        loaded.ok().map(|loaded| scenario::digest(&loaded))
    };
    Some(digest.unwrap_or_else(|| "unreadable".to_owned()))
}

fn refusal(path: &Path, reason: &str) -> Failure {
    Failure::usage(format!(
        "`--out {}` is not empty, and {reason}\nhint: name a new folder, or remove this one",
        path.display()
    ))
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "0123456789abcdef";

    fn files() -> Files {
        let mut files = Files::of([("summary.json", format!("{{\"digest\": \"{DIGEST}\"}}"))]);
        files.add("figures/phases.svg", b"<svg/>".to_vec());
        files
    }

    fn claim(path: &Path, digest: &str) -> Result<Folder, Failure> {
        Folder::of_run(path, digest, &Library::built_in())
    }

    #[test]
    fn a_run_may_write_again_where_it_wrote() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("new/one");
        for _ in 0..2 {
            claim(&path, DIGEST).expect("its own").write(&files()).expect("written");
        }
        assert_eq!(fs::read(path.join("figures/phases.svg")).expect("a figure"), b"<svg/>");
        assert_eq!(entries(&path).expect("entries"), ["figures", "summary.json"]);
    }

    #[test]
    fn another_run_and_foreign_files_are_refused() {
        let root = tempfile::tempdir().expect("a folder");
        claim(root.path(), DIGEST).expect("empty").write(&files()).expect("written");
        assert!(matches!(claim(root.path(), "another"), Err(Failure::Usage(_))));
        fs::write(root.path().join("thesis.tex"), "").expect("written");
        assert!(matches!(claim(root.path(), DIGEST), Err(Failure::Usage(_))));
    }

    #[test]
    fn figures_alone_belong_to_nobody() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("figures")).expect("made");
        assert!(matches!(claim(root.path(), DIGEST), Err(Failure::Usage(_))));
    }

    #[test]
    fn what_a_killed_run_left_is_written_over() {
        let root = tempfile::tempdir().expect("a folder");
        fs::write(root.path().join("plan.toml.partial"), "half a pl").expect("written");
        assert!(claim(root.path(), DIGEST).is_ok());
    }

    #[test]
    fn a_folder_of_files_takes_only_these() {
        let root = tempfile::tempdir().expect("a folder");
        let files = Files::of([("topology.dot", "digraph {}".to_owned())]);
        for _ in 0..2 {
            Folder::of_files(root.path(), &files).expect("its own").write(&files).expect("written");
        }
        let others = Files::of([("topology.dot", "digraph { a }".to_owned())]);
        assert!(matches!(Folder::of_files(root.path(), &others), Err(Failure::Usage(_))));
    }
}

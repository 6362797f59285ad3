//! `study`, `study merge` and `study compare`: a question over many runs.

mod args;
mod compare;
mod folder;
mod text;

use std::num::NonZeroUsize;

use serde_json::json;
use study::{Answer, InMemory, Manifest, Shard, Store, StudyError, StudyProgress};
use tunnel::Simulator;
use tunnel::studies::{self, FoundStudy};

use crate::exit::Failure;
use crate::json::pretty;
use crate::out::{self, Files};
use crate::panics;
use crate::progress::{Extent, during};
use crate::run::command;

pub(crate) use args::{Judged, SensitivityArgs, StudyArgs, Threads};
use args::{MergeArgs, StudyVerb};
use folder::Folder;

/// Runs a study, a shard of one, or merges shards: a screen, or JSON; with `--out` a folder.
pub(crate) fn study(args: &StudyArgs) -> Result<String, Failure> {
    match (&args.verb, &args.file) {
        (Some(StudyVerb::Merge(merge)), _) => panics::told(|| merged(merge)),
        (Some(StudyVerb::Compare(compare)), _) => compare::compared(compare),
        (None, Some(file)) => panics::told(|| args.threads.install(|| asked(args, file))?),
        (None, None) => Err(Failure::usage("`study` takes a study's name or file")),
    }
}

fn asked(args: &StudyArgs, file: &str) -> Result<String, Failure> {
    let library = args.layers.library()?;
    let shard = match &args.shard {
        Some(text) => Shard::parse(text, &|name| std::env::var(name).ok())?,
        None => Shard::WHOLE,
    };
    let objective = args.judged.objective.as_deref();
    let FoundStudy { study, measure, base } = studies::find(file, (&args.layers.sets, objective), &library)?;
    let tunnel = Simulator::new(&library, &base).judging(measure.as_ref());
    let manifest = Manifest::new(&study, &tunnel, &build())?;
    let base = tunnel.base(&manifest.patch).map_err(StudyError::Base)?;
    let folder = match &args.output.out {
        Some(out) => Some(Folder::claim(out, &manifest, &studies::base_toml(&base), shard, args.resume)?),
        None => None,
    };
    let memory = InMemory::default();
    let store: &dyn Store = folder.as_ref().map_or(&memory, |folder| folder);
    // A shard that is run again, after a machine failed, goes on where it was.
    let resume = args.resume || args.shard.is_some();
    let progress = StudyProgress::default();
    let run = || study::run(&manifest, &tunnel, store, shard, resume, &progress);
    let n_run = while_running(&progress, args.output.quiet, run).map_err(|error| why(error, &manifest, &tunnel))?;
    if args.shard.is_some() {
        return Ok(of_shard(&manifest, shard, n_run, args.output.json));
    }
    let answer = Answer::new(&manifest, store)?;
    if let Some(folder) = &folder {
        finish(folder, &manifest, &answer, args.output.quiet)?;
    }
    shown(&answer, args.output.json)
}

fn merged(args: &MergeArgs) -> Result<String, Failure> {
    let (folder, manifest) = Folder::open(&args.folder)?;
    let answer = Answer::new(&manifest, &folder)?;
    finish(&folder, &manifest, &answer, false)?;
    shown(&answer, args.json)
}

/// The answer, its tables and its page into the folder.
fn finish(folder: &Folder, manifest: &Manifest, answer: &Answer, quiet: bool) -> Result<(), Failure> {
    let (progress, base) = (StudyProgress::default(), folder.base().display().to_string());
    let page = || studies::page((manifest, answer), &base, &build(), &progress);
    let page = while_running(&progress, quiet, page)?;
    Ok(folder.finish(answer, &Files::made(page))?)
}

fn shown(answer: &Answer, json: bool) -> Result<String, Failure> {
    let result = if json { answer.json()? } else { text::study(answer) };
    unless_faulty(result, answer.n_faults(), "points")
}

/// What was found, if nothing of it is missing by our own fault.
pub(crate) fn unless_faulty(result: String, n_faults: usize, what: &str) -> Result<String, Failure> {
    if n_faults == 0 {
        return Ok(result);
    }
    let message = format!("{n_faults} of the {what} have no result by a fault of the program; their rows say which");
    Err(Failure::Faulty { result, message })
}

/// What a shard says of itself: the answer needs all of them.
fn of_shard(manifest: &Manifest, shard: Shard, n_run: usize, json: bool) -> String {
    let Shard { index, of } = shard;
    let n_points = (0..manifest.unique().len()).filter(|position| shard.holds(*position)).count();
    if json {
        return pretty(&json!({ "shard": index, "of": of, "points": n_points, "run": n_run }));
    }
    format!(
        "shard {index} of {of}: {n_points} points finished, {n_run} of them now; `windtunnel study merge DIR` when all are\n"
    )
}

/// Who computes: finished points of another build are another model's.
fn build() -> String {
    let program = std::env::current_exe().and_then(std::fs::read);
    let hash = program.map(|bytes| study::hash(&bytes));
    hash.unwrap_or_else(|_| env!("CARGO_PKG_VERSION").to_owned())
}

/// A base that cannot run says why as `run` does.
fn why(error: StudyError, manifest: &Manifest, tunnel: &Simulator<'_>) -> Failure {
    if !matches!(error, StudyError::BaseRun(_)) {
        return error.into();
    }
    match tunnel.base(&manifest.patch).map(|loaded| tunnel::lower(&loaded.plan)) {
        Ok(Err(error)) => error.into(),
        Ok(Ok(_)) | Err(_) => error.into(),
    }
}

/// `sensitivity`: what moves a job, a screen or JSON; with `--out` a folder.
pub(crate) fn sensitivity(args: &SensitivityArgs) -> Result<String, Failure> {
    panics::told(|| turned(args))
}

fn turned(args: &SensitivityArgs) -> Result<String, Failure> {
    let library = args.layers.library()?;
    let measure = args.judged.objective.as_deref().map(|name| studies::measure("--objective", name)).transpose()?;
    let tunnel = Simulator::new(&library, &args.scenario).under(&args.layers.sets).judging(measure.as_ref());
    // Refused before the work, not after it.
    let base = tunnel.base(&[])?;
    let folder = match &args.output.out {
        Some(out) => {
            let digest = scenario::digest(&base);
            Some(out::Folder::of_sensitivity(out, &digest, &library)?)
        }
        None => None,
    };
    let progress = StudyProgress::default();
    let ask = || while_running(&progress, args.output.quiet, || study::sensitivity(&tunnel, &progress));
    let found = args.threads.install(ask)??;
    if let Some(folder) = folder {
        let page = studies::sensitivity_page(&found, &command("sensitivity", &args.scenario, &args.layers))?;
        folder.write(&Files::made(page))?;
    }
    let result = if args.output.json { found.json()? } else { text::sensitivity(&found) };
    unless_faulty(result, found.n_faults(), "knobs")
}

/// Does some work, and shows how many of its runs are done.
pub(crate) fn while_running<T>(progress: &StudyProgress, quiet: bool, work: impl FnOnce() -> T) -> T {
    let count = || (progress.done(), progress.of());
    during("running points", Extent::Counted(&count), quiet, work)
}

impl Threads {
    /// Does some work on so many threads.
    pub(crate) fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
        study::on_threads(self.jobs.map(NonZeroUsize::get), work).map_err(Failure::from)
    }
}

impl From<StudyError> for Failure {
    fn from(error: StudyError) -> Self {
        match error {
            StudyError::Base(mistakes) => Self::Mistakes(mistakes),
            StudyError::Fault(_) => Self::Fault(error.into()),
            StudyError::File { .. }
            | StudyError::BaseRun(_)
            | StudyError::Shard { .. }
            | StudyError::Unfinished { .. }
            | StudyError::Store(_) => Self::Usage(error.into()),
        }
    }
}

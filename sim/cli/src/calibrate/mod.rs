//! `calibrate`: questions to a GPU, samples to a file, a profile from the samples.

pub(crate) mod args;
mod fit;
mod import;
mod samples;
mod shown;

use std::path::{Path, PathBuf};

use calibrate::design::{Facts, Section, design};
#[cfg(feature = "gpu")]
use calibrate::gpu::{GpuBench, Options};
use calibrate::session::{self, Report};
use calibrate::{Bench, Fingerprint, Mock, Question};
use scenario::Library;
use tunnel::fit::Ground;

use self::args::{CalibrateArgs, CalibrateVerb};
use self::samples::{Journal, Known};
use crate::exit::{Failure, talk};
use crate::layers::Layers;
use crate::progress::Bar;

/// What is named one by one of what went wrong.
const N_SHOWN: usize = 12;
const MOCK_SEED: u64 = 1;

/// Measures and fits, only fits, or imports.
pub(crate) fn calibrate(args: &CalibrateArgs) -> Result<String, Failure> {
    if let Some(CalibrateVerb::Import(args)) = &args.verb {
        return import::import(args);
    }
    // clap demands it where there is no verb.
    let out = args.out.as_deref().ok_or_else(|| Failure::usage("`--out` names the profile to write"))?;
    let library = match &args.hardware {
        Some(_) => Layers { sets: Vec::new(), libraries: args.presets.clone() }.library()?,
        None => Library::built_in(),
    };
    let ground = ground(args, &library)?;
    let known = if args.fit_only.is_empty() {
        Known::read_all(&[measure(args, ground.as_ref(), out)?])?
    } else {
        Known::read_all(&args.fit_only)?
    };
    fit::fit(&known, ground.as_ref(), out, args.quiet)
}

/// What the arguments name to fit on; `None` where they name no hardware.
fn ground<'a>(args: &CalibrateArgs, library: &'a Library) -> Result<Option<Ground<'a>>, Failure> {
    let Some(hardware) = &args.hardware else { return Ok(None) };
    let ground = Ground::load(hardware, args.prior.as_deref(), library)?;
    Ok(Some(match &args.cluster {
        Some(cluster) => ground.joined_by(cluster)?,
        None => ground,
    }))
}

/// Opens the machine and asks what its file of samples does not answer yet; the file.
fn measure(args: &CalibrateArgs, ground: Option<&Ground<'_>>, out: &Path) -> Result<PathBuf, Failure> {
    refuse_imported(&args.only)?;
    let path = args.samples.clone().unwrap_or_else(|| beside(out));
    let report = crate::panics::kept(|| ask(args, ground, &path))?;
    if let Some((question, reason)) = &report.lost {
        return Err(Failure::absent(format!(
            "the device is lost at {}: {reason}\nhint: {} answers are kept in `{}`; the same command goes on from there",
            text(question),
            report.n_before + report.n_measured,
            path.display()
        )));
    }
    talk(&summary(&report, &path));
    Ok(path)
}

/// Every question that the design has for the machine, into its file of samples.
fn ask(args: &CalibrateArgs, ground: Option<&Ground<'_>>, path: &Path) -> Result<Report, Failure> {
    // Before anything else: it may start the program again with another loader path.
    let mut bench = open(args)?;
    let facts = Facts::from(bench.fingerprint());
    refuse_absent(&args.only, &facts, bench.fingerprint())?;
    match ground {
        Some(ground) => ground.check(bench.fingerprint())?,
        None => talk("note: without `--hardware` samples are taken and no profile is written"),
    }
    let questions = design(&facts, args.quick, &args.only);
    let Journal { records, mut file } = Journal::open(path)?;
    let bar = Bar::of_parts(args.quiet);
    let mut seen = |progress: session::SessionProgress<'_>| {
        let Some(bar) = &bar else { return };
        let next = progress.next.map(text).unwrap_or_default();
        bar.show(&next, (progress.n_done as u64, progress.n_questions as u64));
    };
    let report = session::run(bench.as_mut(), &questions, &records, &mut file, &mut seen);
    bar.into_iter().for_each(Bar::finish);
    report.map_err(|error| Failure::usage(format!("`{}` cannot be written: {error}", path.display())))
}

/// The machine to ask.
fn open(args: &CalibrateArgs) -> Result<Box<dyn Bench>, Failure> {
    if args.mock {
        return Ok(Box::new(Mock::new(MOCK_SEED)));
    }
    open_gpu(args)
}

#[cfg(feature = "gpu")]
fn open_gpu(args: &CalibrateArgs) -> Result<Box<dyn Bench>, Failure> {
    let options = Options { device: args.device, quick: args.quick, folders: args.libraries.clone() };
    match GpuBench::open(&options) {
        Ok(bench) => Ok(Box::new(bench)),
        Err(absent) => Err(Failure::absent(format!("there is no GPU to measure: {absent}"))),
    }
}

#[cfg(not(feature = "gpu"))]
fn open_gpu(_: &CalibrateArgs) -> Result<Box<dyn Bench>, Failure> {
    Err(Failure::absent(
        "this program was built without the feature `gpu`, so it cannot measure\nhint: `cargo build --release -p windtunnel` \
         builds one that can, and needs no CUDA to build; `--fit-only` fits samples measured elsewhere",
    ))
}

fn refuse_imported(only: &[Section]) -> Result<(), Failure> {
    if only.contains(&Section::Attention) {
        return Err(Failure::usage(
            "`attention` is not measured here but imported\nhint: run `calibrate/import/sdpa.py` on the GPU, then \
             `windtunnel calibrate import sdpa.csv --source TEXT --out attention.jsonl`",
        ));
    }
    Ok(())
}

fn refuse_absent(only: &[Section], facts: &Facts, machine: &Fingerprint) -> Result<(), Failure> {
    match only.iter().find(|section| section.n_devices() > facts.n_devices) {
        Some(section) => Err(Failure::absent(format!(
            "`{section}` needs {} devices of a node, and {} has {}",
            section.n_devices(),
            machine.device,
            facts.n_devices
        ))),
        None => Ok(()),
    }
}

/// The file of samples of a profile.
fn beside(out: &Path) -> PathBuf {
    out.with_extension("jsonl")
}

fn summary(report: &Report, path: &Path) -> String {
    let Report { machine, n_before, n_measured, failed, unsupported, .. } = report;
    let mut lines = vec![format!(
        "{machine}: {n_measured} measured, {n_before} known before, {} failed, {} cannot be measured here; in `{}`",
        failed.len(),
        unsupported.len(),
        path.display()
    )];
    for (what, questions) in [("failed", failed), ("cannot be measured here", unsupported)] {
        let name = |(question, reason): &(Question, String)| format!("{what}: {}: {reason}", text(question));
        lines.extend(questions.iter().take(N_SHOWN).map(name));
        if let Some(more) = questions.len().checked_sub(N_SHOWN).filter(|more| *more > 0) {
            lines.push(format!("{what}: {more} more"));
        }
    }
    lines.join("\n")
}

/// A question as it stands in files.
fn text(question: &Question) -> String {
    serde_json::to_string(question).unwrap_or_else(|_| format!("{question:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_named_and_counted() {
        let failed: Vec<(Question, String)> =
            (1..=14).map(|m| (Question::PeerEngine { bytes: m }, "odd".into())).collect();
        let unsupported = vec![(Question::Launch, "no graph".to_owned())];
        let report = Report { machine: "a-x1".into(), n_measured: 3, failed, unsupported, ..Report::default() };
        let text = summary(&report, Path::new("a.jsonl"));
        assert!(text.starts_with("a-x1: 3 measured, 0 known before, 14 failed, 1 cannot be measured here"), "{text}");
        assert!(text.contains(r#"failed: {"kernel":"peer-engine","bytes":12}: odd"#), "{text}");
        assert!(text.contains("failed: 2 more") && text.contains("no graph"), "{text}");
    }

    #[test]
    fn samples_stand_beside_their_profile() {
        assert_eq!(beside(Path::new("out/my-gpu.toml")), Path::new("out/my-gpu.jsonl"));
    }
}

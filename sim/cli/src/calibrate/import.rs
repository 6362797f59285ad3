//! `calibrate import`: measurements made elsewhere as a file of samples.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use calibrate::Line;
use calibrate::import::{Form, Hints, ImportedSamples, import_from};
use calibrate::session::Records;
use scenario::disk::{self, Content};
use workloads::op::Collective;

use super::args::ImportArgs;
use super::samples::unread;
use crate::exit::{Failure, talk};

/// Bytes that tell what a file holds.
const N_HEAD: u64 = 4096;

/// Reads every file, says what it left out, and writes one file of samples.
pub(super) fn import(args: &ImportArgs) -> Result<String, Failure> {
    let hints = Hints {
        source: args.source.trim().to_owned(),
        collective: args.collective.map(Collective::from),
        ranks: args.ranks,
        hosts_per_node: args.hosts_per_node,
        ranks_per_node: args.ranks_per_node,
    };
    if hints.source.is_empty() {
        return Err(Failure::usage("`--source` is empty: name machine, software and who measured"));
    }
    if args.out.exists() {
        let message = "is there already: name another file, or take it away";
        return Err(Failure::usage(format!("`{}` {message}", args.out.display())));
    }
    let mut all = Vec::new();
    let mut mistakes = Vec::new();
    for path in &args.files {
        match import_from(open(path)?, &hints) {
            Ok(imported) => {
                tell(path, &imported);
                all.push(imported);
            }
            Err(wrong) => mistakes.extend(wrong.0.iter().map(|mistake| format!("`{}`, {mistake}", path.display()))),
        }
    }
    if !mistakes.is_empty() {
        return Err(Failure::usage(mistakes.join("\n")));
    }
    let n_samples: usize = all.iter().map(|imported| imported.samples.len()).sum();
    if n_samples == 0 {
        return Err(Failure::usage("no file holds a sample, so nothing is written; what they hold is listed above"));
    }
    write(&args.out, &all)?;
    Ok(format!("{n_samples} samples in `{}`\n", args.out.display()))
}

/// A file that was named. A trace may be far larger than what a person or a benchmark writes.
fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    let opened = disk::head(path, N_HEAD).and_then(|head| {
        let content = match Form::of(&head) {
            Form::Json | Form::Packed => Content::Trace,
            Form::Records | Form::Text => Content::Measurements,
        };
        disk::open(path, content)
    });
    opened.map(BufReader::new).map_err(|error| unread(path, &error))
}

fn tell(path: &Path, imported: &ImportedSamples) {
    let mut lines = vec![format!("{}: {} samples", path.display(), imported.samples.len())];
    lines.extend(imported.left_out.iter().map(|(reason, n)| format!("  left out: {n:>6}  {reason}")));
    talk(&lines.join("\n"));
}

/// Whole or not at all.
fn write(out: &Path, all: &[ImportedSamples]) -> Result<(), Failure> {
    let mut text = Vec::new();
    let machines = all.iter().flat_map(|imported| imported.machines.values().cloned().map(Line::Fingerprint));
    let samples = all.iter().flat_map(|imported| imported.samples.iter().cloned().map(Line::Sample));
    let partial = out.with_extension("jsonl.partial");
    let lines = machines.chain(samples).try_for_each(|line| Records::write(&mut text, &line));
    let written = lines.and_then(|()| fs::write(&partial, &text)).and_then(|()| fs::rename(&partial, out));
    written.map_err(|error| Failure::usage(format!("`{}` cannot be written: {error}", out.display())))
}

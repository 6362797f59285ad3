//! `validate`: everything published that the model can predict, beside its predictions.

use std::io::ErrorKind;
use std::path::Path;

use scenario::disk::{self, Content};
use tunnel::nearest::CheckedSteps;
use tunnel::validate::{Baseline, FactBook};

use crate::args::ValidateArgs;
use crate::exit::Failure;
use crate::out::{Files, Folder};
use crate::progress::{Extent, during};
use crate::words;

/// Errors by family, or JSON; with `--out` also a page, a picture and every case. A baseline missed is said after the result.
pub(crate) fn validate(args: &ValidateArgs) -> Result<String, Failure> {
    let library = args.layers.library()?;
    // Refused before the work, not after it.
    let baseline = args.baseline.as_deref().map(baseline).transpose()?;
    let facts = FactBook::read(&args.published, &library)?.of_families(&args.family).map_err(usage)?;
    let asking = || tunnel::validate::validate(&facts, &args.layers.sets, &library, &words::query);
    let validation = during("comparing", Extent::Unknown, args.output.quiet, asking)?;
    let json = report::validation_json(&validation)?;
    let text = report::validation_text(&validation, !args.family.is_empty());
    if let Some(out) = &args.output.out {
        let command = args.command();
        let steps = CheckedSteps::of((&facts, &validation), &args.layers.sets, &library, &words::query)?;
        let mut files = Files::of([
            ("validation.json", json.clone()),
            ("steps.json", steps.json()?),
            ("validation.html", report::validation_page(&validation, &command)?),
            ("cases.md", report::validation_markdown(&validation, &command)),
        ]);
        files.add("parity.svg", report::figures::parity(&validation)?.file().into_bytes());
        Folder::of_validation(out, &files)?.write(&files)?;
    }
    let result = if args.output.json { json } else { text };
    match baseline.map(|baseline| baseline.missed(&validation)).transpose().map_err(usage)?.flatten() {
        Some(message) => Err(Failure::Missed { result, message }),
        None => Ok(result),
    }
}

fn baseline(path: &Path) -> Result<Baseline, Failure> {
    let name = path.display().to_string();
    let text = disk::read_text(path, Content::Results).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::absent(format!("there is no baseline `{name}`")),
        _ => Failure::usage(format!("`{name}` cannot be read: {error}")),
    })?;
    Baseline::parse(&name, &text).map_err(usage)
}

fn usage(error: tunnel::validate::FactsError) -> Failure {
    Failure::usage(error.to_string())
}

//! `validate`: everything published that the model can speak to, beside what it says.
//!
//! A fact of `scenarios/published/` names the command of this program that answers it and which figure of the answer. So a
//! prediction is what anybody can ask, and no second model.

mod answer;
mod baseline;
mod compare;
mod facts;
mod observed;
mod words;

use crate::args::ValidateArgs;
use crate::exit::Failure;
use crate::out::{Files, Folder};
use crate::progress::{Extent, during};
use answer::Asker;
use baseline::{Baseline, families};
use facts::Facts;

pub(crate) use compare::{Asked, published};

/// Errors by family, or JSON; with `--out` also a page, a picture and every case. A baseline missed is said after the result.
pub(crate) fn validate(args: &ValidateArgs) -> Result<String, Failure> {
    let library = args.layers.library()?;
    // Refused before the work, not after it.
    let baseline = args.baseline.as_deref().map(Baseline::read).transpose()?;
    let facts = Facts::read(&args.published, &library)?.of_families(&args.family)?;
    let asker = Asker::new(&args.layers, &facts.facts);
    let quiet = args.output.quiet;
    let validation = during("asking", Extent::Unknown, quiet, || compare::validation(&facts, &asker))?;
    let json = report::validation_json(&validation)?;
    let text = report::validation_text(&validation, !args.family.is_empty());
    if let Some(out) = &args.output.out {
        let command = args.command();
        let mut files = Files::of([
            ("validation.json", json.clone()),
            ("validation.html", report::validation_page(&validation, &command)?),
            ("cases.md", report::validation_markdown(&validation, &command)),
        ]);
        files.add("parity.svg", report::figures::parity(&validation)?.file().into_bytes());
        Folder::of_validation(out, &files)?.write(&files)?;
    }
    let result = if args.output.json { json } else { text };
    match baseline.map(|baseline| baseline.missed(&families(&validation))).transpose()?.flatten() {
        Some(message) => Err(Failure::Missed { result, message }),
        None => Ok(result),
    }
}

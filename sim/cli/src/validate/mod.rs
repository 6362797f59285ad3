//! `validate`: a run beside what was published about it.

mod baseline;
mod compare;
mod observed;
mod predictions;

use plan::{Keep, Recording};
use report::Comparison;
use report::format::count;
use serde_json::json;

use crate::args::ValidateArgs;
use crate::exit::Failure;
use crate::out::{Files, Folder};
use crate::prepare::Prepared;
use crate::run::{Simulated, pretty};
use crate::summarize;
use baseline::Baseline;
use observed::Observed;
use predictions::read;

pub(crate) use compare::{Asked, published};

/// A table of published figures and ours, or JSON; with `--out` both. A baseline missed is said after the result.
pub(crate) fn validate(args: &ValidateArgs) -> Result<String, Failure> {
    let library = args.layers.library()?;
    // Refused before the work, not after it.
    let baseline = args.baseline.as_deref().map(Baseline::read).transpose()?;
    let predictions = read(&args.predictions, &args.layers.libraries)?;
    let facts = scenario::published(&predictions.facts, &library)?;
    let prepared = Prepared::load(&predictions.scenario, &args.layers.sets, &library)?;
    predictions.check(&args.family, &facts)?;
    let keep = Keep { ranks: Recording::OnePerStage, streams: true };
    let simulated = Simulated::new(prepared.plan(), keep, &args.output)?;
    let finished = simulated.finished(&prepared);
    let observed = Observed::of(&finished, summarize::summary(&finished)?)?;
    let asked = compare::answers(&predictions, &args.family);
    let comparisons = compare::compare(&predictions, asked, &facts, &observed, prepared.plan())?;
    let text = as_text(&prepared, &comparisons, facts.len());
    let json = pretty(&json!({
        "name": prepared.plan().name,
        "digest": prepared.digest,
        "n_facts": facts.len(),
        "families": baseline::families(&comparisons),
        "comparisons": comparisons.iter().map(as_json).collect::<Vec<_>>(),
    }));
    if let Some(out) = &args.output.out {
        let files = Files::of([("validation.json", json.clone()), ("validation.txt", text.clone())]);
        Folder::of_files(out, &files)?.write(&files)?;
    }
    let result = if args.output.json { json } else { text };
    match baseline.map(|baseline| baseline.missed(&baseline::families(&comparisons))).transpose()?.flatten() {
        Some(message) => Err(Failure::Missed { result, message }),
        None => Ok(result),
    }
}

fn as_text(prepared: &Prepared, comparisons: &[Comparison], n_facts: usize) -> String {
    format!(
        "{}   {}\n{} of {} published facts have a prediction\n\n{}\n",
        prepared.plan().name,
        prepared.digest.get(..12).unwrap_or_default(),
        count(comparisons.len() as u64),
        count(n_facts as u64),
        report::table::comparison_table(comparisons)
    )
}

fn as_json(row: &Comparison) -> serde_json::Value {
    json!({
        "id": row.id,
        "family": row.family,
        "quantity": row.quantity,
        "unit": row.unit,
        "published": row.published,
        "simulated": row.simulated,
        "error": row.error(),
        "used": row.used,
        "source": row.source,
    })
}

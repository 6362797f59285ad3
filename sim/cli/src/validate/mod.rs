//! `validate`: a run beside what was published about it.

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
use observed::Observed;
use predictions::{Predictions, read};

/// A table of published figures and ours, or JSON; with `--out` both.
pub(crate) fn validate(args: &ValidateArgs) -> Result<String, Failure> {
    let library = args.layers.library();
    let predictions = read(&args.predictions, &args.layers.libraries)?;
    let facts = scenario::published(&predictions.facts, &library)?;
    let prepared = Prepared::load(&predictions.scenario, &args.layers.sets, &library)?;
    let keep = Keep { ranks: Recording::OnePerStage, streams: true };
    let simulated = Simulated::new(prepared.plan(), keep, &args.output)?;
    let observed = Observed::of(&simulated.finished(&prepared))?;
    let comparisons = compare(&predictions, &args.family, &facts, &observed)?;
    let text = as_text(&prepared, &comparisons, facts.len());
    let json = pretty(&json!({
        "name": prepared.plan().name,
        "digest": prepared.digest,
        "n_facts": facts.len(),
        "comparisons": comparisons.iter().map(as_json).collect::<Vec<_>>(),
    }));
    if let Some(out) = &args.output.out {
        let files = Files::of([("validation.json", json.clone()), ("validation.txt", text.clone())]);
        Folder::of_files(out, &files)?.write(&files)?;
    }
    Ok(if args.output.json { json } else { text })
}

/// One row a predicted fact, in the order of families and facts.
fn compare(
    predictions: &Predictions,
    families: &[String],
    facts: &[scenario::Fact],
    observed: &Observed,
) -> Result<Vec<Comparison>, Failure> {
    predictions.check(families, facts)?;
    let mut comparisons = Vec::new();
    for (family, answers) in &predictions.family {
        if !families.is_empty() && !families.contains(family) {
            continue;
        }
        for fact in facts {
            let Some(answer) = answers.get(&fact.id) else { continue };
            let simulated = observed.answer(answer).map_err(|reason| {
                Failure::usage(format!("the prediction of `{}` cannot be formed: {reason}", fact.id))
            })?;
            comparisons.push(Comparison {
                id: fact.id.clone(),
                quantity: fact.quantity.clone(),
                unit: fact.unit.clone(),
                published: fact.value,
                simulated: simulated * predictions.scale(&fact.unit)?,
                source: fact.source.clone(),
            });
        }
    }
    Ok(comparisons)
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
        "quantity": row.quantity,
        "unit": row.unit,
        "published": row.published,
        "simulated": row.simulated,
        "error": row.error(),
        "source": row.source,
    })
}

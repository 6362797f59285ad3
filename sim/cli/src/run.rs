//! `check`, `plan` and `run`.

use plan::{Folding, Keep, Plan, Progress, Recording};
use report::figures::Figure;
use report::format::{count, gib};
use report::{Comparison, PageInput, ReportError, Summary, Timeline, Variant};
use serde_json::json;
use topology::Picture;
use tunnel::{Prepared, Simulated, fabric, variants};

use crate::args::{Layers, Output, ScenarioArgs};
use crate::exit::{self, Failure};
use crate::out::{Files, Folder};
use crate::panics;
use crate::progress::{Extent, during};
use crate::validate::{self, Asked};

/// Whether a scenario can run: one line and notes on its network, or JSON.
pub(crate) fn check(args: &ScenarioArgs) -> Result<String, Failure> {
    let prepared = args.prepared()?;
    let plan = prepared.plan();
    let memory = during("checking", Extent::Unknown, args.output.quiet, || tunnel::check(plan))?;
    keep_plan(&prepared, args)?;
    let fullest = memory.iter().max_by(|a, b| a.total.get().total_cmp(&b.total.get()));
    let (total, capacity) = fullest.map_or((0.0, 0.0), |rank| (rank.total.get(), rank.capacity.get()));
    let n_ranks = plan.parallel.n_ranks();
    let notes = fabric::notes(&plan.machine);
    if args.output.json {
        let digest = &prepared.digest;
        return Ok(pretty(
            &json!({ "name": plan.name, "digest": digest, "n_ranks": n_ranks, "memory_bytes_max": total, "notes": notes }),
        ));
    }
    let notes: String = notes.iter().map(|note| format!("note: {note}\n")).collect();
    Ok(format!(
        "ok: {}, {} ranks, {} of {} GiB on the fullest, digest {}\n{notes}",
        plan.name,
        count(n_ranks.into()),
        gib(total),
        gib(capacity),
        prepared.digest
    ))
}

/// Every value of a plan and where it was written: `plan.toml`, or JSON.
pub(crate) fn plan(args: &ScenarioArgs) -> Result<String, Failure> {
    let prepared = args.prepared()?;
    keep_plan(&prepared, args)?;
    if !args.output.json {
        return Ok(scenario::plan_toml(&prepared.loaded));
    }
    let leaves = prepared.loaded.leaves.iter();
    let leaves: serde_json::Map<_, _> = leaves
        .map(|leaf| (leaf.key.clone(), json!({ "value": leaf.value, "origin": leaf.origin.to_string() })))
        .collect();
    Ok(pretty(&json!({ "name": prepared.plan().name, "digest": prepared.digest, "values": leaves })))
}

fn keep_plan(prepared: &Prepared, args: &ScenarioArgs) -> Result<(), Failure> {
    let Some(folder) = claim(prepared, args)? else { return Ok(()) };
    folder.write(&Files::of([("plan.toml", scenario::plan_toml(&prepared.loaded))]))
}

/// Simulates a scenario: one screen, or JSON; with `--out` a folder.
pub(crate) fn run(args: &ScenarioArgs) -> Result<String, Failure> {
    let prepared = args.prepared()?;
    // Refused before the work, not after it.
    let folder = claim(&prepared, args)?;
    let keep = Keep { ranks: recording(prepared.plan(), folder.is_some()), streams: folder.is_some() };
    let simulated = simulate(prepared.plan(), keep, &args.output)?;
    let finished = simulated.finished(&prepared);
    let mut summary = tunnel::summary(&finished)?;
    if prepared.plan().policy.folding == Folding::None {
        let folded = || Ok(variants::folded(prepared.plan(), &simulated.program, simulated.outcome.step));
        summary.common.notes.push(panics::told(folded)?);
    }
    let published = |summary: &Summary, asked| validate::published(&prepared, &finished, summary, &args.layers, asked);
    let mut variants = Vec::new();
    if let Some(folder) = &folder {
        let stages = || panics::told(|| Ok(variants::stages(prepared.plan(), &simulated.program)));
        variants = during("trying other stages", Extent::Unknown, args.output.quiet, stages)?;
        let timeline = tunnel::timeline(&finished);
        summary.common.notes.push(timeline.note);
        let comparisons = published(&summary, Asked::All)?;
        folder.write(&files(&prepared, &simulated, &summary, &timeline.timeline, &variants, &comparisons, args)?)?;
    }
    if args.output.json {
        return Ok(report::summary_json(&summary)?);
    }
    let comparisons = published(&summary, Asked::Summary)?;
    let mut text = report::terminal(&summary, &comparisons, exit::colors(&std::io::stdout()));
    if !variants.is_empty() {
        text.push_str(&format!("\nOther stages\n{}\n", report::table::variants_table(&summary, &variants)));
        report::table::variants_reasons(&variants).iter().for_each(|reason| text.push_str(&format!("{reason}\n")));
    }
    Ok(text)
}

/// Runs a plan, and shows how far it is.
pub(crate) fn simulate(plan: &Plan, keep: Keep, output: &Output) -> Result<Simulated, Failure> {
    let lowered = during("laying out tasks", Extent::Unknown, output.quiet, || tunnel::lower(plan))?;
    let message = format!("simulating a step on {} ranks", count(plan.parallel.n_ranks().into()));
    let progress = Progress::default();
    let extent = Extent::Slots { ended: &progress, of: lowered.program.n_slots() };
    Ok(during(&message, extent, output.quiet, || lowered.run(keep, &progress))?)
}

/// Intervals are for pictures: without a folder nobody looks at them.
fn recording(plan: &Plan, has_folder: bool) -> Recording {
    if has_folder { plan.policy.record } else { Recording::None }
}

fn claim(prepared: &Prepared, args: &ScenarioArgs) -> Result<Option<Folder>, Failure> {
    let Some(out) = &args.output.out else { return Ok(None) };
    Folder::of_run(out, &prepared.digest, &args.layers.library()?).map(Some)
}

fn files(
    prepared: &Prepared,
    simulated: &Simulated,
    summary: &Summary,
    timeline: &Timeline,
    variants: &[Variant],
    comparisons: &[Comparison],
    args: &ScenarioArgs,
) -> Result<Files, Failure> {
    let picture = simulated.program.network.picture();
    let plan_toml = scenario::plan_toml(&prepared.loaded);
    let page = report::page(&PageInput {
        summary,
        timeline,
        variants,
        comparisons,
        picture: Some(&picture),
        command: &command("run", &args.scenario, &args.layers),
        plan_toml: &plan_toml,
    })?;
    let mut files =
        Files::of([("summary.json", report::summary_json(summary)?), ("plan.toml", plan_toml), ("report.html", page)]);
    files.add("trace.pftrace", report::trace::perfetto(&summary.common.name, timeline)?);
    for figure in figures(summary, timeline, &picture)? {
        files.add(&format!("figures/{}.svg", figure.name), figure.file().into_bytes());
    }
    Ok(files)
}

fn figures(summary: &Summary, timeline: &Timeline, picture: &Picture) -> Result<Vec<Figure>, ReportError> {
    let mut figures = vec![
        report::figures::phases(&summary.common)?,
        report::figures::links(&summary.common.links)?,
        report::figures::memory(&summary.common.memory_by_rank)?,
        report::figures::machine(picture)?,
    ];
    if !timeline.lanes.is_empty() {
        figures.push(report::figures::pipeline(timeline)?);
    }
    figures.extend(report::figures::pair(timeline)?);
    Ok(figures)
}

/// The command that makes the same result again; where to is the reader's choice.
pub(crate) fn command(verb: &str, what: &str, layers: &Layers) -> String {
    let mut words = vec!["windtunnel".to_owned(), verb.to_owned(), quoted(what)];
    for set in &layers.sets {
        words.extend(["--set".to_owned(), quoted(set)]);
    }
    for library in &layers.libraries {
        words.extend(["--library".to_owned(), quoted(&library.display().to_string())]);
    }
    words.extend(["--out".to_owned(), "DIR".to_owned()]);
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Indented JSON with a newline at its end.
pub(crate) fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_a_shell_would_break_are_quoted() {
        assert_eq!(quoted("gpu.sms=144"), "gpu.sms=144");
        assert_eq!(quoted("node.nic.rate=\"50 GB/s\""), "'node.nic.rate=\"50 GB/s\"'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}

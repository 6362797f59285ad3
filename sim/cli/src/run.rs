//! `check`, `plan` and `run`.

use plan::{Folding, Keep, Plan, PlanError, Progress, Recording};
use report::figures::Figure;
use report::format::{count, gib};
use report::{Comparison, JobResult, PageInput, ReportError, Summary, Timeline, Variant};
use serde_json::json;
use topology::Picture;
use tunnel::ask;
use tunnel::nearest::nearest;
use tunnel::validate::{Wanted, published};
use tunnel::ways_out::ways_out;
use tunnel::{Prepared, Simulated, variants};

use crate::args::ScenarioArgs;
use crate::exit::{self, Failure};
use crate::json::pretty;
use crate::layers::{Layers, Output};
use crate::out::{Files, Folder};
use crate::panics;
use crate::progress::{Extent, during};
use crate::service;
use crate::words;

/// Whether a scenario can run: one line and notes on its network, or JSON.
pub(crate) fn check(args: &ScenarioArgs) -> Result<String, Failure> {
    let prepared = args.prepared()?;
    if prepared.plan().serving().is_ok() {
        keep_plan(&prepared, args)?;
        return service::check(&prepared, args);
    }
    let quiet = args.output.quiet;
    let reply = during("checking", Extent::Unknown, quiet, || ask::checked(&prepared));
    let reply = reply.map_err(|error| with_ways_out(error.into(), args))?;
    keep_plan(&prepared, args)?;
    if args.output.json {
        return Ok(pretty(&reply.json()));
    }
    let notes: String = reply.notes.iter().map(|note| format!("note: {note}\n")).collect();
    Ok(format!(
        "ok: {}, {} ranks, {} of {} GiB on the fullest, digest {}\n{notes}",
        reply.name,
        count(reply.n_ranks.into()),
        gib(reply.memory_bytes_max),
        gib(reply.memory_bytes_capacity),
        reply.digest
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
    if prepared.plan().serving().is_ok() {
        return service::run(&prepared, folder.as_ref(), args);
    }
    let keep = Keep { ranks: recording(prepared.plan(), folder.is_some()), streams: folder.is_some() };
    let simulated = simulate(prepared.plan(), keep, &args.output).map_err(|failure| with_ways_out(failure, args))?;
    let finished = simulated.finished(&prepared)?;
    let mut summary = tunnel::summary(&finished)?;
    if finished.plan.simulation.folding == Folding::None {
        let folded = || Ok(variants::folded(finished.plan, &simulated.program, simulated.outcome.step));
        summary.common.notes.push(panics::told(folded)?);
    }
    let library = args.layers.library()?;
    if let JobResult::Step(step) = &mut summary.result {
        step.nearest = Some(nearest(&prepared, &library)?);
    }
    let published =
        |summary: &Summary, wanted| published(&prepared, (&finished, summary), wanted, &library, &words::query);
    let mut variants = Vec::new();
    if let Some(folder) = &folder {
        let stages = || panics::told(|| Ok(variants::stages(finished.plan, &simulated.program)));
        variants = during("trying other stages", Extent::Unknown, args.output.quiet, stages)?;
        let timeline = tunnel::timeline(&finished);
        summary.common.notes.push(timeline.note);
        let comparisons = published(&summary, Wanted::All)?;
        folder.write(&files(&prepared, &simulated, &summary, &timeline.timeline, &variants, &comparisons, args)?)?;
    }
    if args.output.json {
        return Ok(report::summary_json(&summary)?);
    }
    let comparisons = published(&summary, Wanted::Summary)?;
    let mut text = report::terminal(&summary, &comparisons, exit::colors(&std::io::stdout()));
    if !variants.is_empty() {
        text.push_str(&format!("\nOther stages\n{}\n", report::table::variants_table(&summary, &variants)));
        report::table::variants_reasons(&variants).iter().for_each(|reason| text.push_str(&format!("{reason}\n")));
    }
    Ok(text)
}

/// A refusal for memory with what would make the scenario fit; any other as it is.
fn with_ways_out(failure: Failure, args: &ScenarioArgs) -> Failure {
    let Failure::Plan(error @ PlanError::Memory { .. }) = failure else { return failure };
    let Ok(library) = args.layers.library() else { return Failure::Plan(error) };
    let quiet = args.output.quiet;
    let looked = during("looking for ways out", Extent::Unknown, quiet, || {
        panics::kept(|| Ok(ways_out(&args.query(), &library)))
    });
    // What does not fit is refused whether or not there is a way out.
    Failure::TooLarge { error, ways: Box::new(looked.unwrap_or_default()) }
}

/// Runs a plan, and shows how far it is.
pub(crate) fn simulate(plan: &Plan, keep: Keep, output: &Output) -> Result<Simulated, Failure> {
    let lowered = during("laying out tasks", Extent::Unknown, output.quiet, || tunnel::lower(plan))?;
    let layout = &lowered.program.layout;
    let message = format!("simulating a step on {} ranks", count((layout.pp * layout.per_stage).into()));
    let progress = Progress::default();
    let n_slots = lowered.program.n_slots();
    let ended = || (progress.done(), n_slots);
    Ok(during(&message, Extent::Counted(&ended), output.quiet, || lowered.run(keep, &progress))?)
}

/// Intervals are for pictures: without a folder nobody looks at them.
fn recording(plan: &Plan, has_folder: bool) -> Recording {
    if has_folder { plan.simulation.record } else { Recording::None }
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

/// A word as a shell reads it. Patches stay as people type them: `=` and `,` mean nothing inside a word.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    // Only a zero byte cannot be quoted, and no argument has one.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), |quoted| quoted.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_a_shell_would_break_are_quoted() {
        assert_eq!(quoted("gpu.sms=144"), "gpu.sms=144");
        assert_eq!(quoted("node.nic.rate=\"50 GB/s\""), "'node.nic.rate=\"50 GB/s\"'");
        for word in ["it's", "a\\b", "", "^$HOME", "two  blanks"] {
            assert_eq!(shlex::split(&quoted(word)), Some(vec![word.to_owned()]));
        }
    }
}

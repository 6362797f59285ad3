//! Writes every report of an invented run into a folder: `cargo run -p report --example sample -- DIR`.
//!
//! The numbers are made up to look like a large training step, so that pages and pictures can be looked at without a
//! simulation; they mean nothing.

use std::path::{Path, PathBuf};
use std::{env, fs};

use report::{BeforeAfter, PageInput, StudyInput, Timeline, figures};

mod invented;
mod study;

use invented::{comparisons, picture, summary, timeline, variants};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(env::args().nth(1).ok_or("usage: sample DIR")?);
    fs::create_dir_all(&folder)?;
    let timeline = timeline();
    let summary = summary(&timeline);
    let picture = picture();
    let (variants, comparisons) = (variants(&summary), comparisons(&summary));
    let page = report::page(&PageInput {
        summary: &summary,
        timeline: &timeline,
        variants: &variants,
        comparisons: &comparisons,
        picture: Some(&picture),
        command: "cargo run --release -- run scenarios/train/deepseek-v3-2048.toml --out sample",
        plan_toml: "[gpu]\nsms = 132  # scenarios/hardware/h800-sxm5.toml:14\nclock = \"1.83 GHz\"  # a <source> & more\n",
    })?;
    fs::write(folder.join("report.html"), page)?;
    fs::write(folder.join("summary.json"), report::summary_json(&summary)?)?;
    fs::write(folder.join("terminal.txt"), report::terminal(&summary, &comparisons, false))?;
    fs::write(folder.join("trace.pftrace"), report::trace::perfetto(&summary.common.name, &timeline)?)?;
    fs::write(folder.join("trace.json"), report::trace::chrome(&timeline)?)?;
    let tables = [
        report::table::phases_table(&summary.common),
        report::table::memory_table(&summary.common.memory_by_rank),
        report::table::comparison_table(&comparisons),
        report::table::variants_table(&summary, &variants),
    ];
    fs::write(folder.join("tables.txt"), tables.map(|table| format!("{table}\n")).join("\n"))?;
    let figures = [
        Some(figures::phases(&summary.common)?),
        Some(figures::pipeline(&timeline)?),
        figures::pair(&timeline)?,
        Some(figures::links(&summary.common.links)?),
        Some(figures::memory(&summary.common.memory_by_rank)?),
        Some(figures::machine(&picture)?),
    ];
    for figure in figures.into_iter().flatten() {
        fs::write(folder.join(format!("{}.svg", figure.name)), figure.file())?;
    }
    of_a_study(&folder.join("study"), &timeline)
}

/// The pages of an invented study; both of its timelines are the same.
fn of_a_study(folder: &Path, timeline: &Timeline) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(folder)?;
    let summary = study::study();
    let timelines = BeforeAfter { proposal: "comm-coprocessor", before: timeline, after: timeline };
    let command = "windtunnel study sample --out DIR";
    let input = StudyInput { summary: &summary, timelines: Some(timelines), command };
    fs::write(folder.join("report.html"), report::study_page(&input)?)?;
    for figure in report::study_figures(&input)? {
        fs::write(folder.join(format!("{}.svg", figure.name)), figure.file())?;
    }
    let sensitivity = summary.sensitivity.unwrap_or_default();
    let page = report::sensitivity_page(&sensitivity, "windtunnel sensitivity an-invented-job --out DIR")?;
    fs::write(folder.join("sensitivity.html"), page)?;
    Ok(())
}

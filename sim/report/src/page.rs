//! One self-contained HTML page: everything a run came to, for someone who was not there.

use askama::Template;
use topology::Picture;

use crate::error::{ReportError, finite};
use crate::figures::{self, Figure};
use crate::format::{count, gib, large, percent, seconds, watts};
use crate::summary::{Common, Comparison, JobResult, StepResult, Summary, Variant};
use crate::table::{
    Table, comparison_table, links_table, memory_table, ops_table, phases_table, ratio, variants_reasons,
    variants_table,
};
use crate::timeline::Timeline;

/// What a page is made from.
#[derive(Clone, Copy, Debug)]
pub struct PageInput<'a> {
    /// The numbers.
    pub summary: &'a Summary,
    /// The intervals; may be empty.
    pub timeline: &'a Timeline,
    /// Other runs beside this one; may be empty.
    pub variants: &'a [Variant],
    /// Published figures beside ours; may be empty.
    pub comparisons: &'a [Comparison],
    /// The machine, if there is a picture of it.
    pub picture: Option<&'a Picture>,
    /// The command line that makes this page again.
    pub command: &'a str,
    /// The plan as written beside the result; may be empty.
    pub plan_toml: &'a str,
}

/// A page that opens without a network, in light and dark, on a phone and on paper; equal input gives equal bytes.
///
/// # Errors
/// [`ReportError::NotFinite`] for a number that is none, and those of [`Timeline::check`].
pub fn page(input: &PageInput<'_>) -> Result<String, ReportError> {
    finite("", input.summary)?;
    finite("variants", &input.variants)?;
    finite("comparisons", &input.comparisons)?;
    let summary = &input.summary.common;
    let JobResult::Step(result) = &input.summary.result else { return Err(ReportError::NoPage) };
    let page = Page {
        summary,
        input,
        digest: summary.digest.chars().take(12).collect(),
        step: seconds(result.step_seconds),
        lead: lead(summary),
        keys: keys(summary, result),
        binding: shares(&summary.binding_shares),
        basis: shares(&summary.basis_shares),
        has_sampling: result.sampling_error > 0.0,
        sampling: format!("{:.2} %", result.sampling_error * 100.0),
        load_cv: percent(result.load_cv),
        has_all_to_all: result.all_to_all_waited_seconds + result.all_to_all_transferred_seconds > 0.0,
        waited: format!(
            "{}{}",
            if summary.is_folded() { "about " } else { "" },
            seconds(result.all_to_all_waited_seconds)
        ),
        transferred: seconds(result.all_to_all_transferred_seconds),
        phases: shown(figures::phases(summary)?),
        pipeline: some_if(!input.timeline.lanes.is_empty(), || figures::pipeline(input.timeline))?,
        pair: figures::pair(input.timeline)?.map(shown),
        links: some_if(!summary.links.is_empty(), || figures::links(&summary.links))?,
        memory: some_if(!summary.memory_by_rank.is_empty(), || figures::memory(&summary.memory_by_rank))?,
        machine: input.picture.map(figures::machine).transpose()?.map(shown),
        phases_table: phases_table(summary),
        ops_table: ops_table(&summary.ops, input.summary.seconds(), N_OPS),
        links_table: links_table(&summary.links),
        memory_table: memory_table(&summary.memory_by_rank),
        notes: summary.notes.iter().map(|note| words(note)).collect(),
        fitted: fitted(input.comparisons),
        comparison_table: comparison_table(input.comparisons),
        variants_table: variants_table(input.summary, input.variants),
        variants_reasons: variants_reasons(input.variants).iter().map(|reason| words(reason)).collect(),
    };
    page.render().map(|page| printable(&page)).map_err(ReportError::library)
}

/// Control characters, which no page may hold, as the sign for what cannot be shown.
pub(crate) fn printable(page: &str) -> String {
    page.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Ops shown before the rest is summed up.
const N_OPS: usize = 40;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    summary: &'a Common,
    input: &'a PageInput<'a>,
    digest: String,
    step: String,
    lead: String,
    keys: Vec<Key>,
    binding: Vec<Share>,
    basis: Vec<Share>,
    has_sampling: bool,
    sampling: String,
    load_cv: String,
    has_all_to_all: bool,
    waited: String,
    transferred: String,
    phases: Shown,
    pipeline: Option<Shown>,
    pair: Option<Shown>,
    links: Option<Shown>,
    memory: Option<Shown>,
    machine: Option<Shown>,
    phases_table: Table,
    ops_table: Table,
    links_table: Table,
    memory_table: Table,
    notes: Vec<Vec<(bool, String)>>,
    fitted: String,
    comparison_table: Table,
    variants_table: Table,
    variants_reasons: Vec<Vec<(bool, String)>>,
}

/// A figure as the page shows it, its caption as runs of words and code.
pub(crate) struct Shown {
    pub(crate) figure: Figure,
    pub(crate) words: Vec<(bool, String)>,
}

pub(crate) fn shown(figure: Figure) -> Shown {
    Shown { words: words(&figure.caption), figure }
}

/// Runs of words and, between backticks, code.
pub(crate) fn words(text: &str) -> Vec<(bool, String)> {
    text.split('`').enumerate().map(|(index, text)| (index % 2 == 1, text.to_owned())).collect()
}

fn some_if(is_there: bool, figure: impl FnOnce() -> Result<Figure, ReportError>) -> Result<Option<Shown>, ReportError> {
    is_there.then(figure).transpose().map(|figure| figure.map(shown))
}

/// A key number.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) note: String,
}

/// A part of a whole, as a bar.
pub(crate) struct Share {
    pub(crate) name: String,
    pub(crate) percent: String,
    /// Width in percent of the whole.
    pub(crate) width: String,
}

fn lead(summary: &Common) -> String {
    let simulated = if summary.is_folded() {
        format!("{} of them one by one, the others as their equals", count(summary.n_ranks_simulated.into()))
    } else {
        "every one of them".to_owned()
    };
    format!(
        "A discrete-event simulation of one optimizer step on {} ranks, {simulated}, in {} tasks. Published \
         figures aside, nothing on this page was timed on a machine.",
        count(summary.n_ranks.into()),
        count(summary.n_tasks)
    )
}

fn keys(summary: &Common, result: &StepResult) -> Vec<Key> {
    let key = |name, value, note| Key { name, value, note };
    let share = |part| format!("{} of the step", percent(ratio(part, result.step_seconds)));
    let exposed = result.exposed_communication_seconds;
    let capacity = summary.memory_by_rank.iter().map(|row| row.capacity).fold(0.0, f64::max);
    let bubble = summary.phases.of("bubble");
    let training = summary.cost.training.unwrap_or_default();
    vec![
        key("MFU, causal", percent(result.mfu.causal), format!("{} non-causal", percent(result.mfu.non_causal))),
        key("tokens per day", large(result.tokens_per_day), String::new()),
        key(
            "TFLOP/s per GPU, causal",
            format!("{:.0}", result.tflops_per_gpu.causal),
            format!("{:.0} non-causal", result.tflops_per_gpu.non_causal),
        ),
        key("GPU-hours per trillion tokens", large(result.gpu_hours_per_trillion_tokens), String::new()),
        key(
            "USD per trillion tokens",
            large(training.usd_per_trillion_tokens),
            format!("owned; {} rented", large(training.rental_usd_per_trillion_tokens)),
        ),
        key(
            "MWh per trillion tokens",
            large(summary.energy.mwh_per_trillion_tokens.unwrap_or_default()),
            format!("at most, {} at full load", watts(summary.energy.power_watts)),
        ),
        key("bubble", seconds(bubble), share(bubble)),
        key("exposed communication", seconds(exposed), share(exposed)),
        key(
            "memory, fullest rank",
            format!("{} GiB", gib(summary.memory_bytes_max.unwrap_or_default())),
            if capacity > 0.0 { format!("of {} GiB", gib(capacity)) } else { String::new() },
        ),
        key(
            "weakest basis",
            summary.basis.clone(),
            summary
                .basis_shares
                .get(&summary.basis)
                .map_or_else(String::new, |share| format!("{} of compute and exposed communication", percent(*share))),
        ),
    ]
}

/// How far agreement with published figures is a prediction.
fn fitted(comparisons: &[Comparison]) -> String {
    let n = comparisons.len() as u64;
    match comparisons.iter().filter(|row| row.used).count() as u64 {
        0 => {
            format!(
                "Nothing was fitted to these {} figures: no estimate of this run names one of them as its source.",
                count(n)
            )
        }
        used => format!(
            "{} of {} are marked as used: estimates of this run name them as sources. Agreement with those figures proves \
             nothing, so medians leave them out. Nothing was fitted to the others.",
            count(used),
            count(n)
        ),
    }
}

pub(crate) fn shares(shares: &std::collections::BTreeMap<String, f64>) -> Vec<Share> {
    let mut sorted: Vec<(&String, f64)> =
        shares.iter().map(|(name, share)| (name, *share)).filter(|(_, share)| *share > 0.0).collect();
    sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
    let bar = |(name, share): (&String, f64)| Share {
        name: crate::format::words(name),
        percent: percent(share),
        width: format!("{:.1}", share.clamp(0.0, 1.0) * 100.0),
    };
    sorted.into_iter().map(bar).collect()
}

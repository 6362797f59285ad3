//! What a newcomer reads in one screen: the answer first, then where it comes from, then what to try next.

use std::fmt::Write as _;

use crate::format::{count, dollars, gib, large, percent, percent_signed, seconds, watts, words};
use crate::imported;
use crate::nearest::nearest;
use crate::service_screen;
use crate::shares::{evidence, shares};
use crate::summary::{Common, Comparison, JobResult, StepResult, Summary};
use crate::table::{Table, one_line, ops_table, ratio};

/// What figures of the first pipeline rank's phases begin with.
const FIRST_RANK: &str = "phases_by_rank.0.";
/// Columns of the screen.
const WIDTH: usize = 100;
/// Columns of the widest bar.
const BAR: usize = 40;
/// Ops shown.
const N_OPS: usize = 10;

/// A summary on one screen of about 100 columns and 40 lines, beside those published figures that answer a phase or the
/// step; `color` adds bold and dim, nothing else.
#[must_use]
pub fn terminal(summary: &Summary, published: &[Comparison], color: bool) -> String {
    let mut screen = Screen { text: String::new(), color };
    let result = match &summary.result {
        JobResult::Step(result) => result,
        JobResult::Service(result) => return service_screen::screen(&summary.common, result),
        JobResult::Imported(result) => return imported::screen(&summary.common, result),
    };
    headline(&mut screen, &summary.common, result);
    let step = of(published, summary.objective().name);
    phases(&mut screen, summary, published);
    screen.line("");
    if let Some(step) = step {
        let fitted = if published.iter().any(|row| row.used) { "" } else { "; nothing fitted to it" };
        screen.fact("published", &format!("{}{fitted}", step.source));
    }
    facts(&mut screen, &summary.common, result);
    ops(&mut screen, summary);
    notes(&mut screen, &summary.common.notes);
    screen.heading("Next");
    screen.line("  change a line of the hardware   --set gpu.sms=144");
    screen.line("  keep plan, trace and report     --out DIR");
    screen.text
}

fn headline(screen: &mut Screen, common: &Common, result: &StepResult) {
    let digest: String = common.digest.chars().take(12).collect();
    let name = screen.bold(&one_line(&common.name));
    screen.line(&format!("{name}   {}", screen.dim(&digest)));
    let step = screen.bold(&format!("{} per step", seconds(result.step_seconds)));
    let (mfu, rate) = (result.mfu, result.tflops_per_gpu);
    screen.line(&format!(
        "{step}   MFU {} causal, {} non-causal   {} tokens per day",
        percent(mfu.causal),
        percent(mfu.non_causal),
        large(result.tokens_per_day)
    ));
    screen.line(&format!(
        "{:.0} TFLOP/s per GPU causal, {:.0} non-causal   {} GPU-hours per trillion tokens",
        rate.causal,
        rate.non_causal,
        large(result.gpu_hours_per_trillion_tokens)
    ));
    let ranks = if common.is_folded() {
        format!("{} ranks, {} simulated", count(common.n_ranks.into()), count(common.n_ranks_simulated.into()))
    } else {
        format!("{} ranks, every one simulated", count(common.n_ranks.into()))
    };
    screen.line(&screen.dim(&format!("{ranks}, {} tasks", count(common.n_tasks))));
    let framework = one_line(&result.framework);
    let dispatcher = result.dispatcher.as_ref().map_or_else(String::new, |name| format!(", tokens by `{name}`"));
    let sharding = &result.sharding;
    screen.line(&screen.dim(&format!("software stack `{framework}`, sharding `{sharding}`{dispatcher}")));
}

fn phases(screen: &mut Screen, summary: &Summary, published: &[Comparison]) {
    let is_of_rank = |row: &Comparison| row.key.as_deref().is_some_and(|key| key.starts_with(FIRST_RANK));
    let title = if published.iter().any(is_of_rank) {
        "Where the step goes (mean over pipeline ranks; error: that of pipeline rank 0)"
    } else {
        "Where the step goes (mean over pipeline ranks)"
    };
    let step = of(published, summary.objective().name);
    screen.heading(&step.map_or(title.to_owned(), |_| format!("{title:<81}{:>10}{:>9}", "published", "error")));
    let phases = &summary.common.phases;
    let largest = phases.0.iter().map(|phase| phase.seconds).fold(0.0, f64::max);
    for phase in &phases.0 {
        let (name, value) = (words(phase.name), phase.seconds);
        let share = percent(ratio(value, summary.seconds()));
        let bar = bar(ratio(value, largest));
        let of_rank = of(published, &format!("{FIRST_RANK}{}", phase.name));
        let beside = beside(of_rank.or_else(|| of(published, &format!("phases.{}", phase.name))));
        screen.line(&format!("  {name:<16} {value:>8.3} s  {share:>7}  {bar:<BAR$} {beside}"));
    }
    let sum = phases.sum();
    let share = percent(ratio(sum, summary.seconds()));
    screen.line(&format!("  {:<16} {sum:>8.3} s  {share:>7}  {:<BAR$} {}", "sum", "", beside(step)));
}

/// The published figure in seconds that a key of the summary answers.
fn of<'a>(published: &'a [Comparison], key: &str) -> Option<&'a Comparison> {
    published.iter().find(|row| row.key.as_deref() == Some(key) && row.unit == "s")
}

/// A published figure in seconds and the error of ours.
fn beside(published: Option<&Comparison>) -> String {
    published.map_or_else(String::new, |row| {
        format!("{:>8.3} s{:>9}", row.published, row.error().map_or_else(String::new, percent_signed))
    })
}

/// A bar in eighths of a column, `share` of [`BAR`].
fn bar(share: f64) -> String {
    let eighths = (share.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize;
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    format!("{}{part}", "█".repeat(eighths / 8))
}

fn facts(screen: &mut Screen, common: &Common, result: &StepResult) {
    screen.fact("bound by", &shares(&common.binding_shares));
    let exposed = result.exposed_communication_seconds;
    screen.fact(
        "communication",
        &format!("{} exposed ({} of the step)", seconds(exposed), percent(ratio(exposed, result.step_seconds))),
    );
    if result.all_to_all_waited_seconds + result.all_to_all_transferred_seconds > 0.0 {
        screen.fact(
            "all-to-all",
            &format!(
                "{} moving data, {}{} waiting for the slowest rank (mean per rank); load imbalance {}",
                seconds(result.all_to_all_transferred_seconds),
                if common.is_folded() { "about " } else { "" },
                seconds(result.all_to_all_waited_seconds),
                percent(result.load_cv)
            ),
        );
    }
    let links = common.links.iter().map(|link| format!("{} {}", words(&link.kind), percent(link.utilization_mean)));
    screen.fact("links in use", &links.collect::<Vec<_>>().join(", "));
    screen.fact("memory", &fullest(common));
    screen.fact("evidence", &evidence(&common.basis_shares));
    let [low, high] = result.interval;
    if low < high {
        let ends = format!("{} to {} (5 to 95 %)", seconds(low), seconds(high));
        screen.fact("interval", &format!("{ends}, from the spreads of the estimates that bind it"));
    }
    screen.fact("nearest", &result.nearest.as_ref().map_or_else(String::new, nearest));
    if result.sampling_error > 0.0 {
        screen.fact("sampling", &format!("standard error of the mean step {:.2} %", result.sampling_error * 100.0));
    }
    if result.scheduling_anomaly > 0.0 {
        let share = result.scheduling_anomaly * 100.0;
        screen.fact(
            "anomalies",
            &format!("a better machine may run up to {share:.2} % slower, so smaller differences are undecided"),
        );
    }
    expenses(screen, common);
}

/// Nothing of a machine whose parts have no price and draw no power.
fn expenses(screen: &mut Screen, common: &Common) {
    let Common { cost, energy, .. } = common;
    let training = cost.training.unwrap_or_default();
    if cost.cluster_usd > 0.0 {
        screen.fact(
            "cost",
            &format!(
                "{}, {} per GPU; per trillion tokens {} owned, {} rented",
                dollars(cost.cluster_usd),
                dollars(cost.usd_per_device),
                dollars(training.usd_per_trillion_tokens),
                dollars(training.rental_usd_per_trillion_tokens)
            ),
        );
    }
    if energy.power_watts > 0.0 {
        screen.fact(
            "energy",
            &format!(
                "{} at full load; per trillion tokens at most {} MWh, with a PUE of {}",
                watts(energy.power_watts),
                large(energy.mwh_per_trillion_tokens.unwrap_or_default()),
                energy.pue
            ),
        );
    }
}

fn fullest(common: &Common) -> String {
    let row = common.memory_by_rank.iter().reduce(|best, row| if row.total > best.total { row } else { best });
    let Some(row) = row else {
        return format!("{} GiB on the fullest rank", gib(common.memory_bytes_max.unwrap_or_default()));
    };
    let mut text = format!(
        "{} of {} GiB on pipeline rank {} ({})",
        gib(row.total),
        gib(row.capacity),
        row.rank,
        percent(ratio(row.total, row.capacity))
    );
    for (item, bytes) in row.items.iter().take(4) {
        let _ = write!(text, ", {item} {}", gib(*bytes));
    }
    text
}

fn ops(screen: &mut Screen, summary: &Summary) {
    let ops = &summary.common.ops;
    if ops.is_empty() {
        return;
    }
    let top = &ops[..ops.len().min(N_OPS)];
    screen.line("");
    let mut table: Table = ops_table(top, summary.seconds(), N_OPS);
    for column in &mut table.columns {
        // One line of headings: a no-break space is not where the table breaks them.
        column.name = column.name.replace(' ', "\u{a0}");
    }
    let text = table.to_string().replace('\u{a0}', " ");
    for (index, line) in text.lines().enumerate() {
        screen.line(&if index == 0 { screen.bold(&format!(" {line}")) } else { format!(" {line}") });
    }
}

fn notes(screen: &mut Screen, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    screen.heading("Notes");
    for note in notes {
        wrapped("  - ", "    ", note).iter().for_each(|line| screen.line(line));
    }
}

struct Screen {
    text: String,
    color: bool,
}

impl Screen {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn heading(&mut self, text: &str) {
        let text = self.bold(text);
        self.line("");
        self.line(&text);
    }

    /// A named line; nothing at all where there is nothing to say.
    fn fact(&mut self, name: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        let name = format!("{name:<15}");
        let mut lines = wrapped(&name, &" ".repeat(name.len()), text);
        // Styled only once it is wrapped, so that escapes do not count as columns.
        lines[0].replace_range(..name.len(), &self.bold(&name));
        lines.iter().for_each(|line| self.line(line));
    }

    fn bold(&self, text: &str) -> String {
        if self.color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn dim(&self, text: &str) -> String {
        if self.color { format!("\u{1b}[2m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Words in lines of at most [`WIDTH`] columns, `first` before the first of them and `indent` before the others.
fn wrapped(first: &str, indent: &str, text: &str) -> Vec<String> {
    let mut lines = vec![first.to_owned()];
    let mut is_new = true;
    for word in one_line(text).split_whitespace() {
        let last = lines.len() - 1;
        if !is_new && lines[last].chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(format!("{indent}{word}"));
            continue;
        }
        if !is_new {
            lines[last].push(' ');
        }
        lines[last].push_str(word);
        is_new = false;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phases::{Phase, Phases};
    use crate::summary::{Cost, Energy, OpRow, TrainingCost};
    use crate::timeline::SpanKind;

    fn summary() -> Summary {
        let phase = |name, kind, seconds| Phase { name, kind, seconds };
        let phases = Phases(vec![
            phase("forward", Some(SpanKind::Forward), 1.5),
            phase("overlapped", Some(SpanKind::Overlapped), 12.0),
            phase("backward", Some(SpanKind::Backward), 2.25),
            phase("weight_gradient", Some(SpanKind::WeightGradient), 0.5),
            phase("optimizer", Some(SpanKind::Optimizer), 0.25),
            phase("bubble", None, 2.5),
        ]);
        let op = OpRow {
            op: "attention.core".into(),
            pass: "forward".into(),
            count: 480.0,
            seconds_each: 1.2e-3,
            seconds: 0.576,
            binding: "tensor".into(),
            basis: "published".into(),
        };
        let result = JobResult::Step(StepResult { step_seconds: phases.sum(), ..StepResult::default() });
        let common = Common {
            name: "a step".into(),
            phases: phases.clone(),
            phases_by_rank: vec![phases],
            ops: vec![op; 30],
            notes: vec!["word ".repeat(60)],
            ..Common::default()
        };
        Summary { common, result, ..Summary::default() }
    }

    #[test]
    fn the_answer_stands_first_and_phases_add_up_to_it() {
        let text = terminal(&summary(), &[], false);
        let step = text.find("19.00 s per step").expect("the step");
        assert!(step < text.find("overlapped").expect("phases"));
        let sum = text.lines().find(|line| line.trim_start().starts_with("sum")).expect("a sum");
        assert!(sum.contains("19.000 s") && sum.contains("100.0 %"), "{sum}");
    }

    #[test]
    fn it_fits_a_screen() {
        let published = |key: &str| Comparison {
            id: key.into(),
            family: "table".into(),
            quantity: key.into(),
            unit: "s".into(),
            published: 11.0,
            simulated: 10.0,
            source: "a table".into(),
            key: Some(key.into()),
            used: false,
        };
        let text = terminal(&summary(), &["step_seconds", "phases.weight_gradient"].map(published), false);
        assert!(
            text.lines().any(|line| line.contains("weight gradient") && line.ends_with("11.000 s   -9.1 %")),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.lines().count() <= 46, "{text}");
    }

    #[test]
    fn what_it_costs_stands_in_two_lines() {
        let cost = Cost {
            cluster_usd: 66.9e6,
            usd_per_device: 32_680.0,
            training: Some(TrainingCost {
                usd_per_trillion_tokens: 338_000.0,
                rental_usd_per_trillion_tokens: 327_124.0,
                ..TrainingCost::default()
            }),
            ..Cost::default()
        };
        let energy = Energy { power_watts: 2.84e6, pue: 1.18, mwh_per_trillion_tokens: Some(267.5), mwh: None };
        let text = terminal(&Summary { common: Common { cost, energy, ..summary().common }, ..summary() }, &[], false);
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        let has = |name: &str, parts: &[&str]| {
            assert!(parts.iter().all(|part| line(name).contains(part)), "{name}: {}", line(name));
        };
        has("cost", &["$66.90 million", "$32,680 per GPU", "$338,000 owned", "$327,124 rented"]);
        has("energy", &["2.840 MW", "267.5 MWh", "PUE of 1.18"]);
        assert!(!terminal(&summary(), &[], false).contains("cost "), "a machine without prices has no line");
    }

    #[test]
    fn an_interval_stands_in_one_line_where_there_is_one() {
        let step = StepResult { step_seconds: 19.0, interval: [17.1, 20.3], ..StepResult::default() };
        let text = terminal(&Summary { result: JobResult::Step(step), ..summary() }, &[], false);
        assert!(text.contains("17.10 s to 20.30 s (5 to 95 %)"), "{text}");
        assert!(!terminal(&summary(), &[], false).contains("interval"), "nothing unsure, no line");
    }

    #[test]
    fn color_adds_escapes_and_nothing_else() {
        let colored = terminal(&summary(), &[], true);
        let plain = ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[0m"].iter().fold(colored, |text, code| text.replace(code, ""));
        // Trailing blanks before an escape are the only difference.
        let trimmed: Vec<&str> = plain.lines().map(str::trim_end).collect();
        assert_eq!(trimmed, terminal(&summary(), &[], false).lines().collect::<Vec<_>>());
    }

    #[test]
    fn bars_are_proportional() {
        assert_eq!(bar(1.0).chars().count(), BAR);
        assert_eq!(bar(0.5).chars().count(), BAR / 2);
        assert_eq!(bar(0.0), "");
    }
}

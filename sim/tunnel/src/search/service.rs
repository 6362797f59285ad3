//! Layouts of a service on the devices that it has, and how many requests it holds at a time.

use plan::Serve;
use study::{Change, SearchAxis};
use toml::Value;

use super::{Open, count, of_key, powers};

/// Requests at a time over those of the base: twofold steps, so many down and so many up.
const STEPS: u32 = 4;

pub(super) fn dimensions(open: &mut Open<'_>, job: &Serve) -> Vec<SearchAxis> {
    let mut dimensions = vec![layouts(open, job)];
    dimensions.extend(loads(open));
    let acceptance = &job.drafts.acceptance;
    if !acceptance.is_empty() {
        let depth = |n: usize| Value::Array(acceptance[..n].iter().copied().map(Value::Float).collect());
        let depths = open.values("serve.drafts.acceptance", (0..=acceptance.len()).map(depth).collect());
        dimensions.push(of_key("serve.drafts.acceptance", depths));
    }
    dimensions
}

/// Devices of an attention rank, attention ranks and units, with experts on all ranks of a unit or on each attention rank.
fn layouts(open: &mut Open<'_>, job: &Serve) -> SearchAxis {
    let own = &job.layout;
    let n_devices = own.n_ranks() * u64::from(job.units);
    let is_given = ["serve.tp", "serve.dp"].iter().any(|key| open.given.contains_key(*key));
    let in_node = u64::from(job.devices_per_node).min(n_devices);
    let tensor = open.counts("serve.tp", powers(in_node).chain([own.tp]));
    let data = open.counts("serve.dp", (1..=n_devices).filter(|n| n_devices.is_multiple_of(*n)));
    let overlaps = open.values("serve.overlap", ["none", "two-batches"].map(Value::from).to_vec());
    let mut options = Vec::new();
    for (tp, dp) in tensor.iter().flat_map(|tp| data.iter().map(move |dp| (*tp, *dp))) {
        let ranks = tp.saturating_mul(dp);
        let units = n_devices.checked_div(ranks).filter(|units| units * ranks == n_devices);
        // What was asked for and does not divide the devices is a candidate that the loader refuses.
        if units.is_none() && !is_given {
            continue;
        }
        let units = units.unwrap_or(n_devices);
        // Experts lie on all ranks of a unit or on its one attention rank; dense units of several attention ranks are units of one.
        let spread = (job.model.experts.is_some() && ranks > 1).then_some(ranks);
        for ep in (dp == 1 || is_given && spread.is_none()).then_some(1).into_iter().chain(spread) {
            let layout = layout(open, [tp, dp, ep, units]);
            let overlaps = if ep > 1 { &overlaps[..] } else { &overlaps[..1] };
            for overlap in overlaps {
                let overlap = open.change("serve.overlap", overlap.clone());
                options.push(layout.iter().cloned().chain(overlap).collect());
            }
        }
    }
    SearchAxis { name: "layout".to_owned(), options }
}

fn layout(open: &Open<'_>, [tp, dp, ep, units]: [u64; 4]) -> Vec<Change> {
    let counts = [("serve.tp", tp), ("serve.dp", dp), ("serve.ep", ep), ("serve.units", units)];
    let mut changes: Vec<Change> = counts.iter().filter_map(|(key, n)| open.change(key, count(*n))).collect();
    if ep == 1 {
        changes.extend(open.change("serve.redundant-experts", count(0)));
    }
    changes
}

/// Requests at a time of a closed loop, with twice as many in all where there were fewer. What comes from outside is no choice.
fn loads(open: &mut Open<'_>) -> Option<SearchAxis> {
    let number = |key: &str| open.leaf(key).and_then(|leaf| leaf.value.parse::<u64>().ok());
    let (base, all) = (number("requests.concurrency")?, number("requests.count")?);
    let is_closed = open.leaf("requests.arrivals").is_some_and(|leaf| leaf.value == "\"closed\"");
    if !is_closed {
        return None;
    }
    let few = (0..STEPS).filter_map(|step| base.checked_shr(step + 1));
    let many = (1..=STEPS).map(|step| base.saturating_mul(1 << step));
    let loads = open.counts("requests.concurrency", few.chain([base]).chain(many).filter(|n| *n > 0));
    let option = |n: u64| {
        let enough = open.change("requests.count", count(all.max(n.saturating_mul(2))));
        open.change("requests.concurrency", count(n)).into_iter().chain(enough).collect()
    };
    Some(SearchAxis { name: "requests.concurrency".to_owned(), options: loads.into_iter().map(option).collect() })
}

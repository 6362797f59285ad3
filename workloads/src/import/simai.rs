//! Workload files of SimAI (and of the ASTRA-sim it grew from), policy `HYBRID_TRANSFORMER_FWD_IN_BCKWD`.
//!
//! The first line is the layout, the second a count, then a line a layer:
//!
//! `name dependency forward-time collective bytes input-gradient-time collective bytes weight-gradient-time collective bytes update-time`
//!
//! Times are nanoseconds, sizes as nccl-tests has them (all that is gathered, all that is scattered); a collective of zero bytes
//! is none. Every rank runs the same layers in lockstep, so the job has one trace: forward from the first layer to the last, each
//! collective waited for; backward from the last to the first, input gradient, its collective waited for, weight gradient, whose
//! collective runs beside what follows and is waited for by the update.
//!
//! Groups: tensor-parallel ranks are neighbors, experts' and data-parallel ones `tp` apart, `DP_EP` ones `tp x ep` apart;
//! a bare name means `tp` in the forward and input-gradient columns, data-parallel in the weight-gradient column. Source: the
//! program's own reader (aliyun/SimAI, Workload.cc) and its example. Assumed: the placement, which the file does not say. The
//! pipeline is no part of the layers: see [`Pipeline`].

use std::collections::BTreeMap;

use units::{Bytes, Seconds};

use super::{BYTE_ORDER_MARK, Graph, GraphNode, ImportError, Mistakes, ProcessGroup, Trace, Work};
use crate::op::Collective;

/// What to do with a file of several pipeline ranks, whose layers are those of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipeline {
    /// Refuse it.
    Refuse,
    /// Take the layers of one pipeline rank, without messages and bubbles, and say so.
    OneRank,
}

const POLICY: &str = "HYBRID_TRANSFORMER_FWD_IN_BCKWD";
const N_COLUMNS: usize = 12;
/// Ranks and layers that can be numbered.
const N_MAX: u64 = 1 << 24;

/// Whether a text looks like such a file.
#[must_use]
pub fn is_workload(text: &str) -> bool {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    text.lines().next().and_then(|line| line.split_whitespace().next()).is_some_and(|word| {
        !word.starts_with('{') && word.chars().all(|c| c.is_ascii_uppercase() || c == '_') && word.contains('_')
    })
}

/// Reads a workload file; `name` is for messages.
///
/// # Errors
/// Every mistake of the file.
pub fn read(name: &str, text: &str, pipeline: Pipeline) -> Result<Graph, ImportError> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut mistakes = Mistakes::new(name);
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let layout = layout(lines.next().map_or("", |(_, line)| line), pipeline, &mut mistakes);
    let n_layers = lines.next().and_then(|(_, line)| line.trim().parse::<usize>().ok());
    if n_layers.is_none() {
        mistakes.add("line 2", "no count of layers", "write how many layer lines follow");
    }
    let layers: Vec<Layer> =
        lines.filter_map(|(index, line)| layer(line, &format!("line {}", index + 1), &mut mistakes)).collect();
    if mistakes.all.is_empty() && n_layers != Some(layers.len()) {
        let message = format!("{} layer lines, but line 2 counts {}", layers.len(), n_layers.unwrap_or(0));
        mistakes.add("line 2", message, "write how many layer lines follow");
    }
    match layout {
        Some(layout) if mistakes.all.is_empty() => Ok(layout.job(name, &layers)),
        _ => Err(ImportError(mistakes.all)),
    }
}

/// The first line.
#[derive(Debug)]
struct Layout {
    tp: u32,
    ep: u32,
    pp: u32,
    dp: u32,
    n_ranks: u32,
}

fn layout(line: &str, pipeline: Pipeline, mistakes: &mut Mistakes<'_>) -> Option<Layout> {
    let mut words = line.split_whitespace();
    let policy = words.next().unwrap_or_default();
    if policy != POLICY {
        mistakes.add("line 1", format!("the policy `{policy}` is not known"), format!("only `{POLICY}` is"));
        return None;
    }
    let before = mistakes.all.len();
    let values = keys(&mut words, mistakes);
    let mut of = |key: &str| {
        let value = values.get(key).and_then(|values| values.first().copied());
        if value.is_none() {
            mistakes.add("line 1", format!("`{key}:` is missing"), "write its number behind it");
        }
        value.filter(|value| (1..=N_MAX).contains(value))
    };
    let [tp, ep, pp, n_ranks] = ["model_parallel_NPU_group", "ep", "pp", "all_gpus"].map(&mut of);
    let lists = LISTS.iter().filter_map(|key| Some((key, values.get(key)?)));
    let told: Vec<String> = lists
        .filter(|(_, values)| values.iter().any(|value| *value > 0))
        .map(|(key, values)| format!("`{key}: {}`", values.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")))
        .collect();
    if !told.is_empty() {
        let message = format!("{}: recomputed layers are not modeled", told.join(" and "));
        mistakes.add("line 1", message, "write the file without checkpoints");
    }
    if let Some(pp) = pp.filter(|pp| *pp > 1 && pipeline == Pipeline::Refuse) {
        let message =
            format!("`pp: {pp}`: the layers are of one pipeline rank, and where its messages belong is not said");
        mistakes.add("line 1", message, "`--one-pipeline-rank` takes the layers alone, without messages and bubbles");
    }
    let (Some(tp), Some(ep), Some(pp), Some(n_ranks)) = (tp, ep, pp, n_ranks) else {
        if mistakes.all.len() == before {
            mistakes.add("line 1", "a degree is 0 or beyond counting", format!("take 1 to {N_MAX}"));
        }
        return None;
    };
    let replicas = n_ranks / (tp * pp).max(1);
    if tp * pp * replicas != n_ranks || !replicas.is_multiple_of(ep) {
        let message = format!("`all_gpus: {n_ranks}` is not tp {tp} x pp {pp} x a multiple of ep {ep}");
        mistakes.add("line 1", message, "change a degree so that it divides");
    }
    (mistakes.all.len() == before).then_some(Layout {
        tp: tp as u32,
        ep: ep as u32,
        pp: pp as u32,
        dp: replicas as u32,
        n_ranks: n_ranks as u32,
    })
}

const KEYS: [&str; 9] =
    ["model_parallel_NPU_group", "ep", "pp", "vpp", "ga", "all_gpus", "checkpoints", "checkpoint_initiates", "pp_comm"];

/// Keys that hold a list: how many layers, then which.
const LISTS: [&str; 2] = ["checkpoints", "checkpoint_initiates"];

/// The values behind each key: those of a list, else one.
fn keys<'a>(
    words: &mut impl Iterator<Item = &'a str>,
    mistakes: &mut Mistakes<'_>,
) -> BTreeMap<&'static str, Vec<u64>> {
    let mut values: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let name = word.trim_end_matches(':');
        let mut found = Vec::new();
        while let Some(value) = words.next_if(|word| word.starts_with(|c: char| c.is_ascii_digit())) {
            found.push(value);
        }
        let Some(key) = KEYS.iter().find(|key| **key == name) else {
            mistakes.add("line 1", format!("`{word}` is not known"), format!("known are {}", KEYS.join(", ")));
            continue;
        };
        let counts: Option<Vec<u64>> = found.iter().map(|value| header_count(value)).collect();
        match counts {
            Some(counts) if !counts.is_empty() && (counts.len() == 1 || LISTS.contains(key)) => {
                values.insert(key, counts);
            }
            _ => {
                let found =
                    if found.is_empty() { words.next().unwrap_or_default().to_owned() } else { found.join(" ") };
                mistakes.add("line 1", format!("`{name}` is `{found}`, no count"), "write a whole number");
            }
        }
    }
    values
}

/// A count of the first line, whose writer also divides: `25165824.0` is read as SimAI's own reader does, up to the point.
fn header_count(word: &str) -> Option<u64> {
    let (whole, rest) = word.split_once('.').unwrap_or((word, ""));
    if rest.chars().all(|c| c.is_ascii_digit()) { whole.parse().ok() } else { None }
}

/// One pass of a layer.
#[derive(Clone, Copy, Debug)]
struct Pass {
    time: Seconds,
    collective: Option<(Collective, Axis)>,
    bytes: Bytes,
}

#[derive(Debug)]
struct Layer {
    name: String,
    passes: [Pass; 3],
    update: Seconds,
}

/// Which ranks meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    Tensor = 0,
    Data = 1,
    Experts = 2,
    ExpertReplicas = 3,
}

const PASSES: [&str; 3] = ["forward", "input gradient", "weight gradient"];

fn layer(line: &str, place: &str, mistakes: &mut Mistakes<'_>) -> Option<Layer> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.len() != N_COLUMNS {
        let message = format!("{} columns, not {N_COLUMNS}", words.len());
        mistakes.add(place, message, "name, dependency, three times time, collective and bytes, update time");
        return None;
    }
    let before = mistakes.all.len();
    let place = format!("{place}, layer `{}`", words[0]);
    if words[1] != "-1" {
        let message = format!("the dependency `{}` is not modeled", words[1]);
        mistakes.add(&place, message, "write -1: layers follow each other");
    }
    let passes = [0, 1, 2].map(|index| {
        let [time, name, bytes] = [0, 1, 2].map(|column| words[2 + 3 * index + column]);
        Pass {
            time: nanoseconds(time, &place, mistakes),
            collective: collective(name, index, &place, mistakes),
            bytes: Bytes::new(count(bytes, &place, mistakes)),
        }
    });
    let update = nanoseconds(words[N_COLUMNS - 1], &place, mistakes);
    (mistakes.all.len() == before).then(|| Layer { name: words[0].to_owned(), passes, update })
}

fn count(word: &str, place: &str, mistakes: &mut Mistakes<'_>) -> f64 {
    // Beyond 2^53 a float no longer counts.
    match word.parse::<u64>() {
        Ok(count) if count < 1 << 53 => count as f64,
        _ => {
            mistakes.add(place, format!("`{word}` is no count"), "write a whole number below 2^53");
            0.0
        }
    }
}

fn nanoseconds(word: &str, place: &str, mistakes: &mut Mistakes<'_>) -> Seconds {
    Seconds::new(count(word, place, mistakes) * 1e-9)
}

fn collective(word: &str, pass: usize, place: &str, mistakes: &mut Mistakes<'_>) -> Option<(Collective, Axis)> {
    if word == "NONE" {
        return None;
    }
    let bare = if pass == 2 { Axis::Data } else { Axis::Tensor };
    let (name, axis) = match (word.strip_suffix("_DP_EP"), word.strip_suffix("_EP")) {
        (Some(name), _) => (name, Axis::ExpertReplicas),
        (None, Some(name)) => (name, Axis::Experts),
        (None, None) => (word, bare),
    };
    let what = match name {
        "ALLREDUCE" => Collective::AllReduce,
        "ALLGATHER" => Collective::AllGather,
        "REDUCESCATTER" => Collective::ReduceScatter,
        "ALLTOALL" => Collective::AllToAll,
        _ => {
            let message = format!("the collective `{word}` of the {} is not known", PASSES[pass]);
            let hint = "known are NONE, ALLREDUCE, ALLGATHER, REDUCESCATTER and ALLTOALL, each also with _EP or _DP_EP";
            mistakes.add(place, message, hint);
            return None;
        }
    };
    Some((what, axis))
}

impl Layout {
    fn groups(&self) -> Vec<ProcessGroup> {
        // In the order of `Axis`.
        [(self.tp, 1), (self.dp, self.tp), (self.ep, self.tp), (self.dp / self.ep, self.tp * self.ep)]
            .map(|(n, stride)| ProcessGroup::Even { n, stride })
            .into()
    }

    fn job(&self, name: &str, layers: &[Layer]) -> Graph {
        let mut writer = Writer { nodes: Vec::new(), last: None };
        for layer in layers {
            writer.pass(layer, 0);
        }
        for layer in layers.iter().rev() {
            writer.pass(layer, 1);
            let computed = writer.compute(layer, "weight gradient", layer.passes[2].time);
            let reduced = writer.collective(layer, 2, computed);
            writer.last = computed;
            // The update waits for both, and nothing waits for it.
            writer.update(layer, [computed, reduced]);
        }
        let mut notes = vec!["every rank runs the same layers in lockstep; one is simulated".to_owned()];
        if self.pp > 1 {
            notes.push(format!(
                "one of {} pipeline ranks alone: messages between them and bubbles are left out",
                self.pp
            ));
        }
        let trace = Trace { name: name.to_owned(), nodes: writer.nodes };
        Graph { n_ranks: self.n_ranks, traces: vec![trace], groups: self.groups(), notes }
    }
}

/// Writes nodes one after the other.
struct Writer {
    nodes: Vec<GraphNode>,
    last: Option<u32>,
}

impl Writer {
    /// Compute, then a collective that what follows waits for.
    fn pass(&mut self, layer: &Layer, pass: usize) {
        self.last = self.compute(layer, PASSES[pass], layer.passes[pass].time);
        self.last = self.collective(layer, pass, self.last).or(self.last);
    }

    fn compute(&mut self, layer: &Layer, pass: &str, time: Seconds) -> Option<u32> {
        if time <= Seconds::ZERO {
            return self.last;
        }
        let after = self.last.into_iter().collect();
        Some(self.push(format!("{}, {pass}", layer.name), Work::Device(time), after))
    }

    fn collective(&mut self, layer: &Layer, pass: usize, after: Option<u32>) -> Option<u32> {
        let Pass { collective, bytes, .. } = layer.passes[pass];
        let (what, axis) = collective.filter(|_| bytes > Bytes::ZERO)?;
        let work = Work::Collective { group: axis as u32, what, bytes };
        Some(self.push(format!("{}, {} {what:?}", layer.name, PASSES[pass]), work, after.into_iter().collect()))
    }

    fn update(&mut self, layer: &Layer, after: [Option<u32>; 2]) {
        if layer.update > Seconds::ZERO {
            let after = after.into_iter().flatten().collect();
            self.push(format!("{}, update", layer.name), Work::Device(layer.update), after);
        }
    }

    fn push(&mut self, name: String, work: Work, after: Vec<u32>) -> u32 {
        self.nodes.push(GraphNode { name, work, after });
        self.nodes.len() as u32 - 1
    }
}

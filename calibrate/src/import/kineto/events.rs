//! What is kept of a trace's events: of each a few numbers, of equal names and equal shapes one.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{collective, operator};
use crate::import::document::Events;
use crate::import::{Hints, ImportMistake};
use crate::question::Question;

/// More than this of one kind is kept of no trace, so that its memory is bounded: about half a gigabyte of each.
const N_EVENTS_MAX: usize = 1 << 23;
/// Names, and shapes with what they ask.
const N_TEXTS_MAX: usize = 1 << 18;
/// Letters of a name: templates have thousands.
const N_LETTERS: usize = 256;
/// Mistakes that are told one by one.
const N_TOLD: usize = 20;

/// What a call asks; in words why it asks nothing of ours.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) name: String,
    pub(super) asked: Result<Question, String>,
}

/// Who launched a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Launched {
    /// The call of an operator, by its `External id`.
    By(u64),
    /// A call of the runtime, by its `correlation`.
    Through(u64),
    /// Nobody that was recorded.
    Unknown,
}

/// One kernel, or copy, as it ran.
pub(super) struct Kernel {
    pub(super) launched: Launched,
    pub(super) start: f64,
    pub(super) micros: f64,
    pub(super) stream: u64,
    pub(super) name: u32,
    pub(super) device: u32,
    /// What a collective asks itself.
    pub(super) answer: Option<u32>,
    pub(super) kind: KernelKind,
    /// Whether one of another stream of its device ran meanwhile.
    pub(super) is_crowded: bool,
}

/// What a kernel is told by without its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KernelKind {
    Kernel,
    Collective,
    /// A copy or fill of memory.
    Copy,
}

/// What is kept of a trace.
pub(in crate::import) struct Recorded {
    hints: Hints,
    pub(super) kernels: Vec<Kernel>,
    /// Answers of calls of operators, by their `External id`.
    operators: Vec<(u64, u32)>,
    /// `External id` of calls of the runtime, by `correlation`.
    launches: Vec<(u64, u64)>,
    names: Texts<String>,
    answers: Texts<Answer>,
    n_seen: usize,
    pub(super) mistakes: Vec<ImportMistake>,
}

impl Recorded {
    pub(in crate::import) fn new(hints: &Hints) -> Self {
        Self {
            hints: hints.clone(),
            kernels: Vec::new(),
            operators: Vec::new(),
            launches: Vec::new(),
            names: Texts::default(),
            answers: Texts::default(),
            n_seen: 0,
            mistakes: Vec::new(),
        }
    }

    /// Gives every kernel the operator that launched it. Of an `External id` that was given twice the later call stands.
    pub(super) fn link(&mut self) {
        self.operators.sort_by_key(|(id, _)| *id);
        self.launches.sort_by_key(|(correlation, _)| *correlation);
        for kernel in &mut self.kernels {
            if let Launched::Through(correlation) = kernel.launched {
                kernel.launched = last(&self.launches, correlation).map_or(Launched::Unknown, Launched::By);
            }
        }
        self.launches = Vec::new();
    }

    /// What the call of an operator asks.
    pub(super) fn operator(&self, id: u64) -> Option<&Answer> {
        self.answer(last(&self.operators, id)?)
    }

    pub(super) fn answer(&self, index: u32) -> Option<&Answer> {
        self.answers.list.get(index as usize)
    }

    pub(super) fn text(&self, name: u32) -> &str {
        self.names.list.get(name as usize).map_or("", String::as_str)
    }

    fn operator_event(&mut self, event: &Map<String, Value>) -> Result<(), String> {
        let Some(id) = event.get("args").and_then(|args| args["External id"].as_u64()) else { return Ok(()) };
        let name = short(event.get("name"));
        let asked = operator::question(event);
        let answer = self.answers.index(format!("{name} {asked:?}"), || Answer { name, asked })?;
        push(&mut self.operators, (id, answer))
    }

    fn launch(&mut self, event: &Map<String, Value>) -> Result<(), String> {
        let args = event.get("args").unwrap_or(&Value::Null);
        match (args["correlation"].as_u64(), args["External id"].as_u64()) {
            (Some(correlation), Some(id)) => push(&mut self.launches, (correlation, id)),
            _ => Ok(()),
        }
    }

    fn kernel(&mut self, event: &Map<String, Value>, is_copy: bool) -> Result<(), String> {
        let number = |name| event.get(name).and_then(Value::as_f64).filter(|number| number.is_finite());
        let (Some(start), Some(micros)) = (number("ts"), number("dur").filter(|micros| *micros >= 0.0)) else {
            if !is_copy && self.mistakes.len() < N_TOLD {
                let message = format!("`traceEvents[{}]`: a kernel without `ts` and `dur` in numbers", self.n_seen);
                self.mistakes.push(ImportMistake::whole(message));
            }
            return Ok(());
        };
        let args = event.get("args").unwrap_or(&Value::Null);
        let name = short(event.get("name"));
        let is_collective = !is_copy && name.contains("nccl");
        let answer = if is_collective && !args["Collective name"].is_null() {
            let asked = collective::question(&name, args, &self.hints);
            Some(self.answers.index(format!("nccl {asked:?}"), || Answer { name: "nccl".to_owned(), asked })?)
        } else {
            None
        };
        let operator = args["External id"].as_u64().map(Launched::By);
        let launched = operator.or(args["correlation"].as_u64().map(Launched::Through)).unwrap_or(Launched::Unknown);
        let kernel = Kernel {
            launched,
            name: self.names.index(name.clone(), || name)?,
            device: args["device"].as_u64().and_then(|device| u32::try_from(device).ok()).unwrap_or(0),
            stream: args["stream"].as_u64().or(event.get("tid").and_then(Value::as_u64)).unwrap_or(0),
            start,
            micros,
            answer,
            kind: match (is_copy, is_collective) {
                (true, _) => KernelKind::Copy,
                (false, true) => KernelKind::Collective,
                (false, false) => KernelKind::Kernel,
            },
            is_crowded: false,
        };
        push(&mut self.kernels, kernel)
    }
}

impl Events for Recorded {
    fn keys(&self) -> &'static [&'static str] {
        &["cat", "name", "ts", "dur", "tid", "args"]
    }

    fn arguments(&self) -> &'static [&'static str] {
        &[
            "External id",
            "correlation",
            "device",
            "stream",
            "Input Dims",
            "Input type",
            "Input Strides",
            "Concrete Inputs",
            "Collective name",
            "In msg nelems",
            "Out msg nelems",
            "In split size",
            "Out split size",
            "dtype",
            "Group size",
            "Process Group Ranks",
        ]
    }

    fn take(&mut self, event: Map<String, Value>) -> Result<(), String> {
        let taken = match event.get("cat").and_then(Value::as_str).unwrap_or_default() {
            "kernel" | "Kernel" => self.kernel(&event, false),
            "gpu_memcpy" | "gpu_memset" | "Memcpy" | "Memset" => self.kernel(&event, true),
            "cpu_op" | "Operator" => self.operator_event(&event),
            "cuda_runtime" | "cuda_driver" | "Runtime" => self.launch(&event),
            _ => Ok(()),
        };
        self.n_seen += 1;
        taken
    }
}

/// Things by a text that is equal where they are.
struct Texts<T> {
    by_text: BTreeMap<String, u32>,
    list: Vec<T>,
}

impl<T> Default for Texts<T> {
    fn default() -> Self {
        Self { by_text: BTreeMap::new(), list: Vec::new() }
    }
}

impl<T> Texts<T> {
    fn index(&mut self, text: String, make: impl FnOnce() -> T) -> Result<u32, String> {
        if let Some(index) = self.by_text.get(&text) {
            return Ok(*index);
        }
        if self.list.len() >= N_TEXTS_MAX {
            return Err(format!("the trace has more than {N_TEXTS_MAX} names or shapes: cut it to some steps"));
        }
        let index = self.list.len() as u32;
        self.list.push(make());
        self.by_text.insert(text, index);
        Ok(index)
    }
}

fn push<T>(list: &mut Vec<T>, item: T) -> Result<(), String> {
    if list.len() >= N_EVENTS_MAX {
        return Err(format!(
            "the trace holds more than {N_EVENTS_MAX} kernels, operators or launches: cut it to some steps"
        ));
    }
    list.push(item);
    Ok(())
}

/// What was listed last under a key, in a list that is sorted by it.
fn last<T: Copy>(list: &[(u64, T)], key: u64) -> Option<T> {
    let end = list.partition_point(|(other, _)| *other <= key);
    let (found, value) = list.get(end.checked_sub(1)?)?;
    (*found == key).then_some(*value)
}

/// A name as far as it is kept.
fn short(name: Option<&Value>) -> String {
    name.and_then(Value::as_str).unwrap_or_default().chars().take(N_LETTERS).collect()
}

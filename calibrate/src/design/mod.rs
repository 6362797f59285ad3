//! Which questions a calibration asks: sizes chosen to tell the parts of the model apart, and none for its own sake.
//!
//! Sizes are the design of an experiment and no facts about the world, so they stand here. Steps are logarithmic, shapes
//! of public models stand beside shapes of none, and what is drawn is drawn from one seed: the same machine is always
//! asked the same.
//!
//! A question costs about a third of a second (a tenth with `quick`): warming up, timing, operands. The full design of
//! one device stays under nine minutes, the quick one under a minute and a half; [`SECONDS_FULL`] and [`SECONDS_QUICK`]
//! are what the tests hold that with.

mod device;
mod matrix;
mod node;

use std::fmt;

use crate::question::Question;
use crate::sample::Fingerprint;

/// Seconds a question takes at full effort, about: 0.15 of warming up, 0.15 of timing, the rest for its operands.
pub const SECONDS_FULL: f64 = 0.35;
/// The same with `quick`: 0.03 of warming up, 0.05 of timing.
pub const SECONDS_QUICK: f64 = 0.15;

/// What the design must know of a machine: no size asks for more than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Devices of the node that can be measured together.
    pub n_devices: u32,
    /// SMs of a device.
    pub sms: u32,
    /// Memory of a device, in bytes.
    pub memory: u64,
}

impl From<&Fingerprint> for Facts {
    fn from(machine: &Fingerprint) -> Self {
        Self { n_devices: machine.n_devices, sms: machine.sms, memory: machine.memory }
    }
}

macro_rules! sections {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $n_devices:literal;)+) => {
        /// A part of the design, by name on the command line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Section {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Section {
            /// Every section.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its spelling on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it measures, for help.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_start(),)+ }
            }

            /// Devices of one node that it needs.
            #[must_use]
            pub const fn n_devices(self) -> u32 {
                match self { $(Self::$variant => $n_devices,)+ }
            }
        }
    };
}

sections! {
    /// Copy, read and write by bytes and by SMs.
    Memory = "memory", 1;
    /// Kernels bound by memory: norm, SwiGLU, rotary, casts, permutations.
    Stream = "stream", 1;
    /// Empty kernels, launched one by one and in a graph.
    Launch = "launch", 1;
    /// Products in four arithmetics by shape and by SMs.
    Gemm = "gemm", 1;
    /// One product a group of rows.
    Grouped = "grouped", 1;
    /// Our own FP8 product by the products between promotions.
    Promoted = "promoted", 1;
    /// Tensor instructions in a loop.
    Tensor = "tensor", 1;
    /// Attention: never asked here, imported from a library's own measurement.
    Attention = "attention", 1;
    /// A product while a copy runs on other SMs, and the reverse.
    Contention = "contention", 1;
    /// Stores and copies to a peer, and the latency of a flag.
    Peer = "peer", 2;
    /// Dispatch and combine by tokens and by SMs.
    Exchange = "exchange", 2;
    /// Collectives of the library by bytes.
    Collective = "collective", 2;
    /// A product while a collective or a dispatch runs, and the reverse.
    Overlap = "overlap", 2;
    /// What the tensor core's sums lose by length and promotion.
    Accumulate = "accumulate", 1;
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Section {
    type Err = UnknownSection;

    fn from_str(name: &str) -> Result<Self, UnknownSection> {
        Self::ALL
            .iter()
            .copied()
            .find(|section| section.name() == name)
            .ok_or_else(|| UnknownSection { name: name.to_owned() })
    }
}

/// A section that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no section `{name}`; there are {}", names())]
pub struct UnknownSection {
    /// What was asked for.
    pub name: String,
}

fn names() -> String {
    let names: Vec<&str> = Section::ALL.iter().map(|section| section.name()).collect();
    names.join(", ")
}

/// The questions for a machine, section by section in the order of [`Section::ALL`]; of all sections where `only` is empty.
///
/// Sections that need more devices than the machine has, and attention, which is imported, have no questions. A question
/// that two sections ask stands in the first of them only.
#[must_use]
pub fn design(facts: &Facts, quick: bool, only: &[Section]) -> Vec<Question> {
    let asked = |section: &&Section| only.is_empty() || only.contains(section);
    let mut questions: Vec<Question> = Vec::new();
    for section in Section::ALL.iter().filter(asked) {
        for question in section_of(*section, facts, quick) {
            if !questions.contains(&question) {
                questions.push(question);
            }
        }
    }
    questions
}

fn section_of(section: Section, facts: &Facts, quick: bool) -> Vec<Question> {
    if facts.n_devices < section.n_devices() {
        return Vec::new();
    }
    match section {
        Section::Memory => device::memory(facts, quick),
        Section::Stream => device::stream(facts, quick),
        Section::Launch => vec![Question::Launch, Question::GraphLaunch],
        Section::Gemm => matrix::gemm(facts, quick),
        Section::Grouped => matrix::grouped(facts, quick),
        Section::Promoted => matrix::promoted(facts, quick),
        Section::Tensor => matrix::tensor(facts, quick),
        Section::Attention => Vec::new(),
        Section::Contention => matrix::contention(facts, quick),
        Section::Peer => node::peer(facts, quick),
        Section::Exchange => node::exchange(facts, quick),
        Section::Collective => node::collective(facts, quick),
        Section::Overlap => node::overlap(facts, quick),
        Section::Accumulate => matrix::accumulate(quick),
    }
}

/// Powers of `2^step` from `2^low` to `2^high`.
fn powers(low: u32, high: u32, step: usize) -> Vec<u64> {
    (low..=high).step_by(step).map(|power| 1 << power).collect()
}

/// Those of some counts of SMs that the device has, and all it has first.
fn counts(facts: &Facts, some: &[u32]) -> Vec<u32> {
    let fewer = some.iter().copied().filter(|sms| *sms < facts.sms);
    std::iter::once(facts.sms).chain(fewer).collect()
}

/// Where `quick`, every n-th only.
fn thin<T>(items: Vec<T>, quick: bool, n: usize) -> Vec<T> {
    items.into_iter().step_by(if quick { n } else { 1 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use workloads::op::Precision;

    use crate::question::Question;

    const ONE: Facts = Facts { n_devices: 1, sms: 132, memory: 140 << 30 };
    const TWO: Facts = Facts { n_devices: 2, ..ONE };
    const EIGHT: Facts = Facts { n_devices: 8, ..ONE };

    /// Nine minutes and a minute and a half, for one device; a node takes as long again.
    #[test]
    fn designs_take_as_long_as_they_may() {
        let seconds = |facts: &Facts, quick: bool| {
            let each = if quick { SECONDS_QUICK } else { SECONDS_FULL };
            design(facts, quick, &[]).len() as f64 * each
        };
        for (facts, quick, max) in
            [(ONE, false, 540.0), (ONE, true, 90.0), (TWO, false, 720.0), (EIGHT, false, 1080.0), (EIGHT, true, 180.0)]
        {
            let actual = seconds(&facts, quick);
            assert!(
                actual < max,
                "{} devices, quick {quick}: expectation below {max} s, actual {actual}",
                facts.n_devices
            );
        }
    }

    #[test]
    fn nothing_is_asked_twice_and_the_same_is_asked_again() {
        let questions = design(&EIGHT, false, &[]);
        for (index, question) in questions.iter().enumerate() {
            assert!(!questions[..index].contains(question), "{question:?} is asked twice");
        }
        assert_eq!(questions, design(&EIGHT, false, &[]));
    }

    #[test]
    fn sections_are_what_they_are_called() {
        for section in Section::ALL {
            assert_eq!(section.name().parse(), Ok(*section));
            assert_eq!(section_of(*section, &EIGHT, true).is_empty(), *section == Section::Attention, "{section}");
            let alone = section_of(*section, &ONE, false);
            assert!(section.n_devices() == 1 || alone.is_empty(), "{section} needs {} devices", section.n_devices());
        }
        let message = "gemms".parse::<Section>().unwrap_err().to_string();
        assert!(message.contains("`gemms`") && message.contains("grouped"), "{message}");
    }

    #[test]
    fn no_question_asks_for_more_than_the_machine_has() {
        let small = Facts { n_devices: 2, sms: 24, memory: 8 << 30 };
        for question in design(&small, false, &[]) {
            each(&question, &mut |question| {
                let (sms, bytes) = asked(question);
                assert!(sms <= small.sms, "{question:?}");
                assert!(bytes <= small.memory / 2, "{question:?} holds {bytes} bytes");
            });
            if let Question::Together { of, beside } = &question {
                assert!(asked(of).0 + asked(beside).0 <= small.sms, "{question:?}");
            }
        }
    }

    /// Every arithmetic meets every shape: what differs between them is the arithmetic.
    #[test]
    fn shapes_are_shared_by_the_arithmetics() {
        let shapes = |dtype: Precision| {
            let questions = design(&ONE, false, &[Section::Gemm]).into_iter();
            questions
                .filter_map(|question| match question {
                    Question::Gemm { m, n, k, dtype: of, sms: 132 } if of == dtype => Some((m, n, k)),
                    _ => None,
                })
                .collect::<Vec<_>>()
        };
        let bf16 = shapes(Precision::Bf16);
        assert!((80..=125).contains(&bf16.len()), "{} shapes", bf16.len());
        for dtype in matrix::MEASURED {
            assert_eq!(shapes(dtype), bf16, "{dtype}");
        }
        assert!(bf16.contains(&(4096, 2112, 7168)) && bf16.contains(&(64, 7168, 16384)));
        let unaligned = bf16.iter().filter(|(m, n, _)| m % 128 != 0 && n % 128 != 0);
        assert!(unaligned.count() >= 10, "shapes that fill no tile");
        assert!(bf16.iter().all(|(m, n, k)| m % 16 == 0 && n % 16 == 0 && k % 128 == 0), "what FP8 libraries take");
    }

    fn each(question: &Question, see: &mut impl FnMut(&Question)) {
        match question {
            Question::Together { of, beside } => {
                each(of, see);
                each(beside, see);
            }
            _ => see(question),
        }
    }

    /// SMs it runs on, and bytes it holds at least.
    fn asked(question: &Question) -> (u32, u64) {
        match question {
            Question::Copy { bytes, sms } | Question::PeerCopy { bytes, sms } | Question::PeerBulk { bytes, sms } => {
                (*sms, 2 * bytes)
            }
            Question::Read { bytes, sms } | Question::Write { bytes, sms } => (*sms, *bytes),
            Question::Gemm { m, n, k, sms, .. } | Question::PromotedGemm { m, n, k, sms, .. } => {
                (*sms, m * k + n * k + 2 * m * n)
            }
            Question::GroupedGemm { sms, .. } | Question::TensorLoop { sms, .. } => (*sms, 0),
            Question::Rmsnorm { tokens, dim } | Question::Cast { tokens, dim } => (0, 3 * tokens * dim),
            Question::Permute { tokens, dim, top_k } => (0, 2 * tokens * dim * u64::from(*top_k)),
            Question::Dispatch { sms, .. } | Question::Combine { sms, .. } => (*sms, 0),
            Question::Collective { bytes, sms, .. } => (sms.unwrap_or(0), *bytes),
            _ => (0, 0),
        }
    }
}

//! Raw samples: one question, what was read, on which machine. One JSON object a line, kept for ever.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::question::Question;

/// One measurement and where it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sample {
    /// What was asked.
    pub question: Question,
    /// What was read.
    pub reading: Reading,
    /// [`Fingerprint::id`] of the machine, or the source of an import.
    pub machine: String,
}

/// What a device answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reading {
    /// Who did it: a library with its version, or `windtunnel` for kernels of our own.
    pub implementation: String,
    /// Median seconds of one call.
    pub seconds: f64,
    /// Fifth percentile over the repetitions, seconds of one call.
    pub low: f64,
    /// Ninety-fifth percentile.
    pub high: f64,
    /// Repetitions, each of one call or of several whose mean it is.
    pub runs: u32,
    /// Mean SM clock while it ran, in hertz, where it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<f64>,
    /// Mean power of the board while it ran, in watts, where it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<f64>,
    /// What else was read, by name, in base units.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extras: BTreeMap<String, f64>,
}

impl Reading {
    /// Shares of the repetitions below `low`, `seconds` and `high`.
    pub(crate) const SHARES: [f64; 3] = [0.05, 0.5, 0.95];

    /// What is impossible about it as an answer to `question`, in words; `None` where nothing is.
    #[must_use]
    pub fn fault(&self, question: &Question) -> Option<String> {
        let Self { seconds, low, high, runs, .. } = self;
        let shortest = if matches!(question, Question::Accumulate { .. }) { 0.0 } else { f64::MIN_POSITIVE };
        let others = [self.clock, self.power].into_iter().flatten().chain(self.extras.values().copied());
        let times = [("seconds", seconds), ("low", low), ("high", high)];
        let uneven = match question {
            Question::Collective { ranks, nodes, .. } if *nodes == 0 || ranks % nodes != 0 => Some((ranks, nodes)),
            _ => None,
        };
        if let Some((ranks, nodes)) = uneven {
            Some(format!("`ranks` is {ranks}, which do not lie evenly on {nodes} nodes"))
        } else if let Some((name, value)) =
            times.into_iter().find(|(_, value)| !(value.is_finite() && **value >= shortest))
        {
            Some(format!("`{name}` is {value}: not a time above zero"))
        } else if !(low <= seconds && seconds <= high) {
            Some(format!("`seconds` is {seconds}, not between `low` {low} and `high` {high}"))
        } else if *runs == 0 {
            Some("`runs` is 0: nothing was repeated".to_owned())
        } else {
            others.into_iter().find(|value| !value.is_finite()).map(|value| format!("{value} is no number"))
        }
    }
}

/// The machine and software that samples were taken on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fingerprint {
    /// Name of the device, as its driver gives it.
    pub device: String,
    /// Devices of the node.
    pub n_devices: u32,
    /// SMs of a device.
    pub sms: u32,
    /// Highest SM clock, in hertz.
    pub clock_max: f64,
    /// L2 of a device, in bytes.
    pub l2: u64,
    /// Memory of a device, in bytes.
    pub memory: u64,
    /// Peak of the memory by its clock and width, in bytes per second.
    pub memory_peak: f64,
    /// Power limit of a device, in watts; zero where it cannot be read.
    pub power_limit: f64,
    /// Version of the driver and of each library, by name.
    pub versions: BTreeMap<String, String>,
    /// Settings that matter, for example `NCCL_NVLS_ENABLE`.
    pub settings: BTreeMap<String, String>,
}

impl Fingerprint {
    /// A short name that differs where the machine or its software does: device, count and a hash of everything.
    #[must_use]
    pub fn id(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        // FNV-1a: no secret to keep, only two machines to tell apart.
        let hash = text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let device = self.device.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        format!("{device}-x{}-{:08x}", self.n_devices, hash >> 32)
    }
}

/// One line of a file of samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// The machine of the samples that name its id.
    Fingerprint(Fingerprint),
    /// A measurement.
    Sample(Sample),
}

//! Values in which two machines depart from each other.

use topology::{Device, Node};

use crate::machine_key::{MachineKey, MachinePart, MachineValue, values};

/// A value of a machine that is not that of the machine an estimate was measured on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Departure {
    /// Which.
    pub key: MachineKey,
    /// Where the estimate was measured.
    pub measured: MachineValue,
    /// Where it is used.
    pub here: MachineValue,
}

impl Departure {
    /// All values in which a device and its node (`here`) depart from those that something was `measured` on.
    #[must_use]
    pub fn all(measured: (&Device, &Node), here: (&Device, &Node)) -> Vec<Self> {
        let pairs = values(measured.0, measured.1).into_iter().zip(values(here.0, here.1));
        let departure = |((key, measured), (_, here))| Self { key, measured, here };
        pairs.map(departure).filter(|departure| departure.measured != departure.here).collect()
    }

    /// The logarithm of the value here over the one measured with; `None` where there is no ratio.
    #[must_use]
    pub fn log_ratio(&self) -> Option<f64> {
        let (MachineValue::Number(measured), MachineValue::Number(here)) = (self.measured, self.here) else {
            return None;
        };
        let has_ratio = self.key.part() != MachinePart::Ability && measured > 0.0 && here > 0.0;
        has_ratio.then(|| (here / measured).ln())
    }
}

impl std::fmt::Display for Departure {
    /// `` `gpu.sms` 132 -> 78 ``.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, measured, here } = *self;
        write!(f, "`{}` {} -> {}", key.name(), key.shown(measured), key.shown(here))
    }
}

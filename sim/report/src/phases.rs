//! Where the time of a job goes, phase by phase: a list, so that figures and tables need to know no phase by name.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::timeline::SpanKind;

/// The phases of one rank, or of the mean rank, in the order in which they are shown. In JSON an object from their names to
/// seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Phases(pub Vec<Phase>);

/// What one kind of work takes of a rank's time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// Its name, the key of the JSON: `weight_gradient`.
    pub name: &'static str,
    /// The kind of interval that it adds up, which chooses its color; none of time in which nothing runs.
    pub kind: Option<SpanKind>,
    /// How long, seconds.
    pub seconds: f64,
}

impl Phases {
    /// Seconds of the phase of this name; zero where there is none.
    #[must_use]
    pub fn of(&self, name: &str) -> f64 {
        self.0.iter().filter(|phase| phase.name == name).map(|phase| phase.seconds).sum()
    }

    /// All together, seconds.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.0.iter().map(|phase| phase.seconds).sum()
    }

    /// Phases in which nothing runs.
    pub fn idle(&self) -> impl Iterator<Item = &Phase> {
        self.0.iter().filter(|phase| phase.kind.is_none())
    }
}

impl Serialize for Phases {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for phase in &self.0 {
            map.serialize_entry(phase.name, &phase.seconds)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_nobody_knows_by_name_are_keys_in_their_order() {
        let phase = |name, kind, seconds| Phase { name, kind, seconds };
        let phases = Phases(vec![phase("prefill", Some(SpanKind::Forward), 2.0), phase("a_gap", None, 0.5)]);
        assert_eq!(serde_json::to_string(&phases).expect("JSON"), r#"{"prefill":2.0,"a_gap":0.5}"#);
        assert_eq!((phases.sum(), phases.of("prefill"), phases.of("decode")), (2.5, 2.0, 0.0));
        assert_eq!(phases.idle().map(|phase| phase.name).collect::<Vec<_>>(), ["a_gap"]);
    }
}

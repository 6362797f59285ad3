//! What a call is: an entry of a list of names, and time by it.

use std::ops::{Add, AddAssign, Index, IndexMut};

use units::SimSpan;

/// What a phase of a job is: an index into the job's list of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(pub u16);

/// An entry of a job's list of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelName {
    /// For example `weight-gradient`.
    pub name: &'static str,
    /// What it is of.
    pub kind: LabelKind,
}

/// What a label is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelKind {
    /// Calls that a sequencer decides.
    Call,
    /// What follows the last call of every gang.
    End,
}

/// The labels of a training step, in the order of [`Label`]'s constants.
pub const TRAIN_LABELS: [LabelName; 5] = [
    LabelName { name: "forward", kind: LabelKind::Call },
    LabelName { name: "backward", kind: LabelKind::Call },
    LabelName { name: "weight-gradient", kind: LabelKind::Call },
    LabelName { name: "overlapped", kind: LabelKind::Call },
    LabelName { name: "optimizer", kind: LabelKind::End },
];

/// Labels of [`TRAIN_LABELS`].
impl Label {
    /// Lone forward chunks.
    pub const FORWARD: Self = Self(0);
    /// Lone backward chunks or their input part.
    pub const BACKWARD: Self = Self(1);
    /// Lone weight-gradient chunks.
    pub const WEIGHT_GRADIENT: Self = Self(2);
    /// Overlapped pairs.
    pub const OVERLAPPED: Self = Self(3);
    /// Reduction, update, gathering.
    pub const OPTIMIZER: Self = Self(4);
}

/// Time by label. A label that nothing ran under has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhaseSpans(Vec<SimSpan>);

impl PhaseSpans {
    /// None yet, of a list of so many labels.
    #[must_use]
    pub fn new(n_labels: usize) -> Self {
        Self(vec![SimSpan::ZERO; n_labels])
    }

    /// Label and time, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = (Label, SimSpan)> {
        self.0.iter().enumerate().map(|(index, span)| (Label(index as u16), *span))
    }

    /// The time of all labels.
    #[must_use]
    pub fn sum(&self) -> SimSpan {
        self.0.iter().copied().fold(SimSpan::ZERO, Add::add)
    }
}

impl Index<Label> for PhaseSpans {
    type Output = SimSpan;

    fn index(&self, Label(index): Label) -> &SimSpan {
        &self.0[usize::from(index)]
    }
}

impl IndexMut<Label> for PhaseSpans {
    fn index_mut(&mut self, Label(index): Label) -> &mut SimSpan {
        &mut self.0[usize::from(index)]
    }
}

impl AddAssign<&Self> for PhaseSpans {
    fn add_assign(&mut self, other: &Self) {
        for (label, span) in other.iter() {
            self[label] += span;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_the_places_of_their_names() {
        let named = [
            (Label::FORWARD, "forward"),
            (Label::BACKWARD, "backward"),
            (Label::WEIGHT_GRADIENT, "weight-gradient"),
            (Label::OVERLAPPED, "overlapped"),
            (Label::OPTIMIZER, "optimizer"),
        ];
        assert_eq!(named.len(), TRAIN_LABELS.len());
        for (Label(index), name) in named {
            assert_eq!(TRAIN_LABELS[usize::from(index)].name, name);
        }
    }

    #[test]
    fn sums_are_by_label() {
        let mut sum = PhaseSpans::new(3);
        for (index, picos) in [(0, 5), (2, 7), (0, 1)] {
            let mut one = PhaseSpans::new(3);
            one[Label(index)] += SimSpan::from_picos(picos);
            sum += &one;
        }
        let spans: Vec<_> = sum.iter().map(|(_, span)| span.picos()).collect();
        assert_eq!((spans, sum.sum().picos()), (vec![6, 0, 7], 13));
    }
}

//! Proposals beside each other.

use report::study::{PairRow, SetRow, TogetherSummary, WorthRow};
use study::TogetherAnswer;

pub(super) fn together(answer: &TogetherAnswer) -> TogetherSummary {
    let share = |share: &study::Share| WorthRow {
        proposal: share.proposal.clone(),
        alone: share.alone.value,
        last: share.last.value,
        shapley: share.shapley.value,
    };
    let pair = |pair: &study::Pair| PairRow {
        first: pair.first.clone(),
        second: pair.second.clone(),
        interaction: pair.interaction.value,
        kind: pair.kind.clone(),
    };
    let mut sets: Vec<SetRow> = answer.sets.iter().map(set).collect();
    sets.sort_by(|a, b| a.value.total_cmp(&b.value));
    TogetherSummary {
        sampled: answer.sampled,
        shares: answer.shares.iter().map(share).collect(),
        pairs: answer.pairs.iter().map(pair).collect(),
        sets,
        target: answer.target.value,
        cheapest: answer.cheapest.as_ref().map(set),
    }
}

fn set(set: &study::SetOutcome) -> SetRow {
    SetRow { proposals: set.proposals.clone(), value: set.objective.value, worth: set.worth.value, cost: set.cost }
}

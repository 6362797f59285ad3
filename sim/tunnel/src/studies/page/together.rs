//! Proposals beside each other.

use report::study::{PairRow, SetRow, TogetherSummary, WorthRow};
use study::TogetherAnswer;

pub(super) fn together(answer: &TogetherAnswer) -> TogetherSummary {
    let share = |share: &study::Share| WorthRow {
        proposal: share.proposal.clone(),
        alone_seconds: share.alone_seconds,
        last_seconds: share.last_seconds,
        shapley_seconds: share.shapley_seconds,
    };
    let pair = |pair: &study::Pair| PairRow {
        first: pair.first.clone(),
        second: pair.second.clone(),
        interaction_seconds: pair.interaction_seconds,
        kind: pair.kind.clone(),
    };
    let mut sets: Vec<SetRow> = answer.sets.iter().map(set).collect();
    sets.sort_by(|a, b| a.step_seconds.total_cmp(&b.step_seconds));
    TogetherSummary {
        sampled: answer.sampled,
        shares: answer.shares.iter().map(share).collect(),
        pairs: answer.pairs.iter().map(pair).collect(),
        sets,
        target_seconds: answer.target_seconds,
        cheapest: answer.cheapest.as_ref().map(set),
    }
}

fn set(set: &study::SetOutcome) -> SetRow {
    SetRow {
        proposals: set.proposals.clone(),
        step_seconds: set.objective.value,
        worth_seconds: set.worth_seconds,
        cost: set.cost,
    }
}

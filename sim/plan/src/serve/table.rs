//! Times of iterations on a fixed grid, interpolated.
//!
//! An iteration is told by five numbers: requests that the fullest attention rank decodes and the mean of their keys; tokens of its prompts and
//! the mean of the keys that these see; and the tokens of all ranks over what they would be if all were as full. Each has a grid that is fixed
//! beforehand. A corner is priced from a load that is made of its five numbers alone, when it is first needed; so a time depends on
//! no load that came before.

use std::collections::BTreeMap;

use workloads::iteration::{Decoding, PromptPart, RankBatch};

use super::price::IterationPricer;
use super::time::UnitLoad;
use crate::PlanError;

/// Times of iterations on a fixed grid.
#[derive(Debug)]
pub struct IterationTable<'a> {
    pricer: &'a IterationPricer<'a>,
    cells: BTreeMap<Cell, f64>,
}

/// A corner: the index on each axis.
type Cell = [u16; N_AXES];
const N_AXES: usize = 5;
const AXES: [Axis; N_AXES] = [Axis::Count, Axis::Keys, Axis::Count, Axis::Keys, Axis::Share];

/// The grid of a number.
#[derive(Clone, Copy)]
enum Axis {
    /// Requests or tokens: every number up to sixteen, then eight in an octave; the first is none.
    Count,
    /// Mean keys: four in an octave from sixteen on; the first is none.
    Keys,
    /// Eighths up to one.
    Share,
}

/// Numbers of a count axis that are not geometric.
const EXACT: f64 = 16.0;
const COUNTS_PER_OCTAVE: f64 = 8.0;
const KEYS_PER_OCTAVE: f64 = 4.0;
const KEYS_LEAST: f64 = 16.0;
const SHARES: f64 = 8.0;

impl Axis {
    fn value(self, index: u16) -> f64 {
        let index = f64::from(index);
        match self {
            Self::Count if index <= EXACT => index,
            Self::Count => (EXACT * ((index - EXACT) / COUNTS_PER_OCTAVE).exp2()).round(),
            Self::Keys if index == 0.0 => 0.0,
            Self::Keys => (KEYS_LEAST * ((index - 1.0) / KEYS_PER_OCTAVE).exp2()).round(),
            Self::Share => (index + 1.0) / SHARES,
        }
    }

    /// The corner at or below a value.
    fn below(self, value: f64) -> u16 {
        let guess = match self {
            Self::Count if value <= EXACT => value,
            Self::Count => EXACT + (value / EXACT).log2() * COUNTS_PER_OCTAVE,
            Self::Keys if value < KEYS_LEAST => 0.0,
            Self::Keys => 1.0 + (value / KEYS_LEAST).log2() * KEYS_PER_OCTAVE,
            Self::Share => (value * SHARES - 1.0).max(0.0),
        };
        let mut index = guess.floor() as u16;
        // Corners are rounded.
        while self.value(index) > value && index > 0 {
            index -= 1;
        }
        while self.value(index + 1) <= value {
            index += 1;
        }
        index
    }
}

impl<'a> IterationTable<'a> {
    /// An empty one.
    #[must_use]
    pub fn new(pricer: &'a IterationPricer<'a>) -> Self {
        Self { pricer, cells: BTreeMap::new() }
    }

    /// Corners that were priced.
    #[must_use]
    pub fn n_cells(&self) -> usize {
        self.cells.len()
    }

    /// Seconds of an iteration.
    ///
    /// # Errors
    /// Where the device cannot run an op.
    pub fn seconds(&mut self, load: &UnitLoad) -> Result<f64, PlanError> {
        let at = self.coordinates(load);
        let mut below: Cell = [0; N_AXES];
        let mut above = [0.0; N_AXES];
        for (axis, kind) in AXES.iter().enumerate() {
            below[axis] = kind.below(at[axis]);
            let [low, high] = [0, 1].map(|step| kind.value(below[axis] + step));
            let share = (at[axis] - low) / (high - low);
            // A share of all is the last of its axis.
            above[axis] = if matches!(kind, Axis::Share) && low >= 1.0 { 0.0 } else { share };
        }
        let mut seconds = 0.0;
        for corner in 0..1_usize << N_AXES {
            let mut cell = below;
            let mut weight = 1.0;
            for axis in 0..N_AXES {
                let is_above = corner >> axis & 1 == 1;
                cell[axis] += u16::from(is_above);
                weight *= if is_above { above[axis] } else { 1.0 - above[axis] };
            }
            if weight > 0.0 {
                seconds += weight * self.cell(cell)?;
            }
        }
        Ok(seconds)
    }

    fn coordinates(&self, load: &UnitLoad) -> [f64; N_AXES] {
        let RankBatch { prompts, decoding } = &load.fullest;
        let tokens: u64 = prompts.iter().map(|part| part.tokens).sum();
        let keys: f64 = prompts.iter().map(PromptPart::keys_seen).sum();
        let mean = |sum: f64, n: u64| if n == 0 { 0.0 } else { (sum / n as f64).max(1.0) };
        let full = load.fullest.rows() * self.pricer.n_attention_ranks();
        let share = if full == 0 { 1.0 } else { (load.rows as f64 / full as f64).clamp(1.0 / SHARES, 1.0) };
        let context = mean(decoding.context as f64, decoding.requests);
        [decoding.requests as f64, context, tokens as f64, mean(keys, tokens), share]
    }

    fn cell(&mut self, cell: Cell) -> Result<f64, PlanError> {
        if let Some(seconds) = self.cells.get(&cell) {
            return Ok(*seconds);
        }
        let seconds = self.pricer.iteration(&self.load(cell))?.seconds;
        self.cells.insert(cell, seconds);
        Ok(seconds)
    }

    /// The load of a corner.
    fn load(&self, cell: Cell) -> UnitLoad {
        let mut values = [0.0; N_AXES];
        for (axis, kind) in AXES.iter().enumerate() {
            values[axis] = kind.value(cell[axis]);
        }
        let [requests, context, tokens, keys, share] = values;
        let queries = self.pricer.queries();
        let decoding =
            Decoding { requests: requests as u64, queries, context: (requests * context.max(queries as f64)) as u64 };
        let fullest = RankBatch { prompts: prompts(tokens, keys), decoding };
        let full = (fullest.rows() * self.pricer.n_attention_ranks()) as f64;
        UnitLoad { rows: ((full * share).round() as u64).max(fullest.rows()), fullest }
    }
}

/// Prompts of so many tokens together, which see so many keys on average: one, or as many as see no more, with a part cached.
fn prompts(tokens: f64, keys: f64) -> Vec<PromptPart> {
    if tokens < 1.0 {
        return Vec::new();
    }
    let half = tokens / 2.0;
    if keys >= half {
        return vec![PromptPart { tokens: tokens as u64, cached: (keys - half).round() as u64 }];
    }
    let n = (half / keys.max(1.0)).ceil().min(tokens);
    // What whole parts leave of the keys is cached.
    let cached = (keys - half / n).round().max(0.0) as u64;
    let (n, tokens) = (n as u64, tokens as u64);
    (0..n).map(|index| PromptPart { tokens: tokens / n + u64::from(index < tokens % n), cached }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_between_the_corners_that_are_found_for_it() {
        for axis in [Axis::Count, Axis::Keys] {
            for value in (0..400).map(f64::from).chain([1000.0, 4096.0, 131_072.0]) {
                let below = axis.below(value);
                assert!(axis.value(below) <= value && value < axis.value(below + 1), "{value}");
            }
        }
        assert_eq!(Axis::Share.value(Axis::Share.below(1.0)), 1.0);
    }

    #[test]
    fn prompts_of_a_corner_have_its_tokens_and_see_its_keys() {
        for (tokens, keys) in [(8192.0, 4096.0), (8192.0, 20_000.0), (8192.0, 512.0), (100.0, 16.0), (1.0, 16.0)] {
            let parts = prompts(tokens, keys);
            let sum: u64 = parts.iter().map(|part| part.tokens).sum();
            let seen: f64 = parts.iter().map(PromptPart::keys_seen).sum();
            assert_eq!(sum as f64, tokens);
            assert!((seen / tokens - keys).abs() <= 0.05 * keys + 1.0, "{tokens} {keys}: {}", seen / tokens);
        }
    }
}

//! The published steps that a run resembles, in a line or two.

use crate::format::{count, percent};
use crate::summary::{Nearest, NearestStep};

/// Steps that are named on a screen.
const N_NAMED: usize = 2;
/// Respects that are named on a screen.
const N_RESPECTS: usize = 4;

/// Which they are, how far off the model was there, and in what the nearest differs; nothing where none is known.
pub(crate) fn nearest(nearest: &Nearest) -> String {
    let mut named: Vec<String> = nearest.steps.iter().take(N_NAMED).map(step).collect();
    if let Some(first) = named.first_mut().filter(|_| nearest.is_published) {
        first.insert_str(0, "this case itself was published: ");
    }
    let between = if nearest.is_published { "; next " } else { ", " };
    let mut text = named.join(between);
    if !nearest.differs.is_empty() {
        let which = if named.len() > 1 { "the first" } else { "it" };
        text.push_str(&format!("; {which} differs in {}", respects(&nearest.differs)));
    }
    text
}

/// As many as a reader takes in, and how many more there are.
fn respects(differs: &[String]) -> String {
    let named = differs[..differs.len().min(N_RESPECTS)].join(", ");
    match differs.len().saturating_sub(N_RESPECTS) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn step(step: &NearestStep) -> String {
    let NearestStep { id, device, n_devices, step_error, .. } = step;
    let off = percent(step_error.abs());
    let way = if *step_error < 0.0 { "fast" } else { "slow" };
    format!("`{id}` ({} {device}) {off} too {way}", count((*n_devices).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(id: &str, step_error: f64) -> NearestStep {
        NearestStep { id: id.into(), device: "a-device".into(), n_devices: 2048, step_error, ..NearestStep::default() }
    }

    #[test]
    fn a_case_that_is_the_run_is_told_from_one_that_is_near() {
        let steps = vec![of("one", -0.059), of("two", 0.112), of("three", 0.3)];
        let mut near = Nearest { is_published: false, steps, differs: vec!["device (a, here b)".into()] };
        let expected = "`one` (2,048 a-device) 5.9 % too fast, `two` (2,048 a-device) 11.2 % too slow; the first \
                        differs in device (a, here b)";
        assert_eq!(nearest(&near), expected);
        (near.is_published, near.differs) = (true, Vec::new());
        assert!(nearest(&near).starts_with("this case itself was published: `one` "), "{}", nearest(&near));
        assert!(!nearest(&near).contains("differs") && nearest(&near).contains("; next `two` "));
        assert_eq!(nearest(&Nearest::default()), "");
    }
}

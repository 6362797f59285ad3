//! How far a calibration is, for a person who waits.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use calibrate::session::Progress;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

/// A bar on a terminal; elsewhere nothing.
pub(super) struct Bar {
    bar: Option<ProgressBar>,
    began: Instant,
}

impl Bar {
    #[expect(clippy::disallowed_methods, reason = "the time left is shown to a person and in no result")]
    pub(super) fn new(quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(0);
            // A template that cannot be read leaves the bar as the library draws it.
            match ProgressStyle::with_template("measuring {bar:20} {pos}/{len}{prefix}  {msg}") {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Self { bar, began: Instant::now() }
    }

    pub(super) fn show(&mut self, progress: &Progress<'_>) {
        let Some(bar) = &self.bar else { return };
        bar.set_length(progress.n_questions as u64);
        bar.set_position(progress.n_done as u64);
        bar.set_prefix(left(self.began.elapsed(), progress.n_done, progress.n_questions));
        bar.set_message(progress.next.map(super::text).unwrap_or_default());
        bar.tick();
    }

    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Questions come in a random order, so those that are left take as long as those that are done, one for one.
fn left(elapsed: Duration, n_done: usize, n_questions: usize) -> String {
    if n_done == 0 || n_done >= n_questions {
        return String::new();
    }
    let left = elapsed.mul_f64((n_questions - n_done) as f64 / n_done as f64);
    format!(", {} left", HumanDuration(Duration::from_secs(left.as_secs() + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_the_mean_so_far() {
        assert_eq!(left(Duration::from_secs(3), 25, 100), ", 10 seconds left");
        assert_eq!(left(Duration::from_secs(3), 0, 100), "");
        assert_eq!(left(Duration::from_secs(3), 100, 100), "");
    }
}

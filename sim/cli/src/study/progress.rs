//! A bar and the time left while a study runs, on a terminal from half a second on.

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use study::Progress;

const PATIENCE: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(200);

/// Does some work, and shows how many of its runs are done.
pub(super) fn during<T>(progress: &Progress, quiet: bool, work: impl FnOnce() -> T) -> T {
    if quiet || !std::io::stderr().is_terminal() {
        return work();
    }
    let (at_work, until_done) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(|| draw(progress, until_done));
        let result = work();
        drop(at_work);
        result
    })
}

#[expect(clippy::disallowed_methods, reason = "the time left is shown to a person and in no result")]
fn draw(progress: &Progress, until_done: Receiver<()>) {
    let began = Instant::now();
    let waits = |time| matches!(until_done.recv_timeout(time), Err(RecvTimeoutError::Timeout));
    if !waits(PATIENCE) {
        return;
    }
    let bar = ProgressBar::new(progress.of());
    let bar = match ProgressStyle::with_template("{pos} of {len} runs {bar:30} {percent:>3} %{prefix}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    };
    loop {
        bar.set_length(progress.of());
        bar.set_prefix(left(began.elapsed(), progress.done(), progress.of()));
        bar.set_position(progress.done());
        if !waits(TICK) {
            break;
        }
    }
    bar.finish_and_clear();
}

/// Runs cost much the same, so the rest takes as long as its share; nothing before the first is done.
fn left(elapsed: Duration, done: u64, of: u64) -> String {
    if done == 0 || done >= of {
        return String::new();
    }
    let left = elapsed.mul_f64((of - done) as f64 / done as f64);
    format!(", {} left", HumanDuration(Duration::from_secs(left.as_secs() + 1)))
}

//! Something that moves on stderr while a person waits.

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

/// What takes less says nothing.
const PATIENCE: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(100);

/// How far some work is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extent<'a> {
    /// Nobody knows: something turns.
    Unknown,
    /// So many slots of so many: a bar, its percentage and the time left.
    Slots { ended: &'a plan::Progress, of: u64 },
}

/// Does some work, and shows how far it is from half a second on. Only on a terminal.
pub(crate) fn during<T>(message: &str, extent: Extent<'_>, quiet: bool, work: impl FnOnce() -> T) -> T {
    if quiet || !std::io::stderr().is_terminal() {
        return work();
    }
    let (at_work, until_done) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(|| draw(message, extent, until_done));
        let result = work();
        drop(at_work);
        result
    })
}

#[expect(clippy::disallowed_methods, reason = "the time left is shown to a person and in no result")]
fn draw(message: &str, extent: Extent<'_>, until_done: Receiver<()>) {
    let began = Instant::now();
    let waits = |time| matches!(until_done.recv_timeout(time), Err(RecvTimeoutError::Timeout));
    if !waits(PATIENCE) {
        return;
    }
    let bar = bar(extent).with_message(message.to_owned()).with_elapsed(PATIENCE);
    loop {
        if let Extent::Slots { ended, of } = extent {
            bar.set_prefix(left(began.elapsed(), ended.done(), of));
            bar.set_position(ended.done());
        }
        bar.tick();
        if !waits(TICK) {
            break;
        }
    }
    bar.finish_and_clear();
}

fn bar(extent: Extent<'_>) -> ProgressBar {
    let (bar, template) = match extent {
        Extent::Unknown => (ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}"),
        Extent::Slots { of, .. } => (ProgressBar::new(of), "{msg} {bar:20} {percent:>3} %{prefix}"),
    };
    // A template that cannot be read leaves the bar as the library draws it.
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Slots of one run cost much the same, so the rest takes as long as its share; nothing before the first has ended.
fn left(elapsed: Duration, ended: u64, of: u64) -> String {
    if ended == 0 || ended >= of {
        return String::new();
    }
    let left = elapsed.mul_f64((of - ended) as f64 / ended as f64);
    format!(", {} left", HumanDuration(Duration::from_secs(left.as_secs() + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_what_is_done() {
        assert_eq!(left(Duration::from_secs(3), 25, 100), ", 10 seconds left");
        assert_eq!(left(Duration::from_secs(3), 0, 100), "");
        assert_eq!(left(Duration::from_secs(3), 100, 100), "");
    }

    #[test]
    fn work_hands_on_its_result() {
        assert_eq!(during("counting", Extent::Unknown, true, || 42), 42);
    }
}

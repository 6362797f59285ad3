//! Something that moves on stderr while a person waits: only on a terminal, and in no result.

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

/// What takes less says nothing.
const PATIENCE: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(100);

/// How far some work is.
#[derive(Clone, Copy)]
pub(crate) enum Extent<'a> {
    /// Nobody knows: something turns.
    Unknown,
    /// So many parts done of so many: a bar, its percentage and the time left.
    Counted(&'a (dyn Fn() -> (u64, u64) + Sync)),
}

/// Does some work, and shows how far it is from half a second on.
pub(crate) fn during<T>(message: &str, extent: Extent<'_>, quiet: bool, work: impl FnOnce() -> T) -> T {
    if !is_watched(quiet) {
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

fn is_watched(quiet: bool) -> bool {
    !quiet && std::io::stderr().is_terminal()
}

fn draw(message: &str, extent: Extent<'_>, until_done: Receiver<()>) {
    let waits = |time| matches!(until_done.recv_timeout(time), Err(RecvTimeoutError::Timeout));
    let template = match extent {
        Extent::Unknown => "{spinner} {msg} {elapsed}",
        Extent::Counted(_) => "{msg} {bar:20} {percent:>3} %{prefix}",
    };
    let began = now();
    if !waits(PATIENCE) {
        return;
    }
    let bar = Bar::new(template, began);
    loop {
        match extent {
            Extent::Unknown => bar.show(message, (0, 0)),
            Extent::Counted(count) => bar.show(message, count()),
        }
        if !waits(TICK) {
            break;
        }
    }
    bar.finish();
}

/// A line that moves when it is told to.
pub(crate) struct Bar {
    bar: ProgressBar,
    began: Instant,
}

impl Bar {
    /// For parts that differ in what they are: the count stands beside the bar, and a message behind it. None where nobody watches.
    pub(crate) fn of_parts(quiet: bool) -> Option<Self> {
        is_watched(quiet).then(|| Self::new("{bar:20} {pos}/{len}{prefix}  {msg}", now()))
    }

    fn new(template: &str, began: Instant) -> Self {
        let bar = ProgressBar::new(0).with_elapsed(began.elapsed());
        // A template that cannot be read leaves the bar as the library draws it.
        let bar = match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        Self { bar, began }
    }

    /// So many parts done of so many.
    pub(crate) fn show(&self, message: &str, (done, of): (u64, u64)) {
        self.bar.set_length(of);
        self.bar.set_position(done);
        self.bar.set_prefix(left(self.began.elapsed(), done, of));
        self.bar.set_message(message.to_owned());
        self.bar.tick();
    }

    /// Takes the line away.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

#[expect(clippy::disallowed_methods, reason = "the time left is shown to a person and in no result")]
fn now() -> Instant {
    Instant::now()
}

/// Parts cost much the same, or come in a random order, so the rest takes as long as its share; nothing before the first is done.
fn left(elapsed: Duration, done: u64, of: u64) -> String {
    if done == 0 || done >= of {
        return String::new();
    }
    let left = elapsed.mul_f64((of - done) as f64 / done as f64);
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

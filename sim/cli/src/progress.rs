//! Something that moves on stderr while a person waits.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// What takes less says nothing.
const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);

/// A spinner with the time that has passed, from its second second until it is dropped. Only on a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    pub(crate) fn start(message: &str, quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self { shown: None };
        }
        let (done, until_done) = channel::<()>();
        let message = message.to_owned();
        let waits = move |time| matches!(until_done.recv_timeout(time), Err(RecvTimeoutError::Timeout));
        let thread = std::thread::spawn(move || {
            if !waits(PATIENCE) {
                return;
            }
            let bar = ProgressBar::new_spinner().with_message(message).with_elapsed(PATIENCE);
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.tick();
            while waits(TICK) {
                bar.tick();
            }
            bar.finish_and_clear();
        });
        Self { shown: Some((done, thread)) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.shown.take() {
            drop(done);
            // It only draws: if it failed, there is nothing to save.
            let _ = thread.join();
        }
    }
}

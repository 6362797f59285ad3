//! How the program ends: codes, messages, panics, closed pipes.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use plan::PlanError;
use report::ReportError;
use scenario::Mistakes;
use tunnel::TunnelError;
use tunnel::ways_out::WaysOut;
use units::ParseError;

/// A stated target or baseline is missed.
const MISSED: u8 = 1;
/// Usage, or a mistake in a file.
const MISTAKE: u8 = 2;
/// The plan cannot run.
const CANNOT_RUN: u8 = 3;
/// Needed hardware, library or data is absent.
const ABSENT: u8 = 4;
/// Our own fault.
const FAULT: u8 = 70;

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Mistakes in files, patches or what they refer to.
    Mistakes(Mistakes),
    /// The plan cannot run, or we failed to.
    Plan(PlanError),
    /// A plan that does not fit, and what would make it fit.
    TooLarge { error: PlanError, ways: Box<WaysOut> },
    /// There is a result, but a target or baseline is missed.
    Missed { result: String, message: String },
    /// There is a result, but parts of it are missing by our own fault.
    Faulty { result: String, message: String },
    /// A library or data that was named is not there.
    Absent(anyhow::Error),
    /// An argument that cannot be served, a folder that cannot be written.
    Usage(anyhow::Error),
    /// Our own fault.
    Fault(anyhow::Error),
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(anyhow::Error::msg(message.into()))
    }

    pub(crate) fn absent(message: impl Into<String>) -> Self {
        Self::Absent(anyhow::Error::msg(message.into()))
    }

    /// The same with the place it was met before its message, in words.
    pub(crate) fn within(self, place: &str) -> Self {
        let before = |error: anyhow::Error| anyhow::Error::msg(format!("{place}: {error:#}"));
        match self {
            Self::Mistakes(mistakes) => Self::usage(format!("{place}:\n{}", mistakes.render(false))),
            Self::Plan(error) | Self::TooLarge { error, .. } => Self::usage(format!("{place}: {error}")),
            Self::Usage(error) => Self::Usage(before(error)),
            Self::Absent(error) => Self::Absent(before(error)),
            Self::Fault(error) => Self::Fault(before(error)),
            Self::Missed { .. } | Self::Faulty { .. } => self,
        }
    }

    /// Says it on stderr, after the result if there is one; the code to leave with.
    pub(crate) fn report(&self) -> ExitCode {
        if let Self::Missed { result, .. } | Self::Faulty { result, .. } = self {
            print(result);
        }
        talk(&self.text(colors(&io::stderr())));
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Mistakes(_) | Self::Usage(_) | Self::Plan(PlanError::Contradiction(_)) => MISTAKE,
            Self::Fault(_) | Self::Faulty { .. } | Self::Plan(PlanError::Fault(_)) => FAULT,
            Self::Missed { .. } => MISSED,
            Self::Absent(_) => ABSENT,
            Self::Plan(_) | Self::TooLarge { .. } => CANNOT_RUN,
        }
    }

    fn text(&self, color: bool) -> String {
        match self {
            Self::Mistakes(mistakes) => mistakes.render(color),
            Self::Plan(error @ PlanError::Memory { .. }) => too_large(error, ""),
            Self::TooLarge { error, ways } => too_large(error, &ways.to_string()),
            Self::Missed { message, .. } => format!("missed: {message}"),
            _ if self.code() == FAULT => format!("error: {}\n{}", self.message(), please_report()),
            _ => format!("error: {}", self.message()),
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::Mistakes(mistakes) => mistakes.render(false),
            Self::Plan(error) | Self::TooLarge { error, .. } => error.to_string(),
            Self::Missed { message, .. } | Self::Faulty { message, .. } => message.clone(),
            Self::Usage(error) | Self::Absent(error) | Self::Fault(error) => format!("{error:#}"),
        }
    }
}

/// A refusal for memory, the ways out of it, and what every rank would hold.
fn too_large(error: &PlanError, ways: &str) -> String {
    let mut parts = vec![format!("error: {error}")];
    parts.extend((!ways.is_empty()).then(|| ways.trim_end().to_owned()));
    if let PlanError::Memory { table, .. } = error {
        parts.push(report::table::memory_table(&tunnel::memory_rows(table)).to_string());
    }
    parts.join("\n\n")
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        Self::Mistakes(mistakes)
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

impl From<TunnelError> for Failure {
    fn from(error: TunnelError) -> Self {
        match error {
            TunnelError::Mistakes(mistakes) => mistakes.into(),
            TunnelError::Plan(error) => error.into(),
            TunnelError::Study(error) => error.into(),
            TunnelError::Report(error) => error.into(),
            TunnelError::Within { place, error } => Self::from(*error).within(&place),
            // What the library calls a value is a flag here.
            TunnelError::Value { name, value, reason } => Self::usage(format!("`--{name} {value}` {reason}")),
            TunnelError::Fault(_) | TunnelError::Slots(_) => Self::Fault(error.into()),
            TunnelError::NotModeled(_)
            | TunnelError::NoExchange { .. }
            | TunnelError::NothingExchanged
            | TunnelError::Schedule(_)
            | TunnelError::Costs(_)
            | TunnelError::Numerics(_)
            | TunnelError::Networks(_)
            | TunnelError::Facts(_)
            | TunnelError::NoPrior
            | TunnelError::Import(_)
            | TunnelError::Words(_) => Self::usage(error.to_string()),
        }
    }
}

/// A report is made of our own numbers, so what is wrong with them is ours.
impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        Self::usage(format!("{error}\nhint: {}", error.hint()))
    }
}

/// Writes the result to stdout. A reader that has seen enough (`| head`) is no failure.
pub(crate) fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            talk(&format!("error: cannot write to stdout: {error}"));
            ExitCode::from(MISTAKE)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Whether a stream is for the eye.
pub(crate) fn colors(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// One message on stderr; where nobody reads it, nothing is lost.
pub(crate) fn talk(text: &str) {
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}

/// Turns any panic, on any thread, into exit 70 with the place to report.
pub(crate) fn catch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        talk(&format!("error: {panic}\n{}", please_report()));
        std::process::exit(FAULT.into());
    }));
}

fn please_report() -> String {
    let command: Vec<String> = std::env::args().collect();
    format!(
        "hint: this is a fault of windtunnel {}, not of your input; please open an issue of the project with the \
         scenario, this message and the command `{}`",
        env!("CARGO_PKG_VERSION"),
        command.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_mistakes_plans_and_faults_apart() {
        let of = |error: PlanError| Failure::from(error).code();
        assert_eq!(of(PlanError::TooManyRanks { n_ranks: 16, n_devices: 8 }), 3);
        assert_eq!(of(PlanError::Contradiction(plan::Contradiction::NoRanks)), 2);
        assert_eq!(of(PlanError::Fault("stuck".into())), 70);
        assert_eq!(Failure::usage("no").code(), 2);
        assert_eq!(Failure::absent("gone").code(), 4);
        assert_eq!(Failure::Missed { result: String::new(), message: "worse".into() }.code(), 1);
        assert_eq!(Failure::Faulty { result: String::new(), message: "a point".into() }.code(), 70);
        assert_eq!(Failure::from(ReportError::Library("no".into())).code(), 70);
    }

    #[test]
    fn a_fault_says_where_to_go() {
        let text = Failure::from(PlanError::Fault("stuck".into())).text(false);
        assert!(text.contains("stuck") && text.contains("open an issue"), "{text}");
    }
}

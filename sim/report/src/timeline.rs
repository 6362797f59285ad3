//! Intervals for pictures and traces.

use crate::error::ReportError;

/// Intervals for pictures and traces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// One lane per recorded rank and stream.
    pub lanes: Vec<Track>,
}

/// What one stream of one rank did.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// For example `rank 0 (stage 0)`.
    pub process: String,
    /// `chunks`, `compute` or `communication`.
    pub thread: String,
    /// In order of start; no two overlap within a lane.
    pub spans: Vec<Span>,
}

/// One interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// For example `F 17` in a lane of chunks, an op's name elsewhere.
    pub name: String,
    /// Its kind, which chooses its color.
    pub kind: SpanKind,
    /// Seconds since the step began.
    pub start: f64,
    /// Seconds since the step began.
    pub end: f64,
}

/// The kinds that pictures tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpanKind {
    /// A lone forward chunk.
    Forward,
    /// A lone backward chunk.
    Backward,
    /// A lone weight-gradient chunk.
    WeightGradient,
    /// An overlapped pair.
    Overlapped,
    /// Gradient reduction and optimizer.
    Optimizer,
    /// Arithmetic on tensor cores.
    Tensor,
    /// A memory-bound op.
    Memory,
    /// Bytes moving between devices.
    Transfer,
    /// Waiting for another rank.
    Wait,
}

impl Track {
    /// Process and thread, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}, {}", self.process, self.thread)
    }
}

impl SpanKind {
    /// Every kind, in the order in which legends show them.
    pub const ALL: [Self; 9] = [
        Self::Forward,
        Self::Overlapped,
        Self::Backward,
        Self::WeightGradient,
        Self::Optimizer,
        Self::Tensor,
        Self::Memory,
        Self::Transfer,
        Self::Wait,
    ];

    /// Its name in legends and traces.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Overlapped => "overlapped pair",
            Self::Backward => "backward",
            Self::WeightGradient => "weight gradient",
            Self::Optimizer => "optimizer",
            Self::Tensor => "tensor cores",
            Self::Memory => "memory-bound",
            Self::Transfer => "transfer",
            Self::Wait => "waiting",
        }
    }
}

impl Timeline {
    /// Checks every interval: finite, not before the step, not ending before it starts, not overlapping the one
    /// before it in its lane. Intervals of no length are fine.
    ///
    /// # Errors
    /// [`ReportError::BadSpan`] or [`ReportError::Overlap`], the first in order of lanes.
    pub fn check(&self) -> Result<(), ReportError> {
        for lane in &self.lanes {
            let mut previous_end = 0.0;
            for span in &lane.spans {
                let Span { start, end, .. } = *span;
                if !(start >= 0.0 && end >= start && end.is_finite()) {
                    return Err(ReportError::BadSpan { lane: lane.name(), span: span.name.clone(), start, end });
                }
                if start < previous_end {
                    let span = span.name.clone();
                    return Err(ReportError::Overlap { lane: lane.name(), span, start, previous_end });
                }
                previous_end = end;
            }
        }
        Ok(())
    }

    /// The end of the last interval, seconds; zero without any.
    #[must_use]
    pub fn end(&self) -> f64 {
        self.lanes.iter().flat_map(|lane| &lane.spans).map(|span| span.end).fold(0.0, f64::max)
    }
}

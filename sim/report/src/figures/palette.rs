//! One meaning a color, over all figures.

use plotters::style::RGBColor;

use crate::phases::Phase;
use crate::timeline::SpanKind;

/// What something is painted with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Paint {
    /// A data color.
    Data(RGBColor),
    /// The page's text color at this opacity.
    Ink(f64),
}

impl Paint {
    /// Ink for text.
    pub(super) const TEXT: Self = Self::Ink(1.0);
    /// Ink for what is secondary.
    pub(super) const MUTED: Self = Self::Ink(0.72);
    /// Ink for grid lines.
    pub(super) const GRID: Self = Self::Ink(0.16);
    /// Time in which nothing runs: barely there.
    pub(super) const IDLE: Self = Self::Ink(0.12);

    /// What text is written with on top of it.
    pub(super) fn text_on(self) -> Self {
        match self {
            Self::Data(RGBColor(r, g, b)) => {
                let light = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
                Self::Data(if light > 140.0 { RGBColor(17, 20, 24) } else { RGBColor(255, 255, 255) })
            }
            Self::Ink(_) => Self::TEXT,
        }
    }
}

/// The color of a kind of interval. The first five are from the Okabe-Ito palette.
pub(super) const fn kind(kind: SpanKind) -> Paint {
    Paint::Data(match kind {
        SpanKind::Forward => RGBColor(0x56, 0xB4, 0xE9),
        SpanKind::Overlapped => RGBColor(0x00, 0x72, 0xB2),
        SpanKind::Backward => RGBColor(0xE6, 0x9F, 0x00),
        SpanKind::WeightGradient => RGBColor(0x00, 0x9E, 0x73),
        SpanKind::Optimizer => RGBColor(0xCC, 0x79, 0xA7),
        SpanKind::Tensor => RGBColor(0xB5, 0x48, 0x4F),
        SpanKind::Memory => RGBColor(0xDD, 0xCC, 0x77),
        SpanKind::Transfer => RGBColor(0x7B, 0x5E, 0xB8),
        SpanKind::Wait => RGBColor(0x9A, 0xA1, 0xA9),
    })
}

/// A phase as the kind of interval that it adds up, or as idle time.
pub(super) fn phase(phase: &Phase) -> Paint {
    phase.kind.map_or(Paint::IDLE, kind)
}

/// Items in memory, the largest first: steps of one hue that no kind of interval has, the last for all further ones.
pub(super) const MEMORY: [Paint; 7] = [
    Paint::Data(RGBColor(0x7A, 0x4A, 0x22)),
    Paint::Data(RGBColor(0xD9, 0xB0, 0x8C)),
    Paint::Data(RGBColor(0x9C, 0x66, 0x3A)),
    Paint::Data(RGBColor(0xEB, 0xD3, 0xBC)),
    Paint::Data(RGBColor(0xBD, 0x8A, 0x5E)),
    Paint::Data(RGBColor(0xF5, 0xE8, 0xDC)),
    Paint::Data(RGBColor(0x6B, 0x5B, 0x4E)),
];

/// What makes a step shorter.
pub(super) const LESS: Paint = Paint::Data(RGBColor(0x1B, 0x7F, 0x8C));
/// What makes a step longer.
pub(super) const MORE: Paint = Paint::Data(RGBColor(0xC8, 0x5A, 0x17));

/// The color of a change: below zero there is less, which is better.
pub(super) fn change(value: f64) -> Paint {
    if value <= 0.0 { LESS } else { MORE }
}

/// A change in a map: pale where there is none, full at `-1` and `1`.
pub(super) fn ramp(part: f64) -> Paint {
    let (Paint::Data(end), pale) = (change(part), RGBColor(0xF2, 0xF0, 0xEA)) else { return Paint::IDLE };
    let share = part.abs().min(1.0);
    let mix = |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * share).round() as u8;
    Paint::Data(RGBColor(mix(pale.0, end.0), mix(pale.1, end.1), mix(pale.2, end.2)))
}

/// The color of what binds a step, by the name it has in results; the same as of intervals where they mean the same.
pub(super) fn binding(name: &str) -> Paint {
    match name {
        "tensor cores" => kind(SpanKind::Tensor),
        "memory" => kind(SpanKind::Memory),
        "all-to-all" | "scale-out" => kind(SpanKind::Transfer),
        "collectives" | "scale-up" => Paint::Data(RGBColor(0xB9, 0xA3, 0xE3)),
        "kernel latency" => Paint::Data(RGBColor(0x8A, 0x8D, 0x2E)),
        "waiting for other ranks" => kind(SpanKind::Wait),
        "optimizer" => kind(SpanKind::Optimizer),
        "bubble" => Paint::IDLE,
        _ => Paint::Ink(0.35),
    }
}

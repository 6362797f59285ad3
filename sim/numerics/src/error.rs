//! What cannot be asked.

/// Why arithmetic cannot be done as asked. Each message says what to change.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NumericsError {
    /// Bits of an element of LogFMT that leave no steps, or too many.
    #[error("LogFMT of {0} bits an element; from 3 to 24 there are steps to choose from")]
    LogBits(u32),
    /// More or fewer fraction bits than the emulation holds.
    #[error("{what} must be from 1 to {max}, not {bits}")]
    Bits {
        /// Which bits.
        what: &'static str,
        /// What was asked.
        bits: u32,
        /// The most there can be.
        max: u32,
    },
    /// A group of no products.
    #[error("a group of products needs at least one, not 0; FP8 tensor cores add 32 together")]
    EmptyGroup,
    /// A promotion in the middle of a group.
    #[error(
        "promotion happens between groups: every {interval} products is no multiple of a group of {group}; take {}",
        ways_out(*interval, *group)
    )]
    Interval {
        /// Products between promotions.
        interval: usize,
        /// Products added together.
        group: usize,
    },
    /// A matrix with more or fewer elements than its sides say.
    #[error("a matrix of {rows} x {columns} has {} elements, not {n_elements}", rows.saturating_mul(*columns))]
    Shape {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
        /// Elements given.
        n_elements: usize,
    },
    /// Operands of different inner dimension.
    #[error("A has {a} columns and B {b}; both are row-major along K, so they must be equal")]
    Inner {
        /// Columns of A.
        a: usize,
        /// Columns of B.
        b: usize,
    },
    /// An infinity or NaN where numbers are added.
    #[error("row {row}, column {column}: {code:#x} is no finite number of `{format}`; sums are of finite numbers only")]
    NotFinite {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The code.
        code: u32,
        /// Of which format.
        format: &'static str,
    },
    /// An infinity or NaN among values to be quantized.
    #[error("row {row}, column {column}: {value} has no scale; quantize finite values only")]
    NoScale {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A region of a scale without elements.
    #[error("a scale holds over at least 1 x 1 elements, not {rows} x {columns}")]
    EmptyRegion {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
    },
    /// Scales that change where nothing can apply them.
    #[error(
        "scales change every {columns} products, but the accumulator is promoted {}; promote every {columns}, or after \
         a part of them",
        promoted(*interval)
    )]
    ScaleInterval {
        /// Columns a scale holds over.
        columns: usize,
        /// Products between promotions.
        interval: Option<usize>,
    },
    /// A scale that a tensor core cannot fold into exponents.
    #[error(
        "scale {scale} is no power of two, so it cannot be added to exponents; quantize with `ScaleKind::PowerOfTwo`"
    )]
    ScaleNotPowerOfTwo {
        /// The scale.
        scale: f32,
    },
    /// A sum too short or too long to sample.
    #[error("`k` must be from 1 to {max}, not {k}")]
    Length {
        /// What was asked.
        k: usize,
        /// The most there can be.
        max: usize,
    },
}

/// The nearest multiples of the group.
fn ways_out(interval: usize, group: usize) -> String {
    let below = interval / group * group;
    let above = below.saturating_add(group);
    if below == 0 { format!("{above}") } else { format!("{below} or {above}") }
}

fn promoted(interval: Option<usize>) -> String {
    interval.map_or_else(|| "never".to_owned(), |interval| format!("every {interval}"))
}

//! What a long sum loses in a tensor core's accumulator.

use clap::Args;
use numerics::{Accumulator, Format, NumericsError, OperandDistribution, SumQuestion};
use tunnel::ask::{self, AccumulateReply};

use crate::exit::Failure;
use crate::json::pretty;
use crate::progress::{Extent, during};

/// Paragraphs are one line each: clap breaks them to the width of the terminal.
pub(crate) const AFTER: &str = "\
A and B are drawn, each scaled so that its largest magnitude is the format's largest, and rounded to the format. \
Exact is the product of the rounded numbers in 64 bits.

`relative_error` = norm(out - exact) / norm(exact) and `bias` = mean(out - exact) / mean(|exact|), over all outputs; \
the standard errors are those of the draw.

In each group the products and the running sum are aligned to the largest exponent and truncated toward zero; the sum \
is stored with as many fraction bits (an FP32 register has 23: `--stored-bits 23`). Promotion adds in FP32, and outputs are FP32.";

/// A format, a length, an accumulator.
#[derive(Debug, Args)]
pub(crate) struct AccumulateArgs {
    /// Of the operands: e4m3, e5m2, e5m6, bf16, fp16 or fp32
    #[arg(long, value_parser = format)]
    format: Format,
    /// Products in a sum
    #[arg(long)]
    k: usize,
    /// What operands are drawn from: normal, half-normal, uniform (-1 to 1) or half-uniform (0 to 1)
    #[arg(long, value_parser = distribution)]
    distribution: OperandDistribution,
    /// Fraction bits kept when products are aligned, the leading one excluded
    #[arg(long)]
    fraction_bits: u32,
    /// Products after which the sum so far goes to FP32, or `never`
    #[arg(long, value_name = "N|never", value_parser = promote)]
    promote: Promote,
    /// Products added together
    #[arg(long, default_value_t = 32)]
    group: usize,
    /// Fraction bits stored between groups; without it, as many as are kept
    #[arg(long)]
    stored_bits: Option<u32>,
    /// Of the draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug)]
struct Promote(Option<usize>);

/// Relative error and bias of sums of random products.
pub(crate) fn accumulate(args: &AccumulateArgs) -> Result<String, Failure> {
    let question = args.question()?;
    let reply = during("adding", Extent::Unknown, args.json, || ask::accumulate(&question))?;
    Ok(if args.json { pretty(&reply.json()) } else { text(&reply) })
}

impl AccumulateArgs {
    /// What the arguments ask.
    pub(crate) fn question(&self) -> Result<SumQuestion, Failure> {
        let usage = |error: NumericsError| Failure::usage(error.to_string());
        let mut accumulator = Accumulator::new(self.fraction_bits, self.group, self.promote.0).map_err(usage)?;
        if let Some(bits) = self.stored_bits {
            accumulator = accumulator.with_stored_bits(bits).map_err(usage)?;
        }
        let &Self { format, k, distribution, seed, .. } = self;
        Ok(SumQuestion { format, k, distribution, accumulator, seed })
    }
}

fn text(AccumulateReply { question, loss }: &AccumulateReply) -> String {
    let SumQuestion { format, k, distribution, accumulator, .. } = question;
    let promoted = accumulator.promote().map_or_else(|| "never".to_owned(), |interval| format!("every {interval}"));
    let stored = match accumulator.stored_bits() {
        bits if bits == accumulator.fraction_bits() => String::new(),
        bits => format!(" ({bits} stored)"),
    };
    let share = |value: f64| format!("{value:.2e}");
    format!(
        "{}, K = {k}, {}: {} fraction bits{stored}, groups of {}, promoted {promoted}\n\n\
         relative error  {:>9}   standard error {}\n\
         bias            {:>9}   standard error {}\n",
        format.name(),
        distribution.name(),
        accumulator.fraction_bits(),
        accumulator.group(),
        share(loss.relative_error),
        share(loss.relative_error_standard_error),
        share(loss.bias),
        share(loss.bias_standard_error)
    )
}

fn format(name: &str) -> Result<Format, String> {
    Format::from_name(name).ok_or_else(|| one_of(Format::ALL.map(Format::name)))
}

fn distribution(name: &str) -> Result<OperandDistribution, String> {
    OperandDistribution::from_name(name).ok_or_else(|| one_of(OperandDistribution::ALL.map(OperandDistribution::name)))
}

fn promote(text: &str) -> Result<Promote, String> {
    if text == "never" {
        return Ok(Promote(None));
    }
    let interval = text.parse().map_err(|_| "take a number of products, such as 128, or `never`")?;
    Ok(Promote(Some(interval)))
}

fn one_of<const N: usize>(names: [&str; N]) -> String {
    format!("there are {}", names.map(|name| format!("`{name}`")).join(", "))
}

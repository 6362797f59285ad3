//! One kernel alone on a device.

pub(crate) mod args;

use calibrate::{Question, StreamKernel};
use report::format::seconds;
use tunnel::ask::{self, DeviceQuery, KernelQuery, KernelReply};

use self::args::{
    AttentionArgs, BytesArgs, CachedArgs, DeviceArgs, GroupsArgs, KernelArgs, KernelKind, ProductArgs, RowsArgs,
};
use crate::exit::Failure;
use crate::json::pretty;

/// How long a kernel takes, how sure that is, and what it rests on.
pub(crate) fn kernel(args: &KernelArgs) -> Result<String, Failure> {
    let DeviceArgs { layers, json, .. } = args.kind.device();
    let reply = ask::kernel(&args.query()?, &layers.library()?)?.reply;
    Ok(show(&reply, *json))
}

/// As JSON or as a line.
pub(crate) fn show(reply: &KernelReply, as_json: bool) -> String {
    if as_json {
        return pretty(&reply.json());
    }
    let KernelReply { basis, limit, implementation, algorithm, .. } = reply;
    let kernel = implementation.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
    let by = algorithm.map(|algorithm| format!(", {}", algorithm.name())).unwrap_or_default();
    let [time, low, high] = [reply.seconds, reply.low, reply.high].map(seconds);
    let note: String = reply.notes().into_iter().map(|note| note + "\n").collect();
    format!("{time}   {low} to {high}   {basis}, limited by {limit}{by}{kernel}\n{note}")
}

impl KernelArgs {
    /// What the arguments ask.
    pub(crate) fn query(&self) -> Result<KernelQuery, Failure> {
        let DeviceArgs { hardware, profile, implementation, framework, launch, layers, .. } = self.kind.device();
        let device = DeviceQuery {
            hardware: hardware.clone(),
            profiles: profile.clone(),
            implementation: implementation.clone(),
            framework: framework.clone(),
            sets: layers.sets.clone(),
        };
        Ok(KernelQuery {
            device,
            question: question(&self.kind)?,
            sms: self.kind.sms(),
            when: self.kind.device().when(),
            launch: *launch,
        })
    }
}

/// SMs of a question whose count the query holds.
const SMS: u32 = 0;

/// Which kernel, on what sizes.
fn question(kind: &KernelKind) -> Result<Question, Failure> {
    Ok(match kind {
        KernelKind::Gemm { m, product, .. } => {
            let ProductArgs { n, k, dtype, .. } = *product;
            Question::Gemm { m: *m, n, k, dtype: dtype.into(), sms: SMS }
        }
        KernelKind::GroupedGemm { groups, product, .. } => {
            let ProductArgs { n, k, dtype, .. } = *product;
            let tokens = groups_of(groups)?;
            Question::GroupedGemm { tokens, n, k, dtype: dtype.into(), sms: SMS }
        }
        KernelKind::Attention(attention) => of_attention(attention),
        KernelKind::DecodeAttention(attention) => over_caches(attention),
        KernelKind::Copy(BytesArgs { bytes, .. }) => Question::Copy { bytes: *bytes, sms: SMS },
        KernelKind::Read(BytesArgs { bytes, .. }) => Question::Read { bytes: *bytes, sms: SMS },
        KernelKind::Write(BytesArgs { bytes, .. }) => Question::Write { bytes: *bytes, sms: SMS },
        KernelKind::Rmsnorm(RowsArgs { tokens, dim, .. }) => Question::Rmsnorm { tokens: *tokens, dim: *dim },
        KernelKind::Swiglu(RowsArgs { tokens, dim, .. }) => Question::Swiglu { tokens: *tokens, dim: *dim },
        KernelKind::Rope(RowsArgs { tokens, dim, .. }) => Question::Rope { tokens: *tokens, dim: *dim },
        KernelKind::Cast { rows, transposed: false } => Question::Cast { tokens: rows.tokens, dim: rows.dim },
        KernelKind::Cast { rows, transposed: true } => Question::CastTransposed { tokens: rows.tokens, dim: rows.dim },
        KernelKind::Permute { rows, top_k } => Question::Permute { tokens: rows.tokens, dim: rows.dim, top_k: *top_k },
        KernelKind::LayerNorm(rows) => of_rows(StreamKernel::LayerNorm, rows),
        KernelKind::Softmax(rows) => of_rows(StreamKernel::Softmax, rows),
        KernelKind::Gelu(rows) => of_rows(StreamKernel::Gelu, rows),
        KernelKind::Dropout(rows) => of_rows(StreamKernel::Dropout, rows),
        KernelKind::Transpose(rows) => of_rows(StreamKernel::Transpose, rows),
        KernelKind::Adam { params, .. } => Question::Rows { what: StreamKernel::Adam, tokens: *params, dim: 1 },
        KernelKind::IndexAdd { rows, top_k } => {
            Question::IndexAdd { tokens: rows.tokens, dim: rows.dim, top_k: *top_k }
        }
        KernelKind::Unpermute { rows, top_k } => {
            Question::Unpermute { tokens: rows.tokens, dim: rows.dim, top_k: *top_k }
        }
    })
}

const fn of_rows(what: StreamKernel, rows: &RowsArgs) -> Question {
    Question::Rows { what, tokens: rows.tokens, dim: rows.dim }
}

fn groups_of(args: &GroupsArgs) -> Result<Vec<u64>, Failure> {
    if let GroupsArgs { experts: Some(experts), hit: Some(hit), rows: Some(rows), .. } = *args {
        return of_experts(u64::from(experts), u64::from(hit), rows);
    }
    match (args.tokens.as_slice(), args.groups) {
        (tokens, None) => Ok(tokens.to_vec()),
        ([rows], Some(groups)) => Ok(vec![*rows; groups as usize]),
        (_, Some(groups)) => Err(Failure::usage(format!(
            "`--groups {groups}` repeats one number of rows, and `--tokens` has {}: leave one of them out",
            args.tokens.len()
        ))),
    }
}

/// Most groups that a product is listed by.
const N_GROUPS_MAX: u64 = 1 << 16;

/// An even share of rows for those that are hit, to one row; none for the others.
fn of_experts(experts: u64, hit: u64, rows: u64) -> Result<Vec<u64>, Failure> {
    if experts > N_GROUPS_MAX {
        return Err(Failure::usage(format!("`--experts {experts}` is more than {N_GROUPS_MAX}")));
    }
    if hit == 0 || hit > experts || hit > rows {
        return Err(Failure::usage(format!(
            "`--hit {hit}` of `--experts {experts}` cannot share `--rows {rows}`: each that is hit has one row or more"
        )));
    }
    let share = |index: u64| if index < hit { rows / hit + u64::from(index < rows % hit) } else { 0 };
    Ok((0..experts).map(share).collect())
}

fn over_caches(args: &CachedArgs) -> Question {
    Question::DecodeAttention {
        heads: args.heads,
        kv_heads: args.kv_heads,
        qk: args.dim_qk,
        value: args.dim_v.unwrap_or(args.dim_qk),
        batch: args.batch,
        context: args.context,
        queries: args.queries,
    }
}

fn of_attention(args: &AttentionArgs) -> Question {
    Question::Attention {
        heads: args.heads,
        kv_heads: args.kv_heads.unwrap_or(args.heads),
        queries: args.seq,
        keys: args.keys.unwrap_or(args.seq),
        qk: args.dim_qk,
        value: args.dim_v.unwrap_or(args.dim_qk),
        causal: args.causal,
        direction: args.direction.into(),
    }
}

#[cfg(test)]
mod tests {
    use calibrate::Direction;
    use clap::Parser;
    use workloads::op::Precision;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        kernel: KernelArgs,
    }

    fn ask(line: &str) -> Result<(Question, Option<u32>), String> {
        let line = line.split(' ').chain(["--hardware", "some"]);
        let line = Line::try_parse_from(std::iter::once("kernel").chain(line)).map_err(|error| error.to_string())?;
        let query = line.kernel.query().map_err(|failure| format!("{failure:?}"))?;
        Ok((query.question, query.sms))
    }

    #[test]
    fn arguments_are_the_question_that_is_measured() {
        let dtype = Precision::Fp8Block;
        for (line, expectation) in [
            (
                "gemm --m 4096 --n 7168 --k 2048 --dtype fp8-block --sms 112",
                (Question::Gemm { m: 4096, n: 7168, k: 2048, dtype, sms: SMS }, Some(112)),
            ),
            (
                "grouped-gemm --tokens 256 --groups 3 --n 4096 --k 7168 --dtype fp8-block",
                (Question::GroupedGemm { tokens: vec![256; 3], n: 4096, k: 7168, dtype, sms: SMS }, None),
            ),
            (
                "grouped-gemm --experts 4 --hit 2 --rows 5 --n 8 --k 8 --dtype bf16",
                (
                    Question::GroupedGemm { tokens: vec![3, 2, 0, 0], n: 8, k: 8, dtype: Precision::Bf16, sms: SMS },
                    None,
                ),
            ),
            ("copy --bytes 1024", (Question::Copy { bytes: 1024, sms: SMS }, None)),
            ("cast --tokens 5 --dim 128 --transposed", (Question::CastTransposed { tokens: 5, dim: 128 }, None)),
            ("permute --tokens 5 --dim 128 --top-k 8", (Question::Permute { tokens: 5, dim: 128, top_k: 8 }, None)),
            (
                "attention --heads 128 --seq 4096 --dim-qk 192 --dim-v 128 --causal --direction backward",
                (
                    Question::Attention {
                        heads: 128,
                        kv_heads: 128,
                        queries: 4096,
                        keys: 4096,
                        qk: 192,
                        value: 128,
                        causal: true,
                        direction: Direction::Backward,
                    },
                    None,
                ),
            ),
        ] {
            assert_eq!(ask(line), Ok(expectation), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_by_its_name() {
        for (line, part) in [
            ("grouped-gemm --tokens 1,2 --groups 2 --n 1 --k 1 --dtype bf16", "leave one"),
            ("gemm --m 1 --n 1 --k 1 --dtype fp4", "fp8-tensor-fast"),
            ("grouped-gemm --experts 4 --hit 5 --rows 9 --n 1 --k 1 --dtype bf16", "--hit 5"),
            ("grouped-gemm --experts 4 --n 1 --k 1 --dtype bf16", "--hit"),
        ] {
            let text = ask(line).unwrap_err();
            assert!(text.contains(part), "{line}: no `{part}` in {text}");
        }
    }
}

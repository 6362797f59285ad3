//! The software stack: `framework.*`.

use plan::{HostPolicy, Launches};
use workloads::kernel::StreamKernel;
use workloads::recipe::{
    GradientStream, Grid, Grids, InputCasts, Keeping, MemoryOp, Piece, PieceError, Projections, Recipe,
};

use crate::families::is_of;
use crate::reader::Reader;
use crate::tree::{list, nearest};

/// Families of estimates whose kernels are of one implementation or another.
const FAMILIES: [&str; 4] = ["attention", "decode-attention", "gemm", "stream"];

/// A software stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Framework {
    pub(crate) name: String,
    pub(crate) timed: bool,
    pub(crate) recipe: Recipe,
    pub(crate) host: HostPolicy,
    pub(crate) kernels_of: KernelsOf,
}

/// Whose kernels a stack runs, by family of estimates; a family without a list takes what was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct KernelsOf {
    by_family: Vec<(&'static str, Vec<String>)>,
    /// Those that the user prefers, of any family.
    preferred: Vec<String>,
}

impl KernelsOf {
    /// Those that an estimate should be of; none where any will do.
    pub(crate) fn asked(&self, estimate: &str) -> Option<&[String]> {
        let family = estimate.split('.').next().unwrap_or(estimate);
        self.by_family.iter().find(|(name, _)| *name == family).map(|(_, asked)| asked.as_slice())
    }

    /// Whether an estimate of `own` is of the kernels that the stack runs.
    pub(crate) fn holds(&self, estimate: &str, own: &str) -> bool {
        let is_one = |names: &[String]| names.iter().any(|name| is_of(own, name));
        is_one(&self.preferred) || self.asked(estimate).is_none_or(is_one)
    }
}

/// The stack of a scenario.
pub(crate) fn framework(reader: &mut Reader<'_>, preferred: Vec<String>) -> Framework {
    let name = reader.text("framework.name");
    let timed = reader.flag("framework.timed");
    let choices = [("joint", Projections::Joint), ("apart", Projections::Apart)];
    let projections = reader.choice("framework.projections", &choices);
    let choices = [("once", InputCasts::Once), ("each", InputCasts::Each)];
    let input_casts = reader.choice("framework.input-casts", &choices);
    let choices = [
        ("compute", GradientStream::Compute),
        ("alternating", GradientStream::Alternating),
        ("side", GradientStream::Side),
    ];
    let weight_gradients = reader.choice("framework.streams.weight-gradients", &choices);
    let choices = [("free", Grid::Free), ("whole", Grid::Whole)];
    let grids = Grids {
        products: reader.choice("framework.grids.products", &choices),
        norms: reader.choice("framework.grids.norms", &choices),
    };
    let (host, keeping) = (host(reader), keeping(reader));
    let kernels = MemoryOp::ALL.iter().filter_map(|op| Some((*op, pieces(reader, *op)?))).collect();
    let of_family = |family| {
        let key = format!("framework.implementations.{family}");
        reader.expect(&key);
        reader.has(&key).then(|| (family, reader.texts(&key))).filter(|(_, names)| !names.is_empty())
    };
    let by_family = FAMILIES.into_iter().filter_map(of_family).collect();
    let kernels_of = KernelsOf { by_family, preferred };
    let recipe = Recipe { kernels, projections, input_casts, weight_gradients, grids, keeping };
    Framework { name, timed, recipe, host, kernels_of }
}

/// Bytes per logit: from BF16 alone to sixteen FP32 tensors.
const LOGIT_BYTES: std::ops::RangeInclusive<f64> = 2.0..=64.0;

fn keeping(reader: &mut Reader<'_>) -> Keeping {
    Keeping {
        logit_bytes: reader.number("framework.memory.logit-bytes", LOGIT_BYTES),
        silu: reader.flag("framework.memory.keeps-silu"),
        frees_gradients: reader.flag("framework.memory.frees-gradients"),
    }
}

fn host(reader: &mut Reader<'_>) -> HostPolicy {
    let choices = [("each", Launches::Each), ("graphs", Launches::Graphs)];
    HostPolicy {
        launches: reader.choice("framework.host.launches", &choices),
        waits_for_messages: reader.flag("framework.host.waits-for-messages"),
        waits_for_counts: reader.flag("framework.host.waits-for-counts"),
    }
}

/// The kernels of one op; none where it runs as one.
fn pieces(reader: &mut Reader<'_>, op: MemoryOp) -> Option<Vec<Piece>> {
    let key = format!("framework.kernels.{}", op.name());
    reader.expect(&key);
    if !reader.has(&key) {
        return None;
    }
    let mut pieces = Vec::new();
    for text in reader.texts(&key) {
        match text.parse() {
            Ok(piece) => pieces.push(piece),
            Err(error) => {
                let hint = hint(&error);
                reader.refuse(&key, format!("`{text}`: {error}"), Some(hint));
            }
        }
    }
    Some(pieces)
}

fn hint(error: &PieceError) -> String {
    let names = || StreamKernel::ALL.iter().map(|kernel| kernel.name());
    match error {
        PieceError::Kernel(name) => match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("kernels are {}", list(names())),
        },
        PieceError::Widths(_) | PieceError::Count(_) => {
            "write `KERNEL`, `KERNEL READ -> WRITTEN` or `N x KERNEL READ -> WRITTEN`, bytes per element".to_owned()
        }
    }
}

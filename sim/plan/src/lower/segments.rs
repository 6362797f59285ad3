//! Kernels of the parts of chunks: what every layer and end of the model runs, by pass.

use calibrate::CannotRun;
use workloads::model::LayerKind;
use workloads::op::Op;
use workloads::step::{self, Passes};

use super::beside::RingsBeside;
use super::kernels::{Kernels, Loaded, Placed};
use super::{Context, load};

/// Kernels of every segment on a number of SMs.
pub(super) struct Segments {
    pub(super) handed: Fixed,
    pub(super) embedding: Fixed,
    pub(super) mtp: Fixed,
    pub(super) head: Fixed,
    pub(super) dense: [Fixed; 2],
    pub(super) attention: Fixed,
    pub(super) experts: Loaded,
}

/// Instructions of a segment of fixed size, by pass.
#[derive(Default)]
pub(super) struct Fixed(pub(super) [Vec<Placed>; 3]);

impl Segments {
    /// Of chunks beside which rings run.
    pub(super) fn beside(
        context: &Context<'_>,
        kernels: &mut Kernels,
        sms: u32,
        beside: RingsBeside,
    ) -> Result<Self, CannotRun> {
        kernels.beside = Some(beside);
        let segments = Self::new(context, kernels, sms);
        kernels.beside = None;
        segments
    }

    /// On so many SMs.
    pub(super) fn new(context: &Context<'_>, kernels: &mut Kernels, sms: u32) -> Result<Self, CannotRun> {
        let (model, shape) = (&context.plan.job.model, &context.shape);
        kernels.follow_each_other(context, Some(&layer(context)), sms)?;
        let mut fixed = |passes: &Passes| -> Result<Fixed, CannotRun> {
            let mut list = |ops: &[Op]| kernels.fixed(context, ops, sms);
            Ok(Fixed([list(&passes.forward)?, list(&passes.input_gradient)?, list(&passes.weight_gradient)?]))
        };
        let handed = fixed(&step::handed_over(model, shape))?;
        let none = step::Load::default();
        let is_moe = model.experts.is_some();
        let embedding = fixed(&step::embedding(model, shape))?;
        let mtp = if model.mtp_modules > 0 { fixed(&step::mtp(model, shape))? } else { Fixed::default() };
        let head = fixed(&step::head(model, shape))?;
        let dense = [
            fixed(&step::attention(model, shape, LayerKind::Dense))?,
            fixed(&step::mlp(model, shape, LayerKind::Dense, &none))?,
        ];
        let attention = if is_moe { fixed(&step::attention(model, shape, LayerKind::Moe))? } else { Fixed::default() };
        let loads = load::loads(context);
        let experts = kernels.loaded(context, &loads, |load| step::mlp(model, shape, LayerKind::Moe, load), sms)?;
        kernels.follow_each_other(context, None, sms)?;
        Ok(Self { handed, embedding, mtp, head, dense, attention, experts })
    }
}

/// What a device runs again and again: all passes of the layer that most stages hold.
pub(super) fn layer(context: &Context<'_>) -> Vec<Op> {
    let (model, shape) = (&context.plan.job.model, &context.shape);
    let kind = if model.experts.is_some() { LayerKind::Moe } else { LayerKind::Dense };
    let load = step::Load::balanced(model, shape);
    let segments = [step::attention(model, shape, kind), step::mlp(model, shape, kind, &load)];
    let lists = segments.into_iter().flat_map(|passes| [passes.forward, passes.input_gradient, passes.weight_gradient]);
    lists.flatten().collect()
}

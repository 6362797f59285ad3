//! [`Question::PromotedGemm`](crate::Question::PromotedGemm) and [`Question::GroupedGemm`](crate::Question::GroupedGemm) as calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use cudarc::driver::CudaStream;

use super::super::device::Gpu;
use super::super::element::Element;
use super::super::failure::At;
use super::super::operands::{Operands, Scales, Shape};
use super::super::timing::Call;
use super::check_promotion;
use super::map::Map;
use super::order::{pairs, wide};
use super::product::Product;
use super::source::{TILE_M, Variant};
use crate::bench::BenchError;

/// A product of our own with its operands.
pub(super) struct Timed {
    product: Product,
    operands: Operands,
    /// Of each set.
    maps: Vec<[Map; 2]>,
    /// Of each tile of rows.
    groups: Vec<i32>,
    /// Operations asked for; rows that fill up a group's last tile are not.
    flops: f64,
}

impl Timed {
    /// E4M3 with promotion every so many products.
    ///
    /// # Errors
    /// `Unsupported` for sizes and intervals that the kernel does not have.
    pub(super) fn promoted(gpu: &Gpu, [m, n, k]: [u64; 3], promote: Option<u32>, sms: u32) -> Result<Self, BenchError> {
        gpu.check_sms(sms)?;
        check_promotion(promote)?;
        let shape = Shape::new(m, n, k, 1, Element::E4m3)?;
        let all = sms as usize;
        let tile_n = if promote.is_none() && wide(shape.m, shape.n, all) { 256 } else { 128 };
        let variant = Variant {
            element: Element::E4m3,
            tile_n,
            promote,
            scales: false,
            grouped: false,
            paired: pairs(shape.n, tile_n, all),
            full: false,
        };
        Self::new(gpu, variant, shape, all, vec![], shape.flops())
    }

    /// One product a group, rows sorted by group, each group filled up to whole tiles. E4M3 has scales of 1x128 and
    /// 128x128, promoted every 128 products.
    ///
    /// # Errors
    /// `Unsupported` for sizes that the kernel does not have, or no rows at all.
    pub(super) fn grouped(
        gpu: &Gpu,
        tokens: &[u64],
        [n, k]: [u64; 2],
        element: Element,
        sms: u32,
    ) -> Result<Self, BenchError> {
        gpu.check_sms(sms)?;
        let groups = groups(tokens);
        let shape = Shape::new((groups.len() * TILE_M) as u64, n, k, tokens.len(), element)?;
        let rows: u64 = tokens.iter().sum();
        let flops = 2.0 * rows as f64 * n as f64 * k as f64;
        let all = sms as usize;
        let scales = element == Element::E4m3;
        let tile_n = if !scales && wide(shape.m, shape.n, all) { 256 } else { 128 };
        let variant = Variant {
            element,
            tile_n,
            promote: scales.then_some(128),
            scales,
            grouped: true,
            paired: pairs(shape.n, tile_n, all),
            full: false,
        };
        Self::new(gpu, variant, shape, all, groups, flops)
    }

    fn new(
        gpu: &Gpu,
        variant: Variant,
        shape: Shape,
        sms: usize,
        groups: Vec<i32>,
        flops: f64,
    ) -> Result<Self, BenchError> {
        let names = variant.grouped.then_some(groups.as_slice());
        let mut product = Product::new(gpu, variant, shape, sms, names)?;
        // Scales are copied a whole tile at a time, so their rows are filled up too.
        let scales = variant.scales.then(|| Scales::new(gpu, &shape, shape.m.next_multiple_of(TILE_M))).transpose()?;
        if let Some(scales) = &scales {
            product = product.with_scales(gpu, scales);
        }
        let operands = Operands::new(gpu, shape, scales)?;
        let maps = (0..operands.sets).map(|set| {
            let [a, b, _] = operands.addresses(set);
            product.maps(a, b)
        });
        let maps = maps.collect::<Result<_, _>>()?;
        Ok(Self { product, maps, operands, groups, flops })
    }

    /// Verified, once each variant: which one a question gets depends on its sizes too.
    ///
    /// # Errors
    /// `Failed` where the result is wrong.
    pub(super) fn checked(mut self, gpu: &Gpu) -> Result<Self, BenchError> {
        gpu.once(&self.product.name(), || self.verify(gpu))?;
        Ok(self)
    }
}

/// The group of each tile of rows.
fn groups(tokens: &[u64]) -> Vec<i32> {
    let tiles = |rows: u64| usize::try_from(rows.div_ceil(TILE_M as u64)).unwrap_or(usize::MAX);
    (0..).zip(tokens).flat_map(|(group, &rows)| std::iter::repeat_n(group, tiles(rows))).collect()
}

impl Call for Timed {
    fn implementation(&self) -> String {
        "windtunnel".to_owned()
    }

    fn verify(&mut self, gpu: &Gpu) -> Result<(), BenchError> {
        self.operands.poison(&gpu.stream)?;
        self.enqueue(&gpu.stream, 0)?;
        gpu.stream.synchronize().at("a product of our own")?;
        let group = |row: usize| self.groups.get(row / TILE_M).map_or(0, |&group| group as usize);
        self.operands.check(&gpu.stream, group)
    }

    fn enqueue(&mut self, stream: &Arc<CudaStream>, i: usize) -> Result<(), BenchError> {
        let [_, _, out] = self.operands.addresses(i);
        self.product.launch(stream, &self.maps[i % self.operands.sets], out)
    }

    fn extras(&self) -> BTreeMap<String, f64> {
        let described = self.product.describe().map(|(name, value)| (name.to_owned(), value));
        described.into_iter().chain([("flops".to_owned(), self.flops)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_starts_a_tile_of_its_own() {
        assert_eq!(groups(&[1, 0, 128, 129]), [0, 2, 3, 3]);
        assert_eq!(groups(&[]), [0_i32; 0]);
    }
}

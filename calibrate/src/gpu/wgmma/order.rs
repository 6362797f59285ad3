//! Which tiles, and who works on them.

use super::source::{TILE_M, Variant};

/// The grid of tiles of a product and the blocks that walk it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Tiles along m.
    pub(super) rows: usize,
    /// Tiles along n, in units of a cluster.
    pub(super) columns: usize,
    /// Blocks that have something to do.
    pub(super) blocks: usize,
}

impl Order {
    /// For a product of `m` rows and `n` columns on `sms` SMs, one block an SM at most.
    pub(super) fn new(variant: &Variant, m: usize, n: usize, sms: usize) -> Self {
        let cluster = variant.cluster();
        let rows = m.div_ceil(TILE_M);
        let columns = n.div_ceil(variant.tile_n * cluster);
        Self { rows, columns, blocks: (rows * columns * cluster).min(sms / cluster * cluster) }
    }
}

/// Whether two blocks shall share the rows of A: where that leaves no SM and few tiles without work.
pub(super) fn pairs(n: usize, tile_n: usize, sms: usize) -> bool {
    let columns = n.div_ceil(tile_n);
    sms.is_multiple_of(2) && columns >= 2 && (columns.is_multiple_of(2) || columns >= 15)
}

/// Whether tiles of 256 columns are enough to give every SM one.
pub(super) fn wide(m: usize, n: usize, sms: usize) -> bool {
    m.div_ceil(TILE_M) * n.div_ceil(256) >= sms
}

#[cfg(test)]
mod tests {
    use super::super::super::element::Element;
    use super::super::source::BAND;
    use super::*;

    /// Row and column of tile `index`: `place` of `kernels/wgmma_gemm.cu`, line by line.
    fn place(index: usize, rows: usize, columns: usize) -> (usize, usize) {
        let first = index / (BAND * columns) * BAND;
        let height = BAND.min(rows - first);
        let within = index - first * columns;
        (first + within % height, within / height)
    }

    #[test]
    fn every_tile_has_one_place() {
        for (rows, columns) in [(1, 1), (1, 57), (16, 3), (17, 4), (64, 64), (33, 1), (5, 9)] {
            let mut seen: Vec<_> = (0..rows * columns).map(|index| place(index, rows, columns)).collect();
            seen.sort_unstable();
            let all: Vec<_> = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))).collect();
            assert_eq!(seen, all, "{rows} x {columns}");
        }
    }

    #[test]
    fn blocks_are_whole_clusters_and_never_more_than_tiles() {
        for (m, n, sms, paired) in
            [(8192, 8192, 132, true), (128, 7168, 20, true), (100, 8, 132, false), (4096, 2112, 131, true)]
        {
            let variant = Variant {
                element: Element::E4m3,
                tile_n: 128,
                promote: None,
                scales: false,
                grouped: false,
                paired,
                full: false,
            };
            let order = Order::new(&variant, m, n, sms);
            let cluster = variant.cluster();
            assert!(order.blocks.is_multiple_of(cluster) && order.blocks <= sms);
            assert!(order.blocks <= order.rows * order.columns * cluster);
            assert!(order.rows * TILE_M >= m && order.columns * cluster * 128 >= n);
        }
    }

    #[test]
    fn pairs_waste_little() {
        assert!(pairs(7168, 128, 132) && pairs(4096, 256, 132));
        assert!(!pairs(128, 128, 132), "one tile");
        assert!(!pairs(384, 128, 132), "three tiles: a quarter of the blocks would idle");
        assert!(pairs(2112, 128, 132), "seventeen tiles");
        assert!(!pairs(7168, 128, 131), "an SM would be left over");
    }
}

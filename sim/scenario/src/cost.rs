//! What is taken for granted about money: `cost.*`.

use plan::CostTerms;

use crate::reader::Reader;

/// A building that takes more than ten times what its machine does is a mistake.
const PUE_MAX: f64 = 10.0;

pub(crate) fn terms(reader: &mut Reader<'_>) -> CostTerms {
    CostTerms {
        electricity: reader.quantity_or_zero("cost.electricity"),
        lifetime: reader.quantity("cost.lifetime"),
        pue: reader.number("cost.pue", 1.0..=PUE_MAX),
        rental: reader.quantity_or_zero("cost.rental"),
    }
}

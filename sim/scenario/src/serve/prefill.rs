//! Units that compute prompts for others: `serve.prefill.*`.

use plan::PrefillUnits;
use workloads::iteration::UnitLayout;
use workloads::model::Model;

use super::{N_PARTS_MAX, OVERLAPS};
use crate::reader::Reader;

/// Such units, with the weights, the cache and the stack of the others.
pub(super) fn prefill(reader: &mut Reader<'_>, model: &Model, others: &UnitLayout) -> PrefillUnits {
    let layout = UnitLayout {
        tp: reader.count("serve.prefill.tp", 1..=N_PARTS_MAX),
        dp: reader.count("serve.prefill.dp", 1..=N_PARTS_MAX),
        ep: reader.count("serve.prefill.ep", 1..=N_PARTS_MAX),
        redundant: reader.count("serve.prefill.redundant-experts", 0..=N_PARTS_MAX),
        ..others.clone()
    };
    if reader.sound(&["serve.prefill.tp", "serve.prefill.dp", "serve.prefill.ep"]) && reader.all_sound("model") {
        for error in layout.check(model) {
            let key = error.key().replacen("serve.", "serve.prefill.", 1);
            reader.refuse(&key, format!("of the units that compute prompts: {error}"), Some(error.way_out()));
        }
    }
    PrefillUnits {
        layout,
        units: reader.count("serve.prefill.units", 1..=N_PARTS_MAX),
        overlap: reader.choice("serve.prefill.overlap", &OVERLAPS),
    }
}

//! What a library holds: presets by kind, what each is about, and the few values that tell one from another.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::kind::Kind;
use crate::library::Library;

/// A preset of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// What it says it is.
    pub about: String,
    /// Values that tell it from others, as they are written, by dotted key; those that the file itself has.
    pub figures: BTreeMap<String, String>,
}

/// Every preset of a kind, by name. A file that cannot be read stands there without words: who opens it is told why.
#[must_use]
pub fn catalog(library: &Library, kind: Kind) -> Vec<Listed> {
    let listed = |name: String| {
        let text = library.text(kind, &name, None);
        let table = text.ok().and_then(|text| text.as_str().parse::<Table>().ok()).unwrap_or_default();
        let about = table.get("about").and_then(Value::as_str).unwrap_or_default().to_owned();
        Listed { name, kind, about, figures: figures(&table, kind) }
    };
    library.names(kind).into_iter().map(listed).collect()
}

fn figures(table: &Table, kind: Kind) -> BTreeMap<String, String> {
    let written = |key: &&str| {
        let mut parts = key.split('.');
        let first = table.get(parts.next()?)?;
        let value = parts.try_fold(first, |value, part| value.get(part))?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(((*key).to_owned(), text))
    };
    keys(kind).iter().filter_map(written).collect()
}

/// What tells presets of a kind apart.
const fn keys(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Scenario => &["use.cluster", "use.model", "use.framework", "job.global-batch", "job.sequence"],
        Kind::Service => &["use.cluster", "use.model", "use.framework", "serve.phase"],
        Kind::Cluster => &["use.hardware", "use.fabric", "cluster.nodes"],
        Kind::Hardware => &["gpu.sms", "gpu.clock", "gpu.power", "node.devices", "node.nic.rate"],
        Kind::Fabric => &["fabric.kind", "fabric.planes", "fabric.tiers", "fabric.link-rate"],
        Kind::Model => &["model.layers", "model.hidden", "model.experts.routed", "model.attention.kind"],
        Kind::Framework => &["framework.timed", "framework.dispatcher", "framework.sharding"],
        Kind::Study => &["base", "draws"],
        Kind::Proposal => &["patch"],
        Kind::Profile | Kind::Defaults | Kind::Published | Kind::Topologies => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_about_something_and_is_found_under_its_kind() {
        let library = Library::built_in();
        for kind in Kind::ALL {
            for listed in catalog(&library, kind) {
                assert!(!listed.about.is_empty() || kind == Kind::Published, "{} {}", kind.name(), listed.name);
                assert!(library.kinds_of(&listed.name).contains(&kind));
            }
        }
        let cluster = catalog(&library, Kind::Cluster).into_iter().find(|listed| listed.name == "h200-1024");
        let hardware = cluster.and_then(|cluster| cluster.figures.get("use.hardware").cloned());
        assert_eq!(hardware.as_deref(), Some("h200-sxm5"));
    }
}

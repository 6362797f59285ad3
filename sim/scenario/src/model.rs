//! The model: `model.*`.

use workloads::model::{Activation, Attention, Experts, Gate, GroupScore, Model};

use crate::reader::{Reader, WordOr};

/// Layers and experts, which are walked one by one.
const N_PARTS_MAX: u64 = 1 << 14;
/// Widths and vocabularies: far beyond any model, and products of three of them still fit a float exactly enough.
const WIDTH_MAX: u64 = 1 << 32;

#[derive(Clone, Copy)]
enum AttentionKind {
    Mla,
    Gqa,
}

pub(crate) fn model(reader: &mut Reader<'_>) -> Model {
    let model = Model {
        name: reader.text("model.name"),
        layers: reader.count("model.layers", 1..=N_PARTS_MAX),
        hidden: width(reader, "model.hidden"),
        ffn: reader.count("model.ffn", 0..=WIDTH_MAX),
        activation: reader.choice("model.activation", &[("swiglu", Activation::SwiGlu), ("gelu", Activation::Gelu)]),
        vocabulary: width(reader, "model.vocabulary"),
        tied: reader.flag("model.tied"),
        attention: attention(reader),
        experts: experts(reader),
        mtp_modules: reader.count("model.mtp-modules", 0..=N_PARTS_MAX),
    };
    check(reader, &model);
    if reader.all_sound("model") {
        // What is left is a model too large to count.
        for error in model.check() {
            let hint = "take a smaller `model.hidden` or other width, or fewer layers, heads or experts; is an exponent mistyped?";
            reader.refuse("model.hidden", error.to_string(), Some(hint.to_owned()));
        }
    }
    model
}

fn attention(reader: &mut Reader<'_>) -> Attention {
    let kinds = [("mla", AttentionKind::Mla), ("gqa", AttentionKind::Gqa)];
    match reader.choice("model.attention.kind", &kinds) {
        AttentionKind::Mla => Attention::Mla {
            heads: width(reader, "model.attention.heads"),
            query_latent: reader.count("model.attention.query-latent", 0..=WIDTH_MAX),
            kv_latent: width(reader, "model.attention.kv-latent"),
            nope: width(reader, "model.attention.nope"),
            rope: reader.count("model.attention.rope", 0..=WIDTH_MAX),
            value: width(reader, "model.attention.value"),
        },
        AttentionKind::Gqa => Attention::Gqa {
            heads: width(reader, "model.attention.heads"),
            kv_heads: width(reader, "model.attention.kv-heads"),
            head: width(reader, "model.attention.head"),
            bias: reader.flag("model.attention.bias"),
            rotary: reader.flag("model.attention.rotary"),
        },
    }
}

/// `model.experts = "none"` is a dense model, which has no `model.node-limit` either.
fn experts(reader: &mut Reader<'_>) -> Option<Experts> {
    if reader.is_word("model.experts", "none") {
        reader.text("model.experts");
        return None;
    }
    let groups = reader.count("model.experts.groups", 1..=N_PARTS_MAX);
    let limit = match reader.word_or_count("model.node-limit", &["none"], 1..=N_PARTS_MAX) {
        WordOr::Given(limit) => limit,
        WordOr::Word(_) => {
            reader.decide("model.node-limit", groups);
            groups
        }
    };
    Some(Experts {
        first_dense: reader.count("model.experts.first-dense", 0..=N_PARTS_MAX),
        routed: reader.count("model.experts.routed", 1..=N_PARTS_MAX),
        shared: reader.count("model.experts.shared", 0..=N_PARTS_MAX),
        top_k: reader.count("model.experts.top-k", 1..=N_PARTS_MAX),
        width: width(reader, "model.experts.width"),
        groups,
        node_limit: limit,
        gate: reader.choice("model.experts.gate", &[("sigmoid", Gate::Sigmoid), ("softmax", Gate::Softmax)]),
        group_score: reader
            .choice("model.experts.group-score", &[("max", GroupScore::Max), ("top-sum", GroupScore::TopSum)]),
    })
}

fn width(reader: &mut Reader<'_>, key: &str) -> u64 {
    reader.count(key, 1..=WIDTH_MAX)
}

fn check(reader: &mut Reader<'_>, model: &Model) {
    if let Attention::Gqa { heads, kv_heads, .. } = model.attention
        && reader.sound(&["model.attention.heads", "model.attention.kv-heads"])
        && heads % kv_heads.max(1) != 0
    {
        reader.refuse(
            "model.attention.kv-heads",
            format!("{heads} query heads do not share {kv_heads} key-value heads evenly"),
            Some("take a number that divides the query heads, `model.attention.heads`".to_owned()),
        );
    }
    let Some(experts) = &model.experts else { return };
    if model.activation == Activation::Gelu && reader.sound(&["model.activation"]) {
        reader.refuse(
            "model.activation",
            "experts without a gate are not modeled",
            Some("take `swiglu`, or `model.experts = \"none\"`".to_owned()),
        );
    }
    if reader.sound(&["model.layers", "model.experts.first-dense"]) && experts.first_dense > model.layers {
        reader.refuse(
            "model.experts.first-dense",
            format!("{} leading dense layers, but `model.layers` is {}", experts.first_dense, model.layers),
            Some(format!("take {} at most", model.layers)),
        );
    }
    if !reader.sound(&["model.experts.routed", "model.experts.groups"]) {
        return;
    }
    if !experts.routed.is_multiple_of(experts.groups) {
        reader.refuse(
            "model.experts.groups",
            format!(
                "`model.experts.routed` is {}, which does not split into {} equal groups",
                experts.routed, experts.groups
            ),
            Some(format!("take a number that divides {}", experts.routed)),
        );
    } else if reader.sound(&["model.node-limit", "model.experts.top-k", "model.experts.routed"]) {
        check_limit(reader, experts);
    }
}

fn check_limit(reader: &mut Reader<'_>, experts: &Experts) {
    let Experts { routed, groups, node_limit, top_k, .. } = *experts;
    if node_limit > groups {
        reader.refuse(
            "model.node-limit",
            format!("a token cannot reach {node_limit} nodes: the experts stand in {groups} groups, one a node"),
            Some(format!("take at most {groups} (`\"none\"` is no limit), or raise `model.experts.groups`")),
        );
    }
    let node_limit = node_limit.min(groups);
    let reachable = routed / groups * node_limit;
    if top_k > reachable {
        reader.refuse(
            "model.experts.top-k",
            format!(
                "a token picks {top_k} experts but reaches {reachable}: {node_limit} groups of {}",
                routed / groups
            ),
            Some("lower `model.experts.top-k` or raise `model.node-limit`".to_owned()),
        );
    }
}

//! A model from a Hugging Face `config.json`, as `model.*` keys.

use std::sync::Arc;

use workloads::model::{Activation, Attention, Gate, GroupScore, Model};

use crate::diagnostic::Diagnostic;
use crate::origin::{Origin, Source};
use crate::tree::{Node, Table, Value};

/// Reads a `config.json` into the keys that a model preset would have; every key's origin is the file.
pub(crate) fn read(source: &Arc<Source>) -> Result<Table, Diagnostic> {
    let model = workloads::hf::from_config_json(&source.text).map_err(|error| {
        Diagnostic::error(format!("no model can be read from `{}`: {error}", source.name)).at(&Origin::whole(source))
    })?;
    let origin = Origin::whole(source);
    Ok(Table::from([("model".to_owned(), Keys { origin }.model(&model))]))
}

struct Keys {
    origin: Origin,
}

impl Keys {
    fn model(&self, model: &Model) -> Node {
        let mut keys = vec![
            ("name", self.text(&model.name)),
            ("layers", self.count(model.layers)),
            ("hidden", self.count(model.hidden)),
            ("ffn", self.count(model.ffn)),
            (
                "activation",
                self.text(match model.activation {
                    Activation::SwiGlu => "swiglu",
                    Activation::Gelu => "gelu",
                }),
            ),
            ("vocabulary", self.count(model.vocabulary)),
            ("tied", self.node(Value::Boolean(model.tied))),
            ("mtp-modules", self.count(model.mtp_modules)),
            ("attention", self.attention(&model.attention)),
        ];
        match &model.experts {
            None => keys.push(("experts", self.text("none"))),
            Some(experts) => {
                keys.push(("node-limit", self.count(experts.node_limit)));
                keys.push((
                    "experts",
                    self.table([
                        ("first-dense", self.count(experts.first_dense)),
                        ("routed", self.count(experts.routed)),
                        ("shared", self.count(experts.shared)),
                        ("top-k", self.count(experts.top_k)),
                        ("width", self.count(experts.width)),
                        ("groups", self.count(experts.groups)),
                        (
                            "gate",
                            self.text(match experts.gate {
                                Gate::Sigmoid => "sigmoid",
                                Gate::Softmax => "softmax",
                            }),
                        ),
                        (
                            "group-score",
                            self.text(match experts.group_score {
                                GroupScore::Max => "max",
                                GroupScore::TopSum => "top-sum",
                            }),
                        ),
                    ]),
                ));
            }
        }
        self.table(keys)
    }

    fn attention(&self, attention: &Attention) -> Node {
        match *attention {
            Attention::Mla { heads, query_latent, kv_latent, nope, rope, value } => self.table([
                ("kind", self.text("mla")),
                ("heads", self.count(heads)),
                ("query-latent", self.count(query_latent)),
                ("kv-latent", self.count(kv_latent)),
                ("nope", self.count(nope)),
                ("rope", self.count(rope)),
                ("value", self.count(value)),
            ]),
            Attention::Gqa { heads, kv_heads, head, bias, rotary } => self.table([
                ("kind", self.text("gqa")),
                ("heads", self.count(heads)),
                ("kv-heads", self.count(kv_heads)),
                ("head", self.count(head)),
                ("bias", self.node(Value::Boolean(bias))),
                ("rotary", self.node(Value::Boolean(rotary))),
            ]),
        }
    }

    fn table<'a>(&self, keys: impl IntoIterator<Item = (&'a str, Node)>) -> Node {
        self.node(Value::Table(keys.into_iter().map(|(key, node)| (key.to_owned(), node)).collect()))
    }

    fn text(&self, text: &str) -> Node {
        self.node(Value::String(text.to_owned()))
    }

    fn count(&self, count: impl Into<u64>) -> Node {
        // A dimension that does not fit is refused by the reader as out of range, so saturating says enough.
        self.node(Value::Integer(i64::try_from(count.into()).unwrap_or(i64::MAX)))
    }

    fn node(&self, value: Value) -> Node {
        Node { value, origin: self.origin.clone(), key: 0..0 }
    }
}

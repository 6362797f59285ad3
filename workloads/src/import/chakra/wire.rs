//! The protobuf form: the parts of `et_def.proto` that mean something to us. Fields we do not name are skipped by the encoding
//! itself; attributes of other names say nothing about time.

use prost::Message;

use super::Raw;
use crate::import::Mistakes;

/// First bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What opens a file.
#[derive(Clone, PartialEq, Message)]
pub struct GlobalMetadata {
    /// Version of the schema.
    #[prost(string, tag = "1")]
    pub version: String,
}

/// A node.
#[derive(Clone, PartialEq, Message)]
pub struct WireNode {
    /// Identifier.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Kind.
    #[prost(int32, tag = "3")]
    pub kind: i32,
    /// Data dependencies.
    #[prost(uint64, repeated, tag = "5")]
    pub data_deps: Vec<u64>,
    /// Microseconds.
    #[prost(uint64, tag = "7")]
    pub duration_micros: u64,
    /// Everything else, by name.
    #[prost(message, repeated, tag = "10")]
    pub attr: Vec<Attribute>,
}

/// A named value.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its value; `None` for a kind that no attribute we read has.
    #[prost(oneof = "Value", tags = "7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 28, 29")]
    pub value: Option<Value>,
}

/// A value: the kinds of whole numbers, truths and text.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Value {
    /// `int32`.
    #[prost(int32, tag = "7")]
    Int32(i32),
    /// `int64`.
    #[prost(int64, tag = "9")]
    Int64(i64),
    /// `uint32`.
    #[prost(uint32, tag = "11")]
    Uint32(u32),
    /// `uint64`.
    #[prost(uint64, tag = "13")]
    Uint64(u64),
    /// `sint32`.
    #[prost(sint32, tag = "15")]
    Sint32(i32),
    /// `sint64`.
    #[prost(sint64, tag = "17")]
    Sint64(i64),
    /// `fixed32`.
    #[prost(fixed32, tag = "19")]
    Fixed32(u32),
    /// `fixed64`.
    #[prost(fixed64, tag = "21")]
    Fixed64(u64),
    /// `sfixed32`.
    #[prost(sfixed32, tag = "23")]
    Sfixed32(i32),
    /// `sfixed64`.
    #[prost(sfixed64, tag = "25")]
    Sfixed64(i64),
    /// `bool`.
    #[prost(bool, tag = "27")]
    Bool(bool),
    /// A list of truths.
    #[prost(message, tag = "28")]
    Bools(Bools),
    /// `string`.
    #[prost(string, tag = "29")]
    Text(String),
}

/// A list of truths.
#[derive(Clone, PartialEq, Message)]
pub struct Bools {
    /// In order.
    #[prost(bool, repeated, tag = "1")]
    pub values: Vec<bool>,
}

impl Value {
    fn whole(&self) -> Option<i64> {
        match self {
            Self::Int32(value) | Self::Sint32(value) | Self::Sfixed32(value) => Some((*value).into()),
            Self::Int64(value) | Self::Sint64(value) | Self::Sfixed64(value) => Some(*value),
            Self::Uint32(value) | Self::Fixed32(value) => Some((*value).into()),
            Self::Uint64(value) | Self::Fixed64(value) => i64::try_from(*value).ok(),
            Self::Bool(_) | Self::Bools(_) | Self::Text(_) => None,
        }
    }
}

/// A file of such nodes, as Chakra writes it.
#[must_use]
pub fn write(nodes: &[WireNode]) -> Vec<u8> {
    let metadata = GlobalMetadata { version: "0.0.4".to_owned() };
    let mut bytes = metadata.encode_length_delimited_to_vec();
    for node in nodes {
        bytes.extend(node.encode_length_delimited_to_vec());
    }
    bytes
}

/// Nodes of a file, as far as it can be read.
pub(super) fn read(mut bytes: &[u8], mistakes: &mut Mistakes<'_>) -> Vec<Raw> {
    if bytes.starts_with(&GZIP) {
        mistakes.add("", "it is compressed with gzip", "unpack it first: `gunzip`");
        return Vec::new();
    }
    let length = bytes.len();
    let hint = "it is no trace of Chakra, or was cut off";
    if let Err(error) = GlobalMetadata::decode_length_delimited(&mut bytes) {
        mistakes.add("byte 0", format!("no metadata can be read: {error}"), hint);
        return Vec::new();
    }
    let mut nodes = Vec::new();
    while !bytes.is_empty() {
        let place = format!("byte {}", length - bytes.len());
        match WireNode::decode_length_delimited(&mut bytes) {
            Ok(node) => nodes.push(raw(node, mistakes)),
            Err(error) => {
                mistakes.add(&place, format!("no node can be read: {error}"), hint);
                break;
            }
        }
    }
    nodes
}

fn raw(node: WireNode, mistakes: &mut Mistakes<'_>) -> Raw {
    let WireNode { id, name, kind, data_deps, duration_micros, attr } = node;
    let place = format!("node {id} `{name}`");
    let mut raw = Raw { id, name, kind, after: data_deps, duration_micros, ..Raw::default() };
    for Attribute { name, value } in attr {
        let mut count = || {
            let count = value.as_ref().and_then(Value::whole).and_then(|whole| u64::try_from(whole).ok());
            if count.is_none() {
                mistakes.add(&place, format!("`{name}` is no count"), "write a whole number of zero or more");
            }
            count
        };
        match (name.as_str(), &value) {
            ("num_ops", _) => raw.num_ops = count().unwrap_or(0),
            ("tensor_size", _) => raw.tensor_size = count().unwrap_or(0),
            ("comm_size", _) => raw.comm_size = count(),
            ("comm_src", _) => raw.comm_src = count(),
            ("comm_dst", _) => raw.comm_dst = count(),
            ("comm_tag", _) => raw.comm_tag = count().unwrap_or(0),
            ("comm_type", _) => raw.comm_type = count().and_then(|kind| i64::try_from(kind).ok()),
            ("is_cpu_op", Some(Value::Bool(truth))) => raw.is_cpu_op = *truth,
            ("is_cpu_op", _) => raw.is_cpu_op = count().is_some_and(|count| count > 0),
            ("pg_name", Some(Value::Text(group))) => raw.pg_name = Some(group.clone()),
            ("pg_name", _) => mistakes.add(&place, "`pg_name` is no text", "write the name of the group"),
            ("involved_dim", Some(Value::Bools(dims))) => raw.involved_dim.clone_from(&dims.values),
            ("involved_dim", _) => mistakes.add(&place, "`involved_dim` is no list of truths", "leave it out"),
            // Of no meaning for time: shapes, streams, labels, `comm_priority`.
            _ => {}
        }
    }
    raw
}

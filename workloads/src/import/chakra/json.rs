//! The JSON form that Chakra's feeder reads: `{"workload_graph": [node, ...]}`.

use serde::Deserialize;

use super::Raw;
use crate::import::Mistakes;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "labels say nothing about time")]
struct Graph {
    workload_graph: Vec<Node>,
    workload_name: Option<String>,
    ngpus: Option<u64>,
    soc: Option<String>,
}

/// A node; a key that is not here is refused by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    #[serde(rename = "Id")]
    id: u64,
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "NodeType")]
    kind: i32,
    #[serde(default)]
    is_cpu_op: bool,
    /// Microseconds.
    #[serde(default)]
    runtime: u64,
    #[serde(default)]
    data_deps: Vec<u64>,
    #[serde(default, alias = "ctrlDeps")]
    #[expect(dead_code, reason = "the caller of an op, not what it waits for")]
    ctrl_deps: Vec<u64>,
    #[serde(default)]
    num_ops: u64,
    #[serde(default)]
    tensor_size: u64,
    comm_type: Option<i64>,
    #[serde(default)]
    #[expect(dead_code, reason = "order follows from dependencies")]
    comm_priority: u64,
    comm_size: Option<u64>,
    comm_src: Option<u64>,
    comm_dst: Option<u64>,
    #[serde(default)]
    comm_tag: u64,
    pg_name: Option<String>,
}

pub(super) fn read(bytes: &[u8], mistakes: &mut Mistakes<'_>) -> Vec<Raw> {
    match serde_json::from_slice::<Graph>(bytes) {
        Ok(graph) => graph.workload_graph.into_iter().map(raw).collect(),
        Err(error) => {
            let place = format!("line {}, column {}", error.line(), error.column());
            mistakes.add(
                &place,
                error.to_string(),
                "the form is `{\"workload_graph\": [{\"Id\": ..., \"NodeType\": ...}, ...]}`",
            );
            Vec::new()
        }
    }
}

fn raw(node: Node) -> Raw {
    Raw {
        id: node.id,
        name: node.name,
        kind: node.kind,
        after: node.data_deps,
        duration_micros: node.runtime,
        is_cpu_op: node.is_cpu_op,
        num_ops: node.num_ops,
        tensor_size: node.tensor_size,
        comm_type: node.comm_type,
        comm_size: node.comm_size,
        comm_src: node.comm_src,
        comm_dst: node.comm_dst,
        comm_tag: node.comm_tag,
        pg_name: node.pg_name,
        involved_dim: Vec::new(),
    }
}

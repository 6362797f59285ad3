//! Whatever a file holds, importing ends with a job or with messages, never a panic.

use std::collections::BTreeMap;

use proptest::prelude::*;
use workloads::import::chakra::wire::{self, Attribute, Value, WireNode};
use workloads::import::chakra::{self, File};
use workloads::import::simai::{self, Pipeline};
use workloads::import::{Graph, ImportError};

/// A job keeps its promises; a refusal says where.
fn survives(result: Result<Graph, ImportError>) {
    match result {
        Ok(job) => {
            for node in job.traces.iter().flat_map(|trace| trace.nodes.iter().map(move |node| (trace, node))) {
                let (trace, node) = node;
                assert!(node.after.iter().all(|before| (*before as usize) < trace.nodes.len()));
            }
        }
        Err(error) => {
            assert!(!error.0.is_empty());
            assert!(error.0.iter().all(|mistake| !mistake.place.is_empty() && !mistake.hint.is_empty()), "{error}");
        }
    }
}

fn read(bytes: &[&[u8]]) -> Result<Graph, ImportError> {
    let names: Vec<String> = (0..bytes.len()).map(|rank| format!("job.{rank}.et")).collect();
    let files: Vec<File<'_>> = names.iter().zip(bytes).map(|(name, bytes)| File { name, bytes }).collect();
    chakra::read(&files, &BTreeMap::from([("pair".to_owned(), vec![0, 1])]), None)
}

fn attribute() -> impl Strategy<Value = Attribute> {
    let names =
        ["is_cpu_op", "num_ops", "tensor_size", "comm_type", "comm_size", "comm_src", "comm_dst", "pg_name", "x"];
    let value = prop_oneof![
        any::<i64>().prop_map(Value::Int64),
        (0_u64..12).prop_map(Value::Uint64),
        (0_i32..12).prop_map(Value::Sint32),
        any::<bool>().prop_map(Value::Bool),
        prop_oneof![Just("pair".to_owned()), any::<String>()].prop_map(Value::Text),
    ];
    (0..names.len(), proptest::option::of(value))
        .prop_map(move |(name, value)| Attribute { name: names[name].to_owned(), value })
}

fn node() -> impl Strategy<Value = WireNode> {
    let after = proptest::collection::vec(0_u64..8, 0..4);
    (0_u64..8, -1_i32..9, after, any::<u64>(), proptest::collection::vec(attribute(), 0..6)).prop_map(
        |(id, kind, data_deps, duration_micros, attr)| WireNode {
            id,
            kind,
            data_deps,
            duration_micros,
            attr,
            ..WireNode::default()
        },
    )
}

const WORKLOAD: &str = "HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 2 ep: 2 pp: 1 vpp: 1 ga: 1 all_gpus: 8 \
                        checkpoints: 0 checkpoint_initiates: 0\n2\na -1 10 ALLGATHER 64 20 NONE 0 30 ALLREDUCE 128 5\n\
                        b -1 1 ALLTOALL_EP 8 2 NONE 0 3 REDUCESCATTER_DP_EP 7 0\n";

/// Pieces that break a file in the ways people and programs do.
fn piece() -> impl Strategy<Value = String> {
    let fixed = ["", "\n", " ", "-1", "0", "99999999999999999999", "nan", "NONE", "ALLREDUCE", "_EP", "é漢\u{0}"];
    prop_oneof![(0..fixed.len()).prop_map(move |index| fixed[index].to_owned()), any::<String>()]
}

/// The text with some bytes replaced, at character boundaries.
fn spliced(text: &str, at: f64, length: usize, piece: &str) -> String {
    let boundary = |byte: usize| (byte..text.len()).find(|index| text.is_char_boundary(*index)).unwrap_or(text.len());
    let start = boundary((at * text.len() as f64) as usize);
    let end = boundary(start + length);
    format!("{}{piece}{}", &text[..start], &text[end..])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn traces_of_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survives(read(&[&bytes]));
    }

    #[test]
    fn traces_of_any_nodes(a in proptest::collection::vec(node(), 0..8), b in proptest::collection::vec(node(), 0..8)) {
        survives(read(&[&wire::write(&a), &wire::write(&b)]));
    }

    #[test]
    fn traces_with_bytes_replaced(nodes in proptest::collection::vec(node(), 1..8), at in 0.0..1.0, byte in any::<u8>()) {
        let mut bytes = wire::write(&nodes);
        let index = (at * bytes.len() as f64) as usize;
        bytes[index] = byte;
        survives(read(&[&bytes]));
        survives(read(&[&bytes[..index]]));
    }

    #[test]
    fn json_with_a_piece_replaced(at in 0.0..1.0, length in 0_usize..20, piece in piece()) {
        let json = r#"{"workload_graph": [{"Id": 3, "Name": "a", "NodeType": 4, "runtime": 250},
            {"Id": 9, "Name": "b", "NodeType": 7, "data_deps": [3], "comm_type": 2, "comm_size": 1000}]}"#;
        survives(read(&[spliced(json, at, length, &piece).as_bytes()]));
    }

    #[test]
    fn workloads_of_any_text(text in any::<String>()) {
        let _ = simai::is_workload(&text);
        survives(simai::read("w.txt", &text, Pipeline::Refuse));
    }

    #[test]
    fn workloads_with_a_piece_replaced(at in 0.0..1.0, length in 0_usize..20, piece in piece()) {
        survives(simai::read("w.txt", &spliced(WORKLOAD, at, length, &piece), Pipeline::OneRank));
    }
}

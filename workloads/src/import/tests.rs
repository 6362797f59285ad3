//! Files made by hand: what they become, and what is refused with which words.

use std::collections::BTreeMap;

use super::chakra::wire::{self, Attribute, Value};
use super::chakra::{self, File};
use super::simai::{self, Pipeline};
use super::*;

fn attribute(name: &str, value: Value) -> Attribute {
    Attribute { name: name.to_owned(), value: Some(value) }
}

fn node(id: u64, name: &str, kind: i32, after: &[u64], attr: Vec<Attribute>) -> wire::WireNode {
    wire::WireNode { id, name: name.to_owned(), kind, data_deps: after.to_vec(), attr, ..wire::WireNode::default() }
}

fn all_gather(id: u64, after: &[u64]) -> wire::WireNode {
    let attr = vec![attribute("comm_type", Value::Int64(2)), attribute("comm_size", Value::Uint64(1000))];
    node(id, "gather", 7, after, attr)
}

fn compute(id: u64, micros: u64, after: &[u64]) -> wire::WireNode {
    wire::WireNode { duration_micros: micros, ..node(id, "product", 4, after, Vec::new()) }
}

fn read(traces: &[Vec<wire::WireNode>]) -> Result<Graph, ImportError> {
    let bytes: Vec<Vec<u8>> = traces.iter().map(|nodes| wire::write(nodes)).collect();
    let names: Vec<String> = (0..traces.len()).map(|rank| format!("job.{rank}.et")).collect();
    let files: Vec<File<'_>> = names.iter().zip(&bytes).map(|(name, bytes)| File { name, bytes }).collect();
    chakra::read(&files, &BTreeMap::new(), None)
}

fn refusal(result: Result<Graph, ImportError>) -> String {
    result.expect_err("it is refused").to_string()
}

#[test]
fn a_trace_comes_back_as_it_was_written() {
    let trace = || vec![compute(3, 250, &[]), all_gather(9, &[3]), node(12, "end", 1, &[3, 9], Vec::new())];
    let job = read(&[trace(), trace()]).expect("it can be read");
    assert_eq!((job.n_ranks, job.traces.len()), (2, 2));
    assert_eq!(job.groups, [ProcessGroup::Ranks(vec![0, 1])]);
    let works: Vec<Work> = job.traces[1].nodes.iter().map(|node| node.work).collect();
    let gathered = Work::Collective { group: 0, what: Collective::AllGather, bytes: Bytes::new(2000.0) };
    assert_eq!(works, [Work::Device(Seconds::new(250e-6)), gathered, Work::Mark]);
    assert_eq!(job.traces[1].nodes[2].after, [0, 1]);
}

#[test]
fn the_json_form_says_the_same() {
    let json = br#"{"workload_graph": [
        {"Id": 3, "Name": "product", "NodeType": 4, "runtime": 250},
        {"Id": 9, "Name": "gather", "NodeType": 7, "data_deps": [3], "comm_type": 2, "comm_size": 1000}]}"#;
    let bytes = wire::write(&[compute(3, 250, &[]), all_gather(9, &[3])]);
    let [one, other] = [&json[..], &bytes]
        .map(|bytes| chakra::read(&[File { name: "a", bytes }], &BTreeMap::new(), Some(2)).expect("it can be read"));
    assert_eq!(one.traces[0].nodes, other.traces[0].nodes);
}

#[test]
fn what_the_host_calls_is_time_on_the_host() {
    let call = vec![attribute("is_cpu_op", Value::Bool(true))];
    let called = wire::WireNode { duration_micros: 85, ..node(1, "c10d::broadcast_", 7, &[], call) };
    let job = read(&[vec![called]]).expect("it can be read");
    assert_eq!(job.traces[0].nodes[0].work, Work::Host(Seconds::new(85e-6)));
    let json = br#"{"workload_graph": [{"Id": 1, "NodeType": 4, "runtime": 5, "ctrlDeps": [7]}], "ngpus": 8}"#;
    let job = chakra::read(&[File { name: "a.json", bytes: json }], &BTreeMap::new(), None).expect("it can be read");
    assert!(job.traces[0].nodes[0].after.is_empty(), "a caller is not waited for");
}

#[test]
fn one_trace_may_stand_for_ranks_in_lockstep() {
    let bytes = wire::write(&[all_gather(1, &[])]);
    let file = [File { name: "a.et", bytes: &bytes }];
    let text = refusal(chakra::read(&file, &BTreeMap::new(), None));
    assert!(text.contains("a collective, but the job has one rank") && text.contains("`--ranks N`"), "{text}");
    let job = chakra::read(&file, &BTreeMap::new(), Some(4)).expect("it can be read");
    assert_eq!((job.n_ranks, job.traces.len()), (4, 1));
    let gathered = Work::Collective { group: 0, what: Collective::AllGather, bytes: Bytes::new(4000.0) };
    assert_eq!(job.traces[0].nodes[0].work, gathered);
    let send = vec![attribute("comm_dst", Value::Int32(1)), attribute("comm_size", Value::Uint64(8))];
    let bytes = wire::write(&[node(1, "activations", 5, &[], send)]);
    let text = refusal(chakra::read(&[File { name: "a.et", bytes: &bytes }], &BTreeMap::new(), Some(4)));
    assert!(text.contains("a message tells ranks apart"), "{text}");
}

#[test]
fn a_broadcast_passes_everything_on() {
    let attr = vec![attribute("comm_type", Value::Int64(5)), attribute("comm_size", Value::Uint64(300))];
    let bytes = wire::write(&[node(1, "weights", 7, &[], attr)]);
    let job = chakra::read(&[File { name: "a.et", bytes: &bytes }], &BTreeMap::new(), Some(4)).expect("it can be read");
    let passed = Work::Collective { group: 0, what: Collective::AllGather, bytes: Bytes::new(400.0) };
    assert_eq!(job.traces[0].nodes[0].work, passed);
}

#[test]
fn unknown_kinds_are_refused_by_name_and_all_at_once() {
    let scatter = node(3, "weights", 7, &[], vec![attribute("comm_type", Value::Int64(4))]);
    let text =
        refusal(read(&[vec![node(1, "load", 2, &[], Vec::new()), scatter, node(4, "odd", 17, &[], Vec::new())]]));
    assert!(text.contains("job.0.et: node 1 `load`: the node kind `MEM_LOAD_NODE` is not modeled"), "{text}");
    assert!(text.contains("job.0.et: node 3 `weights`: the collective `SCATTER` is not modeled"), "{text}");
    assert!(text.contains("the node kind `17` is not modeled\n  hint: known are METADATA_NODE"), "{text}");
}

#[test]
fn dependencies_must_lead_somewhere_and_not_round() {
    let text = refusal(read(&[vec![compute(1, 5, &[8])]]));
    assert!(text.contains("node 1 `product`: it waits for node 8, which is not in the file"), "{text}");
    let text =
        refusal(read(&[vec![compute(1, 5, &[3]), compute(2, 5, &[1]), compute(3, 5, &[2]), compute(4, 5, &[3])]]));
    assert!(text.contains("dependencies go round: node"), "{text}");
    assert!(!text.contains("node 4"), "{text}");
    assert!(refusal(read(&[vec![compute(1, 5, &[]), compute(1, 5, &[])]])).contains("its identifier is taken"));
}

#[test]
fn partners_must_agree() {
    let text = refusal(read(&[vec![all_gather(1, &[])], vec![compute(1, 5, &[])]]));
    assert!(text.contains("job.1.et: 0 collectives of a group of 2 ranks, but 1 on job.0.et"), "{text}");
    let send = vec![attribute("comm_dst", Value::Int32(1)), attribute("comm_size", Value::Uint64(8))];
    let text = refusal(read(&[vec![node(1, "activations", 5, &[], send)], vec![compute(1, 5, &[])]]));
    assert!(text.contains("rank 0 sends 1 messages to rank 1 with tag 0, which receives 0"), "{text}");
}

#[test]
fn both_ends_of_a_message_give_one_size() {
    let message = |kind: i32, id: u64, size: Option<u64>| {
        let (name, peer) = if kind == 5 { ("activations", "comm_dst") } else { ("wait", "comm_src") };
        let other = Value::Int32(if kind == 5 { 1 } else { 0 });
        let size = size.map(|size| attribute("comm_size", Value::Uint64(size)));
        node(id, name, kind, &[], [attribute(peer, other)].into_iter().chain(size).collect())
    };
    let both = |sent: &[u64], received: &[Option<u64>]| {
        let sends = sent.iter().zip(1..).map(|(size, id)| message(5, id, Some(*size))).collect();
        let receives = received.iter().zip(1..).map(|(size, id)| message(6, id, *size)).collect();
        read(&[sends, receives])
    };
    let text = refusal(both(&[1 << 27], &[Some(1 << 19)]));
    let expected =
        "job.1.et: node 1 `wait`: receives 524288 bytes, but job.0.et: node 1 `activations` sends it 134217728 bytes";
    assert!(text.contains(expected), "{text}");
    let text = refusal(both(&[8, 8, 8], &[Some(8), Some(8), Some(9)]));
    assert!(text.contains("job.1.et: node 3 `wait`: receives 9 bytes"), "{text}");
    assert!(both(&[8, 9], &[Some(8), Some(9)]).is_ok());
    assert!(both(&[8, 9], &[Some(9), Some(8)]).is_ok(), "in the order in which they run");
    assert!(both(&[8, 9], &[None, Some(9)]).is_ok(), "a receive need not say");
}

#[test]
fn a_mark_of_byte_order_is_no_part_of_a_file() {
    let json = r#"{"workload_graph": [{"Id": 3, "Name": "product", "NodeType": 4, "runtime": 250}]}"#;
    let marked = format!("\u{feff}{json}");
    let [one, other] = [json, &marked].map(|text| {
        let file = File { name: "a", bytes: text.as_bytes() };
        chakra::read(&[file], &BTreeMap::new(), None).expect("it can be read")
    });
    assert_eq!(one, other);
    let text = format!("\u{feff}{LAYOUT}\n0\n");
    assert!(simai::is_workload(&text) && simai::read("w.txt", &text, Pipeline::Refuse).is_ok());
}

#[test]
fn files_must_be_whole_and_of_every_rank() {
    let bytes = wire::write(&[compute(1, 5, &[])]);
    let cut = File { name: "a.0.et", bytes: &bytes[..bytes.len() - 1] };
    let text = refusal(chakra::read(&[cut], &BTreeMap::new(), None));
    assert!(text.contains("a.0.et: byte 8: no node can be read"), "{text}");
    let gzip = File { name: "a.et", bytes: &[0x1f, 0x8b, 8, 0] };
    assert!(refusal(chakra::read(&[gzip], &BTreeMap::new(), None)).contains("`gunzip`"));
    let files = ["a.0.et", "a.2.et"].map(|name| File { name, bytes: &bytes });
    assert!(refusal(chakra::read(&files, &BTreeMap::new(), None)).contains("there is no file of rank 1"));
}

#[test]
fn groups_are_named_and_hold_whom_they_should() {
    let bytes = {
        let mut node = all_gather(1, &[]);
        node.attr.push(attribute("pg_name", Value::Text("pair".to_owned())));
        wire::write(&[node])
    };
    let file = [File { name: "a.0.et", bytes: &bytes }];
    assert!(refusal(chakra::read(&file, &BTreeMap::new(), None)).contains("the group `pair` is not known"));
    let wrong = BTreeMap::from([("pair".to_owned(), vec![0, 4])]);
    assert!(refusal(chakra::read(&file, &wrong, None)).contains("names rank 4, but the job has ranks 0 to 0"));
}

#[test]
fn counts_of_the_first_line_are_read_up_to_their_point() {
    let read = |layout: &str| simai::read("w.txt", &format!("{layout}\n0\n"), Pipeline::Refuse);
    let whole = read(&format!("{LAYOUT} pp_comm: 25165824")).expect("it can be read");
    for pp_comm in ["25165824.0", "25165824.", "25165824.75"] {
        assert_eq!(read(&format!("{LAYOUT} pp_comm: {pp_comm}")).expect(pp_comm), whole);
    }
    for odd in ["2.5e7", "25165824.x", "-1.0", "nan"] {
        assert!(refusal(read(&format!("{LAYOUT} pp_comm: {odd}"))).contains("no count"), "{odd}");
    }
}

const LAYOUT: &str = "HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 2 ep: 2 pp: 1 vpp: 1 ga: 1 \
                      all_gpus: 8 checkpoints: 0 checkpoint_initiates: 0";

#[test]
fn a_workload_file_is_forward_then_backward() {
    let text =
        format!("{LAYOUT}\n2\na -1 10 ALLGATHER 64 20 NONE 0 30 ALLREDUCE 128 5\nb -1 1 NONE 0 2 NONE 0 3 NONE 0 0\n");
    let job = simai::read("w.txt", &text, Pipeline::Refuse).expect("it can be read");
    assert_eq!(job.n_ranks, 8);
    assert_eq!(job.groups[1], ProcessGroup::Even { n: 4, stride: 2 });
    assert_eq!(job.groups[3], ProcessGroup::Even { n: 2, stride: 4 });
    let nodes = &job.traces[0].nodes;
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let expected = [
        "a, forward",
        "a, forward AllGather",
        "b, forward",
        "b, input gradient",
        "b, weight gradient",
        "a, input gradient",
        "a, weight gradient",
        "a, weight gradient AllReduce",
        "a, update",
    ];
    assert_eq!(names, expected);
    assert_eq!(nodes[8].after, [6, 7]);
    assert_eq!(nodes[0].work, Work::Device(Seconds::new(10e-9)));
    assert_eq!(nodes[7].work, Work::Collective { group: 1, what: Collective::AllReduce, bytes: Bytes::new(128.0) });
}

#[test]
fn what_a_workload_file_cannot_say_is_refused_by_name() {
    let line = "a 4 10 ALLGATHERALLTOALL 64 x NONE 0 30 BROADCAST_EP 128 5";
    let text = refusal(simai::read("w.txt", &format!("{LAYOUT} magic: 1\n2\n{line}\nb -1\n"), Pipeline::Refuse));
    for expected in [
        "w.txt: line 1: `magic:` is not known",
        "w.txt: line 3, layer `a`: the dependency `4` is not modeled",
        "the collective `ALLGATHERALLTOALL` of the forward is not known",
        "`x` is no count",
        "the collective `BROADCAST_EP` of the weight gradient is not known",
        "w.txt: line 4: 2 columns, not 12",
    ] {
        assert!(text.contains(expected), "`{expected}` is not in\n{text}");
    }
    let piped = LAYOUT.replace("pp: 1 ", "pp: 2 ").replace("checkpoints: 0", "checkpoints: 1");
    let text = refusal(simai::read("w.txt", &format!("{piped}\n0\n"), Pipeline::Refuse));
    assert!(text.contains("`--one-pipeline-rank`") && text.contains("recomputed layers are not modeled"), "{text}");
    let listed =
        LAYOUT.replace("checkpoints: 0 checkpoint_initiates: 0", "checkpoints: 3 4 12 20 checkpoint_initiates: 2 5 13");
    let text = refusal(simai::read("w.txt", &format!("{listed}\n0\n"), Pipeline::Refuse));
    let expected =
        "line 1: `checkpoints: 3 4 12 20` and `checkpoint_initiates: 2 5 13`: recomputed layers are not modeled";
    assert!(text.contains(expected) && text.lines().count() == 2, "one sentence and its hint: {text}");
    let text = refusal(simai::read("w.txt", &format!("{}\n0\n", LAYOUT.replace("ga: 1", "ga: 1 2")), Pipeline::Refuse));
    assert!(text.contains("`ga` is `1 2`, no count"), "{text}");
    let text = refusal(simai::read("w.txt", "MICRO\n1\n", Pipeline::Refuse));
    assert!(text.contains("the policy `MICRO` is not known"), "{text}");
}

//! Execution traces of MLCommons Chakra: one file a rank, nodes with dependencies.
//!
//! As protobuf ([`wire`], the schema of `et_def.proto`: a `GlobalMetadata`, then `Node`s, each with its length before it) or as
//! JSON ([`json`], a `workload_graph`). Node kinds and what they become:
//!
//! | kind | becomes |
//! |---|---|
//! | `METADATA_NODE` | a mark: it only orders others |
//! | `COMP_NODE` | its `duration_micros` on the device, or on the host where `is_cpu_op`; without a duration, its `num_ops` operations over `tensor_size` bytes |
//! | any of those below where `is_cpu_op` | its `duration_micros` on the host: the call, not the message |
//! | `COMM_COLL_NODE` | a collective of its `pg_name`'s ranks, of all where there is none |
//! | `COMM_SEND_NODE`, `COMM_RECV_NODE` | a message, matched by ranks and `comm_tag` |
//!
//! All others, and collectives that no ring of ours does, are refused by name. `comm_size` is what a rank puts in (the reading
//! of ASTRA-sim): for an all-gather its own share, so that nccl-tests would report ranks x `comm_size`. A broadcast goes round a ring, and so does a reduction
//! to one rank: every rank passes all of it on, as in an all-gather or a reduce-scatter of n / (n - 1) times its size. What a node waits for are
//! its `data_deps`, as Chakra's own feeder has it: `ctrl_deps` name the caller of an op. `comm_priority` and times of start are not
//! read: order follows from dependencies.

pub mod json;
mod resolve;
mod sizes;
pub mod wire;

use std::collections::BTreeMap;

use super::{BYTE_ORDER_MARK, Graph, ImportError, Mistake, Mistakes};
use resolve::Ranks;

/// A file: its name, and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// For messages; `anything.RANK.et` or `anything.RANK.json` says which rank it is.
    pub name: &'a str,
    /// What is in it.
    pub bytes: &'a [u8],
}

/// A node as both forms have it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Raw {
    /// Its identifier in the file.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its kind, by number in the schema.
    pub kind: i32,
    /// Data dependencies, by identifier.
    pub after: Vec<u64>,
    /// Microseconds.
    pub duration_micros: u64,
    /// Whether it runs on the host.
    pub is_cpu_op: bool,
    /// Operations.
    pub num_ops: u64,
    /// Bytes of tensors.
    pub tensor_size: u64,
    /// Kind of collective, by number in the schema.
    pub comm_type: Option<i64>,
    /// Bytes of a message, or that a rank puts into a collective.
    pub comm_size: Option<u64>,
    /// Sender.
    pub comm_src: Option<u64>,
    /// Receiver.
    pub comm_dst: Option<u64>,
    /// Tells messages apart.
    pub comm_tag: u64,
    /// Name of its group of ranks.
    pub pg_name: Option<String>,
    /// Dimensions of a topology that take part; only all of them are understood.
    pub involved_dim: Vec<bool>,
}

/// Reads the traces of a job, one file a rank; a single file may stand for `lockstep` ranks that all do the same. `groups` says
/// which ranks a `pg_name` is.
///
/// # Errors
/// Every mistake of all files.
pub fn read(
    files: &[File<'_>],
    groups: &BTreeMap<String, Vec<u32>>,
    lockstep: Option<u32>,
) -> Result<Graph, ImportError> {
    let mut mistakes = Vec::new();
    if let (Some(file), Some(n)) = (files.get(1), lockstep) {
        let message = format!("{n} ranks in lockstep are one trace, but there are {} files", files.len());
        let hint = "give one file, or one a rank without `--ranks`".to_owned();
        mistakes.push(Mistake { place: file.name.to_owned(), message, hint });
    }
    let ordered = by_rank(files, &mut mistakes);
    let n_ranks = lockstep.unwrap_or(files.len() as u32).max(1);
    let mut ranks = Ranks::new(n_ranks, lockstep.is_some(), groups, &mut mistakes);
    let mut traces = Vec::new();
    for (rank, file) in (0_u32..).zip(ordered) {
        let mut told = Mistakes::new(file.name);
        let nodes = nodes(file, &mut told);
        traces.push(ranks.trace(rank, file.name, &nodes, &mut told));
        mistakes.extend(told.all);
    }
    let (groups, sizes, notes) = ranks.finish();
    let job = Graph { n_ranks, traces, groups, notes };
    if mistakes.is_empty() {
        mistakes = super::graph::partners(&job);
    }
    if mistakes.is_empty() {
        mistakes = sizes.contradictions(&job);
    }
    if mistakes.is_empty() { Ok(job) } else { Err(ImportError(mistakes)) }
}

fn nodes(file: &File<'_>, mistakes: &mut Mistakes<'_>) -> Vec<Raw> {
    let mut mark = [0; 4];
    let text = file.bytes.strip_prefix(BYTE_ORDER_MARK.encode_utf8(&mut mark).as_bytes()).unwrap_or(file.bytes);
    let nodes = match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => json::read(text, mistakes),
        _ => wire::read(file.bytes, mistakes),
    };
    if nodes.is_empty() && mistakes.all.is_empty() {
        mistakes.add("", "there is no node in it", "give a trace that has some");
    }
    nodes
}

/// Files in the order of their ranks, which must be 0, 1, 2 ...; a single file needs no rank.
fn by_rank<'a>(files: &'a [File<'a>], mistakes: &mut Vec<Mistake>) -> Vec<&'a File<'a>> {
    if files.len() == 1 {
        return files.iter().collect();
    }
    let mut ranked: BTreeMap<u64, &File<'_>> = BTreeMap::new();
    let mut tell = |place: &str, message: String| {
        let hint = "name the files of ranks 0, 1, 2 ... `anything.RANK.et`".to_owned();
        mistakes.push(Mistake { place: place.to_owned(), message, hint });
    };
    for file in files {
        match rank(file.name) {
            None => tell(file.name, "its name does not say which rank it is".to_owned()),
            Some(rank) => {
                if let Some(other) = ranked.insert(rank, file) {
                    tell(file.name, format!("rank {rank} again, after `{}`", other.name));
                }
            }
        }
    }
    if let Some((expected, found)) = (0..).zip(ranked.keys()).find(|(expected, found)| expected != *found) {
        tell(ranked[found].name, format!("this is rank {found}, but there is no file of rank {expected}"));
    }
    ranked.into_values().collect()
}

/// The number before the last dot.
fn rank(name: &str) -> Option<u64> {
    let stem = name.rsplit_once('.')?.0;
    stem.rsplit(['.', '/']).next()?.parse().ok()
}

//! What a kernel of a collective asks, from the sizes that it carries.

use std::collections::BTreeMap;

use serde_json::Value;
use workloads::op::Collective;

use crate::import::Hints;
use crate::question::{MovedBy, Question};

/// The question of a kernel of the library; in words why there is none.
pub(super) fn question(kernel: &str, args: &Value, hints: &Hints) -> Result<Question, String> {
    let name = args["Collective name"].as_str().unwrap_or_default();
    let (what, nelems) = match name {
        "allreduce" | "all_reduce" => (Collective::AllReduce, "In msg nelems"),
        "allgather" | "all_gather" | "_allgather_base" | "all_gather_into_tensor" => {
            (Collective::AllGather, "Out msg nelems")
        }
        "reduce_scatter" | "_reduce_scatter_base" | "reduce_scatter_tensor" => {
            (Collective::ReduceScatter, "In msg nelems")
        }
        "all_to_all" | "all_to_allv" | "alltoall_base" => (Collective::AllToAll, "In msg nelems"),
        _ => return Err(format!("collectives `{name}`")),
    };
    if what == Collective::AllToAll && !(is_even(&args["In split size"]) && is_even(&args["Out split size"])) {
        return Err(format!("collectives `{name}` that send one rank more than another"));
    }
    let dtype = args["dtype"].as_str().unwrap_or_default();
    let width = width(dtype).ok_or_else(|| format!("collectives `{name}` in `{dtype}`"))?;
    let elements = args[nelems].as_u64().filter(|elements| *elements > 0);
    let bytes = elements.and_then(|elements| elements.checked_mul(width));
    let bytes = bytes.ok_or_else(|| format!("collectives `{name}` of no size"))?;
    let ranks = args["Group size"].as_u64().and_then(|ranks| u32::try_from(ranks).ok()).filter(|ranks| *ranks > 1);
    let ranks = ranks.ok_or_else(|| format!("collectives `{name}` of no group"))?;
    let nodes = nodes(ranks, &args["Process Group Ranks"], hints)?;
    Ok(Question::Collective { what, ranks, bytes, sms: None, nodes, by: by(kernel, what) })
}

/// Whether a list of parts, as text or as a list, has equal ones; an empty one is of equal parts.
fn is_even(parts: &Value) -> bool {
    numbers(parts).is_some_and(|parts| parts.windows(2).all(|two| two[0] == two[1]))
}

/// A list of whole numbers, which traces write as text; none where it was cut.
fn numbers(list: &Value) -> Option<Vec<u64>> {
    match list {
        Value::Null => Some(Vec::new()),
        Value::Array(items) => items.iter().map(Value::as_u64).collect(),
        Value::String(text) => {
            let items = text.trim().strip_prefix('[')?.strip_suffix(']')?.split(',').map(str::trim);
            items.filter(|item| !item.is_empty()).map(|item| item.parse().ok()).collect()
        }
        _ => None,
    }
}

/// Bytes of an element.
fn width(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "Float" | "Int" => 4,
        "BFloat16" | "Half" => 2,
        "Byte" | "Char" | "Bool" | "Float8_e4m3fn" | "Float8_e5m2" => 1,
        "Double" | "Long" => 8,
        _ => return None,
    })
}

/// Nodes that the ranks of a group lie on, which are numbered node by node.
fn nodes(n_ranks: u32, listed: &Value, hints: &Hints) -> Result<u32, String> {
    let Some(each) = hints.ranks_per_node.filter(|each| *each > 0) else {
        return Err("collectives, of which a trace does not say how their ranks lie on nodes: give `--ranks-per-node`"
            .to_owned());
    };
    let ranks = numbers(listed).filter(|ranks| ranks.len() == n_ranks as usize);
    let ranks = ranks.ok_or("collectives whose ranks the trace does not list, or not all")?;
    let mut on: BTreeMap<u64, u32> = BTreeMap::new();
    for rank in ranks {
        *on.entry(rank / u64::from(each)).or_default() += 1;
    }
    let counts: Vec<u32> = on.into_values().collect();
    if counts.windows(2).any(|two| two[0] != two[1]) {
        return Err(format!("collectives of {n_ranks} ranks that lie unevenly on nodes"));
    }
    u32::try_from(counts.len()).map_err(|_| "collectives of more nodes than can be counted".to_owned())
}

/// How bytes moved, as far as the kernel's name says it. The library compiles kernels of rings and trees and runs what else it has, such as sums
/// by switches, in those of rings: the name of a ring says nothing.
fn by(kernel: &str, what: Collective) -> Option<MovedBy> {
    let has = |word: &str| kernel.split(['_', '(']).any(|part| part == word);
    if matches!(what, Collective::AllToAll | Collective::SendRecv) {
        None
    } else if has("NVLS") {
        Some(MovedBy::Switches)
    } else if has("TREE") && what == Collective::AllReduce {
        Some(MovedBy::Tree)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_those_of_nccl_tests() {
        let hints = Hints { ranks_per_node: Some(8), ..Hints::default() };
        let ask = |name: &str, splits: &str| {
            let args = json!({
                "Collective name": name, "In msg nelems": 1000, "Out msg nelems": 4000, "dtype": "Float", "Group size": 4,
                "In split size": splits, "Out split size": splits, "Process Group Ranks": "[0, 2, 4, 6]",
            });
            question("ncclDevKernel", &args, &hints)
        };
        let of = |what, bytes| Ok(Question::on_node(what, 4, bytes, None));
        assert_eq!(ask("allreduce", "[]"), of(Collective::AllReduce, 4000));
        assert_eq!(ask("_allgather_base", "[]"), of(Collective::AllGather, 16000));
        assert_eq!(ask("_reduce_scatter_base", "[]"), of(Collective::ReduceScatter, 4000));
        assert_eq!(ask("all_to_allv", "[250, 250, 250, 250]"), of(Collective::AllToAll, 4000));
        assert!(ask("all_to_allv", "[1, 499, 250, 250]").unwrap_err().contains("more than another"));
        assert!(ask("all_to_allv", "[250, 250, ...]").is_err());
        assert!(ask("broadcast", "[]").unwrap_err().contains("`broadcast`"));
    }

    #[test]
    fn ranks_lie_on_nodes_in_their_order() {
        let nodes =
            |listed: &str, n, each| nodes(n, &json!(listed), &Hints { ranks_per_node: each, ..Hints::default() });
        assert_eq!(nodes("[0, 8, 16, 24]", 4, Some(8)), Ok(4));
        assert_eq!(nodes("[0, 1, 8, 9]", 4, Some(8)), Ok(2));
        assert!(nodes("[0, 1, 8]", 3, Some(8)).unwrap_err().contains("unevenly"));
        assert!(nodes("[0, 1]", 4, Some(8)).is_err());
        assert!(nodes("[0, 1]", 2, None).is_err());
    }
}

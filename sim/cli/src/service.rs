//! `check` and `run` of a service.

use plan::{RequestRecord, UnitMemory};
use report::Summary;
use report::format::{count, gib};
use serde_json::json;
use tunnel::Prepared;
use tunnel::service::{FinishedService, serve};
use tunnel::summarize;

use crate::args::ScenarioArgs;
use crate::exit::{self, Failure};
use crate::json::pretty;
use crate::out::{Files, Folder};
use crate::progress::{Extent, during};

/// Whether a service can run: what fits beside the model, in a line or as JSON.
pub(crate) fn check(prepared: &Prepared, args: &ScenarioArgs) -> Result<String, Failure> {
    let plan = prepared.plan().serving()?;
    let kinds = plan.job.kinds();
    let parts = tunnel::service::parts(plan, &kinds)?;
    let Some(memory) = parts.last().map(|part| &part.memory) else { return Ok(String::new()) };
    let (tokens, name) = (memory.tokens() * plan.job.layout.dp, plan.name);
    let n_ranks = plan.job.n_devices();
    if args.output.json {
        return Ok(pretty(&json!({
            "name": name, "digest": prepared.digest, "n_ranks": n_ranks, "kv_tokens_max": tokens,
            "cache_bytes_per_token": memory.cache_per_token.get(), "memory_bytes_capacity": memory.capacity.get(),
        })));
    }
    let kinds: &[&str] = if parts.len() > 1 { &["prefill device", "decode device"] } else { &["device"] };
    let held: String = kinds.iter().zip(&parts).map(|(kind, part)| held(kind, &part.memory)).collect();
    let (n_ranks, tokens) = (count(n_ranks), count(tokens));
    Ok(format!("ok: {name}, {n_ranks} ranks, {tokens} tokens of cache in a unit, digest {}\n{held}", prepared.digest))
}

/// What a device holds beside what the cache takes, item by item.
fn held(kind: &str, memory: &UnitMemory) -> String {
    let items = memory.items.iter().map(|(name, bytes)| format!("{name} {}", gib(bytes.get())));
    format!("memory of a {kind}, GiB: {}\n", items.collect::<Vec<_>>().join(", "))
}

/// Runs the requests of a service: one screen, or JSON; with a folder, a table of requests beside.
pub(crate) fn run(prepared: &Prepared, folder: Option<&Folder>, args: &ScenarioArgs) -> Result<String, Failure> {
    let finished = during("serving", Extent::Unknown, args.output.quiet, || serve(prepared.plan()))?;
    let summary = summarize::of_finished(&finished, &prepared.digest)?;
    if let Some(folder) = folder {
        folder.write(&files(prepared, &finished, &summary)?)?;
    }
    if args.output.json {
        return Ok(report::summary_json(&summary)?);
    }
    Ok(report::terminal(&summary, &[], exit::colors(&std::io::stdout())))
}

fn files(prepared: &Prepared, finished: &FinishedService<'_>, summary: &Summary) -> Result<Files, Failure> {
    let requests = requests(&finished.books.requests);
    let plan = scenario::plan_toml(&prepared.loaded);
    Ok(Files::of([("summary.json", report::summary_json(summary)?), ("plan.toml", plan), ("requests.csv", requests)]))
}

/// A line per request, times in seconds.
fn requests(records: &[RequestRecord]) -> String {
    let mut text = "arrival,input,output,first_token,end\n".to_owned();
    for RequestRecord { arrival, input, output, first_token, end } in records {
        text += &format!("{arrival:.9},{input},{output},{first_token:.9},{end:.9}\n");
    }
    text
}

//! What nccl-tests writes with `-J`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::said::Said;
use super::{Head, N_ITERATIONS, Row, Times};
use crate::import::{Hints, ImportMistake, ImportMistakes, ImportedSamples, finish};
use crate::sample::Reading;

const MICRO: f64 = 1e-6;

/// Every result of one run as a sample.
pub(in crate::import) fn samples(file: &Value, hints: &Hints) -> Result<ImportedSamples, ImportMistakes> {
    let mut imported = ImportedSamples::default();
    let mut mistakes = Vec::new();
    let head = head(file).map_err(|mistake| ImportMistakes(vec![mistake]))?;
    let mut rows = Vec::new();
    let results = file["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (index, result) in results.iter().enumerate() {
        match row(result, head.iterations.unwrap_or(N_ITERATIONS)) {
            Ok(row) => rows.push(row),
            Err(message) => mistakes.push(ImportMistake::whole(format!("`results[{index}]`: {message}"))),
        }
    }
    if results.is_empty() {
        mistakes.push(ImportMistake::whole("`results` is empty: the run was stopped before its first size"));
    }
    if let Err(mistake) = head.samples(&rows, hints, &mut imported) {
        mistakes.push(mistake);
    }
    finish(imported, mistakes)
}

fn head(file: &Value) -> Result<Head, ImportMistake> {
    let config = &file["config"];
    let devices = config["devices"].as_array().map(Vec::as_slice).unwrap_or_default();
    // One device of each process is listed; each process has threads x GPUs ranks.
    let of_process = config["nthreads"].as_u64().unwrap_or(1).saturating_mul(config["ngpus"].as_u64().unwrap_or(1));
    let of_process = u32::try_from(of_process).unwrap_or(u32::MAX);
    let mut hosts: BTreeMap<String, u32> = BTreeMap::new();
    for host in devices.iter().filter_map(|device| device["hostname"].as_str()) {
        let ranks = hosts.entry(host.to_owned()).or_default();
        *ranks = ranks.saturating_add(of_process);
    }
    let ranks = u64::from(of_process).saturating_mul(devices.len() as u64);
    let mut said = Said::default();
    let environment = file["env"].as_array();
    for setting in environment.into_iter().flatten().filter_map(Value::as_str) {
        said.environment(setting)?;
    }
    Ok(Head {
        program: file["args"][0].as_str().map(str::to_owned),
        ranks: u32::try_from(ranks).ok().filter(|ranks| *ranks > 0),
        hosts,
        iterations: config["iterations"].as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0),
        library: file["nccl_version"].as_u64(),
        said,
        is_listed: environment.is_some(),
    })
}

fn row(result: &Value, runs: u32) -> Result<Row, String> {
    let bytes = result["size"].as_u64().ok_or("`size` is missing or no whole number")?;
    let out_of_place = times(result, "out_of_place", runs)?;
    Ok(Row { bytes, out_of_place, in_place: times(result, "in_place", runs)? })
}

fn times(result: &Value, name: &str, runs: u32) -> Result<Option<Times>, String> {
    let half = &result[name];
    if half.is_null() {
        return Ok(None);
    }
    let wrong = half["nwrong"].as_f64().is_some_and(|wrong| wrong != 0.0);
    let calls = &result[format!("{name}_per_iter")];
    let skipped = calls["skipped_iterations"].as_u64().unwrap_or(0) as usize;
    let micros: Vec<f64> = calls["times_us"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let micros: Vec<f64> = micros.into_iter().skip(skipped).collect();
    let n_calls = u32::try_from(micros.len()).unwrap_or(u32::MAX);
    if let Some(percentiles) = units::quantiles(&micros, Reading::SHARES) {
        return Ok(Some(Times { seconds: percentiles.map(|micros| micros * MICRO), runs: n_calls, wrong }));
    }
    let mean = half["time"].as_f64().or(half["cpu_time"].as_f64());
    let mean = mean.ok_or_else(|| format!("`{name}.time` is missing or no number"))?;
    Ok(Some(Times { seconds: [mean * MICRO; 3], runs, wrong }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use workloads::op::Collective;

    use crate::question::Question;

    fn file() -> Value {
        let device =
            json!({"rank": 0, "group": 0, "pid": 7, "hostname": "node7", "device": 0, "device_info": "Some GPU"});
        json!({
            "version": 3,
            "args": ["./build/alltoall_perf", "-b", "1M"],
            "env": ["HOME=/root", "NCCL_NVLS_ENABLE=0"],
            "nccl_version": 22803,
            "config": {"nthreads": 1, "ngpus": 4, "iterations": 20, "devices": [device]},
            "results": [
                {
                    "size": 1_048_576, "count": 65536, "type": "float", "redop": "none", "root": "    -1",
                    "out_of_place": {"time": 20.0, "alg_bw": 52.4, "bus_bw": 39.3, "nwrong": 0.0},
                    "in_place": {"time": 19.0, "alg_bw": 55.2, "bus_bw": 41.4, "nwrong": null},
                },
                {
                    "size": 2_097_152, "count": 131_072, "type": "float", "redop": "none", "root": "    -1",
                    "out_of_place": {"time": 30.0, "alg_bw": 69.9, "bus_bw": 52.4, "nwrong": 0.0},
                    "out_of_place_per_iter": {"skipped_iterations": 1, "times_us": [99.0, 28.0, 30.0, 35.0]},
                    "in_place": {"time": 29.0, "alg_bw": 72.3, "bus_bw": 54.2, "nwrong": 0.0},
                },
            ],
        })
    }

    #[test]
    fn results_become_samples_with_percentiles_where_calls_are_there() {
        let imported = samples(&file(), &Hints::default()).unwrap();
        let of = |bytes| Question::on_node(Collective::AllToAll, 4, bytes, None);
        let questions: Vec<Question> = imported.samples.iter().map(|sample| sample.question.clone()).collect();
        assert_eq!(questions, [1 << 20, 2 << 20].map(of));
        let readings = imported.samples.iter().map(|sample| &sample.reading);
        let micros: Vec<[f64; 3]> = readings
            .map(|reading| [reading.low, reading.seconds, reading.high].map(|time| (time * 1e6).round()))
            .collect();
        assert_eq!(micros, [[20.0, 20.0, 20.0], [28.0, 30.0, 35.0]]);
        assert_eq!(imported.samples[1].reading.runs, 3);
        assert_eq!(imported.samples[0].reading.implementation, "nccl 2.28.3, NVLS off");
    }

    #[test]
    fn mistakes_name_the_result() {
        let mut odd = file();
        odd["results"][1]["size"] = json!("2M");
        odd["results"][0]["out_of_place"] = json!({"alg_bw": 1.0});
        let text = samples(&odd, &Hints::default()).unwrap_err().to_string();
        assert!(text.contains("`results[0]`: `out_of_place.time`") && text.contains("`results[1]`: `size`"), "{text}");
        odd["results"] = json!([]);
        assert!(samples(&odd, &Hints::default()).unwrap_err().to_string().contains("stopped"));
    }
}

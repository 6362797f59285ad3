//! CSV of samples: one measurement a row.
//!
//! The first row names the columns. `kernel` is the kind as in a file of samples (`gemm`, `rmsnorm`, ...); the columns a
//! kind needs are its own sizes, and the others stay empty. Then `seconds` with `low` and `high` (fifth and ninety-fifth
//! percentile), `runs` and `implementation`; optionally `clock` (hertz), `power` (watts) and any `extra.NAME`. Counts in a
//! list are apart by spaces; what may be none is `none` or empty.

use csv::StringRecord;
use serde_json::{Map, Value, json};

use super::{Hints, ImportMistake, ImportMistakes, ImportedSamples, finish};
use crate::question::Question;
use crate::sample::{Reading, Sample};

/// What stands in a cell.
#[derive(Clone, Copy)]
enum Kind {
    Count,
    CountOrNone,
    /// A count that is one where the cell is empty.
    CountOrOne,
    Counts,
    Flag,
    Word,
    WordOrNone,
}
use Kind::{Count, CountOrNone, CountOrOne, Counts, Flag, Word, WordOrNone};

/// Mistakes that are told one by one.
const N_TOLD: usize = 200;

const READING: [&str; 7] = ["seconds", "low", "high", "runs", "implementation", "clock", "power"];

/// The sizes of every kind; what needs another question inside it is not for tables.
const KERNELS: &[(&str, &[(&str, Kind)])] = &[
    ("copy", &[("bytes", Count), ("sms", Count)]),
    ("read", &[("bytes", Count), ("sms", Count)]),
    ("write", &[("bytes", Count), ("sms", Count)]),
    ("gemm", &[("m", Count), ("n", Count), ("k", Count), ("dtype", Word), ("sms", Count)]),
    ("grouped-gemm", &[("tokens", Counts), ("n", Count), ("k", Count), ("dtype", Word), ("sms", Count)]),
    ("promoted-gemm", &[("m", Count), ("n", Count), ("k", Count), ("promote", CountOrNone), ("sms", Count)]),
    ("tensor-loop", &[("dtype", Word), ("sms", Count)]),
    (
        "attention",
        &[
            ("heads", Count),
            ("kv-heads", Count),
            ("queries", Count),
            ("keys", Count),
            ("qk", Count),
            ("value", Count),
            ("causal", Flag),
            ("direction", Word),
        ],
    ),
    ("rmsnorm", &[("tokens", Count), ("dim", Count)]),
    ("swiglu", &[("tokens", Count), ("dim", Count)]),
    ("rope", &[("tokens", Count), ("dim", Count)]),
    ("cast", &[("tokens", Count), ("dim", Count)]),
    ("cast-transposed", &[("tokens", Count), ("dim", Count)]),
    ("permute", &[("tokens", Count), ("dim", Count), ("top-k", Count)]),
    ("unpermute", &[("tokens", Count), ("dim", Count), ("top-k", Count)]),
    ("index-add", &[("tokens", Count), ("dim", Count), ("top-k", Count)]),
    ("rows", &[("what", Word), ("tokens", Count), ("dim", Count)]),
    ("launch", &[]),
    ("graph-launch", &[]),
    ("peer-copy", &[("bytes", Count), ("sms", Count)]),
    ("peer-bulk", &[("bytes", Count), ("sms", Count)]),
    ("peer-engine", &[("bytes", Count)]),
    ("peer-latency", &[]),
    ("dispatch", EXCHANGE),
    ("combine", EXCHANGE),
    (
        "collective",
        &[
            ("what", Word),
            ("ranks", Count),
            ("bytes", Count),
            ("sms", CountOrNone),
            ("nodes", CountOrOne),
            ("by", WordOrNone),
        ],
    ),
];
const EXCHANGE: &[(&str, Kind)] =
    &[("ranks", Count), ("tokens", Count), ("dim", Count), ("experts", Count), ("top-k", Count), ("sms", Count)];

/// Whether a text is CSV with a column `kernel`.
pub(super) fn is_table(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    first.split(',').any(|name| name.trim().trim_matches('"') == "kernel")
}

/// Every row as a sample.
pub(super) fn samples(text: &str, hints: &Hints) -> Result<ImportedSamples, ImportMistakes> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().cloned().map_err(|error| ImportMistakes(vec![of_csv(&error)]))?;
    let mut mistakes = Vec::new();
    check_header(&header, &mut mistakes);
    if !mistakes.is_empty() {
        return Err(ImportMistakes(mistakes));
    }
    let mut imported = ImportedSamples::default();
    for record in reader.records() {
        if mistakes.len() >= N_TOLD {
            break;
        }
        match record {
            Ok(cells) => {
                let line = cells.position().map_or(0, csv::Position::line);
                let row = Row { header: &header, cells: &cells, line };
                match row.sample(hints, &mut mistakes) {
                    Some(sample) => imported.samples.push(sample),
                    None => debug_assert!(!mistakes.is_empty(), "a row is a sample or a mistake"),
                }
            }
            Err(error) => mistakes.push(of_csv(&error)),
        }
    }
    finish(imported, mistakes)
}

fn of_csv(error: &csv::Error) -> ImportMistake {
    let line = error.position().map_or(0, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            ImportMistake::line(line, format!("{len} cells, and the first line has {expected_len}"))
        }
        _ => ImportMistake::line(line, error.to_string()),
    }
}

fn check_header(header: &StringRecord, mistakes: &mut Vec<ImportMistake>) {
    let sizes = || KERNELS.iter().flat_map(|(_, fields)| fields.iter().map(|(name, _)| *name));
    for (index, name) in header.iter().enumerate() {
        let known = name == "kernel" || READING.contains(&name) || name.starts_with("extra.");
        if !known && !sizes().any(|size| size == name) {
            mistakes.push(ImportMistake::cell(1, name, "no kernel has such a size, and a reading has no such part"));
        }
        if header.iter().take(index).any(|before| before == name) {
            mistakes.push(ImportMistake::cell(1, name, "it stands there twice"));
        }
    }
    for name in &READING[..5] {
        if !header.iter().any(|column| column == *name) {
            mistakes.push(ImportMistake::cell(1, name, "it is missing"));
        }
    }
}

struct Row<'a> {
    header: &'a StringRecord,
    cells: &'a StringRecord,
    line: u64,
}

impl Row<'_> {
    fn sample(&self, hints: &Hints, mistakes: &mut Vec<ImportMistake>) -> Option<Sample> {
        // Both, so that a row's mistakes are all told.
        let (question, reading) = (self.question(mistakes), self.reading(mistakes));
        let (question, reading) = (question?, reading?);
        if let Some(fault) = reading.fault(&question) {
            mistakes.push(ImportMistake::line(self.line, fault));
            return None;
        }
        Some(Sample { question, reading, machine: hints.source.clone() })
    }

    fn cell(&self, name: &str) -> &str {
        let index = self.header.iter().position(|column| column == name);
        index.and_then(|index| self.cells.get(index)).unwrap_or_default()
    }

    fn mistake<T>(&self, column: &str, message: String, mistakes: &mut Vec<ImportMistake>) -> Option<T> {
        mistakes.push(ImportMistake::cell(self.line, column, message));
        None
    }

    fn question(&self, mistakes: &mut Vec<ImportMistake>) -> Option<Question> {
        let kernel = self.cell("kernel");
        let Some((_, fields)) = KERNELS.iter().find(|(name, _)| *name == kernel) else {
            let names: Vec<&str> = KERNELS.iter().map(|(name, _)| *name).collect();
            let message = format!("there is no kernel `{kernel}` in tables; there are {}", names.join(", "));
            return self.mistake("kernel", message, mistakes);
        };
        self.refuse_others(kernel, fields, mistakes);
        let before = mistakes.len();
        let mut object = Map::from_iter([("kernel".to_owned(), json!(kernel))]);
        for (name, kind) in *fields {
            if let Some(value) = self.value(kernel, name, *kind, mistakes) {
                object.insert((*name).to_owned(), value);
            }
        }
        if mistakes.len() > before {
            return None;
        }
        // What is left to go wrong is a word that is not in its list; serde names the words there are.
        match serde_json::from_value(Value::Object(object)) {
            Ok(question) => Some(question),
            Err(error) => {
                let words = fields.iter().filter(|(_, kind)| matches!(kind, Word | WordOrNone)).map(|(name, _)| *name);
                let words: Vec<&str> = words.collect();
                self.mistake(&words.join("` or `"), error.to_string(), mistakes)
            }
        }
    }

    /// A size that the kernel does not have was meant for something.
    fn refuse_others(&self, kernel: &str, fields: &[(&str, Kind)], mistakes: &mut Vec<ImportMistake>) {
        for (name, cell) in self.header.iter().zip(self.cells) {
            let own = name == "kernel" || READING.contains(&name) || name.starts_with("extra.");
            if !own && !cell.is_empty() && !fields.iter().any(|(field, _)| *field == name) {
                let message = format!("`{cell}`, but `{kernel}` has no `{name}`: leave the cell empty");
                mistakes.push(ImportMistake::cell(self.line, name, message));
            }
        }
    }

    fn value(&self, kernel: &str, name: &str, kind: Kind, mistakes: &mut Vec<ImportMistake>) -> Option<Value> {
        let cell = self.cell(name);
        let count = |text: &str| text.parse::<u64>().ok().filter(|count| *count > 0);
        match kind {
            CountOrNone | WordOrNone if ["", "none", "never"].contains(&cell) => Some(Value::Null),
            CountOrOne if cell.is_empty() => Some(json!(1)),
            _ if cell.is_empty() => self.mistake(name, format!("`{kernel}` needs it, and it is empty"), mistakes),
            Count | CountOrNone | CountOrOne => match count(cell) {
                Some(count) => Some(json!(count)),
                None => self.mistake(name, format!("`{cell}` is not a whole number above zero"), mistakes),
            },
            Counts => match cell.split_whitespace().map(|text| text.parse().ok()).collect::<Option<Vec<u64>>>() {
                Some(counts) => Some(json!(counts)),
                None => self.mistake(name, format!("`{cell}` is not whole numbers apart by spaces"), mistakes),
            },
            Flag => match cell.to_ascii_lowercase().as_str() {
                "true" | "1" => Some(json!(true)),
                "false" | "0" => Some(json!(false)),
                _ => self.mistake(name, format!("`{cell}` is neither `true` nor `false`"), mistakes),
            },
            Word | WordOrNone => Some(json!(cell)),
        }
    }

    fn reading(&self, mistakes: &mut Vec<ImportMistake>) -> Option<Reading> {
        let before = mistakes.len();
        let mut number = |name: &str| {
            let cell = self.cell(name);
            match cell.parse::<f64>() {
                Ok(value) => Some(value),
                Err(_) if cell.is_empty() => None,
                Err(_) => self.mistake(name, format!("`{cell}` is not a number"), mistakes),
            }
        };
        let [seconds, low, high, clock, power] = ["seconds", "low", "high", "clock", "power"].map(&mut number);
        let extras = self.header.iter().filter_map(|name| Some((name.strip_prefix("extra.")?, number(name)?)));
        let extras = extras.map(|(name, value)| (name.to_owned(), value)).collect();
        let (runs, implementation) = (self.cell("runs"), self.cell("implementation"));
        for name in &READING[..5] {
            if self.cell(name).is_empty() {
                mistakes.push(ImportMistake::cell(self.line, name, "it is empty"));
            }
        }
        let n_runs = runs.parse::<u32>();
        if n_runs.is_err() && !runs.is_empty() {
            mistakes.push(ImportMistake::cell(self.line, "runs", format!("`{runs}` is not a whole number")));
        }
        if mistakes.len() > before {
            return None;
        }
        let implementation = implementation.to_owned();
        Some(Reading {
            implementation,
            seconds: seconds?,
            low: low?,
            high: high?,
            runs: n_runs.ok()?,
            clock,
            power,
            extras,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::design::{Facts, design};
    use crate::question::Direction;

    fn read(text: &str) -> Result<ImportedSamples, ImportMistakes> {
        samples(text, &Hints { source: "here".to_owned(), ..Hints::default() })
    }

    fn mistakes(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    /// A row of every column, written from the question's own JSON.
    fn row(question: &Question, columns: &[&str]) -> Option<String> {
        let value = serde_json::to_value(question).ok()?;
        let cell = |name: &&str| match value.get(*name) {
            Some(Value::Array(items)) => items.iter().map(Value::to_string).collect::<Vec<_>>().join(" "),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) => "none".to_owned(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        value.get("of").is_none().then(|| columns.iter().map(cell).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn every_question_comes_back_as_it_went() {
        let facts = Facts { n_devices: 8, sms: 128, memory: 64 << 30 };
        let mut questions = design(&facts, true, &[]);
        questions.push(Question::Attention {
            heads: 128,
            kv_heads: 8,
            queries: 4096,
            keys: 4096,
            qk: 192,
            value: 128,
            causal: true,
            direction: Direction::Backward,
        });
        questions.retain(|question| !matches!(question, Question::Together { .. } | Question::Accumulate { .. }));
        let mut columns = vec!["kernel"];
        for (_, fields) in KERNELS {
            for (name, _) in *fields {
                if !columns.contains(name) {
                    columns.push(name);
                }
            }
        }
        let mut text = format!("{},seconds,low,high,runs,implementation,extra.loss\n", columns.join(","));
        for question in &questions {
            let cells = row(question, &columns).expect("a flat question");
            text.push_str(&format!("{cells},0.25,0.125,0.5,10,\"mine, 1.0\",2\n"));
        }
        let imported = read(&text).unwrap();
        let back: Vec<&Question> = imported.samples.iter().map(|sample| &sample.question).collect();
        assert_eq!(back, questions.iter().collect::<Vec<_>>());
        let reading = &imported.samples[0].reading;
        assert_eq!((reading.seconds, reading.runs, reading.implementation.as_str()), (0.25, 10, "mine, 1.0"));
        assert_eq!(reading.extras["loss"], 2.0);
    }

    #[test]
    fn mistakes_are_told_by_line_and_column_all_at_once() {
        let text = mistakes(
            "kernel,m,n,k,dtype,sms,dim,seconds,low,high,runs,implementation\n\
             gemm,128,128,128,bf16,132,,1e-3,1e-3,1e-3,5,a\n\
             gemm,12.5,,128,bf16,132,64,1e-3,1e-3,x,5,a\n\
             gemm,128,128,128,fp4,132,,1e-3,1e-3,1e-3,5,a\n\
             gemmm,128,128,128,bf16,132,,1e-3,1e-3,1e-3,5,a\n\
             gemm,128,128,128,bf16,132,,1e-3,2e-3,3e-3,0,a\n\
             gemm,128,128,128,bf16,132,,1e-3,1e-3,1e-3,5,\n\
             gemm,128,128\n",
        );
        for part in [
            "line 3, column `m`: `12.5` is not a whole number",
            "line 3, column `n`: `gemm` needs it",
            "line 3, column `dim`: `64`, but `gemm` has no `dim`",
            "line 3, column `high`: `x` is not a number",
            "line 4, column `dtype`: unknown variant `fp4`, expected one of `fp8-block`",
            "line 5, column `kernel`: there is no kernel `gemmm`",
            "line 6: `seconds` is 0.001, not between `low` 0.002",
            "line 7, column `implementation`: it is empty",
            "line 8: 3 cells, and the first line has 12",
        ] {
            assert!(text.contains(part), "no `{part}` in\n{text}");
        }
        assert!(!text.contains("line 2"), "{text}");
    }

    #[test]
    fn columns_must_be_known_and_whole() {
        let text = mistakes("kernel,tokenz,dim,dim,seconds,low,high,implementation\n");
        for part in ["column `tokenz`", "column `dim`: it stands there twice", "column `runs`: it is missing"] {
            assert!(text.contains(part), "no `{part}` in\n{text}");
        }
    }
}

//! Small jobs that together use every mechanism of the model, each run in milliseconds, and what a run comes to as numbers.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use plan::{Keep, Plan, PlanError, Recording};
use scenario::{Library, Loaded, Sources, load};
use serde_json::Value;

use crate::summarize::{self, FinishedRun};

/// Where the scenes are. One more file there is one more scene.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenes")
}

/// Where a library of this test has its files, in memory.
const FOLDER: &str = "/scenes";

/// Texts by path, then the copy of the presets inside the program.
struct Texts(BTreeMap<PathBuf, String>);

impl Sources for Texts {
    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        Ok(self.0.get(path).cloned())
    }

    fn entries(&self, _: &Path) -> Vec<String> {
        Vec::new()
    }
}

/// A library with some files of its own, by path below its folder.
pub(super) fn library(files: &[(&str, &str)]) -> Library {
    let files = files.iter().map(|(path, text)| (Path::new(FOLDER).join(path), (*text).to_owned())).collect();
    Library::with_sources(vec![PathBuf::from(FOLDER)], Box::new(Texts(files)))
}

/// A scenario text with patches over it.
pub(super) fn text(text: &str, sets: &[&str]) -> Result<Loaded, String> {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    load("scene", &sets, &library(&[("train/scene.toml", text)])).map_err(|mistakes| mistakes.to_string())
}

/// One small job as it stands.
pub(super) struct Scene {
    pub(super) name: String,
    text: String,
    pub(super) base: Loaded,
    pub(super) numbers: Numbers,
}

/// Every number of a run's summary, by where it stands.
pub(super) type Numbers = BTreeMap<String, f64>;

impl Scene {
    /// All of them, run.
    pub(super) fn all() -> Vec<Self> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder()).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        let scene = |path: PathBuf| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("a scene");
            let base = self::text(&text, &[]).unwrap_or_else(|mistakes| panic!("scene `{name}`: {mistakes}"));
            let numbers = numbers(&base.plan).unwrap_or_else(|error| panic!("scene `{name}`: {error}"));
            Self { name, text, base, numbers }
        };
        files.into_iter().map(scene).collect()
    }

    /// The same with a patch.
    pub(super) fn with(&self, set: &str) -> Result<Loaded, String> {
        self.under(&[set])
    }

    /// The same with patches.
    pub(super) fn under(&self, sets: &[&str]) -> Result<Loaded, String> {
        text(&self.text, sets)
    }
}

/// Runs a plan; names and digest are no numbers of it.
pub(super) fn numbers(plan: &Plan) -> Result<Numbers, String> {
    summary(plan).map(|summary| numbers_of(&summary)).map_err(|error| error.to_string())
}

/// Every number of a summary.
pub(super) fn numbers_of(summary: &Value) -> Numbers {
    let mut numbers = Numbers::new();
    collect("", summary, &mut numbers);
    numbers
}

/// What a run of a plan comes to, as JSON.
pub(super) fn summary(plan: &Plan) -> Result<Value, PlanError> {
    let json = |summary| serde_json::to_value(summary).map_err(|error| PlanError::Fault(error.to_string()));
    if plan.serving().is_ok() {
        return json(summarize::service(plan, "")?);
    }
    let plan = plan.train()?;
    let program = plan::lower(plan)?;
    let memory = plan::check_memory(plan, program.pool.as_ref())?;
    let keep = Keep { ranks: Recording::None, streams: false };
    let outcome = plan::run(&program, keep, &plan::Progress::default())?;
    let least = plan::least_step(&program);
    assert!(least <= outcome.step, "{}: a step of {:?} is bounded by {least:?}", plan.name, outcome.step);
    let finished = FinishedRun { plan, digest: "", program: &program, memory: &memory, outcome: &outcome };
    json(summarize::summary(&finished)?)
}

fn collect(place: &str, value: &Value, numbers: &mut Numbers) {
    match value {
        Value::Number(number) => {
            numbers.insert(place.to_owned(), number.as_f64().unwrap_or(f64::NAN));
        }
        Value::Array(items) => {
            // Rows with a name stand under it, so that another order is no difference.
            for (index, item) in items.iter().enumerate() {
                let name = item.get("op").or_else(|| item.get("kind")).and_then(Value::as_str);
                let pass = item.get("pass").and_then(Value::as_str).unwrap_or_default();
                let name = name.map_or_else(|| index.to_string(), |name| format!("{name} {pass}"));
                collect(&format!("{place}.{name}"), item, numbers);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                collect(&format!("{place}.{name}"), field, numbers);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

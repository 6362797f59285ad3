//! A study and its proposals: files of the library, as presets are.

use report::Measure;
use report::measure::MeasureUnit;
use scenario::{Kind, Library, Mistakes, Text};
use study::{Proposal, Study, StudyError};

/// A study that was found and read.
#[derive(Clone, Debug)]
pub struct FoundStudy {
    /// What it asks.
    pub study: Study,
    /// The number that it judges by, where it names one.
    pub measure: Option<Measure>,
    /// The base as it can be loaded from the working folder.
    pub base: String,
}

/// Reads a study by name or path, its proposals by name or by a path relative to the study, with `sets` over its base and judged by `objective` where one is given.
///
/// # Errors
/// A file that is not there, or every mistake in one.
pub fn find(
    reference: &str,
    (sets, objective): (&[String], Option<&str>),
    library: &Library,
) -> Result<FoundStudy, StudyError> {
    let file = open(library, Kind::Study, reference, None)?;
    let proposal = |reference: &str| {
        let proposal = open(library, Kind::Proposal, reference, Some(&file))?;
        Proposal::read(proposal.name(), proposal.as_str())
    };
    let mut study = Study::read(file.name(), file.as_str(), &proposal)?;
    for set in sets {
        study.patch.push(change(set)?);
    }
    study.objective = objective.map(str::to_owned).or(study.objective);
    let measure = study.objective.as_deref().map(|name| self::measure(file.name(), name)).transpose()?;
    let target = study.together.as_ref().and_then(|together| together.target);
    if let (Some(measure), Some(target)) = (measure.as_ref().filter(|m| m.unit != MeasureUnit::Seconds), target) {
        let message = format!("`together.target` is {} s, and {} is no time", target.get(), measure.noun);
        return Err(StudyError::file(file.name(), message, "leave `target` out, or take a time as `objective`"));
    }
    let base = file.resolve(&study.base);
    Ok(FoundStudy { study, measure, base })
}

/// The number of a name that jobs can be judged by; `place` is where the name stands.
///
/// # Errors
/// A name that is none, with the nearest that are.
pub fn measure(place: &str, name: &str) -> Result<Measure, StudyError> {
    Measure::of(name).ok_or_else(|| {
        let all: Vec<String> = Measure::all().into_iter().map(|measure| measure.name).collect();
        let hint = format!("take one of {}", all.join(", "));
        StudyError::file(place, format!("`objective`: there is no `{name}` that jobs are judged by"), hint)
    })
}

fn open(library: &Library, kind: Kind, reference: &str, from: Option<&Text>) -> Result<Text, StudyError> {
    library.text(kind, reference, from).map_err(|absent| refusal(kind, reference, from, &absent))
}

/// A file that is not there, and where it could be.
fn refusal(kind: Kind, reference: &str, from: Option<&Text>, absent: &Mistakes) -> StudyError {
    let first = absent.diagnostics().first();
    let message = first.map(|diagnostic| diagnostic.message.clone()).unwrap_or_default();
    let hint = first.and_then(|diagnostic| diagnostic.hint.as_deref()).unwrap_or("see whether it can be read");
    let is_path = reference.contains(['/', '\\']) || reference.ends_with(".toml");
    let home = format!("scenarios/{}/{reference}.toml", kind.folder());
    let hint = if is_path { hint.to_owned() } else { format!("{hint}; its file would be `{home}`") };
    StudyError::File { place: from.map_or(reference, Text::name).to_owned(), message, hint }
}

/// One `--set`: text that is no TOML value is a string.
fn change(set: &str) -> Result<study::Change, StudyError> {
    let Some((key, value)) = set.split_once('=') else {
        return Err(StudyError::File {
            place: format!("--set {set}"),
            message: "it has no `=`".to_owned(),
            hint: "write `--set dotted.key=value`, for example `--set gpu.sms=160`".to_owned(),
        });
    };
    let parsed = toml::from_str::<toml::Table>(&format!("value = {value}")).ok();
    let value = parsed.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    let value = value.unwrap_or_else(|| toml::Value::String(set[key.len() + 1..].trim().to_owned()));
    Ok(study::Change { key: key.trim().to_owned(), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_a_change() {
        assert_eq!(change("gpu.sms=144").expect("a change").set(), "gpu.sms=144");
        assert_eq!(change("policy.schedule=1f1b").expect("a change").set(), "policy.schedule=\"1f1b\"");
        assert_eq!(change("node.nic.rate = 50 GB/s").expect("a change").set(), "node.nic.rate=\"50 GB/s\"");
        assert!(change("gpu.sms").is_err());
    }
}

//! Which part of a study one of several machines runs.

use std::str::FromStr;

use crate::StudyError;

/// Variables in which schedulers number the tasks of an array: Slurm, HyperQueue, Kubernetes.
const TASK: [&str; 3] = ["SLURM_ARRAY_TASK_ID", "HQ_TASK_ID", "JOB_COMPLETION_INDEX"];
/// The first number of a Slurm array.
const FIRST: &str = "SLURM_ARRAY_TASK_MIN";

/// Every `of`-th point, from `index` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which of them, from 0.
    pub index: usize,
    /// How many there are.
    pub of: usize,
}

impl Shard {
    /// All of a study.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// `I/N`, or `auto/N` with I from the scheduler's variables, which `variable` looks up.
    ///
    /// # Errors
    /// [`StudyError::Shard`] for anything else, for I out of 0..N, for an array that does not start at 0, and where
    /// two schedulers number the task differently.
    pub fn parse(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, StudyError> {
        let form = || {
            refused(format!("`--shard {text}` is no part of a study"), "write I/N with I from 0 to N - 1, or auto/N")
        };
        let (index, of) = text.split_once('/').ok_or_else(form)?;
        let of = number(of).filter(|of| *of > 0).ok_or_else(form)?;
        let index = if index == "auto" { automatic(variable)? } else { number(index).ok_or_else(form)? };
        if index >= of {
            return Err(refused(
                format!("there is no shard {index} of {of}"),
                "shards are numbered from 0: an array of N tasks goes from 0 to N - 1",
            ));
        }
        Ok(Self { index, of })
    }

    /// Whether a point belongs to it.
    #[must_use]
    pub fn holds(&self, position: usize) -> bool {
        position % self.of == self.index
    }
}

fn automatic(variable: &dyn Fn(&str) -> Option<String>) -> Result<usize, StudyError> {
    if let Some(first) = variable(FIRST).filter(|first| first != "0") {
        return Err(refused(
            format!("the array starts at `{FIRST}={first}`"),
            "submit it with `--array=0-...`: shards are numbered from 0",
        ));
    }
    let set: Vec<(&str, String)> = TASK.iter().filter_map(|name| Some((*name, variable(name)?))).collect();
    let Some((name, text)) = set.first() else {
        return Err(refused(
            format!("`--shard auto/N` finds none of {}", TASK.join(", ")),
            "run it as a task of an array, or write I/N",
        ));
    };
    if let Some((other, value)) = set.iter().find(|(_, value)| value != text) {
        return Err(refused(
            format!("two schedulers number this task: `{name}={text}` and `{other}={value}`"),
            "write I/N with the one that is meant",
        ));
    }
    number(text).ok_or_else(|| refused(format!("`{name}={text}` is no number"), "write I/N"))
}

/// Digits alone: `+3` is no number of a shard.
fn number(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { usize::from_str(text).ok() } else { None }
}

fn refused(message: String, hint: &str) -> StudyError {
    StudyError::Shard { message, hint: hint.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Shard, StudyError> {
        let look_up =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Shard::parse(text, &look_up)
    }

    #[test]
    fn every_point_is_in_one_shard() {
        let shards: Vec<Shard> = (0..7).map(|index| parse(&format!("{index}/7"), &[]).expect("a shard")).collect();
        assert!((0..100).all(|point| shards.iter().filter(|shard| shard.holds(point)).count() == 1));
    }

    #[test]
    fn schedulers_say_which() {
        for name in TASK {
            assert_eq!(parse("auto/4", &[(name, "3")]), Ok(Shard { index: 3, of: 4 }));
        }
        assert_eq!(parse("auto/4", &[(TASK[0], "0"), (FIRST, "0")]), Ok(Shard { index: 0, of: 4 }));
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        for text in ["", "3", "1/0", "4/4", "-1/4", "a/4", "1/b", "1/4/2", "+1/4", "auto/4"] {
            assert!(parse(text, &[]).is_err(), "{text}");
        }
        assert!(parse("auto/4", &[(TASK[0], "4")]).is_err());
        assert!(parse("auto/4", &[(TASK[0], "1"), (FIRST, "1")]).is_err());
        assert!(parse("auto/4", &[(TASK[0], "1"), (TASK[1], "2")]).is_err());
    }
}

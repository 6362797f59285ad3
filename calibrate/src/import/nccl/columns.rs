//! The columns of a table of nccl-tests, which versions have named and filled differently.

use super::{Row, Times};

const MICRO: f64 = 1e-6;

/// Where the columns of the two halves stand.
pub(super) struct Columns {
    pub(super) n_columns: usize,
    /// Where the name of the operation stands, which was left blank where there is none.
    operation: Option<usize>,
    halves: Vec<Half>,
}

struct Half {
    time: usize,
    wrong: Option<usize>,
}

/// The header line: what stands before it, and its columns; `time` stands there once or twice, `#wrong` after each. (Before
/// there was `#wrong`, there was `error`, which is rounding and no mistake.)
pub(super) fn header(line: &str) -> Option<(&str, Columns)> {
    let (at, names) = line.match_indices('#').find_map(|(at, _)| {
        let names: Vec<&str> = line[at + 1..].split_whitespace().collect();
        (names.first() == Some(&"size") && names.get(1) == Some(&"count")).then_some((at, names))
    })?;
    // A time of day has a space in it and is not needed.
    let n_columns = names.iter().position(|name| *name == "timestamp").unwrap_or(names.len());
    let times: Vec<usize> = (0..n_columns).filter(|index| ["time", "cputime"].contains(&names[*index])).collect();
    let half = |(index, time): (usize, &usize)| {
        let end = times.get(index + 1).copied().unwrap_or(n_columns);
        Half { time: *time, wrong: (*time..end).find(|index| names[*index] == "#wrong") }
    };
    let halves: Vec<Half> = times.iter().enumerate().map(half).collect();
    let operation = names.iter().position(|name| *name == "redop");
    (!halves.is_empty()).then_some((&line[..at], Columns { n_columns, operation, halves }))
}

/// What of a row a line holds.
pub(super) enum Part {
    Whole,
    /// Size, count, type, operation and root, and whatever the library wrote after them.
    Sizes,
    Times,
    /// It is of another program.
    None,
}

impl Columns {
    pub(super) fn part(&self, words: &[&str]) -> Part {
        let first = self.halves.first().map_or(0, |half| half.time);
        let whole = |index: usize| words.get(index).is_some_and(|word| word.parse::<u64>().is_ok());
        let is_number = |word: &&str| *word == "N/A" || word.parse::<f64>().is_ok();
        // A blank operation leaves one word less before the times.
        let has_times = || words.get(first.saturating_sub(1)..).is_some_and(|rest| rest.iter().skip(1).any(is_number));
        if words.len() == self.n_columns - first && words.iter().all(is_number) {
            Part::Times
        } else if !(whole(0) && whole(1)) {
            Part::None
        } else if words.len() >= self.n_columns && words.get(first).is_some_and(is_number) {
            Part::Whole
        } else if words.windows(2).any(|two| two == ["NCCL", "INFO"]) || !has_times() {
            Part::Sizes
        } else {
            Part::Whole
        }
    }

    pub(super) fn row(&self, words: &[&str], runs: u32) -> Result<Row, (String, String)> {
        let mut words = words.to_vec();
        // A number where the operation's name should be: it was left blank.
        if let Some(operation) = self.operation.filter(|_| words.len() + 1 == self.n_columns)
            && words.get(operation).is_some_and(|word| word.parse::<f64>().is_ok())
        {
            words.insert(operation, "");
        }
        if words.len() < self.n_columns {
            let message = format!("{} columns, and the header has {}: is the line cut?", words.len(), self.n_columns);
            return Err((String::new(), message));
        }
        let bytes = words[0].parse().map_err(|_| ("size".to_owned(), format!("`{}` is no size", words[0])))?;
        let mut halves = self.halves.iter().map(|half| half.times(&words, runs));
        let out_of_place = halves.next().transpose()?.flatten();
        Ok(Row { bytes, out_of_place, in_place: halves.next().transpose()?.flatten() })
    }
}

impl Half {
    fn times(&self, words: &[&str], runs: u32) -> Result<Option<Times>, (String, String)> {
        let text = words[self.time];
        if ["N/A", "-"].contains(&text) {
            return Ok(None);
        }
        let micros: f64 = text.parse().map_err(|_| ("time".to_owned(), format!("`{text}` is no time")))?;
        // Another line may begin right after it.
        let digits = |text: &str| text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())].parse::<f64>();
        let wrong = self.wrong.is_some_and(|index| {
            let text = words[index];
            text.parse::<f64>().or_else(|_| digits(text)).is_ok_and(|wrong| wrong != 0.0)
        });
        Ok(Some(Times { seconds: [micros * MICRO; 3], runs, wrong }))
    }
}

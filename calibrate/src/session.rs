//! A calibration: questions put to a bench one by one, each answer kept before the next is asked.
//!
//! Answers are JSON lines ([`Line`]): the machine first, then a sample a line, flushed as it comes. So a calibration that
//! is killed at any byte is taken up again: [`Records::read`] drops a last line that was cut, and [`run`] asks only what the
//! same machine has not answered. Another driver or library is another machine, whose samples stand in the same file.
//!
//! Questions are asked in an order drawn from a seed: what drifts while a machine grows warm is then spread over all sizes
//! and no part of their trend.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::bench::{Bench, BenchError};
use crate::question::Question;
use crate::sample::{Fingerprint, Line, Sample};

/// Seed of the order in which questions are asked.
const SEED: u64 = 1;

/// What a file of samples holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    /// Machines by [`Fingerprint::id`].
    pub machines: BTreeMap<String, Fingerprint>,
    /// Samples in the order of the file.
    pub samples: Vec<Sample>,
    /// Bytes of the lines that are whole: a file is cut to this before more is appended.
    pub n_bytes: u64,
    /// Bytes after those, of a line that was cut while it was written.
    pub n_torn: u64,
}

/// A line of a file of samples that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// The character where it stops making sense, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl Records {
    /// Reads a file of samples. A last line without its end was cut while it was written, and is left out.
    ///
    /// # Errors
    /// The first whole line that is no [`Line`], or whose times cannot be.
    pub fn read(bytes: &[u8]) -> Result<Self, BadLine> {
        let n_bytes = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut records = Self { n_bytes: n_bytes as u64, n_torn: (bytes.len() - n_bytes) as u64, ..Self::default() };
        for (index, line) in bytes[..n_bytes].split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let bad = |column: usize, message: String| BadLine { line: index + 1, column, message };
            match serde_json::from_slice(line).map_err(|error| bad(error.column(), error.to_string()))? {
                Line::Fingerprint(machine) => {
                    records.machines.insert(machine.id(), machine);
                }
                Line::Sample(sample) => {
                    if let Some(fault) = sample.reading.fault(&sample.question) {
                        return Err(bad(1, fault));
                    }
                    records.samples.push(sample);
                }
            }
        }
        Ok(records)
    }

    /// Writes one line.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn write(out: &mut impl Write, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// What a machine has answered, as text that is equal where questions are.
    fn answered(&self, machine: &str) -> BTreeSet<String> {
        self.samples.iter().filter(|sample| sample.machine == machine).map(|sample| name(&sample.question)).collect()
    }
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionProgress<'a> {
    /// Questions of this session that have been asked; those answered before are in neither number.
    pub n_done: usize,
    /// Questions of this session.
    pub n_questions: usize,
    /// What is asked next; none at the end.
    pub next: Option<&'a Question>,
}

/// What became of the questions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// [`Fingerprint::id`] of the machine.
    pub machine: String,
    /// Answered before, and not asked again.
    pub n_before: usize,
    /// Answered in this session.
    pub n_measured: usize,
    /// Went wrong, with the reason; asked again by the next session.
    pub failed: Vec<(Question, String)>,
    /// Cannot be asked of this machine, with the reason.
    pub unsupported: Vec<(Question, String)>,
    /// The device stopped answering: at which question, and why. What comes after it was not asked.
    pub lost: Option<(Question, String)>,
}

/// Asks a bench every question that its machine has not answered yet, and appends each answer to `out` as it comes.
///
/// `existing` is what `out` holds already. A reading that cannot be (no number, a median outside its percentiles) counts
/// as failed and is not kept.
///
/// # Errors
/// A line that cannot be written. What goes wrong with a question is in the [`Report`].
pub fn run(
    bench: &mut dyn Bench,
    questions: &[Question],
    existing: &Records,
    out: &mut impl Write,
    progress: &mut dyn FnMut(SessionProgress<'_>),
) -> io::Result<Report> {
    let machine = bench.fingerprint().id();
    let questions = order(questions, &existing.answered(&machine));
    if !existing.machines.contains_key(&machine) {
        Records::write(out, &Line::Fingerprint(bench.fingerprint().clone()))?;
    }
    let mut report = Report { machine, n_before: questions.n_before, ..Report::default() };
    let n_questions = questions.open.len();
    for (n_done, question) in questions.open.into_iter().enumerate() {
        progress(SessionProgress { n_done, n_questions, next: Some(question) });
        match measure(bench, question) {
            Ok(reading) => {
                let sample = Sample { question: question.clone(), reading, machine: report.machine.clone() };
                Records::write(out, &Line::Sample(sample))?;
                report.n_measured += 1;
            }
            Err(BenchError::Failed(reason)) => report.failed.push((question.clone(), reason)),
            Err(BenchError::Unsupported(reason)) => report.unsupported.push((question.clone(), reason)),
            Err(BenchError::Lost(reason)) => {
                report.lost = Some((question.clone(), reason));
                return Ok(report);
            }
        }
    }
    progress(SessionProgress { n_done: n_questions, n_questions, next: None });
    Ok(report)
}

fn measure(bench: &mut dyn Bench, question: &Question) -> Result<crate::sample::Reading, BenchError> {
    let reading = bench.measure(question)?;
    match reading.fault(question) {
        Some(fault) => Err(BenchError::Failed(format!("an impossible reading: {fault}"))),
        None => Ok(reading),
    }
}

struct Order<'a> {
    open: Vec<&'a Question>,
    n_before: usize,
}

/// All questions shuffled, then what is answered taken away: a session taken up again goes on in the order of the first.
fn order<'a>(questions: &'a [Question], answered: &BTreeSet<String>) -> Order<'a> {
    let mut open: Vec<&Question> = questions.iter().collect();
    open.shuffle(&mut ChaCha8Rng::seed_from_u64(SEED));
    let n_questions = open.len();
    open.retain(|question| !answered.contains(&name(question)));
    Order { n_before: n_questions - open.len(), open }
}

/// A question as text; its fields are plain, so that it always has one.
fn name(question: &Question) -> String {
    serde_json::to_string(question).unwrap_or_else(|_| format!("{question:?}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Mock;
    use crate::design::{Facts, Section, design};

    fn questions() -> Vec<Question> {
        let facts = Facts { n_devices: 2, sms: 128, memory: 64 << 30 };
        design(&facts, true, &[Section::Launch, Section::Promoted, Section::Accumulate, Section::Overlap])
    }

    /// Asks everything and gives the file.
    fn calibrate(mock: &mut Mock, before: &[u8]) -> (Vec<u8>, Report) {
        let records = Records::read(before).expect("whole lines");
        let mut file = before[..records.n_bytes as usize].to_vec();
        let report = run(mock, &questions(), &records, &mut file, &mut |_| {}).expect("memory can be written");
        (file, report)
    }

    fn by_name(records: &Records) -> BTreeMap<String, &Sample> {
        records.samples.iter().map(|sample| (name(&sample.question), sample)).collect()
    }

    #[test]
    fn the_machine_stands_first_and_every_answer_after_it() {
        let (file, report) = calibrate(&mut Mock::new(7), b"");
        let first: Line = serde_json::from_slice(file.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
        assert!(matches!(&first, Line::Fingerprint(machine) if machine.id() == report.machine));
        let records = Records::read(&file).unwrap();
        assert_eq!(records.samples.len(), questions().len());
        assert_eq!((report.n_measured, report.n_before), (questions().len(), 0));
        assert!(report.failed.is_empty() && report.unsupported.is_empty() && report.lost.is_none());
    }

    #[test]
    fn what_is_answered_is_not_asked_again_but_by_another_machine() {
        let (file, _) = calibrate(&mut Mock::new(7), b"");
        let (again, report) = calibrate(&mut Mock::new(7), &file);
        assert_eq!((report.n_measured, report.n_before), (0, questions().len()));
        assert_eq!(again, file, "nothing was appended");
        let (both, report) = calibrate(&mut Mock::new(7).with_version("driver", "2"), &file);
        assert_eq!((report.n_measured, report.n_before), (questions().len(), 0));
        assert_eq!(Records::read(&both).unwrap().machines.len(), 2);
    }

    #[test]
    fn failures_are_counted_and_asked_again_and_a_lost_device_ends_it() {
        let fails = |question: &Question| matches!(question, Question::Accumulate { .. });
        let absent = |question: &Question| matches!(question, Question::Launch);
        let (file, report) = calibrate(&mut Mock::new(7).failing(fails).unsupported(absent), b"");
        let n_fails = questions().iter().filter(|question| fails(question)).count();
        assert_eq!((report.failed.len(), report.unsupported.len()), (n_fails, 1));
        assert_eq!(report.n_measured, questions().len() - n_fails - 1);
        let (_, report) = calibrate(&mut Mock::new(7), &file);
        assert_eq!(report.n_measured, n_fails + 1);

        let (file, report) = calibrate(&mut Mock::new(7).lost_after(5), b"");
        assert_eq!(report.n_measured, 5);
        assert!(report.lost.is_some());
        let (_, report) = calibrate(&mut Mock::new(7), &file);
        assert_eq!((report.n_before, report.n_measured), (5, questions().len() - 5));
    }

    #[test]
    fn a_reading_that_cannot_be_is_not_kept() {
        let (file, report) = calibrate(&mut Mock::new(7).with_noise(f64::NAN), b"");
        assert_eq!(report.failed.len(), questions().len());
        assert!(report.failed[0].1.contains("impossible"), "{}", report.failed[0].1);
        assert!(Records::read(&file).unwrap().samples.is_empty());
    }

    #[test]
    fn progress_counts_to_the_end() {
        let mut seen = Vec::new();
        let mut see = |progress: SessionProgress<'_>| seen.push((progress.n_done, progress.n_questions));
        run(&mut Mock::new(7), &questions(), &Records::default(), &mut Vec::new(), &mut see).unwrap();
        let n_questions = questions().len();
        assert_eq!(seen, (0..=n_questions).map(|n_done| (n_done, n_questions)).collect::<Vec<_>>());
    }

    #[test]
    fn neighbors_in_size_are_not_neighbors_in_time() {
        let questions = questions();
        let asked = order(&questions, &BTreeSet::new()).open;
        assert_eq!(asked.len(), questions.len());
        let in_place = asked.iter().zip(&questions).filter(|(asked, question)| *asked == question).count();
        assert!(in_place < questions.len() / 4, "{in_place} of {} stand where they stood", questions.len());
    }

    #[test]
    fn a_bad_line_is_named_and_no_line_is_lost_silently() {
        let (mut file, _) = calibrate(&mut Mock::new(7), b"");
        file.extend_from_slice(b"{\"sample\":{\"question\":{\"kernel\":\"launch\"}}}\n");
        let n_lines = questions().len() + 2;
        let error = Records::read(&file).unwrap_err();
        assert_eq!(error.line, n_lines);
        assert!(error.message.contains("reading"), "{error}");
        let error = Records::read(b"\nnot json\n").unwrap_err();
        assert_eq!(error.line, 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Killed at any byte and taken up again: every question answered once, whole answers kept as they were.
        #[test]
        fn a_session_cut_at_any_byte_is_taken_up_again(cut in 0.0..1.0f64) {
            let (whole, _) = calibrate(&mut Mock::new(7), b"");
            let cut = &whole[..(cut * whole.len() as f64) as usize];
            let kept = Records::read(cut).unwrap();
            let (resumed, report) = calibrate(&mut Mock::new(7), cut);
            prop_assert_eq!(report.n_before, kept.samples.len());
            prop_assert_eq!(report.n_before + report.n_measured, questions().len());
            let records = Records::read(&resumed).unwrap();
            prop_assert_eq!(&records.samples[..kept.samples.len()], &kept.samples[..]);
            let uncut = Records::read(&whole).unwrap();
            prop_assert_eq!(by_name(&records), by_name(&uncut));
            prop_assert_eq!(records.samples.len(), questions().len(), "none twice");
        }
    }
}

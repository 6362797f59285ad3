//! The table that nccl-tests prints.

use std::collections::BTreeSet;

use super::{Head, N_ITERATIONS, Row, Times};
use crate::import::{Hints, ImportMistake, ImportMistakes, ImportedSamples, finish};

const MICRO: f64 = 1e-6;

/// Whether a text holds the table's header.
pub(in crate::import) fn is_text(text: &str) -> bool {
    text.lines().any(|line| header(line).is_some())
}

/// Every row of one run as a sample.
pub(in crate::import) fn samples(text: &str, hints: &Hints) -> Result<ImportedSamples, ImportMistakes> {
    let mut imported = ImportedSamples::default();
    let mut mistakes = Vec::new();
    let mut table: Option<Columns> = None;
    let mut head = Head::default();
    let mut rows = Vec::new();
    let mut ranks = BTreeSet::new();
    let mut hosts = BTreeSet::new();
    let prefix = text.lines().find_map(header).map_or_else(Prefix::default, |(prefix, _)| prefix);
    for (index, line) in text.lines().enumerate() {
        let line_number = index as u64 + 1;
        let line = prefix.strip(line);
        if line.contains("Collective test starting:") && !rows.is_empty() {
            mistakes
                .push(ImportMistake::line(line_number, "a second run begins here: give each run a file of its own"));
            break;
        }
        if let Some((_, found)) = header(line) {
            table = Some(found);
        } else if let Some(note) = line.trim_start().strip_prefix('#') {
            read_note(note, &mut head, &mut ranks, &mut hosts);
        } else if let Some(columns) = table.as_ref().filter(|_| is_row(line)) {
            match row(line, columns, head.iterations.unwrap_or(N_ITERATIONS)) {
                Ok(row) => rows.push(row),
                Err((column, message)) => mistakes.push(ImportMistake::cell(line_number, &column, message)),
            }
        } else if !line.trim().is_empty() {
            imported.leave_out("lines outside the table");
        }
    }
    head.ranks = u32::try_from(ranks.len()).ok().filter(|ranks| *ranks > 0);
    head.hosts = hosts.len();
    if let Err(mistake) = head.samples(&rows, hints, &mut imported) {
        mistakes.push(mistake);
    }
    finish(imported, mistakes)
}

/// A line after `#` that says something about the run.
fn read_note(note: &str, head: &mut Head, ranks: &mut BTreeSet<u32>, hosts: &mut BTreeSet<String>) {
    let words: Vec<&str> = note.split_whitespace().collect();
    let after = |name: &str| words.iter().position(|word| *word == name).and_then(|index| words.get(index + 1));
    if words.first() == Some(&"Rank") {
        ranks.extend(words.get(1).and_then(|rank| rank.parse::<u32>().ok()));
        hosts.extend(after("on").map(|host| (*host).to_owned()));
    } else if note.contains("Collective test starting:") {
        head.program = words.last().map(|program| (*program).to_owned());
    } else if note.contains("nccl-tests version") {
        let library = words.iter().find_map(|word| word.strip_prefix("nccl-library="));
        head.library = library.and_then(|code| code.parse().ok());
    } else if words.first() == Some(&"nThread") {
        // Twice `iters:`, the first after `warmup`.
        let iterations = words.windows(3).find(|three| three[0] != "warmup" && three[1] == "iters:");
        head.iterations = iterations.and_then(|three| three[2].parse().ok()).filter(|iterations| *iterations > 0);
    }
}

/// What a launcher or a log writes before each line: a rank, a stream, a time.
///
/// It is told by the header's own, numbers apart: `[1,0]<stdout>:` is before a line of another rank `[1,13]<stdout>:`, and a time
/// of day moves on.
#[derive(Debug, Default)]
struct Prefix<'a>(&'a str);

impl Prefix<'_> {
    /// The line without it; as it is where it has none.
    fn strip<'a>(&self, line: &'a str) -> &'a str {
        let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (mut pattern, mut rest) = (self.0, line);
        while let Some(expected) = pattern.chars().next() {
            let lengths = if expected.is_ascii_digit() {
                [digits(pattern), digits(rest)]
            } else if rest.starts_with(expected) {
                [expected.len_utf8(); 2]
            } else {
                [0; 2]
            };
            let [of_pattern, of_rest] = lengths;
            if of_rest == 0 {
                return line;
            }
            (pattern, rest) = (&pattern[of_pattern..], &rest[of_rest..]);
        }
        rest
    }
}

/// Where the columns of the two halves stand.
struct Columns {
    n_columns: usize,
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
fn header(line: &str) -> Option<(Prefix<'_>, Columns)> {
    let (prefix, names) = line.split_once('#')?;
    let names: Vec<&str> = names.split_whitespace().collect();
    if names.first() != Some(&"size") || names.get(1) != Some(&"count") {
        return None;
    }
    // A time of day has a space in it and is not needed.
    let n_columns = names.iter().position(|name| *name == "timestamp").unwrap_or(names.len());
    let times: Vec<usize> = (0..n_columns).filter(|index| ["time", "cputime"].contains(&names[*index])).collect();
    let half = |(index, time): (usize, &usize)| {
        let end = times.get(index + 1).copied().unwrap_or(n_columns);
        Half { time: *time, wrong: (*time..end).find(|index| names[*index] == "#wrong") }
    };
    let halves: Vec<Half> = times.iter().enumerate().map(half).collect();
    let operation = names.iter().position(|name| *name == "redop");
    let prefix = Prefix(if prefix.trim().is_empty() { "" } else { prefix });
    (!halves.is_empty()).then_some((prefix, Columns { n_columns, operation, halves }))
}

/// A row begins with size and count; lines of other programs do not.
fn is_row(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let whole = |word: Option<&str>| word.is_some_and(|word| word.parse::<u64>().is_ok());
    whole(words.next()) && whole(words.next())
}

fn row(line: &str, columns: &Columns, runs: u32) -> Result<Row, (String, String)> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    // A number where the operation's name should be: it was left blank.
    if let Some(operation) = columns.operation.filter(|_| words.len() + 1 == columns.n_columns)
        && words.get(operation).is_some_and(|word| word.parse::<f64>().is_ok())
    {
        words.insert(operation, "");
    }
    if words.len() < columns.n_columns {
        let message = format!("{} columns, and the header has {}: is the line cut?", words.len(), columns.n_columns);
        return Err((String::new(), message));
    }
    let bytes = words[0].parse().map_err(|_| ("size".to_owned(), format!("`{}` is no size", words[0])))?;
    let times = |half: &Half| {
        let text = words[half.time];
        let micros: f64 = text.parse().map_err(|_| ("time".to_owned(), format!("`{text}` is no time")))?;
        let wrong = half.wrong.and_then(|index| words[index].parse::<f64>().ok()).is_some_and(|wrong| wrong != 0.0);
        Ok::<_, (String, String)>(Times { seconds: [micros * MICRO; 3], runs, wrong })
    };
    let mut halves = columns.halves.iter().map(times);
    let out_of_place = halves.next().transpose()?;
    Ok(Row { bytes, out_of_place, in_place: halves.next().transpose()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use workloads::op::Collective;

    use crate::question::Question;

    const HEADER: &str = "\
# nccl-tests version 2.17.6 nccl-headers=22803 nccl-library=22803
# Collective test starting: all_gather_perf
# nThread 1 nGpus 2 minBytes 1024 maxBytes 4096 step: 2(factor) warmup iters: 1 iters: 25 agg iters: 1 validation: 1 graph: 0 unalign: 0
#
# Using devices
#  Rank  0 Group  0 Pid   4242 on      node7 device  0 [0000:18:00] Some GPU
#  Rank  1 Group  0 Pid   4242 on      node7 device  1 [0000:2a:00] Some GPU
#
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw  #wrong     time   algbw   busbw  #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)             (us)  (GB/s)  (GB/s)
";
    const ROWS: &str = "\
           0             0     float    none      -1     1.00    0.00    0.00       0     1.00    0.00    0.00       0
        1024           256     float    none      -1    16.00    0.06    0.03       0    15.00    0.07    0.03     N/A
        2048           512     float    none      -1    17.00    0.12    0.06       3    15.50    0.13    0.07       0
node7:4242:4250 [0] NCCL INFO comm 0x1 rank 0 nranks 2 - Destroy COMPLETE
        4096          1024     float    none      -1    18.50    0.22    0.11       0    16.00    0.26    0.13       0
# Out of bounds values : 1 FAILED
# Avg bus bandwidth    : 0.07
";

    fn read(text: &str, hints: &Hints) -> Result<ImportedSamples, ImportMistakes> {
        samples(text, hints)
    }

    #[test]
    fn a_run_becomes_samples_and_what_is_none_is_counted() {
        let hints = Hints { source: "node7".to_owned(), ..Hints::default() };
        let imported = read(&[HEADER, ROWS].concat(), &hints).unwrap();
        let (what, ranks, sms) = (Collective::AllGather, 2, None);
        let questions: Vec<Question> = imported.samples.iter().map(|sample| sample.question.clone()).collect();
        assert_eq!(questions, [1024, 4096].map(|bytes| Question::Collective { what, ranks, bytes, sms }));
        let reading = &imported.samples[0].reading;
        assert!((reading.seconds - 16e-6).abs() < 1e-18 && (reading.extras["in-place-seconds"] - 15e-6).abs() < 1e-18);
        assert_eq!((reading.implementation.as_str(), reading.runs), ("nccl 2.28.3", 25));
        let left_out: Vec<(&str, u64)> = imported.left_out.iter().map(|(reason, n)| (reason.as_str(), *n)).collect();
        assert_eq!(
            left_out,
            [("lines outside the table", 1), ("sizes of zero bytes", 1), ("sizes with wrong results", 1)]
        );
    }

    #[test]
    fn old_headers_without_a_name_take_the_flags() {
        let old = "#       size    count   type   redop     time   algbw   busbw  error     time   algbw   busbw  error\n\
                   1048576   262144  float   sum   100.0   10.4   18.3   2e-07   101.0   10.3   18.1   2e-07\n";
        let text = read(old, &Hints::default()).unwrap_err().to_string();
        assert!(text.contains("--collective"), "{text}");
        let hints = Hints { collective: Some(Collective::AllReduce), ..Hints::default() };
        assert!(read(old, &hints).unwrap_err().to_string().contains("--ranks"));
    }

    #[test]
    fn flags_that_contradict_the_file_are_refused() {
        let text = [HEADER, ROWS].concat();
        let told = |collective, ranks| read(&text, &Hints { collective, ranks, ..Hints::default() });
        assert!(told(Some(Collective::AllGather), Some(2)).is_ok());
        let refused = told(Some(Collective::AllReduce), None).unwrap_err().to_string();
        assert!(refused.contains("all_gather_perf") && refused.contains("leave `--collective` out"), "{refused}");
        let refused = told(None, Some(8)).unwrap_err().to_string();
        assert!(refused.contains("lists 2 ranks") && refused.contains("leave `--ranks` out"), "{refused}");
        let other = text.replace("all_gather_perf", "broadcast_perf");
        let hints = Hints { collective: Some(Collective::AllReduce), ..Hints::default() };
        assert!(read(&other, &hints).unwrap_err().to_string().contains("broadcast_perf"));
    }

    #[test]
    fn what_a_launcher_writes_before_each_line_is_no_part_of_it() {
        let plain = [HEADER, ROWS].concat();
        let expected = read(&plain, &Hints::default()).unwrap().samples;
        assert_eq!(expected.len(), 2);
        let before: [fn(usize) -> String; 6] = [
            |line| format!("[1,{}]<stdout>:", line % 11),
            |line| format!("[{}] ", line % 12),
            |line| format!("{}: ", 8 * line),
            |line| format!("2026-01-01T00:00:{:02}.{}Z ", line, line * 7919),
            |line| format!("2026-01-01T00:{:02}:00Z stdout F ", line),
            |line| format!("pod/bench-{line} worker | "),
        ];
        for before in before {
            let lines = plain.lines().enumerate().map(|(index, line)| format!("{}{line}\n", before(index)));
            let text: String = lines.collect();
            let imported = crate::import::import(text.as_bytes(), &Hints::default());
            let imported = imported.unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"));
            assert_eq!(imported.samples, expected, "{text}");
        }
    }

    #[test]
    fn an_operation_without_a_name_is_read() {
        let header =
            "#       size    count   type   redop     time   algbw   busbw  error     time   algbw   busbw  error\n";
        let hints = Hints { collective: Some(Collective::AllToAll), ranks: Some(4), ..Hints::default() };
        let row = |operation: &str| {
            format!(
                "{header}1048576   65536  float  {operation}  60.0   17.5   13.1   0e+00    61.0   17.2   12.9   1e+00\n"
            )
        };
        let named = read(&row("none"), &hints).unwrap();
        assert_eq!(named.samples.len(), 1);
        assert_eq!(read(&row(""), &hints).unwrap(), named);
        let cut = read(&row("").replace("   1e+00", ""), &hints).unwrap_err().to_string();
        assert!(cut.contains("10 columns, and the header has 12"), "{cut}");
    }

    #[test]
    fn a_run_of_one_rank_moves_nothing_whatever_the_flags() {
        let rank = "#  Rank  1 Group  0 Pid   4242 on      node7 device  1 [0000:2a:00] Some GPU\n";
        let alone = [HEADER, ROWS].concat().replace(rank, "");
        // Eight processes, each of which takes itself for the only one.
        for text in [alone.clone(), [HEADER.replace(rank, "").repeat(8), ROWS.to_owned()].concat()] {
            let text = text.replace("# Collective test starting: all_gather_perf\n", "");
            for ranks in [None, Some(1), Some(8)] {
                let hints = Hints { ranks, collective: Some(Collective::AllGather), ..Hints::default() };
                let refused = read(&text, &hints).unwrap_err().to_string();
                assert!(refused.contains("one rank") && refused.contains("MPI=1"), "{refused}");
            }
        }
    }

    #[test]
    fn mistakes_have_their_line() {
        let cut = [HEADER, "        1024           256     float    none      -1    16.00    0.0\n"].concat();
        let text = read(&cut, &Hints::default()).unwrap_err().to_string();
        assert!(text.contains("line 12: 7 columns, and the header has 13"), "{text}");
        let odd = [HEADER, ROWS].concat().replace("18.50", "18,50");
        let text = read(&odd, &Hints::default()).unwrap_err().to_string();
        assert!(text.contains("line 16, column `time`: `18,50` is no time"), "{text}");
        let twice = [HEADER, ROWS, HEADER].concat();
        assert!(read(&twice, &Hints::default()).unwrap_err().to_string().contains("second run"));
    }

    #[test]
    fn several_hosts_and_other_collectives_are_left_out() {
        let hosts = [HEADER, ROWS]
            .concat()
            .replace("Rank  1 Group  0 Pid   4242 on      node7", "Rank  1 Group 0 Pid 9 on node8");
        let imported = read(&hosts, &Hints::default()).unwrap();
        assert!(imported.samples.is_empty());
        assert_eq!(imported.left_out["sizes over 2 hosts: a sample is of one node"], 4);
        let other = [HEADER, ROWS].concat().replace("all_gather_perf", "broadcast_perf");
        let imported = read(&other, &Hints::default()).unwrap();
        assert_eq!(imported.left_out["sizes of `broadcast_perf`: no collective we ask"], 4);
    }
}

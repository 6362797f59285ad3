//! The table that nccl-tests prints, among whatever else a log holds.
//!
//! A log is read line by line. It may hold several runs one after the other, each with its ranks and its table.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use super::columns::{Columns, Part, header};
use super::lines::{LogLine, LogLines, Prefix};
use super::said::Said;
use super::{Head, N_ITERATIONS, Row};
use crate::import::{Hints, ImportMistake, ImportMistakes, ImportedSamples, UNKNOWN, finish};

/// Mistakes that are told one by one.
const N_TOLD: usize = 20;
/// Rows, ranks and runs of one log.
const N_ROWS_MAX: usize = 1 << 20;

/// Every row of every run as a sample.
pub(in crate::import) fn samples(file: impl BufRead, hints: &Hints) -> Result<ImportedSamples, ImportMistakes> {
    let mut log = Log::default();
    let mut lines = LogLines::new(file);
    let mut number = 0;
    loop {
        number += 1;
        match lines.next_line() {
            Ok(Some(line)) => log.line(&line, number),
            Ok(None) => break,
            Err(error) => return Err(unread(number, &error)),
        }
        if log.mistakes.len() >= N_TOLD {
            break;
        }
        if log.n_rows.max(log.run.ranks.len()) > N_ROWS_MAX {
            let message = format!("it has more than {N_ROWS_MAX} rows or ranks: is it the right file?");
            return Err(ImportMistakes(vec![ImportMistake::line(number, message)]));
        }
    }
    if !log.has_table {
        let message =
            lines.odd_byte.map_or(UNKNOWN.to_owned(), |byte| format!("it is no text: byte {byte} is no UTF-8"));
        return Err(ImportMistakes(vec![ImportMistake::whole(message)]));
    }
    log.forget_open();
    log.runs.push(std::mem::take(&mut log.run));
    log.finish(hints)
}

fn unread(number: u64, error: &io::Error) -> ImportMistakes {
    ImportMistakes(vec![ImportMistake::line(number, format!("it cannot be read: {error}"))])
}

/// A log as far as it is read.
#[derive(Default)]
struct Log {
    run: Run,
    /// Runs before, with the line that they begin at.
    runs: Vec<Run>,
    /// Settings made after the rows of a run, for the next.
    between: Said,
    prefix: Prefix,
    columns: Option<Columns>,
    /// A row without its times yet: its size and its line.
    open: Option<(String, u64)>,
    has_table: bool,
    n_rows: usize,
    imported: ImportedSamples,
    mistakes: Vec<ImportMistake>,
}

/// One run of the tool.
#[derive(Default)]
struct Run {
    line: u64,
    head: Head,
    ranks: BTreeMap<u32, String>,
    rows: Vec<Row>,
}

impl Log {
    fn line(&mut self, line: &LogLine, number: u64) {
        let text = line.text.as_str();
        if let Some((prefix, columns)) = header(text) {
            (self.prefix, self.columns, self.has_table) = (Prefix::new(prefix), Some(columns), true);
            return;
        }
        if text.contains('#') && text.match_indices('#').any(|(at, _)| self.note(&text[at + 1..], number)) {
            return;
        }
        self.say(text, number);
        let stripped = self.prefix.strip(text);
        // What stands before a line is known from the header on.
        if stripped.trim_start().starts_with('#') || (!self.has_table && stripped.contains('#')) {
            return;
        }
        let words: Vec<&str> = stripped.split_whitespace().collect();
        if words.is_empty() {
            return;
        }
        match self.columns.as_ref().map(|columns| columns.part(&words)) {
            Some(Part::Whole) => self.row(&words, line.is_whole, number),
            Some(Part::Sizes) if line.is_whole => self.open_row(words[0], number),
            Some(Part::Sizes) => self.imported.leave_out("a last line that was cut"),
            Some(Part::Times) if self.open.is_some() => self.close_row(&words, line.is_whole),
            Some(Part::Times | Part::None) | None => self.imported.leave_out("lines outside the table"),
        }
    }

    fn row(&mut self, words: &[&str], is_whole: bool, number: u64) {
        self.forget_open();
        let Some(columns) = &self.columns else { return };
        match columns.row(words, self.run.head.iterations.unwrap_or(N_ITERATIONS)) {
            Ok(row) => {
                self.n_rows += 1;
                self.run.rows.push(row);
            }
            Err(_) if !is_whole => self.imported.leave_out("a last line that was cut"),
            Err((column, message)) => self.mistakes.push(ImportMistake::cell(number, &column, message)),
        }
    }

    /// The tool writes a row in two parts, and the library may write lines of its own between them.
    fn open_row(&mut self, size: &str, number: u64) {
        self.forget_open();
        self.open = Some((size.to_owned(), number));
    }

    fn close_row(&mut self, times: &[&str], is_whole: bool) {
        let (Some((size, number)), Some(columns)) = (self.open.take(), &self.columns) else { return };
        let mut words = vec![""; columns.n_columns.saturating_sub(times.len())];
        words[0] = &size;
        words.extend(times);
        self.row(&words, is_whole, number);
    }

    /// A row whose times never came.
    fn forget_open(&mut self) {
        if let Some((size, number)) = self.open.take() {
            let message = format!("size {size} has no times: is the line cut?");
            self.mistakes.push(ImportMistake::line(number, message));
        }
    }

    /// Reads what a line says of algorithms and nodes.
    fn say(&mut self, text: &str, number: u64) {
        self.run.head.said.line(text, number);
        let is_of_next = !self.run.rows.is_empty() && !text.contains("NCCL INFO");
        let said = if is_of_next { &mut self.between } else { &mut self.run.head.said };
        self.mistakes.extend(said.settings_of(text, number).err());
    }

    /// Reads a line after `#` that says something about the run; whether it did.
    fn note(&mut self, note: &str, number: u64) -> bool {
        let words: Vec<&str> = note.split_whitespace().collect();
        let is_known = ["Rank", "nThread"].iter().any(|word| words.first() == Some(word))
            || note.contains("Collective test starting:")
            || note.contains("nccl-tests version");
        if is_known {
            self.begin_run(number);
            read_note(note, &words, &mut self.run);
        }
        is_known
    }

    /// A new run begins where something is said about a run after its rows.
    fn begin_run(&mut self, number: u64) {
        if self.run.rows.is_empty() {
            return;
        }
        let between = std::mem::take(&mut self.between);
        let said = self.run.head.said.exported().with_settings(&between);
        let next = Run { line: number, head: Head { said, ..Head::default() }, ..Run::default() };
        self.runs.push(std::mem::replace(&mut self.run, next));
    }

    fn finish(mut self, hints: &Hints) -> Result<ImportedSamples, ImportMistakes> {
        for Run { line, mut head, ranks, rows } in std::mem::take(&mut self.runs) {
            head.ranks = u32::try_from(ranks.len()).ok().filter(|ranks| *ranks > 0);
            for host in ranks.into_values() {
                *head.hosts.entry(host).or_default() += 1;
            }
            if let Err(mistake) = head.samples(&rows, hints, &mut self.imported) {
                let line = if mistake.line == 0 { line } else { mistake.line };
                self.mistakes.push(ImportMistake { line, ..mistake });
            }
        }
        finish(self.imported, self.mistakes)
    }
}

fn read_note(note: &str, words: &[&str], run: &mut Run) {
    let after = |name: &str| words.iter().position(|word| *word == name).and_then(|index| words.get(index + 1));
    let head = &mut run.head;
    if words.first() == Some(&"Rank") {
        let rank = words.get(1).and_then(|rank| rank.trim_end_matches(':').parse::<u32>().ok());
        let host = after("on").map(|host| (*host).to_owned());
        run.ranks.extend(rank.map(|rank| (rank, host.unwrap_or_default())));
    } else if note.contains("Collective test starting:") {
        head.program = words.last().map(|program| (*program).to_owned());
    } else if note.contains("nccl-tests version") {
        let library = words.iter().find_map(|word| word.strip_prefix("nccl-library="));
        head.library = library.and_then(|code| code.parse().ok());
    } else {
        // Twice `iters:`, the first after `warmup`.
        let iterations = words.windows(3).find(|three| three[0] != "warmup" && three[1] == "iters:");
        head.iterations = iterations.and_then(|three| three[2].parse().ok()).filter(|iterations| *iterations > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use workloads::op::Collective;

    use crate::question::{MovedBy, Question};

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
        samples(text.as_bytes(), hints)
    }

    #[test]
    fn a_run_becomes_samples_and_what_is_none_is_counted() {
        let hints = Hints { source: "node7".to_owned(), ..Hints::default() };
        let imported = read(&[HEADER, ROWS].concat(), &hints).unwrap();
        let questions: Vec<Question> = imported.samples.iter().map(|sample| sample.question.clone()).collect();
        assert_eq!(questions, [1024, 4096].map(|bytes| Question::on_node(Collective::AllGather, 2, bytes, None)));
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
        let torn = [HEADER, ROWS].concat().replace("     16.00    0.06", "16.00    0.06");
        assert_eq!(read(&torn, &Hints::default()).unwrap().samples.len(), 2, "columns are told by words");
    }

    #[test]
    fn several_hosts_are_as_many_nodes_as_somebody_says() {
        let text = hosts(4, 2);
        let nodes = |text: &str, hosts_per_node| {
            let imported = read(text, &Hints { hosts_per_node, ..Hints::default() })?;
            let nodes = imported.samples.iter().map(|sample| match sample.question {
                Question::Collective { ranks: 8, nodes, .. } => nodes,
                _ => panic!("{sample:?}"),
            });
            let nodes: Vec<u32> = nodes.collect();
            assert_eq!(nodes, [nodes[0]; 2]);
            Ok::<u32, ImportMistakes>(nodes[0])
        };
        let refused = nodes(&text, None).unwrap_err().to_string();
        assert!(refused.contains("8 ranks on 4 hosts") && refused.contains("--hosts-per-node 1"), "{refused}");
        for (hosts, expectation) in [(1, 4), (2, 2), (4, 1), (18, 1)] {
            assert_eq!(nodes(&text, Some(hosts)).unwrap(), expectation);
        }
        assert!(nodes(&text, Some(3)).unwrap_err().to_string().contains("do not fill nodes of 3"));
        assert!(nodes(&text, Some(0)).is_err());
        let info = |line: &str| text.replace("NCCL INFO comm 0x1 rank 0 nranks 2", &format!("NCCL INFO {line}"));
        let apart = info("comm 0x1 rank 0 nRanks 8 nNodes 4 localRanks 2 localRank 0 MNNVL 0");
        assert_eq!(nodes(&apart, None).unwrap(), 4);
        assert!(nodes(&apart, Some(2)).unwrap_err().to_string().contains("leave it out"));
        assert_eq!(
            nodes(&info("comm 0x1 rank 0 nRanks 8 nNodes 1 localRanks 8 localRank 0 MNNVL 1"), None).unwrap(),
            1
        );
        assert!(nodes(&info("comm 0x1 rank 0 nRanks 8 nNodes 4 localRanks 2 localRank 0 MNNVL 1"), None).is_err());
    }

    /// The table above of ranks on several hosts.
    fn hosts(n_hosts: usize, each: usize) -> String {
        let start = HEADER.find("#  Rank").expect("ranks");
        let end = HEADER.rfind("#  Rank").and_then(|at| Some(at + HEADER[at..].find('\n')? + 1)).expect("ranks");
        let ranks = (0..n_hosts * each).map(|rank| {
            format!(
                "#  Rank {rank:>2} Group  0 Pid   42 on   node{} device  {} [0x00] Some GPU\n",
                rank / each,
                rank % each
            )
        });
        [&HEADER[..start], &ranks.collect::<String>(), &HEADER[end..], ROWS].concat()
    }

    #[test]
    fn uneven_hosts_and_other_collectives_are_left_out() {
        let uneven =
            hosts(2, 2).replace("Rank  2 Group  0 Pid   42 on   node1", "Rank  2 Group  0 Pid   42 on   node0");
        let imported = read(&uneven, &Hints { hosts_per_node: Some(1), ..Hints::default() }).unwrap();
        assert!(imported.samples.is_empty());
        assert_eq!(imported.left_out["sizes of 4 ranks that lie unevenly on 2 hosts"], 4);
        let other = [HEADER, ROWS].concat().replace("all_gather_perf", "broadcast_perf");
        let imported = read(&other, &Hints::default()).unwrap();
        assert_eq!(imported.left_out["sizes of `broadcast_perf`: no collective we ask"], 4);
    }

    #[test]
    fn runs_one_after_the_other_are_each_their_own() {
        let other = [HEADER, ROWS].concat().replace("all_gather", "all_reduce").replace("    none", "     sum");
        let text = ["export NCCL_NVLS_ENABLE=0\nNCCL_ALGO=Ring \n", HEADER, ROWS, "NCCL_ALGO=Tree\n", &other].concat();
        let imported = read(&text, &Hints::default()).unwrap();
        let by = imported.samples.iter().map(|sample| match sample.question {
            Question::Collective { what, by, .. } => (what, by),
            _ => panic!("{sample:?}"),
        });
        let by: Vec<_> = by.collect();
        use MovedBy::{Ring, Tree};
        let [gather, reduce] = [(Collective::AllGather, Some(Ring)), (Collective::AllReduce, Some(Tree))];
        assert_eq!(by, [gather, gather, reduce, reduce]);
        let alone =
            HEADER.replace("#  Rank  1 Group  0 Pid   4242 on      node7 device  1 [0000:2a:00] Some GPU\n", "");
        let refused = read(&[HEADER, ROWS, &alone, ROWS].concat(), &Hints::default()).unwrap_err().to_string();
        assert!(refused.starts_with("line 19") && refused.contains("one rank"), "{refused}");
    }

    #[test]
    fn lines_of_the_library_within_a_row_do_not_tear_it() {
        let plain = [HEADER, ROWS].concat();
        let expectation = read(&plain, &Hints::default()).unwrap().samples;
        let info = "node7:1:1 [0] NCCL INFO something\nnode7:1:1 [0] NCCL INFO more\n";
        let torn = plain.replace("none      -1    16.00", &format!("none      -1{info}    16.00"));
        assert_eq!(read(&torn, &Hints::default()).unwrap().samples, expectation);
        let lost = plain.replace(
            "none      -1    16.00    0.06    0.03       0    15.00    0.07    0.03     N/A\n",
            &format!("none      -1{info}"),
        );
        let refused = read(&lost, &Hints::default()).unwrap_err().to_string();
        assert!(refused.contains("line 13: size 1024 has no times"), "{refused}");
    }

    #[test]
    fn a_log_is_read_as_a_terminal_or_an_editor_left_it() {
        let plain = [HEADER, ROWS].concat();
        let expectation = read(&plain, &Hints::default()).unwrap().samples;
        let colored = plain.replace("        1024", "\u{1b}[32m        1024\u{1b}[0m");
        for text in [plain.replace('\n', "\r\n"), format!("\u{feff}{plain}"), colored] {
            let imported = crate::import::import(text.as_bytes(), &Hints::default()).unwrap();
            assert_eq!(imported.samples, expectation, "{text}");
        }
        let cut = plain.find("    18.50").expect("a row");
        let imported = read(&plain[..cut + 12], &Hints::default()).unwrap();
        assert_eq!((imported.samples.len(), imported.left_out["a last line that was cut"]), (1, 1));
    }
}

//! What a log says beside its table: which algorithms the library was allowed and took, and how its ranks lie.
//!
//! The words are those of NCCL under `NCCL_DEBUG=INFO` (with `NCCL_DEBUG_SUBSYS=TUNING` for single sizes) and settings as a
//! shell or a launcher shows them. What no line says stays unsaid: nothing here is concluded from a time or from the name of a
//! device.

use std::collections::{BTreeMap, BTreeSet};

use workloads::op::Collective;

use crate::import::ImportMistake;
use crate::question::MovedBy;

/// Sizes and communicators that are kept of a log, which may go on for ever.
const N_KEPT_MAX: usize = 1 << 16;
/// Settings that say something.
const SETTINGS: [&str; 2] = [NVLS, ALGORITHMS];
const NVLS: &str = "NCCL_NVLS_ENABLE";
const ALGORITHMS: &str = "NCCL_ALGO";

/// What was said of one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    settings: BTreeMap<&'static str, Setting>,
    /// The first line by which the library has no sums by switches, and the first by which it has.
    without: Option<u64>,
    with: Option<u64>,
    /// Algorithms that single sizes took.
    by_size: BTreeMap<u64, BTreeSet<Name>>,
    /// Ranks, nodes, and whether nodes share a fabric, of each communicator.
    communicators: BTreeSet<Communicator>,
}

#[derive(Clone, Debug)]
struct Setting {
    value: String,
    line: u64,
    /// Whether it was said of an earlier run too, and may be said anew.
    inherited: bool,
}

/// What a communicator says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Communicator {
    pub(super) ranks: u32,
    pub(super) nodes: u32,
    /// Whether hosts share a scale-up fabric.
    pub(super) shared: Option<bool>,
}

/// An algorithm as the library names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Tree,
    Ring,
    Collnet,
    Nvls,
    Pat,
}

impl Name {
    /// By name, or by the number that older versions print.
    fn of(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "tree" | "0" => Self::Tree,
            "ring" | "1" => Self::Ring,
            "collnet" | "collnetdirect" | "collnet_direct" | "2" | "collnetchain" | "collnet_chain" | "3" => {
                Self::Collnet
            }
            "nvls" | "4" | "nvlstree" | "nvls_tree" | "5" => Self::Nvls,
            "pat" | "6" => Self::Pat,
            _ => return None,
        })
    }

    const ALL: [Self; 5] = [Self::Tree, Self::Ring, Self::Collnet, Self::Nvls, Self::Pat];
}

impl Said {
    /// What the next run of a file inherits: settings that were exported.
    pub(super) fn exported(&self) -> Self {
        let settings =
            self.settings.iter().map(|(name, setting)| (*name, Setting { inherited: true, ..setting.clone() }));
        Self { settings: settings.collect(), ..Self::default() }
    }

    /// Takes over settings that were made before the run.
    pub(super) fn with_settings(mut self, made: &Self) -> Self {
        self.settings.extend(made.settings.iter().map(|(name, setting)| (*name, setting.clone())));
        self
    }

    /// Reads a setting of a list of the environment.
    pub(super) fn environment(&mut self, setting: &str) -> Result<(), ImportMistake> {
        self.settings_of(setting, 0)
    }

    /// Reads the settings that a line shows.
    pub(super) fn settings_of(&mut self, line: &str, number: u64) -> Result<(), ImportMistake> {
        SETTINGS.into_iter().try_for_each(|name| match shown(line, name) {
            Some(value) => self.set(name, value, number),
            None => Ok(()),
        })
    }

    fn set(&mut self, name: &'static str, value: &str, line: u64) -> Result<(), ImportMistake> {
        match self.settings.get(name) {
            Some(before) if !before.inherited && before.value.eq_ignore_ascii_case(value) => Ok(()),
            Some(before) if !before.inherited => {
                let message = format!(
                    "`{name}` is `{value}`, and line {} says `{}`: give each run a file of its own",
                    before.line, before.value
                );
                Err(ImportMistake::line(line, message))
            }
            _ => {
                self.settings.insert(name, Setting { value: value.to_owned(), line, inherited: false });
                Ok(())
            }
        }
    }

    /// Reads what the library itself says.
    pub(super) fn line(&mut self, line: &str, number: u64) {
        if let Some(available) = availability(line) {
            let slot = if available { &mut self.with } else { &mut self.without };
            slot.get_or_insert(number);
        }
        if let Some((size, name)) = tuned(line).filter(|(size, _)| self.has_room(*size)) {
            self.by_size.entry(size).or_default().insert(name);
        }
        self.communicators.extend(communicator(line).filter(|_| self.communicators.len() < N_KEPT_MAX));
    }

    fn has_room(&self, size: u64) -> bool {
        self.by_size.len() < N_KEPT_MAX || self.by_size.contains_key(&size)
    }

    /// Communicators of so many ranks.
    pub(super) fn communicators_of(&self, ranks: u32) -> impl Iterator<Item = Communicator> {
        self.communicators.iter().copied().filter(move |communicator| communicator.ranks == ranks)
    }

    /// Whether sums by switches were off, or on; unsaid where neither was said.
    ///
    /// # Errors
    /// Both were said.
    pub(super) fn switches(&self) -> Result<Option<bool>, ImportMistake> {
        let off = self.settings.get(NVLS).filter(|setting| setting.value == "0").map(|setting| setting.line);
        match (off.or(self.without), self.with) {
            (Some(off), Some(on)) => Err(ImportMistake::line(
                on,
                format!("it says that NVLS is there, and line {off} that it is off: give each run a file of its own"),
            )),
            (Some(_), None) => Ok(Some(false)),
            (None, Some(_)) => Ok(Some(true)),
            (None, None) => Ok(None),
        }
    }

    /// How a size of a collective moved its bytes, where that was said; in words why it is none that we ask.
    pub(super) fn by(&self, what: Collective, bytes: u64) -> Result<Option<MovedBy>, String> {
        if matches!(what, Collective::AllToAll | Collective::SendRecv) {
            // Messages between pairs, under any setting.
            return Ok(None);
        }
        let allowed = match self.by_size.get(&bytes) {
            Some(taken) if taken.len() > 1 => return Err("sizes whose calls took several algorithms".to_owned()),
            Some(taken) => Some(taken.clone()),
            None => self.settings.get(ALGORITHMS).and_then(|setting| allowed(&setting.value, what)),
        };
        let is_off = self.switches().ok().flatten() == Some(false);
        let Some(allowed) = allowed else { return Ok(is_off.then_some(MovedBy::NoSwitches)) };
        let is_only = |names: &[Name]| allowed.iter().all(|name| names.contains(name));
        if is_only(&[Name::Collnet]) {
            return Err("sizes that the network's switches summed (CollNet): no estimate is of those".to_owned());
        }
        if is_only(&[Name::Pat]) {
            return Err("sizes by the algorithm PAT: no estimate is of it".to_owned());
        }
        let has_switches = !is_off && (allowed.contains(&Name::Nvls) || allowed.contains(&Name::Collnet));
        Ok(if is_only(&[Name::Ring]) {
            Some(MovedBy::Ring)
        } else if is_only(&[Name::Tree]) && what == Collective::AllReduce {
            Some(MovedBy::Tree)
        } else if is_only(&[Name::Nvls]) && !is_off {
            Some(MovedBy::Switches)
        } else {
            (!has_switches).then_some(MovedBy::NoSwitches)
        })
    }
}

/// The value of a setting that a line shows as made, and not as advice.
fn shown<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    if line.contains("NCCL WARN") {
        return None;
    }
    let (before, after) = line.split_once(name)?;
    if before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let value = match after.strip_prefix('=') {
        Some(value) if !is_advice(before) => value,
        Some(_) => return None,
        None => after.strip_prefix(" set by environment to ")?,
    };
    let value = value.trim_start_matches(['"', '\'']);
    let end = value.find(|c: char| c.is_whitespace() || "\"'`)".contains(c)).unwrap_or(value.len());
    let value = value[..end].trim_end_matches(['.', ';', ',']);
    // What a variable holds is not shown.
    (!value.is_empty() && !value.contains('$')).then_some(value)
}

/// Whether what stands before a setting makes it a hint, or a line of a script that was taken out.
fn is_advice(before: &str) -> bool {
    let words: Vec<&str> = before.split_whitespace().collect();
    let verbs = ["use", "using", "set", "setting", "try", "consider", "if", "unless"];
    let last = words.last().map(|word| word.to_ascii_lowercase());
    let is_hint = last.is_some_and(|word| verbs.contains(&word.as_str()));
    let commands = ["export", "-x", "-e", "mpirun", "srun", "env"];
    let is_taken_out = before
        .split_once('#')
        .is_some_and(|(_, command)| command.split_whitespace().next().is_some_and(|word| commands.contains(&word)));
    is_hint || is_taken_out
}

/// Whether a line says that the library has sums by switches, or that it has not.
fn availability(line: &str) -> Option<bool> {
    if line.contains("NVLS multicast support is not available") {
        return Some(false);
    }
    if line.contains("NVLS multicast support is available") || line.contains("Connected NVLS tree") {
        return Some(true);
    }
    let (before, _) = line.split_once(" nvls channels")?;
    let count: u64 = before.rsplit([' ', ',']).next()?.parse().ok()?;
    Some(count > 0)
}

/// A size and the algorithm that the library's tuner gave it: `... 1048576 Bytes -> Algo RING proto SIMPLE ...`.
fn tuned(line: &str) -> Option<(u64, Name)> {
    let (before, after) = line.split_once(" Bytes -> Algo ")?;
    let size = before.rsplit(' ').next()?.parse().ok()?;
    Some((size, Name::of(after.split_whitespace().next()?)?))
}

/// `comm 0x... rank 0 nRanks 16 nNodes 2 localRanks 8 localRank 0 MNNVL 0`.
fn communicator(line: &str) -> Option<Communicator> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |name: &str| {
        let index = words.iter().position(|word| *word == name)?;
        words.get(index + 1)?.parse::<u32>().ok()
    };
    let (ranks, nodes) = (after("nRanks")?, after("nNodes").filter(|nodes| *nodes > 0)?);
    Some(Communicator { ranks, nodes, shared: after("MNNVL").map(|shared| shared != 0) })
}

/// The algorithms that a setting leaves a collective: `Ring,Tree`, `^NVLS`, `allreduce:tree;allgather:ring`. None where it
/// leaves all, or has a name that we do not know.
fn allowed(setting: &str, what: Collective) -> Option<BTreeSet<Name>> {
    let own = what.name().replace('-', "");
    let mut general = None;
    let mut special = None;
    for part in setting.split(';') {
        match part.split_once(':') {
            Some((of, names)) if of.eq_ignore_ascii_case(&own) => special = Some(names),
            Some(_) => {}
            None => general = Some(part),
        }
    }
    let names = special.or(general)?;
    let (is_except, names) = names.strip_prefix('^').map_or((false, names), |names| (true, names));
    let names: BTreeSet<Name> = names.split(',').map(|name| Name::of(name.trim())).collect::<Option<_>>()?;
    let left = Name::ALL.into_iter().filter(|name| names.contains(name) != is_except).collect::<BTreeSet<_>>();
    (!left.is_empty()).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[&str]) -> Said {
        let mut said = Said::default();
        for (index, line) in lines.iter().enumerate() {
            said.settings_of(line, index as u64 + 1).unwrap();
            said.line(line, index as u64 + 1);
        }
        said
    }

    #[test]
    fn what_switches_did_is_told_by_words_alone() {
        let of = |lines: &[&str]| (said(lines).switches().unwrap(), said(lines).by(Collective::AllReduce, 1024));
        let no_switches = Ok(Some(MovedBy::NoSwitches));
        assert_eq!(of(&["n1:1:2 [0] NCCL INFO Using network IB"]), (None, Ok(None)));
        for line in [
            "n1:1:2 [0] NCCL INFO NCCL_NVLS_ENABLE set by environment to 0.",
            "+ mpirun -np 8 -x NCCL_NVLS_ENABLE=0 -x NCCL_DEBUG=INFO ./all_reduce_perf",
            "export NCCL_NVLS_ENABLE=\"0\"",
            "n1:1:2 [0] NCCL INFO NVLS multicast support is not available on dev 0",
            "n1:1:2 [0] NCCL INFO 16 coll channels, 0 collnet channels, 0 nvls channels, 16 p2p channels",
        ] {
            assert_eq!(of(&[line]), (Some(false), no_switches.clone()), "{line}");
        }
        for line in [
            "n1:1:2 [0] NCCL INFO NVLS multicast support is available on dev 0",
            "n1:1:2 [0] NCCL INFO Connected NVLS tree",
            "n1:1:2 [0] NCCL INFO 16 coll channels, 0 collnet channels, 16 nvls channels, 16 p2p channels",
        ] {
            assert_eq!(of(&[line]), (Some(true), Ok(None)), "that it may is not that it did: {line}");
        }
        for line in [
            "n1:1:2 [0] transport/nvls.cc:1 NCCL WARN out of memory: NCCL_NVLS_ENABLE=0 turns it off",
            "hint: set NCCL_NVLS_ENABLE=0 to measure rings",
            "#export NCCL_NVLS_ENABLE=0",
            "NCCL_NVLS_ENABLE=$NVLS mpirun",
            "MY_NCCL_NVLS_ENABLE=0",
            "NCCL_NVLS_ENABLE=1",
        ] {
            assert_eq!(of(&[line]), (None, Ok(None)), "{line}");
        }
    }

    #[test]
    fn algorithms_are_those_of_the_setting_and_of_each_size() {
        let by = |line: &str, what, bytes| said(&[line]).by(what, bytes);
        use Collective::{AllGather, AllReduce, AllToAll};
        assert_eq!(by("NCCL_ALGO=Ring", AllReduce, 8), Ok(Some(MovedBy::Ring)));
        assert_eq!(by("NCCL_ALGO=ring,tree", AllReduce, 8), Ok(Some(MovedBy::NoSwitches)));
        assert_eq!(by("# NCCL_ALGO=^NVLS,NVLSTree,CollNet", AllReduce, 8), Ok(Some(MovedBy::NoSwitches)));
        assert_eq!(by("NCCL_ALGO=^Tree", AllReduce, 8), Ok(None));
        assert_eq!(by("NCCL_ALGO=NVLS", AllGather, 8), Ok(Some(MovedBy::Switches)));
        assert_eq!(by("NCCL_ALGO=NVLS", AllToAll, 8), Ok(None));
        assert_eq!(by("NCCL_ALGO=allreduce:tree;allgather:ring", AllReduce, 8), Ok(Some(MovedBy::Tree)));
        assert_eq!(by("NCCL_ALGO=allreduce:tree;allgather:ring", AllGather, 8), Ok(Some(MovedBy::Ring)));
        assert_eq!(by("NCCL_ALGO=Quick", AllReduce, 8), Ok(None));
        assert!(by("NCCL_ALGO=CollnetDirect", AllReduce, 8).is_err());
        let tuned = "n1:1:2 [0] NCCL INFO AllReduce: 1024 Bytes -> Algo NVLS proto SIMPLE channel{Lo..Hi}={0..7}";
        assert_eq!(by(tuned, AllReduce, 1024), Ok(Some(MovedBy::Switches)));
        assert_eq!(by(tuned, AllReduce, 2048), Ok(None));
        assert_eq!(by("n1 NCCL INFO 1024 Bytes -> Algo 0 proto 1 time 54.7", AllReduce, 1024), Ok(Some(MovedBy::Tree)));
        let both = [tuned, "n1:1:2 [0] NCCL INFO AllReduce: 1024 Bytes -> Algo RING proto LL"];
        assert!(said(&both).by(AllReduce, 1024).unwrap_err().contains("several"));
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_both_lines() {
        let both = ["NCCL_NVLS_ENABLE=0", "n1 NCCL INFO NVLS multicast support is available on dev 0"];
        let refused = said(&both).switches().unwrap_err().to_string();
        assert!(refused.contains("line 2") && refused.contains("line 1"), "{refused}");
        let mut said = said(&["NCCL_ALGO=Ring"]);
        assert!(said.settings_of("n1 NCCL INFO NCCL_ALGO set by environment to ring", 2).is_ok());
        assert!(said.settings_of("NCCL_ALGO=Tree", 3).unwrap_err().to_string().contains("line 1 says `Ring`"));
        let mut next = said.exported();
        assert!(next.settings_of("NCCL_ALGO=Tree", 9).is_ok(), "another run may have another");
    }

    #[test]
    fn a_communicator_says_how_its_ranks_lie() {
        let line = "n1:1:2 [0] NCCL INFO comm 0x5 rank 0 nRanks 16 nNodes 2 localRanks 8 localRank 0 MNNVL 0";
        let communicators: Vec<Communicator> = said(&[line]).communicators_of(16).collect();
        assert_eq!(communicators, [Communicator { ranks: 16, nodes: 2, shared: Some(false) }]);
        assert_eq!(said(&[line]).communicators_of(8).count(), 0);
    }
}

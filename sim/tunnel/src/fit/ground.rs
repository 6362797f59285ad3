//! The hardware whose peaks the fractions are of, and the profile that gives what no sample speaks of.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use calibrate::fit::Spreads;
use calibrate::{Fingerprint, Profile, Question, Sample, Spread};
use platform::{Placement, Platform};
use scenario::{Kind, Library, LoadedDevice, stem};
use topology::{Machine, Routing};

use crate::ask::DeviceQuery;
use crate::error::TunnelError;

/// Profiles of published facts are called so.
const PUBLISHED: &str = "-published";

/// What a fit stands on.
pub struct Ground<'a> {
    /// The name that files know the hardware by.
    pub hardware: String,
    /// The prior, as it was named.
    pub prior: String,
    pub(super) machine: Machine,
    /// The cluster whose network joins the nodes, where one was named.
    cluster: Option<Machine>,
    /// Estimates of the prior.
    pub(super) profile: Profile,
    /// The hardware as it was named.
    reference: String,
    library: &'a Library,
}

impl<'a> Ground<'a> {
    /// Loads hardware and prior by name; without a prior the first profile of published facts that holds for the hardware.
    ///
    /// # Errors
    /// Mistakes in their files.
    pub fn load(reference: &str, prior: Option<&str>, library: &'a Library) -> Result<Self, TunnelError> {
        let hardware = stem(reference);
        let prior = match prior {
            Some(prior) => prior.to_owned(),
            None => usual(&hardware, library)?,
        };
        let LoadedDevice { machine, profile, .. } = load(reference, &prior, library)?;
        Ok(Self { hardware, prior, machine, cluster: None, profile, reference: reference.to_owned(), library })
    }

    /// The same with the network of a cluster of this hardware.
    ///
    /// # Errors
    /// Mistakes in its files, and a cluster of other hardware.
    pub fn joined_by(mut self, cluster: &str) -> Result<Self, TunnelError> {
        let machine = scenario::load_cluster(cluster, std::slice::from_ref(&self.prior), &[], self.library)?.machine;
        if (&machine.device, &machine.node) != (&self.machine.device, &self.machine.node) {
            let reason =
                format!("is of other hardware than `{}`: name the hardware that its file names", self.hardware);
            return Err(TunnelError::value("cluster", cluster, reason));
        }
        self.cluster = Some(machine);
        Ok(self)
    }

    /// Whether the paths between nodes are known.
    pub(super) fn is_joined(&self) -> bool {
        self.cluster.is_some()
    }

    /// How the ranks of every collective over nodes lie, and what the network gives them.
    pub(super) fn spreads(&self, samples: &[Sample]) -> Spreads {
        let asked = samples.iter().filter_map(|sample| match sample.question {
            Question::Collective { ranks, nodes: nodes @ 2.., .. } => Some((ranks, nodes)),
            _ => None,
        });
        let asked: BTreeSet<(u32, u32)> = asked.collect();
        asked.into_iter().filter_map(|(ranks, nodes)| Some(((ranks, nodes), self.spread(ranks, nodes)?))).collect()
    }

    /// Without a cluster the NICs alone: the path between nodes is not known and counts as none.
    fn spread(&self, n_ranks: u32, n_nodes: u32) -> Option<Spread> {
        let per_node = n_ranks / n_nodes;
        let Some(machine) = &self.cluster else {
            return Some(Spread {
                per_node,
                n_nodes,
                nic: self.machine.nic_rate_per_device(),
                ..Spread::node(n_ranks)
            });
        };
        let devices = machine.node.devices;
        if n_nodes > machine.n_nodes || per_node > devices {
            return None;
        }
        let members = (0..n_nodes).flat_map(|node| (0..per_node).map(move |member| node * devices + member));
        let placement = Placement::new(machine, devices);
        let platform = Platform::new(machine, &self.profile, placement, Routing::Adaptive).ok()?;
        Some(platform.group(&[members.collect()]).ok()?.spread)
    }

    /// Refuses samples of a device that the hardware's file does not describe.
    ///
    /// # Errors
    /// Another count of SMs.
    pub fn check(&self, machine: &Fingerprint) -> Result<(), TunnelError> {
        if machine.sms == self.machine.device.sms {
            return Ok(());
        }
        let Fingerprint { device, sms, .. } = machine;
        let (has, hint) = (self.machine.device.sms, with_sms(*sms));
        let reason = format!("has {has} SMs and {device}, which was measured, has {sms}\nhint: {hint}");
        Err(TunnelError::value("hardware", &self.reference, reason))
    }

    /// The profile of a file on this hardware.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn with_profile(&self, path: &Path) -> Result<Profile, TunnelError> {
        Ok(load(&self.reference, &path.display().to_string(), self.library)?.profile)
    }

    /// The prior as a file at `out` has to name it.
    pub(super) fn prior_from(&self, out: &Path) -> String {
        seen_from(out, &self.prior)
    }

    /// The hardware as a file at `out` has to name it: by its name, but for a file that is called like a preset and is none.
    pub(super) fn hardware_from(&self, out: &Path) -> String {
        let is_called_like_one = self.library.names(Kind::Hardware).contains(&self.hardware);
        let is_file = is_called_like_one && is_path(&self.reference);
        if is_file { seen_from(out, &self.reference) } else { self.hardware.clone() }
    }
}

fn is_path(reference: &str) -> bool {
    reference.contains(['/', '\\']) || reference.ends_with(".toml")
}

/// A reference of the working folder as a file at `out` has to name it: paths in a file are relative to it.
fn seen_from(out: &Path, reference: &str) -> String {
    let path = Path::new(reference);
    let folder = out.parent().unwrap_or(Path::new(""));
    let is_below = folder.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !is_path(reference) || path.is_absolute() {
        reference.to_owned()
    } else if is_below {
        let n_up = folder.components().filter(|part| matches!(part, Component::Normal(_))).count();
        std::iter::repeat_n(Path::new(".."), n_up).chain([path]).collect::<PathBuf>().display().to_string()
    } else {
        std::path::absolute(path).unwrap_or(path.to_owned()).display().to_string()
    }
}

/// Presets that could be meant by a device of so many SMs, in words: nothing here takes one from what a driver calls the device.
#[must_use]
pub fn with_sms(sms: u32) -> String {
    let library = Library::new(Vec::new());
    let prior = published(&library).into_iter().next().unwrap_or_default();
    let has = |name: &String| load(name, &prior, &library).is_ok_and(|known| known.machine.device.sms == sms);
    let fitting: Vec<String> =
        library.names(Kind::Hardware).into_iter().filter(has).map(|name| format!("`{name}`")).collect();
    if fitting.is_empty() {
        format!("no preset has {sms} SMs; write a file of the device like those in `scenarios/hardware`, and name it")
    } else {
        format!("presets of {sms} SMs are {}; another device needs a file of its own", fitting.join(", "))
    }
}

/// The first profile of published facts that holds for the hardware; where none does, the first of all.
fn usual(hardware: &str, library: &Library) -> Result<String, TunnelError> {
    let mut first = None;
    for name in published(library) {
        let text = library.text(Kind::Profile, &name, None)?;
        let file: toml::Table = text.as_str().parse().unwrap_or_default();
        let listed = file.get("hardware").and_then(toml::Value::as_array);
        if listed.is_some_and(|names| names.iter().any(|name| name.as_str() == Some(hardware))) {
            return Ok(name);
        }
        first = first.or(Some(name));
    }
    first.ok_or(TunnelError::NoPrior)
}

fn published(library: &Library) -> Vec<String> {
    library.names(Kind::Profile).into_iter().filter(|name| name.ends_with(PUBLISHED)).collect()
}

fn load(hardware: &str, profile: &str, library: &Library) -> Result<LoadedDevice, TunnelError> {
    let profiles = vec![profile.to_owned()];
    DeviceQuery { hardware: hardware.to_owned(), profiles, ..DeviceQuery::default() }.load(library)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use calibrate::fit::{Rig, predict};
    use calibrate::{EstimateKey, MovedBy, Reading};
    use workloads::op::Collective;

    use super::super::ProfileFit;
    use super::*;

    fn ground<'a>(library: &'a Library, cluster: Option<&str>) -> Ground<'a> {
        let ground = Ground::load("h100-sxm5", None, library).expect("a preset");
        match cluster {
            Some(cluster) => ground.joined_by(cluster).expect("a cluster of it"),
            None => ground,
        }
    }

    /// Collectives over two and four nodes, every power of two.
    fn questions(whats: &[Collective], by: Option<MovedBy>, nodes: &[u32]) -> Vec<Question> {
        let sizes = (10..33).map(|power| 1_u64 << power);
        let of = |bytes: u64| {
            whats.iter().flat_map(move |&what| {
                nodes.iter().map(move |&nodes| Question::Collective {
                    what,
                    ranks: 8 * nodes,
                    bytes,
                    sms: None,
                    nodes,
                    by,
                })
            })
        };
        sizes.flat_map(of).collect()
    }

    /// What a machine of some estimates takes for them.
    fn samples(ground: &Ground<'_>, changed: &[(EstimateKey, f64)], questions: Vec<Question>) -> Vec<Sample> {
        let mut profile = ground.profile.clone();
        for (key, value) in changed {
            profile = profile.with(*key, calibrate::Estimate { value: *value, ..ground.profile.get(*key).clone() });
        }
        let sample = |question: Question, seconds: f64| Sample {
            question,
            reading: Reading {
                implementation: "nccl 1.0".to_owned(),
                seconds,
                low: seconds,
                high: seconds,
                runs: 1,
                clock: None,
                power: None,
                extras: BTreeMap::new(),
            },
            machine: "made up".to_owned(),
        };
        let open: Vec<Sample> = questions.into_iter().map(|question| sample(question, 1.0)).collect();
        let spreads = ground.spreads(&open);
        let rig = Rig { device: &ground.machine.device, spreads: &spreads };
        let answer = |question: &Question| predict(rig, &profile, question).expect("an answer").0.get();
        open.into_iter().map(|open| sample(open.question.clone(), answer(&open.question))).collect()
    }

    fn assert_found(fit: &ProfileFit, key: EstimateKey, meant: f64) {
        let found = fit.parts.iter().find_map(|part| part.fitted.estimates.get(&key)).expect("an estimate").value;
        assert!((found / meant - 1.0).abs() < 0.02, "{}: {meant} was meant, {found} is found", key.name());
    }

    const NODES: &[Collective] = &[Collective::AllReduce, Collective::AllGather, Collective::ReduceScatter];

    #[test]
    fn what_a_network_was_made_with_is_found_from_rings_over_its_nodes() {
        let library = Library::built_in();
        let ground = ground(&library, Some("h100-8192"));
        let made = [
            (EstimateKey::CollectiveScaleOutFraction, 0.62),
            (EstimateKey::CollectiveScaleOutLatency, 9e-6),
            (EstimateKey::PointToPointFraction, 0.55),
        ];
        let mut all = samples(&ground, &made, questions(NODES, Some(MovedBy::NoSwitches), &[2, 4]));
        all.extend(samples(&ground, &made, questions(&[Collective::SendRecv], None, &[2])));
        let fit = ProfileFit::of(&all, &ground);
        assert_eq!((fit.n_used, fit.unused.len()), (all.len(), 0), "{:?}", fit.unused);
        made.iter().for_each(|(key, meant)| assert_found(&fit, *key, *meant));
    }

    #[test]
    fn without_a_network_the_share_of_the_nics_is_found_and_no_latency_is_made_up() {
        let library = Library::built_in();
        let ground = ground(&library, None);
        let made = [(EstimateKey::CollectiveScaleOutFraction, 0.62), (EstimateKey::CollectiveScaleOutLatency, 9e-6)];
        let fit = ProfileFit::of(&samples(&ground, &made, questions(NODES, None, &[2, 4])), &ground);
        assert_found(&fit, made[0].0, made[0].1);
        let is_written = fit.parts.iter().any(|part| part.fitted.estimates.contains_key(&made[1].0));
        let notes: Vec<&String> = fit.parts.iter().flat_map(|part| &part.notes).collect();
        assert!(!is_written && notes.iter().any(|note| note.contains("`--cluster`")), "{notes:?}");
    }

    #[test]
    fn sums_by_switches_are_fitted_where_a_log_says_so_and_named_where_only_their_time_does() {
        let library = Library::built_in();
        let ground = ground(&library, None);
        let made = [(EstimateKey::CollectiveSwitchLatency, 17e-6), (EstimateKey::CollectiveSwitchFraction, 0.71)];
        let said = samples(&ground, &made, questions(&[Collective::AllReduce], Some(MovedBy::Switches), &[1]));
        let fit = ProfileFit::of(&said, &ground);
        made.iter().for_each(|(key, meant)| assert_found(&fit, *key, *meant));
        let unsaid = said.iter().cloned().map(|mut sample| {
            if let Question::Collective { by, .. } = &mut sample.question {
                *by = None;
            }
            sample
        });
        let unsaid: Vec<Sample> = unsaid.collect();
        let fit = ProfileFit::of(&unsaid, &ground);
        let n_unused: usize = fit.unused.values().sum();
        assert_eq!(fit.n_used + n_unused, unsaid.len(), "each is used or named");
        assert!(fit.unused.keys().any(|reason| reason.contains("it cannot be otherwise")), "{:?}", fit.unused);
    }

    #[test]
    fn nodes_that_the_hardware_cannot_have_are_named() {
        let library = Library::built_in();
        let ground = ground(&library, None);
        let rack = Question::on_node(Collective::AllReduce, 72, 1 << 30, None);
        let mut all = samples(&ground, &[], vec![rack]);
        let fast = Question::Collective {
            what: Collective::AllReduce,
            ranks: 16,
            bytes: 1 << 30,
            sms: None,
            nodes: 2,
            by: None,
        };
        all.extend(samples(&ground, &[(EstimateKey::CollectiveScaleOutFraction, 1.0)], vec![fast]));
        all[1].reading.seconds /= 1.2;
        let fit = ProfileFit::of(&all, &ground);
        let reasons: Vec<&String> = fit.unused.keys().collect();
        assert_eq!(reasons.len(), 2);
        assert!(reasons.iter().any(|reason| reason.contains("72 ranks on a node, and a node of `--hardware` has 8")));
        assert!(reasons.iter().any(|reason| reason.contains("cross the NICs")), "{reasons:?}");
    }
}

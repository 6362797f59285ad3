//! What a run of gangs reads.

use engine::Resources;
use platform::{ExchangeTemplate, Kernel, Message, RankResources};
use units::{Seconds, SimSpan};
use workloads::traffic::PicksPool;

use super::gang::{Call, Gang, GangId, Tabulated};
use crate::program::{HostWaits, LoadTable, OpKernel, Ring};
use crate::routine::Routine;

/// Gangs, the routines that they run, and the tables that routines draw from. A job has what its routines name; the rest is
/// that of [`Routines::none`].
#[derive(Clone, Copy, Debug)]
pub struct Routines<'a> {
    /// Capacities and pools of the run.
    pub resources: &'a Resources,
    /// Those of each rank.
    pub ranks: &'a [RankResources],
    /// Every rank belongs to one.
    pub gangs: &'a [Gang],
    /// How many labels calls have.
    pub n_labels: usize,
    /// What gangs run.
    pub routines: &'a [Routine],
    /// How many ops kernels are of.
    pub n_ops: usize,
    /// Kernels on fixed loads, and those of every load after them.
    pub kernels: &'a [OpKernel],
    /// Kernels that depend on the load.
    pub tables: &'a [LoadTable],
    /// Collectives among ranks of a gang.
    pub rings: &'a [Ring],
    /// Dispatch and combine of every sampled batch.
    pub exchanges: &'a [[ExchangeTemplate; 2]],
    /// Sampled batches, by layer, micro-batch and group.
    pub picks: Option<&'a PicksPool>,
    /// Ranks of a group that exchanges tokens: a divisor of every gang.
    pub group_size: u32,
    /// What the first group of every gang is called among those that the batches are of.
    pub first_group: u32,
    /// SMs that the capacity of [`RankResources::copy`] is of; none where they copy faster than ports send.
    pub copy_sms: Option<u32>,
    /// What a routine sends.
    pub message: Message,
    /// Whether a rank's next call waits until its messages have arrived.
    pub is_message_waited: bool,
    /// What the host of every rank waits for.
    pub host: HostWaits,
    /// Keys of messages, counted from 0.
    pub n_keys: u32,
    /// What the first member of every gang is called among recorded replicas.
    pub first_replica: u32,
}

impl<'a> Routines<'a> {
    /// Gangs that have no routine to run.
    #[must_use]
    pub fn none(resources: &'a Resources, ranks: &'a [RankResources], gangs: &'a [Gang]) -> Self {
        Self {
            resources,
            ranks,
            gangs,
            n_labels: 0,
            routines: &[],
            n_ops: 0,
            kernels: &[],
            tables: &[],
            rings: &[],
            exchanges: &[],
            picks: None,
            group_size: 1,
            first_group: 0,
            copy_sms: None,
            message: Message::default(),
            is_message_waited: false,
            host: HostWaits::default(),
            n_keys: 0,
            first_replica: 0,
        }
    }

    /// What each kernel takes alone.
    pub(super) fn alone(&self) -> Vec<SimSpan> {
        let Some(on) = self.ranks.first() else { return Vec::new() };
        let alone = |of: &OpKernel| {
            let Kernel { tensor, memory, shortest, latency, .. } = of.kernel;
            let [tensor, memory] =
                [(tensor, on.tensor), (memory, on.memory)].map(|(asked, of)| asked / self.resources.rate(of));
            latency + SimSpan::from(Seconds::new(shortest.max(tensor).max(memory)))
        };
        self.kernels.iter().map(alone).collect()
    }

    /// What is wrong with the gangs; none where every rank belongs to one of them.
    pub(super) fn fault(&self) -> Option<String> {
        let mut next = 0;
        for (index, gang) in self.gangs.iter().enumerate() {
            let Gang { ranks, .. } = gang;
            if ranks.start != next || ranks.is_empty() || !(ranks.len() as u32).is_multiple_of(self.group_size) {
                return Some(format!(
                    "gang {index} has ranks {ranks:?}: whole groups of {} from rank {next} on are expected",
                    self.group_size
                ));
            }
            next = ranks.end;
        }
        let n_ranks = self.ranks.len();
        (next as usize != n_ranks).then(|| format!("gangs have {next} ranks of {n_ranks}"))
    }

    /// What a call names that is not there; none where everything is.
    pub(super) fn unknown(&self, gang: GangId, call: &Call) -> Option<String> {
        let Call { routine, label, lanes } = call;
        let n_members = |gang: GangId| self.gangs.get(gang.0 as usize).map(|gang| gang.ranks.len());
        let addresses = lanes.iter().flatten().filter_map(|lane| lane.sends);
        let astray = addresses.clone().find(|address| n_members(address.gang) != n_members(gang));
        let needs = lanes.iter().flatten().filter_map(|lane| lane.needs);
        let key = needs.chain(addresses.map(|address| address.key)).find(|&key| key >= self.n_keys);
        if *routine as usize >= self.routines.len() {
            Some(format!("routine {routine} of {}", self.routines.len()))
        } else if usize::from(label.0) >= self.n_labels {
            Some(format!("label {} of {}", label.0, self.n_labels))
        } else if let Some(key) = key {
            Some(format!("message {key} of {}", self.n_keys))
        } else {
            astray.map(|address| format!("gang {}, which has not as many ranks", address.gang.0))
        }
    }

    /// What a tabulated call names that is not there; none where everything is.
    pub(super) fn unknown_in(&self, gang: GangId, tabulated: &Tabulated) -> Option<String> {
        let Tabulated { draws, label, .. } = tabulated;
        if usize::from(label.0) >= self.n_labels {
            return Some(format!("label {} of {}", label.0, self.n_labels));
        }
        let draws_any = draws.iter().any(|&bytes| bytes > 0.0);
        (draws_any && self.gangs[gang.0 as usize].pooled.is_none()).then(|| "pooled ports, which it has not".to_owned())
    }
}

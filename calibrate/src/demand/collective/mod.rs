//! Collectives of a library, within a node and between nodes: the one formula that fits, probes, steps and imported jobs share.
//!
//! A collective is an [`Algorithm`] that makes a rank send and receive some bytes through its scale-up port and its NIC
//! ([`traffic`]), after a latency. A rank that sends `x` bytes and copies `y` to itself takes, of two protocols, the quicker:
//!
//! - for small sizes `l + max(x_up / (g P), x_out / (F N), 2 (x + y) / (SMs r))`,
//! - for large ones `l + (sqrt(t) + sqrt(h))^2` with `t = max(x_up / (f P), x_out / (F N), (x + y) / c, (x + y) / (SMs r))`,
//!
//! and never less than `l + x_out w`. `P` and `N` are the rates of the scale-up port and the NIC, `g`, `f` and `F` the shares of them that a protocol
//! reaches, `c` what the library's kernel moves on the SMs it takes and `r` on one (half of it for small sizes, whose every word carries a flag), `w` what the routes between nodes leave a byte. A message that is
//! passed on in pieces, each with a cost `h`, waits for the first piece: few pieces fill the pipe late, many cost much, and the best
//! number between leaves the square. `g` is of one connection: ranks that send to `d - 1` others at once reach `(d - 1) g`, and `f / 2` at most. Sums by
//! switches have the protocol for large sizes alone, in no pieces, and their own `l` and `f`. Sizes are as nccl-tests has them.
//!
//! Latencies, with `k` nodes of `d` ranks each, `a` what two ranks of a node take, `p` what each step more takes, `b` what switches take and `e` the path
//! between two nodes with what the library takes for a step along it:
//!
//! | algorithm | latency | of |
//! |---|---|---|
//! | ring | `a + (n - 2) p + (k - 1) e`, an all-reduce `a + 2 (n - 2) p + 2 (k - 1) e` | all but all-to-all |
//! | tree | `a + 2 (d - 2) p + 2 log2(k) (p + e)` | all-reduce |
//! | in-network | `b`, and between nodes those of a tree, or `2 e` where the network's switches sum | all-reduce; within a node also gathers and scatters |
//! | pairwise | `a + (n - 2) p`, and `e` between nodes | all-to-all, messages |
//! | one-shot, two-shot | a kernel, and two or three ways through the scale-up fabric | all-reduce within a node, for stacks that have their own kernels |
//!
//! Sources of the forms: the algorithms and protocols of NCCL and its tuning model, double binary trees (Sanders, Speck, Traeff 2009), all-reduce kernels of
//! serving engines. Assumed: ranks start together; nothing else on the ports; the small protocol loses at the scale-up port alone; trees reach
//! the shares that rings do. Breaks for libraries that choose otherwise than by the quickest.

mod traffic;

use topology::InNetwork;
use units::{Bytes, BytesPerSec, Seconds};
use workloads::op::Collective;

use super::Estimator;
use crate::{CollectiveTerm as Term, EstimateKey};

pub use traffic::{Traffic, traffic};

/// How a collective moves its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Every rank to its next, all rings of a group together.
    Ring,
    /// A double binary tree of nodes, a chain within each.
    Tree,
    /// Switches sum and multicast.
    InNetwork,
    /// Every rank to every other.
    Pairwise,
    /// Every rank sends all it has to every other, and sums.
    OneShot,
    /// A direct reduce-scatter, then a direct all-gather.
    TwoShot,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 6] = [Self::Ring, Self::Tree, Self::InNetwork, Self::Pairwise, Self::OneShot, Self::TwoShot];

    /// What a library chooses from by itself; kernels of one's own must be named.
    const OF_LIBRARIES: [Self; 4] = [Self::Ring, Self::Tree, Self::InNetwork, Self::Pairwise];

    /// Its name for people and in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Tree => "tree",
            Self::InNetwork => "in-network",
            Self::Pairwise => "pairwise",
            Self::OneShot => "one-shot",
            Self::TwoShot => "two-shot",
        }
    }
}

/// How the ranks of a communicator lie on nodes, and what the network gives them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Its ranks.
    pub n_ranks: u32,
    /// Members on the node that has fewest of those that have any.
    pub per_node: u32,
    /// Nodes it spans.
    pub n_nodes: u32,
    /// Rate of a rank's NIC, or of its part of one.
    pub nic: BytesPerSec,
    /// Seconds per byte that the routes between its nodes leave its messages.
    pub way: f64,
    /// Latency of the path between two of its nodes.
    pub hop: Seconds,
    /// What the switches of the network do.
    pub in_network: InNetwork,
}

impl Spread {
    /// `n_ranks` of one node.
    #[must_use]
    pub fn node(n_ranks: u32) -> Self {
        Self {
            n_ranks,
            per_node: n_ranks,
            n_nodes: 1,
            nic: BytesPerSec::ZERO,
            way: 0.0,
            hop: Seconds::ZERO,
            in_network: InNetwork::None,
        }
    }
}

/// A collective as it is called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CollectiveCall {
    /// Which.
    pub what: Collective,
    /// Its size, as nccl-tests has it.
    pub bytes: Bytes,
    /// SMs that the library may take, where that is bounded.
    pub sms: Option<u32>,
}

impl CollectiveCall {
    /// On as many SMs as the library likes.
    #[must_use]
    pub fn new(what: Collective, bytes: Bytes) -> Self {
        Self { what, bytes, sms: None }
    }
}

/// What a collective asks of each of its ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CollectiveDemand {
    /// How it moves its bytes.
    pub algorithm: Algorithm,
    /// Occupancy of the scale-up port, sending and receiving: bytes over the share of its rate that is reached.
    pub up: [f64; 2],
    /// Occupancy of the NIC.
    pub out: [f64; 2],
    /// The time its bytes take with the ports to itself.
    pub shortest: Seconds,
    /// Before bytes move.
    pub latency: Seconds,
    /// The estimate that sets its time.
    pub limit: EstimateKey,
}

impl CollectiveDemand {
    /// Its time with the machine to itself.
    #[must_use]
    pub fn alone(&self) -> Seconds {
        self.latency + self.shortest
    }
}

impl Estimator<'_> {
    /// A collective as the library runs it: by the quickest of its algorithms that the machine has.
    #[must_use]
    pub fn collective(&self, call: &CollectiveCall, spread: &Spread) -> CollectiveDemand {
        let all = Algorithm::OF_LIBRARIES.iter().filter_map(|&algorithm| self.collective_by(algorithm, call, spread));
        let quickest = all.reduce(|best, other| if other.alone() < best.alone() { other } else { best });
        // Every collective has one of the two that need nothing of the machine.
        quickest.unwrap_or_else(|| {
            self.price(&Asked { algorithm: Algorithm::Ring, call, spread, traffic: Traffic::default() })
        })
    }

    /// A collective by one algorithm; `None` where the algorithm is not of this collective, or the machine lacks what it needs.
    #[must_use]
    pub fn collective_by(
        &self,
        algorithm: Algorithm,
        call: &CollectiveCall,
        spread: &Spread,
    ) -> Option<CollectiveDemand> {
        let traffic = traffic(algorithm, call, spread, self.device.scale_up.in_network)?;
        Some(self.price(&Asked { algorithm, call, spread, traffic }))
    }

    fn price(&self, asked: &Asked<'_>) -> CollectiveDemand {
        let Asked { algorithm, call, spread, traffic } = *asked;
        let key = |term| EstimateKey::Collective(call.what, term);
        let latency = self.collective_latency(algorithm, call.what, spread);
        if spread.n_ranks < 2 {
            let (up, out) = ([0.0; 2], [0.0; 2]);
            return CollectiveDemand {
                algorithm,
                up,
                out,
                shortest: Seconds::ZERO,
                latency,
                limit: key(Term::Latency),
            };
        }
        let large = self.large(asked);
        let small = self.small(asked).filter(|small| small.time <= large.time);
        let chosen = small.unwrap_or(large);
        let on_way = Seconds::new(traffic.out_most() * spread.way);
        let (shortest, limit) = if on_way > chosen.time {
            (on_way, EstimateKey::CollectiveScaleOutFraction)
        } else {
            (chosen.time, chosen.limit)
        };
        let out = self.profile.value(EstimateKey::CollectiveScaleOutFraction);
        CollectiveDemand {
            algorithm,
            up: traffic.up.map(|bytes| bytes / chosen.share),
            out: traffic.out.map(|bytes| bytes / out),
            shortest,
            latency,
            limit: if shortest < latency { key(Term::Latency) } else { limit },
        }
    }

    /// Seconds that the bytes through a NIC take of it.
    fn at_nic(&self, spread: &Spread, traffic: &Traffic) -> Seconds {
        if traffic.out_most() > 0.0 {
            let fraction = self.profile.value(EstimateKey::CollectiveScaleOutFraction);
            Bytes::new(traffic.out_most()) / (spread.nic * fraction)
        } else {
            Seconds::ZERO
        }
    }

    /// The protocol for small sizes, where the algorithm has one.
    fn small(&self, asked: &Asked<'_>) -> Option<Protocol> {
        let Asked { algorithm, call, spread, traffic } = asked;
        let key = |term| EstimateKey::Collective(call.what, term);
        let one = self.profile.value(key(Term::SmallFraction));
        let share = match algorithm {
            Algorithm::Ring | Algorithm::Tree => one,
            // One connection for each peer.
            Algorithm::Pairwise => {
                let all = one * f64::from(spread.per_node.min(spread.n_ranks).saturating_sub(1).max(1));
                // Every word that is sent carries a flag, which takes half of the port.
                all.min((self.profile.value(key(Term::Fraction)) / 2.0).max(one))
            }
            Algorithm::InNetwork | Algorithm::OneShot | Algorithm::TwoShot => return None,
        };
        let up = Bytes::new(traffic.up_most()) / (self.device.scale_up_rate() * share);
        let mut bounds = vec![
            (up, key(Term::SmallFraction)),
            (self.at_nic(spread, traffic), EstimateKey::CollectiveScaleOutFraction),
        ];
        // A word of data, a word of flags.
        bounds.extend(self.on_few(call, 2.0 * traffic.moved()));
        let (time, limit) = slowest(bounds);
        Some(Protocol { time, share, limit })
    }

    /// What the SMs take that a call is bounded to.
    fn on_few(&self, call: &CollectiveCall, moved: f64) -> Option<(Seconds, EstimateKey)> {
        let key = EstimateKey::Collective(call.what, Term::RatePerSm);
        let sms = f64::from(call.sms?);
        Some((Bytes::new(moved) / (BytesPerSec::new(self.profile.value(key)) * sms), key))
    }

    fn large(&self, asked: &Asked<'_>) -> Protocol {
        let Asked { algorithm, call, spread, traffic } = asked;
        let value = |key| self.profile.value(key);
        let key = |term| EstimateKey::Collective(call.what, term);
        // Kernels of one's own write to all others at once, as an all-to-all does, and in no pieces.
        let (fraction, piece) = match algorithm {
            Algorithm::OneShot | Algorithm::TwoShot => {
                (EstimateKey::Collective(Collective::AllToAll, Term::Fraction), 0.0)
            }
            Algorithm::InNetwork => (EstimateKey::CollectiveSwitchFraction, 0.0),
            Algorithm::Ring | Algorithm::Tree | Algorithm::Pairwise => (key(Term::Fraction), value(key(Term::Piece))),
        };
        let share = value(fraction);
        let moved = Bytes::new(traffic.moved());
        let mut bounds = vec![
            (Bytes::new(traffic.up_most()) / (self.device.scale_up_rate() * share), fraction),
            (moved / BytesPerSec::new(value(key(Term::CopyRate))), key(Term::CopyRate)),
            (self.at_nic(spread, traffic), EstimateKey::CollectiveScaleOutFraction),
        ];
        bounds.extend(self.on_few(call, moved.get()));
        let (bytes, limit) = slowest(bounds);
        let time = Seconds::new((bytes.get().sqrt() + piece.sqrt()).powi(2));
        Protocol { time, share, limit }
    }

    /// The time of a collective that moves nothing.
    #[must_use]
    pub fn collective_latency(&self, algorithm: Algorithm, what: Collective, spread: &Spread) -> Seconds {
        let key = |term| EstimateKey::Collective(what, term);
        let value = |key| Seconds::new(self.profile.value(key));
        let (two, each) = (value(key(Term::Latency)), value(key(Term::RankLatency)));
        let more = |n: u32| each * f64::from(n.saturating_sub(2));
        let between = f64::from(spread.n_nodes.saturating_sub(1));
        let depth = f64::from(spread.n_nodes.max(1)).log2().ceil();
        let passes = if what == Collective::AllReduce { 2.0 } else { 1.0 };
        let hop =
            spread.hop + if between > 0.0 { value(EstimateKey::CollectiveScaleOutLatency) } else { Seconds::ZERO };
        let (way, switches) = (self.device.scale_up.latency, value(EstimateKey::CollectiveSwitchLatency));
        match algorithm {
            Algorithm::Ring => two + (more(spread.n_ranks) + hop * between) * passes,
            Algorithm::Tree => two + (more(spread.per_node) + (each + hop) * depth) * 2.0,
            Algorithm::InNetwork if spread.in_network == InNetwork::Reduce => switches + hop * 2.0,
            Algorithm::InNetwork => switches + (each + hop) * 2.0 * depth,
            Algorithm::Pairwise => two + more(spread.n_ranks) + hop * between.min(1.0),
            Algorithm::OneShot => value(EstimateKey::KernelLatency) + way * 2.0,
            Algorithm::TwoShot => value(EstimateKey::KernelLatency) + way * 3.0,
        }
    }
}

/// The longest of some bounds; the first of equal ones.
fn slowest(bounds: Vec<(Seconds, EstimateKey)>) -> (Seconds, EstimateKey) {
    let none = (Seconds::ZERO, EstimateKey::CollectiveScaleOutFraction);
    bounds.into_iter().reduce(|a, b| if b.0 > a.0 { b } else { a }).unwrap_or(none)
}

/// A call by one algorithm over some ranks, and what that makes each of them send.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    algorithm: Algorithm,
    call: &'a CollectiveCall,
    spread: &'a Spread,
    traffic: Traffic,
}

/// One of the protocols: the time of its bytes, the share of the scale-up port that it reaches, what sets the time.
#[derive(Clone, Copy, Debug)]
struct Protocol {
    time: Seconds,
    share: f64,
    limit: EstimateKey,
}

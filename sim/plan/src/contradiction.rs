//! What a job or a question holds that cannot be together.

use workloads::parallel::ParallelError;
use workloads::step::ShapeError;

/// What a job or a question holds that cannot be together. A scenario's loader finds most of it first, with the place.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Contradiction {
    /// Replicas and micro-batches that do not make up the global batch.
    #[error("`job.global-batch` is {global_batch}, which dp x micro-batch = {dp} x {micro_batch} does not divide")]
    GlobalBatch {
        /// Sequences of a global batch.
        global_batch: u64,
        /// Replicas.
        dp: u32,
        /// Sequences of a micro-batch.
        micro_batch: u64,
    },
    /// A micro-batch that cannot be laid on a rank.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A model that cannot be laid on ranks.
    #[error(transparent)]
    Layout(#[from] ParallelError),
    /// A question about experts of a model without any.
    #[error("`{model}` has no experts, so no token leaves its device")]
    NoExperts {
        /// The model.
        model: String,
    },
    /// More ranks of an imported job than devices.
    #[error(
        "the job has {n_ranks} ranks but the machine {n_devices} devices; take a larger cluster or `--set cluster.nodes=N`"
    )]
    Devices {
        /// Ranks of the job.
        n_ranks: u32,
        /// Devices of the machine.
        n_devices: u64,
    },
    /// A group of an imported job over nodes that nothing joins.
    #[error("a group spans several nodes, but the machine has no network between them")]
    NoNetwork,
    /// A model whose weights leave no room for a cache.
    #[error(
        "a device of a unit needs {needed} before it caches a token, and has {capacity}; split the model over more devices (`serve.tp`, \
         `serve.ep`), keep its weights in FP8 (`serve.weights`), compute fewer tokens at a time (`scheduler.tokens`), decode fewer \
         requests (`scheduler.slots`), or raise `serve.memory-share`"
    )]
    ServedModelTooLarge {
        /// What it needs.
        needed: units::Bytes,
        /// What there is.
        capacity: units::Bytes,
    },
    /// A service to which nothing comes.
    #[error(
        "nothing comes to the service: `requests.arrivals` is `none`; take `closed`, `open` or a file (`requests.trace`), or ask for one iteration \
         with `probe iteration`"
    )]
    NoRequests,
    /// A request that no cache holds.
    #[error(
        "request {number} has {tokens} tokens, and the cache of an attention rank holds {fits}; leave it out, or split the model over more devices \
         (`serve.tp`) or keep the cache in FP8 (`serve.kv`)"
    )]
    LongRequest {
        /// Its place in the list, from 1.
        number: u64,
        /// Its tokens, prompt and answer.
        tokens: u64,
        /// Those that fit.
        fits: u64,
    },
    /// An iteration of a service longer than can be counted.
    #[error(
        "an iteration takes {seconds:.1e} s, most of it `{longest}`, beyond the {limit:.1e} s that are counted; look for a mistyped unit or \
         exponent in `gpu.*`, `node.*`, `fabric.*` or `profile.*`, or take smaller sizes of `model.*`"
    )]
    LongIteration {
        /// What it takes.
        seconds: f64,
        /// Seconds that fit.
        limit: f64,
        /// The op that takes most of it.
        longest: &'static str,
    },
    /// A run of a service that would not end.
    #[error(
        "the requests take at least {least} iterations, and a run has at most {most}; take fewer (`requests.count`) or shorter ones \
         (`requests.output`, `requests.input`), or more at a time (`scheduler.slots`, `scheduler.tokens`, `requests.concurrency`)"
    )]
    LongService {
        /// Iterations of units full of requests.
        least: u64,
        /// Those of a run.
        most: u64,
    },
    /// More ranks of units than devices.
    #[error(
        "{units} units of {n_ranks} ranks, with {of_prompts} ranks of units that compute prompts, need more than the {n_devices} devices of the machine; lower `serve.units`, `serve.tp` or `serve.dp`, or raise \
         `cluster.nodes`"
    )]
    TooManyUnits {
        /// Units.
        units: u32,
        /// Ranks of one.
        n_ranks: u64,
        /// Ranks of units that compute prompts for them.
        of_prompts: u64,
        /// Devices in use.
        n_devices: u64,
    },
    /// An imported job longer than can be counted.
    #[error(
        "the nodes of the job take up to {longest:e} s together, beyond the {limit:.1e} s that are counted; look for a duration or size that is too large"
    )]
    Longest {
        /// Seconds of all nodes.
        longest: f64,
        /// Seconds that fit.
        limit: f64,
    },
    /// A kernel longer than can be counted.
    #[error(
        "the kernel takes {seconds:.1e} s, beyond the {limit:.1e} s that are counted; take smaller sizes, or look for a mistyped unit or \
         exponent in a rate of the device"
    )]
    LongKernel {
        /// What it takes.
        seconds: f64,
        /// Seconds that fit.
        limit: f64,
    },
    /// Ranks of an imported job that wait for each other.
    #[error(
        "{trace}: {} waits for ever: ranks call collectives or messages in orders that do not meet",
        .node.as_deref().unwrap_or("a node")
    )]
    Circle {
        /// The rank's trace.
        trace: String,
        /// What it waits in.
        node: Option<String>,
    },
    /// A collective of nobody to speak of.
    #[error("a collective of {n_ranks} ranks moves nothing; ask for two or more")]
    LoneRank {
        /// Its ranks.
        n_ranks: u32,
    },
    /// An algorithm that this collective or machine does not have.
    #[error(
        "`{algorithm}` is no algorithm of this collective on this machine: trees, one-shot and two-shot are of all-reduces (the latter two within a node), \
         `in-network` needs switches that sum (`gpu.scale-up.in-network`, `fabric.in-network`), `pairwise` is of all-to-alls and messages; leave it out for the quickest"
    )]
    Algorithm {
        /// Its name.
        algorithm: &'static str,
    },
    /// No SM, or more than the device has.
    #[error("{asked} SMs asked of a device that has {there}")]
    Sms {
        /// Asked for.
        asked: u32,
        /// Of the device.
        there: u32,
    },
    /// A collective without ranks.
    #[error("a collective needs at least one node and one device")]
    NoRanks,
    /// An all-to-all with more flows than are kept apart.
    #[error("an all-to-all of {n_ranks} ranks has too many flows to keep apart; ask for {max} ranks or fewer")]
    Flows {
        /// Its ranks.
        n_ranks: u64,
        /// As many as are kept apart.
        max: u64,
    },
    /// More ranks than can be numbered.
    #[error("{n_ranks} ranks are too many")]
    Ranks {
        /// Of the collective.
        n_ranks: u64,
    },
    /// Devices of a node that nothing joins.
    #[error("devices of a node need a scale-up rate above zero")]
    NoScaleUp,
    /// Nodes that nothing joins.
    #[error("nodes need a NIC rate above zero")]
    NoNic,
}

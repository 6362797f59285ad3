//! Collectives of NCCL among the GPUs of a node, one process, BF16; NVLS is off (`NCCL_NVLS_ENABLE=0`).
//!
//! Sizes are those of nccl-tests. `sms` caps the library's thread blocks (`maxCTAs` of a communicator's configuration), each of
//! which takes an SM; it may use fewer. Calls are captured in graphs, as `nccl-tests -G` does; buffers are plain allocations, not
//! registered by us.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::ops::Range;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;

use cudarc::driver::CudaStream;
use cudarc::nccl::sys::{self, ncclDataType_t, ncclRedOp_t, ncclResult_t};

use super::device::{Fill, Gpu};
use super::exchange::bf16;
use super::failure::At;
use super::multi::{MultiCall, PeerMemory, sets_within, streams, synchronize};
use crate::bench::BenchError;
use workloads::op::Collective;

use crate::question::Question;

/// Bytes of an element, BF16.
const ELEMENT: usize = 2;
/// Operand sets kept at most: each call of a captured batch costs the library host memory.
const N_SETS_MAX: usize = 64;
/// Elements compared at the head and at the tail of every share.
const N_COMPARED: usize = 1 << 14;
/// Oldest version whose configuration has the layout we fill in, as the library counts.
const VERSION_MIN: i32 = 22_800;
/// By which the library knows a configuration (`NCCL_CONFIG_INITIALIZER` of its header).
const MAGIC: u32 = u32::from_be_bytes([0xCA, 0xFE, 0xBE, 0xEF]);
/// "Not set" in a configuration (`NCCL_CONFIG_UNDEF_INT`).
const UNSET: i32 = i32::MIN;

/// A collective as a call of its ranks.
///
/// # Errors
/// `Unsupported` without the library, or for sizes that do not divide.
pub(crate) fn prepare(gpus: &[Gpu], question: &Question) -> Result<Box<dyn MultiCall>, BenchError> {
    let Question::Collective { what, ranks, bytes, sms, nodes: 1, .. } = question else {
        return Err(BenchError::Unsupported(format!("{question:?} is no collective of one node")));
    };
    let sizes = Sizes::new(*what, *ranks, *bytes)?;
    let gpus = gpus
        .get(..sizes.n_ranks)
        .ok_or_else(|| BenchError::Unsupported(format!("{ranks} ranks on {} GPUs", gpus.len())))?;
    let (version, comms) = communicators(gpus, *sms)?;
    let n_sets = sets_within(&gpus[0], sizes.send, N_SETS_MAX);
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for (rank, gpu) in gpus.iter().enumerate() {
        let n = n_sets * sizes.send / ELEMENT;
        sent.push(PeerMemory::random(gpu, Fill::Bf16Normal, n, 1 + rank as u32)?);
        received.push(PeerMemory::new(gpu, n_sets * sizes.receive, 0)?);
    }
    Ok(Box::new(Call { what: *what, sizes, n_sets, version, comms, sent, received }))
}

/// Bytes of a collective's buffers on each rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    n_ranks: usize,
    send: usize,
    receive: usize,
    /// Of one rank's share, which is what the library is told.
    share: usize,
}

impl Sizes {
    /// `bytes` as nccl-tests has it: the buffer of a rank for all-reduce, the message for send-recv, the send buffer for
    /// all-to-all, the gathered output for all-gather, the whole input for reduce-scatter.
    fn new(what: Collective, ranks: u32, bytes: u64) -> Result<Self, BenchError> {
        let n = u64::from(ranks);
        let whole = matches!(what, Collective::AllReduce | Collective::SendRecv);
        let unit = if whole { 1 } else { n } * ELEMENT as u64;
        if ranks < 2 {
            return Err(BenchError::Unsupported(format!("a collective of {ranks} ranks; ask for 2 or more")));
        }
        if bytes == 0 || !bytes.is_multiple_of(unit) {
            let next = bytes.next_multiple_of(unit).max(unit);
            return Err(BenchError::Unsupported(format!(
                "{bytes} bytes among {ranks} ranks in BF16; take a multiple of {unit}, such as {next}"
            )));
        }
        let (bytes, n_ranks) = (bytes as usize, ranks as usize);
        let part = bytes / n_ranks;
        let (send, receive, share) = match what {
            Collective::AllReduce | Collective::SendRecv => (bytes, bytes, bytes),
            Collective::AllToAll => (bytes, bytes, part),
            Collective::AllGather => (part, bytes, part),
            Collective::ReduceScatter => (bytes, part, part),
        };
        Ok(Self { n_ranks, send, receive, share })
    }
}

/// Where the bytes of share `share` of `rank`'s result come from: by rank, the byte of its send buffer. Several are summed.
fn sources(what: Collective, sizes: &Sizes, rank: usize, share: usize) -> Vec<(usize, usize)> {
    let all = 0..sizes.n_ranks;
    match what {
        Collective::AllReduce => all.map(|from| (from, 0)).collect(),
        Collective::ReduceScatter => all.map(|from| (from, rank * sizes.share)).collect(),
        Collective::AllGather => vec![(share, 0)],
        Collective::AllToAll => vec![(share, rank * sizes.share)],
        Collective::SendRecv => vec![((rank + sizes.n_ranks - 1) % sizes.n_ranks, 0)],
    }
}

/// Bytes of a share that are compared: its head and its tail, which meet in a short one.
fn compared(share: usize) -> [Range<usize>; 2] {
    let some = (N_COMPARED * ELEMENT).min(share);
    [0..some, (share - some).max(some)..share]
}

struct Call {
    what: Collective,
    sizes: Sizes,
    n_sets: usize,
    version: i32,
    comms: Rc<[sys::ncclComm_t]>,
    sent: Vec<PeerMemory>,
    received: Vec<PeerMemory>,
}

impl MultiCall for Call {
    fn implementation(&self) -> String {
        let version = self.version;
        format!("nccl {}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
    }

    fn kind(&self) -> String {
        format!("nccl {:?} of {} ranks", self.what, self.sizes.n_ranks)
    }

    fn n_sets(&self) -> usize {
        self.n_sets
    }

    fn verify(&mut self, gpus: &[Gpu]) -> Result<(), BenchError> {
        for memory in &mut self.received {
            // As BF16 a number far from any sum of a few normal ones.
            memory.fill(0x7B)?;
        }
        let set = self.n_sets - 1;
        self.enqueue(&streams(gpus), set)?;
        synchronize(gpus)?;
        for rank in 0..self.sizes.n_ranks {
            for share in 0..self.sizes.receive / self.sizes.share {
                for range in compared(self.sizes.share) {
                    self.compare(set, rank, share, &range)?;
                }
            }
        }
        Ok(())
    }

    fn enqueue(&mut self, streams: &[Arc<CudaStream>], i: usize) -> Result<(), BenchError> {
        // SAFETY: starts a group; ended below whatever happens.
        checked(unsafe { sys::ncclGroupStart() }, "ncclGroupStart")?;
        let enqueued = (0..self.sizes.n_ranks).try_for_each(|rank| self.rank(&streams[rank], rank, i % self.n_sets));
        // SAFETY: ends the group started above.
        let ended = checked(unsafe { sys::ncclGroupEnd() }, "ncclGroupEnd");
        enqueued.and(ended)
    }
}

impl Call {
    /// One rank's part. The streams' devices are made current in turn: the library asks which one is.
    fn rank(&self, stream: &Arc<CudaStream>, rank: usize, set: usize) -> Result<(), BenchError> {
        stream.context().bind_to_thread().at("make a device current")?;
        let from = self.sent[rank].address() + (set * self.sizes.send) as u64;
        let to = self.received[rank].address() + (set * self.sizes.receive) as u64;
        let (comm, stream) = (self.comms[rank], stream.cu_stream().cast());
        let (count, bf16, sum) = (self.sizes.share / ELEMENT, ncclDataType_t::ncclBfloat16, ncclRedOp_t::ncclSum);
        let (source, target) = (from as *const _, to as *mut _);
        // SAFETY (of all): both buffers have the bytes that `Sizes` says, on the communicator's device, until the streams
        // are idle; the communicator is alive.
        match self.what {
            Collective::AllReduce => {
                let code = unsafe { sys::ncclAllReduce(source, target, count, bf16, sum, comm, stream) };
                checked(code, "ncclAllReduce")
            }
            Collective::AllGather => {
                let code = unsafe { sys::ncclAllGather(source, target, count, bf16, comm, stream) };
                checked(code, "ncclAllGather")
            }
            Collective::ReduceScatter => {
                let code = unsafe { sys::ncclReduceScatter(source, target, count, bf16, sum, comm, stream) };
                checked(code, "ncclReduceScatter")
            }
            Collective::AllToAll => (0..self.sizes.n_ranks).try_for_each(|peer| {
                let at = (peer * self.sizes.share) as u64;
                let (source, target) = ((from + at) as *const _, (to + at) as *mut _);
                let code = unsafe { sys::ncclSend(source, count, bf16, peer as i32, comm, stream) };
                checked(code, "ncclSend")?;
                checked(unsafe { sys::ncclRecv(target, count, bf16, peer as i32, comm, stream) }, "ncclRecv")
            }),
            Collective::SendRecv => {
                let n = self.sizes.n_ranks;
                let (next, last) = ((rank + 1) % n, (rank + n - 1) % n);
                checked(unsafe { sys::ncclSend(source, count, bf16, next as i32, comm, stream) }, "ncclSend")?;
                checked(unsafe { sys::ncclRecv(target, count, bf16, last as i32, comm, stream) }, "ncclRecv")
            }
        }
    }

    /// Compares a range of a share of a rank's result: moved bytes exactly, sums within what BF16 rounds.
    fn compare(&self, set: usize, rank: usize, share: usize, range: &Range<usize>) -> Result<(), BenchError> {
        let sizes = &self.sizes;
        let base = set * sizes.receive + share * sizes.share;
        let came = self.received[rank].read(base + range.start..base + range.end)?;
        let terms = sources(self.what, sizes, rank, share)
            .into_iter()
            .map(|(from, at)| {
                let base = set * sizes.send + at;
                self.sent[from].read(base + range.start..base + range.end)
            })
            .collect::<Result<Vec<_>, _>>()?;
        for (i, bytes) in came.chunks_exact(ELEMENT).enumerate() {
            let values = terms.iter().map(|term| bf16(&term[ELEMENT * i..]));
            let (sum, size) = values.fold((0.0, 0.0), |(sum, size), value| (sum + value, size + value.abs()));
            // Each addition may round once, by half of the last of eight bits.
            let slack = if terms.len() == 1 { 0.0 } else { size * terms.len() as f32 / 256.0 };
            let found = bf16(bytes);
            if found.is_nan() || (found - sum).abs() > slack {
                return Err(BenchError::Failed(format!(
                    "{}: element {} of share {share} on rank {rank} is {found}, not {sum}",
                    self.kind(),
                    range.start / ELEMENT + i,
                )));
            }
        }
        Ok(())
    }
}

/// Communicators by ranks and cap.
type Made = BTreeMap<(usize, Option<u32>), Rc<[sys::ncclComm_t]>>;

thread_local! {
    /// Kept for the life of the process: making them takes a second, and a table of measurements asks for the same ones again
    /// and again.
    static MADE: RefCell<Made> = const { RefCell::new(BTreeMap::new()) };
}

/// The library's version and one communicator a rank, with at most `sms` thread blocks each.
fn communicators(gpus: &[Gpu], sms: Option<u32>) -> Result<(i32, Rc<[sys::ncclComm_t]>), BenchError> {
    // SAFETY: loads a library by name; its initializers are NVIDIA's.
    if !unsafe { sys::is_culib_present() } {
        return Err(BenchError::Unsupported("no libnccl, whose collectives these are".into()));
    }
    let version = cudarc::nccl::result::get_nccl_version().at("ncclGetVersion")?;
    if version < VERSION_MIN {
        return Err(BenchError::Unsupported(format!(
            "NCCL {version} is older than {VERSION_MIN}, whose configuration we fill in"
        )));
    }
    let key = (gpus.len(), sms);
    if let Some(comms) = MADE.with_borrow(|made| made.get(&key).cloned()) {
        return Ok((version, comms));
    }
    if let Some(sms) = sms {
        gpus[0].check_sms(sms)?;
    }
    let comms: Rc<[sys::ncclComm_t]> = connect(gpus, sms.map(u32::cast_signed))?.into();
    MADE.with_borrow_mut(|made| made.insert(key, comms.clone()));
    Ok((version, comms))
}

fn connect(gpus: &[Gpu], cap: Option<i32>) -> Result<Vec<sys::ncclComm_t>, BenchError> {
    let id = cudarc::nccl::result::get_uniqueid().at("ncclGetUniqueId")?;
    let mut comms = vec![ptr::null_mut(); gpus.len()];
    // The configurations must stay where they are until the group ends.
    let mut configs = vec![configuration(cap); gpus.len()];
    // SAFETY: starts a group; ended below whatever happens.
    checked(unsafe { sys::ncclGroupStart() }, "ncclGroupStart")?;
    let begun = gpus.iter().enumerate().try_for_each(|(rank, gpu)| {
        gpu.ctx.bind_to_thread().at("make a device current")?;
        let (comm, config, n) = (&raw mut comms[rank], &raw mut configs[rank], gpus.len() as i32);
        // SAFETY: both pointers stay valid until the group has ended; this rank's device is current.
        checked(unsafe { sys::ncclCommInitRankConfig(comm, n, id, rank as i32, config) }, "ncclCommInitRankConfig")
    });
    // SAFETY: ends the group started above.
    let ended = checked(unsafe { sys::ncclGroupEnd() }, "make communicators");
    begun.and(ended)?;
    Ok(comms)
}

/// What the header's initializer gives, blocking, with a cap where there is one.
fn configuration(cap: Option<i32>) -> sys::ncclConfig_t {
    sys::ncclConfig_t {
        size: size_of::<sys::ncclConfig_t>(),
        magic: MAGIC,
        version: VERSION_MIN as u32,
        blocking: 1,
        cgaClusterSize: UNSET,
        // The library's own least number may be above the cap.
        minCTAs: if cap.is_some() { 1 } else { UNSET },
        maxCTAs: cap.unwrap_or(UNSET),
        netName: ptr::null(),
        splitShare: UNSET,
        trafficClass: UNSET,
        commName: ptr::null(),
        collnetEnable: UNSET,
        CTAPolicy: UNSET,
        shrinkShare: UNSET,
        nvlsCTAs: UNSET,
        nChannelsPerNetPeer: UNSET,
        nvlinkCentricSched: UNSET,
    }
}

/// The library's code with its last words.
fn checked(code: ncclResult_t, what: &str) -> Result<(), BenchError> {
    if code == ncclResult_t::ncclSuccess {
        return Ok(());
    }
    // SAFETY: the library returns a text of its own that ends with a zero, or null; no communicator is needed.
    let said = unsafe {
        let text = sys::ncclGetLastError(ptr::null_mut());
        if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
    };
    Err(BenchError::Failed(format!("{what}: {code:?} {said}").trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Collective; 5] = [
        Collective::AllToAll,
        Collective::AllReduce,
        Collective::AllGather,
        Collective::ReduceScatter,
        Collective::SendRecv,
    ];

    #[test]
    fn the_larger_buffer_is_the_size_of_nccl_tests() {
        for what in ALL {
            let sizes = Sizes::new(what, 8, 1 << 20).expect("sizes");
            assert_eq!(sizes.send.max(sizes.receive), 1 << 20, "{what:?}");
        }
        let gather = Sizes::new(Collective::AllGather, 8, 1 << 20).expect("sizes");
        assert_eq!((gather.send, gather.receive, gather.share), (1 << 17, 1 << 20, 1 << 17));
    }

    #[test]
    fn sizes_that_do_not_divide_are_refused_with_a_way_out() {
        let error = Sizes::new(Collective::AllToAll, 3, 100).expect_err("100 bytes").to_string();
        assert!(error.contains("multiple of 6") && error.contains("such as 102"), "{error}");
        assert!(Sizes::new(Collective::AllReduce, 3, 100).is_ok());
        assert!(Sizes::new(Collective::AllReduce, 1, 100).is_err());
        assert!(Sizes::new(Collective::SendRecv, 2, 0).is_err());
    }

    /// Every byte sent is received as often as the collective says, and none is read past the end of a buffer.
    #[test]
    fn sources_cover_the_send_buffers() {
        let n = 4;
        for what in ALL {
            let sizes = Sizes::new(what, n, 1 << 10).expect("sizes");
            let mut used = BTreeMap::new();
            for rank in 0..sizes.n_ranks {
                for share in 0..sizes.receive / sizes.share {
                    for (from, at) in sources(what, &sizes, rank, share) {
                        assert!(at + sizes.share <= sizes.send, "{what:?}: rank {from} from byte {at}");
                        *used.entry((from, at)).or_insert(0) += 1;
                    }
                }
            }
            let times = if matches!(what, Collective::AllReduce | Collective::AllGather) { 4 } else { 1 };
            assert!(used.values().all(|&count| count == times), "{what:?}: {used:?}");
            assert_eq!(used.len(), sizes.n_ranks * sizes.send / sizes.share, "{what:?}");
        }
    }

    #[test]
    fn short_shares_are_compared_whole() {
        let most = N_COMPARED * ELEMENT;
        for share in [2, 64, most, most + 2, 2 * most, 1 << 20] {
            let [head, tail] = compared(share);
            assert_eq!((head.start, tail.end), (0, share));
            assert!(head.end <= tail.start, "no byte twice: {head:?} and {tail:?}");
            let n = head.len() + tail.len();
            assert_eq!(n, share.min(2 * most), "of {share}");
        }
    }
}

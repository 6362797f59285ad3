//! One server: its devices, NICs and host.

use units::{Bytes, BytesPerSec, Seconds};

use crate::Expense;

/// One server. Every leaf is a `node.*` key.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Devices in the scale-up domain.
    pub devices: u32,
    /// The NICs.
    pub nic: Nic,
    /// The host side.
    pub host: Host,
    /// What one costs and draws beside its devices and NICs.
    pub expense: Expense,
}

/// The NICs of a node; NIC i serves device i x nics / devices.
#[derive(Clone, Debug, PartialEq)]
pub struct Nic {
    /// NICs in the node; zero where the scale-up domain is the whole cluster.
    pub count: u32,
    /// Rate of one NIC, one direction.
    pub rate: BytesPerSec,
    /// Who hands on what arrives for other devices of the node.
    pub forwarding: Forwarding,
    /// Whether writes arrive in the order they were made.
    pub ordering: Ordering,
    /// What the results of experts are squeezed to on the network.
    pub compression: Compression,
    /// What one costs and draws, optics apart.
    pub expense: Expense,
}

/// Who moves bytes between the network and the scale-up fabric of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// Kernels on SMs of the device at the NIC.
    Kernel,
    /// The NIC or I/O die: one address space over both fabrics.
    Hardware,
}

impl Forwarding {
    /// Its spellings in files.
    pub const WORDS: [(&'static str, Self); 2] = [("kernel", Self::Kernel), ("hardware", Self::Hardware)];
}

/// Whether remote writes arrive in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// Not: a sender waits until its data has arrived before it raises a flag.
    Fence,
    /// As they were made: the flag follows the data at once.
    Native,
}

impl Ordering {
    /// Its spellings in files.
    pub const WORDS: [(&'static str, Self); 2] = [("fence", Self::Fence), ("native", Self::Native)];
}

/// What a NIC squeezes BF16 to while it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Nothing.
    None,
    /// LogFMT of 10 bits an element (arXiv:2505.09343 section 3.2): a sign and a step on a logarithmic scale of each 1x128 tile.
    LogFmt10,
    /// The same with 8 bits.
    LogFmt8,
}

impl Compression {
    /// Its spellings in files.
    pub const WORDS: [(&'static str, Self); 3] =
        [("none", Self::None), ("logfmt-10", Self::LogFmt10), ("logfmt-8", Self::LogFmt8)];

    /// Bits of an element of BF16 on the wire. A tile of 128 also carries the ends of its scale, two numbers of 16 bits.
    #[must_use]
    pub fn bits(self) -> f64 {
        let tile_ends = 2.0 * 16.0 / 128.0;
        match self {
            Self::None => 16.0,
            Self::LogFmt10 => 10.0 + tile_ends,
            Self::LogFmt8 => 8.0 + tile_ends,
        }
    }

    /// Bytes on the wire over bytes of BF16.
    #[must_use]
    pub fn ratio(self) -> f64 {
        self.bits() / 16.0
    }
}

/// The host side of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Rate of a device's PCIe link, one direction.
    pub pcie_rate: BytesPerSec,
    /// Latency of that link.
    pub pcie_latency: Seconds,
    /// Host memory rate, shared by the node.
    pub memory_rate: BytesPerSec,
    /// Host memory.
    pub memory_capacity: Bytes,
}

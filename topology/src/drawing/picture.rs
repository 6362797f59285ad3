//! A network in folded form: one box for all that are alike.

use units::BytesPerSec;

use super::columns::{Columns, Part};
use crate::{DeviceId, Network};

/// A network in folded form, ready to be drawn: boxes on a grid of tiers and columns, and lines between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Columns of the grid.
    pub n_columns: u32,
    /// What stands on each tier, from the bottom up: scale-up switches, devices, and, with a network, NICs, leaves and
    /// whatever tiers of switches are above.
    pub tiers: Vec<&'static str>,
    /// The boxes, tier by tier and column by column.
    pub boxes: Vec<PictureBox>,
    /// The lines.
    pub lines: Vec<PictureLine>,
}

/// One box, standing for `count` alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureBox {
    /// What it is, in the plural where it stands for several; the count is not in it.
    pub label: String,
    /// Index into [`Picture::tiers`].
    pub tier: usize,
    /// First column.
    pub column: u32,
    /// Columns it is wide.
    pub span: u32,
    /// How many it stands for.
    pub count: u32,
}

/// A line between two boxes, standing for `n_wires` wires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureLine {
    /// Index of the lower box.
    pub from: usize,
    /// Index of the upper box.
    pub to: usize,
    /// Wires of all that the boxes stand for; the two directions count once.
    pub n_wires: u32,
    /// Rate of one wire, one direction, as printed.
    pub label: String,
}

impl Network {
    /// The network in folded form: the devices of one node side by side, each box with how many it stands for.
    /// Columns are ordered by plane, then by NIC. Beyond 16 devices a node, a column is a NIC; beyond 16 NICs, a
    /// plane; beyond 16 planes there is one column.
    #[must_use]
    pub fn picture(&self) -> Picture {
        let columns = Columns::of(self);
        let mut picture = Picture { n_columns: columns.n, tiers: Vec::new(), boxes: Vec::new(), lines: Vec::new() };
        picture.add_tier(["scale-up switch", "scale-up switches"], Named::Nothing, vec![columns.whole(self.n_nodes())]);
        picture.add_tier(["device", "devices"], Named::Each, self.device_parts(&columns));
        if self.has_network() {
            self.add_network(&columns, &mut picture);
        }
        self.add_lines(&mut picture);
        picture
    }

    fn device_parts(&self, columns: &Columns) -> Vec<Part> {
        let ranks = 0..self.layout().node_devices;
        ranks.map(|rank| Part::at(columns.of_rank[rank as usize], rank, self.n_nodes())).collect()
    }

    fn add_network(&self, columns: &Columns, picture: &mut Picture) {
        let nics = 0..self.layout().node_nics;
        let spans: Vec<Part> = nics.map(|nic| columns.of_nic(self, nic, self.n_nodes())).collect();
        picture.add_tier(["NIC", "NICs"], Named::Each, spans.clone());
        for tier in self.wiring().tiers() {
            let parts = tier.stacks.iter().map(|stack| Columns::of_stack(&spans, stack)).collect();
            picture.add_tier(tier.words, tier.owner.map_or(Named::Nothing, Named::By), parts);
        }
    }

    fn add_lines(&self, picture: &mut Picture) {
        let device = DeviceId(0);
        let rate = |link| self.link(link).rate;
        let port = rate(self.scale_up_send(device));
        picture.join(0, 1, port, |_, device| device.count);
        if self.has_network() {
            let trunk = self.trunk_rate();
            picture.join(1, 2, rate(self.pcie_send(device)), |device, _| device.count);
            picture.join(2, 3, rate(self.nic_send(device)), |nic, _| nic.count);
            for (below, tier) in (3..).zip(self.wiring().tiers()) {
                picture.join(below, below + 1, trunk, |switch, _| switch.count * tier.n_wires_up);
            }
        }
    }
}

impl Picture {
    /// Adds a tier, merging parts on the same columns; a tier of nothing is not added.
    fn add_tier(&mut self, words: [&'static str; 2], named: Named, mut parts: Vec<Part>) {
        parts.retain(|part| part.count > 0);
        parts.sort_by_key(|part| (part.first, part.last, part.name));
        if parts.is_empty() {
            return;
        }
        let tier = self.tiers.len();
        self.tiers.push(words[1]);
        for alike in parts.chunk_by(|a, b| (a.first, a.last) == (b.first, b.last)) {
            let part = alike[0];
            let count = alike.iter().map(|part| part.count).sum();
            let word = words[usize::from(count > 1)];
            let label = match named {
                Named::Each if alike.len() == 1 => format!("{} {}", words[0], part.name),
                Named::By(owner) if alike.len() == 1 => format!("{word} of {owner} {}", part.name),
                Named::Each | Named::By(_) | Named::Nothing => word.to_owned(),
            };
            let span = part.last - part.first + 1;
            self.boxes.push(PictureBox { label, tier, column: part.first, span, count });
        }
    }

    /// Joins each box of a tier to those above it on the same columns.
    fn join(
        &mut self,
        below: usize,
        above: usize,
        rate: BytesPerSec,
        n_wires: impl Fn(&PictureBox, &PictureBox) -> u32,
    ) {
        let on = |tier| self.boxes.iter().enumerate().filter(move |(_, part)| part.tier == tier);
        for (from, lower) in on(below) {
            for (to, upper) in on(above) {
                if lower.column < upper.column + upper.span && upper.column < lower.column + lower.span {
                    let n_wires = n_wires(lower, upper);
                    self.lines.push(PictureLine { from, to, n_wires, label: rate.to_string() });
                }
            }
        }
    }
}

/// What the number of a part says.
#[derive(Clone, Copy)]
enum Named {
    /// Nothing worth a label.
    Nothing,
    /// Which of its kind it is, in every node.
    Each,
    /// Which rail or plane it belongs to.
    By(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FabricKind;
    use crate::tests::fixture::{machine, network, oversubscribed};

    fn tier(picture: &Picture, name: &str) -> Vec<PictureBox> {
        let tier = picture.tiers.iter().position(|tier| *tier == name).expect("tier");
        picture.boxes.iter().filter(|part| part.tier == tier).cloned().collect()
    }

    /// Whatever is folded, boxes stand for all vertices and lines for all wires.
    #[test]
    fn nothing_is_lost_in_folding() {
        let networks = [
            network(FabricKind::FatTree, 8, 2, 64, 256),
            network(FabricKind::FatTree, 3, 2, 16, 20),
            network(FabricKind::FatTree, 1, 3, 16, 20),
            network(FabricKind::RailFatTree, 1, 2, 64, 64),
            network(FabricKind::RailFatTree, 2, 3, 8, 9),
            oversubscribed(FabricKind::FatTree, [3, 2, 16, 20], 2.0),
            oversubscribed(FabricKind::RailFatTree, [1, 3, 8, 9], 3.0),
        ];
        for network in networks {
            let picture = network.picture();
            let survey = network.survey().expect("connected");
            let count = |name| tier(&picture, name).iter().map(|part| part.count).sum::<u32>();
            assert_eq!(count("devices"), survey.n_devices);
            assert_eq!(count("NICs"), survey.n_nics);
            assert_eq!(count("leaves"), survey.switches.leaf);
            assert_eq!(count("spines"), survey.switches.spine);
            let trunks = picture.lines.iter().filter(|line| picture.boxes[line.from].tier >= 3);
            assert_eq!(trunks.map(|line| line.n_wires).sum::<u32>(), survey.wires.trunk);
        }
    }

    #[test]
    fn planes_stand_side_by_side_and_one_network_spans() {
        let planes = tier(&network(FabricKind::FatTree, 8, 2, 64, 256).picture(), "spines");
        assert!(planes.len() == 8 && planes.iter().all(|part| part.span == 1 && part.count == 4));
        let rails = network(FabricKind::RailFatTree, 1, 2, 64, 64).picture();
        assert_eq!(tier(&rails, "leaves").len(), 8);
        assert_eq!(tier(&rails, "spines")[0].span, 8);
    }

    #[test]
    fn a_rack_is_one_box_of_devices() {
        let mut rack = machine(FabricKind::None, 0, 0, 0, 1);
        rack.node.devices = 72;
        rack.node.nic.count = 0;
        let picture = Network::build(&rack).expect("rack").picture();
        assert_eq!(picture.boxes.len(), 2);
        assert_eq!((picture.boxes[1].label.as_str(), picture.boxes[1].count), ("devices", 72));
        assert_eq!(picture.lines[0].n_wires, 72);
    }
}

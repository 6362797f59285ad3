//! A network in the DOT language of Graphviz.

use std::collections::BTreeMap;

use petgraph::Direction;
use petgraph::dot::{Config, Dot};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{EdgeRef, NodeRef};
use units::BytesPerSec;

use crate::{LinkId, Network, Vertex};

/// How much of a network is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The first node with every switch above it; the other nodes are like it.
    FirstNode,
    /// Every vertex; readable for a few nodes.
    Whole,
}

/// Wires between two vertices, drawn as one line.
#[derive(Clone, Copy, Debug)]
struct Bundle {
    n_wires: u32,
    rate: BytesPerSec,
}

impl Network {
    /// The network in the DOT language, devices at the bottom. Parallel wires are one line with their number, and a
    /// line stands for both directions.
    #[must_use]
    pub fn dot(&self, detail: Detail) -> String {
        let drawing = self.drawing(detail);
        let body = Dot::with_attr_getters(
            &drawing,
            &[Config::NodeNoLabel, Config::EdgeNoLabel, Config::GraphContentOnly],
            &|_, edge| format!("label=\"{}\"", label(*edge.weight())),
            &|_, vertex| format!("label=\"{}\" shape={}", vertex.weight(), shape(*vertex.weight())),
        );
        format!("digraph network {{\n    rankdir=BT\n    edge [dir=both]\n{body:?}}}\n")
    }

    fn drawing(&self, detail: Detail) -> DiGraph<Vertex, Bundle> {
        let mut drawing = DiGraph::new();
        let mut drawn = BTreeMap::new();
        for vertex in self.drawn_vertices(detail) {
            drawn.insert(vertex, drawing.add_node(self.graph()[vertex]));
        }
        for (below, from) in &drawn {
            for (above, bundle) in self.bundles_up(*below) {
                if let Some(to) = drawn.get(&above) {
                    drawing.add_edge(*from, *to, bundle);
                }
            }
        }
        drawing
    }

    /// In the order of the graph.
    fn drawn_vertices(&self, detail: Detail) -> Vec<NodeIndex> {
        match detail {
            Detail::Whole => self.graph().node_indices().collect(),
            Detail::FirstNode => {
                let mut seen = vec![false; self.graph().node_count()];
                let mut open: Vec<NodeIndex> = (0..self.layout().node_devices).map(NodeIndex::from).collect();
                while let Some(vertex) = open.pop() {
                    if !std::mem::replace(&mut seen[vertex.index()], true) {
                        open.extend(self.bundles_up(vertex).into_keys());
                    }
                }
                self.graph().node_indices().filter(|vertex| seen[vertex.index()]).collect()
            }
        }
    }

    fn bundles_up(&self, vertex: NodeIndex) -> BTreeMap<NodeIndex, Bundle> {
        let mut bundles = BTreeMap::new();
        for edge in self.graph().edges_directed(vertex, Direction::Outgoing) {
            if LinkId(edge.id().index() as u32).leads_up() {
                let rate = edge.weight().rate;
                bundles.entry(edge.target()).or_insert(Bundle { n_wires: 0, rate }).n_wires += 1;
            }
        }
        bundles
    }
}

fn label(bundle: Bundle) -> String {
    match bundle.n_wires {
        1 => bundle.rate.to_string(),
        n => format!("{n} x {}", bundle.rate),
    }
}

const fn shape(vertex: Vertex) -> &'static str {
    match vertex {
        Vertex::Device(_) => "box",
        Vertex::ScaleUpSwitch(_) | Vertex::Switch { .. } => "ellipse",
        Vertex::PcieSwitch { .. } | Vertex::Nic { .. } => "plaintext",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FabricKind;
    use crate::tests::fixture::{network, oversubscribed};

    #[test]
    fn the_first_node_stands_for_all() {
        let dot = network(FabricKind::FatTree, 8, 2, 64, 256).dot(Detail::FirstNode);
        assert_eq!(dot.matches("label=\"device ").count(), 8);
        assert_eq!(dot.matches("label=\"NIC ").count(), 8);
        assert_eq!(dot.matches("label=\"leaf 0 of plane ").count(), 8);
        assert_eq!(dot.matches("label=\"spine ").count(), 8 * 4);
        assert_eq!(dot.matches("label=\"8 x 50 GB/s\"").count(), 8 * 4, "32 lanes of a leaf over 4 spines");
        assert!(dot.starts_with("digraph network {") && dot.ends_with("}\n"));
    }

    /// 21 lanes of a leaf over three spines.
    #[test]
    fn uplinks_that_a_leaf_has_not_are_not_drawn() {
        let dot = oversubscribed(FabricKind::FatTree, [8, 2, 64, 256], 2.0).dot(Detail::FirstNode);
        assert_eq!(dot.matches("label=\"spine ").count(), 8 * 3);
        assert_eq!(dot.matches("label=\"7 x 50 GB/s\"").count(), 8 * 3);
    }

    #[test]
    fn the_whole_has_every_vertex() {
        let network = network(FabricKind::FatTree, 1, 3, 16, 9);
        let dot = network.dot(Detail::Whole);
        assert_eq!(dot.matches(" shape=").count(), network.graph().node_count());
        assert_eq!(dot.matches("{").count(), dot.matches("}").count());
    }
}

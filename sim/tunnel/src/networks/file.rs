//! Networks to set side by side, from `scenarios/topologies/`.

use std::collections::BTreeMap;

use scenario::{Fact, Kind, Library};
use serde::Deserialize;
use topology::Counts;

use super::NetworksError;
use crate::error::TunnelError;

/// A file of networks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Networks {
    /// For people.
    pub(super) about: String,
    /// The file of facts to compare with.
    pub(super) facts: String,
    /// Ports of every switch.
    pub(super) ports: u32,
    /// Factor from the units of the facts to counts and dollars.
    units: BTreeMap<String, f64>,
    /// Which networks give the prices of wires.
    pub(super) solved: Option<Solved>,
    /// The networks by name.
    pub(super) network: BTreeMap<String, Network>,
}

/// Two networks whose published costs give the prices of wires.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Solved {
    pub(super) rows: [String; 2],
}

/// One network.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Network {
    /// What tables call it.
    pub(super) about: String,
    /// What the identifiers of its facts begin with; none where nothing is published.
    published: Option<String>,
    /// How it is wired.
    shape: Shape,
}

/// How switches are wired, every port that the shape has in use.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Shape {
    /// Planes of fat trees.
    FatTree { tiers: u32, planes: u32 },
    /// Slim Fly of parameter `q`, so many endpoints a switch.
    SlimFly { q: u32, endpoints: u32 },
    /// Groups of so many switches, each with so many endpoints and links to other groups.
    Dragonfly { groups: u32, switches: u32, endpoints: u32, links: u32 },
}

/// What was published about a network, in counts and dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PublishedNetwork {
    /// Endpoints.
    pub endpoints: Option<f64>,
    /// Switches.
    pub switches: Option<f64>,
    /// Wires between switches.
    pub links: Option<f64>,
    /// Switches and wires, without NICs.
    pub usd: Option<f64>,
    /// The same over endpoints.
    pub usd_per_endpoint: Option<f64>,
}

/// Reads a file of networks: a preset's name or a path.
pub(super) fn read(reference: &str, library: &Library) -> Result<Networks, TunnelError> {
    let text = library.text(Kind::Topologies, reference, None)?;
    let name = text.name();
    Ok(toml::from_str(text.as_str()).map_err(|error| NetworksError::NoFile { name: name.to_owned(), error })?)
}

impl Network {
    /// Endpoints, switches and wires, of switches with `ports` ports.
    pub(super) fn counts(&self, name: &str, ports: u32) -> Result<Counts, NetworksError> {
        let fail = |reason: String| Err(NetworksError::Network { name: name.to_owned(), reason });
        let (counts, needed) = match self.shape {
            Shape::FatTree { tiers, planes } => (Counts::fat_tree(ports, tiers).times(planes), ports.into()),
            Shape::SlimFly { q, endpoints } => match Counts::slim_fly(q, endpoints) {
                // Every wire between switches has two ends.
                Some(counts) => (counts, u64::from(endpoints) + 2 * counts.links / counts.switches.max(1)),
                None => return fail(format!("q is {q}, and a Slim Fly has none that leaves 2 when divided by 4")),
            },
            Shape::Dragonfly { groups, switches, endpoints, links } => {
                let needed = u64::from(endpoints) + u64::from(switches.saturating_sub(1)) + u64::from(links);
                (Counts::dragonfly(groups, switches, endpoints, links), needed)
            }
        };
        if needed > ports.into() {
            return fail(format!("it needs {needed} ports a switch, and `ports` is {ports}"));
        }
        if counts.endpoints == 0 {
            return fail("it has no endpoints".to_owned());
        }
        Ok(counts)
    }

    /// What was published about it.
    pub(super) fn published(
        &self,
        name: &str,
        networks: &Networks,
        facts: &[Fact],
    ) -> Result<PublishedNetwork, NetworksError> {
        let Some(key) = &self.published else { return Ok(PublishedNetwork::default()) };
        let value = |what: &str| {
            let id = format!("{key}_{what}");
            let fact = facts.iter().find(|fact| fact.id == id);
            fact.map(|fact| networks.scale(&fact.unit).map(|scale| fact.value * scale)).transpose()
        };
        let published = PublishedNetwork {
            endpoints: value("endpoints")?,
            switches: value("switches")?,
            links: value("links")?,
            usd: value("cost")?,
            usd_per_endpoint: value("cost_per_ep")?,
        };
        if published == PublishedNetwork::default() {
            let (network, key, file) = (name.to_owned(), key.clone(), networks.facts.clone());
            return Err(NetworksError::NotPublished { network, key, file });
        }
        Ok(published)
    }
}

impl Networks {
    /// Factor from a unit of the facts to counts and dollars.
    fn scale(&self, unit: &str) -> Result<f64, NetworksError> {
        self.units.get(unit).copied().ok_or_else(|| NetworksError::Unit(unit.to_owned()))
    }
}

//! What files describe.

/// What a file describes; each kind has a folder in a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A training job: `train`.
    Scenario,
    /// A service: `serve`.
    Service,
    /// Nodes on a fabric: `clusters`.
    Cluster,
    /// Device and node: `hardware`.
    Hardware,
    /// The scale-out network: `fabrics`.
    Fabric,
    /// A model: `models`.
    Model,
    /// Estimates: `profiles`.
    Profile,
    /// A software stack: which kernels it runs, whose they are, what it decides: `frameworks`.
    Framework,
    /// Values of keys that a scenario may leave out: `defaults`.
    Defaults,
    /// Facts to compare with: `published`.
    Published,
    /// A question over many runs: `studies`.
    Study,
    /// A machine or policy that does not exist, as patches: `proposals`.
    Proposal,
    /// Networks to set side by side: `topologies`.
    Topologies,
}

impl Kind {
    pub(crate) const ALL: [Self; 13] = [
        Self::Scenario,
        Self::Service,
        Self::Cluster,
        Self::Hardware,
        Self::Fabric,
        Self::Model,
        Self::Profile,
        Self::Framework,
        Self::Defaults,
        Self::Published,
        Self::Study,
        Self::Proposal,
        Self::Topologies,
    ];

    /// Its folder in a library.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Scenario => "train",
            Self::Service => "serve",
            Self::Cluster => "clusters",
            Self::Hardware => "hardware",
            Self::Fabric => "fabrics",
            Self::Model => "models",
            Self::Profile => "profiles",
            Self::Framework => "frameworks",
            Self::Defaults => "defaults",
            Self::Published => "published",
            Self::Study => "studies",
            Self::Proposal => "proposals",
            Self::Topologies => "topologies",
        }
    }

    /// What to do with a preset of this kind, for who took it for one of another.
    pub(crate) fn way(self, name: &str) -> String {
        match self {
            Self::Scenario | Self::Service => format!("run it, `windtunnel run {name}`"),
            Self::Cluster => {
                format!("name it in a scenario, `use.cluster = \"{name}\"`, or see `windtunnel topology {name}`")
            }
            Self::Hardware => format!("name it in a cluster, `use.hardware = \"{name}\"`"),
            Self::Fabric => format!("name it in a cluster, `use.fabric = \"{name}\"`"),
            Self::Model => {
                format!("name it in a scenario, `use.model = \"{name}\"`, or see `windtunnel probe model {name}`")
            }
            Self::Profile => format!("name it in a scenario, `use.profiles = [\"{name}\"]`"),
            Self::Framework => format!("name it in a scenario, `use.framework = \"{name}\"`"),
            Self::Study => format!("run it, `windtunnel study {name}`"),
            Self::Proposal => format!("name it in a study, `proposals = [\"{name}\"]`"),
            Self::Topologies => format!("see `windtunnel topology --compare {name}`"),
            Self::Defaults | Self::Published => format!("see its file, `windtunnel show {name}`"),
        }
    }

    /// What messages call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scenario | Self::Service => "scenario",
            Self::Cluster => "cluster",
            Self::Hardware => "hardware",
            Self::Fabric => "fabric",
            Self::Model => "model",
            Self::Profile => "profile",
            Self::Framework => "framework",
            Self::Defaults => "set of defaults",
            Self::Published => "set of published facts",
            Self::Study => "study",
            Self::Proposal => "proposal",
            Self::Topologies => "set of topologies",
        }
    }
}

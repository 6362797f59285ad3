//! Networks that cannot be compared.

use report::format::dollars;
use thiserror::Error;
use units::Dollars;

/// Why networks cannot be set side by side.
#[derive(Debug, Error)]
pub enum NetworksError {
    /// A file of another kind.
    #[error("`{name}` is no file of networks\n{error}")]
    NoFile {
        /// The file.
        name: String,
        /// What is wrong with it.
        error: toml::de::Error,
    },
    /// A network that its switches cannot make.
    #[error("the network `{name}` cannot be: {reason}")]
    Network {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A network that is published by a name of which there is no fact.
    #[error(
        "the network `{network}` is published as `{key}`, but `{file}` has no fact `{key}_cost`\nhint: leave `published` out where nothing is published"
    )]
    NotPublished {
        /// Its name.
        network: String,
        /// What identifiers of its facts begin with.
        key: String,
        /// The file of facts.
        file: String,
    },
    /// A unit without a factor.
    #[error("the unit `{0}` is not known\nhint: add it to the `units` of the file")]
    Unit(String),
    /// Prices of other switches.
    #[error(
        "`{networks}` is of {ports}-port switches, and `{machine}` has prices of {priced}-port ones (`fabric.switch-ports`)\nhint: name a machine with such switches"
    )]
    Ports {
        /// The file of networks.
        networks: String,
        /// Ports of its switches.
        ports: u32,
        /// The machine.
        machine: String,
        /// Ports of the machine's.
        priced: u32,
    },
    /// A network that prices are to be solved from, without a cost.
    #[error("`solved.rows` names `{0}`, of which no cost is published")]
    NoCost(String),
    /// Two networks that give no prices.
    #[error(
        "the costs of `{a}` and `{b}` give no prices of wires at {} a switch\nhint: take two networks with other shares of wires, or another `fabric.switch-price`",
        dollars(switch.get())
    )]
    Unsolved {
        /// One.
        a: String,
        /// The other.
        b: String,
        /// Price of a switch.
        switch: Dollars,
    },
}

//! What the machine costs and draws, and training on it.

use plan::{CostTerms, JobCost, PlanError};
use report::{Cost, Energy, RunCost, TrainingCost};
use topology::Machine;
use units::{Joules, Seconds};

/// Joules of a megawatt for an hour.
pub(super) const MEGAWATT_HOUR: Joules = Joules::new(1e3 * 1e3 * super::SECONDS_AN_HOUR);

/// For how long the machine is paid, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Held {
    /// While a job trains on a trillion tokens.
    Training(f64),
    /// While a job runs that ends.
    Run(f64),
}

/// Cost and energy of the machine, and of holding it.
pub(super) fn expenses(machine: &Machine, terms: &CostTerms, held: Held) -> Result<(Cost, Energy), PlanError> {
    let (Held::Training(seconds) | Held::Run(seconds)) = held;
    let job = JobCost::of(machine, terms, Seconds::new(seconds))?;
    let (total, network) = (job.bill.total(), job.bill.network());
    let n_endpoints = machine.counts()?.endpoints;
    let cost = Cost {
        cluster_usd: total.price.get(),
        usd_per_device: total.price.get() / machine.n_devices() as f64,
        network_usd: network.price.get(),
        network_usd_per_endpoint: network.price.get() / (n_endpoints as f64).max(1.0),
        ..Cost::default()
    };
    let energy = Energy { power_watts: total.power.get(), pue: terms.pue, ..Energy::default() };
    let mwh = Some(job.energy / MEGAWATT_HOUR);
    let (owned, electricity, rental) = (job.owned.get(), job.electricity.get(), job.rental.get());
    Ok(match held {
        Held::Training(_) => {
            let training = TrainingCost {
                usd_per_trillion_tokens: owned,
                electricity_usd_per_trillion_tokens: electricity,
                rental_usd_per_trillion_tokens: rental,
            };
            (Cost { training: Some(training), ..cost }, Energy { mwh_per_trillion_tokens: mwh, ..energy })
        }
        Held::Run(_) => {
            let run = RunCost { owned_usd: owned, electricity_usd: electricity, rental_usd: rental };
            (Cost { run: Some(run), ..cost }, Energy { mwh, ..energy })
        }
    })
}

//! What the machine costs and draws, and training on it.

use plan::{CostTerms, JobCost, PlanError};
use report::{Cost, Energy, TrainingCost};
use topology::Machine;
use units::{Joules, Seconds};

/// Joules of a megawatt for an hour.
const MEGAWATT_HOUR: Joules = Joules::new(1e3 * 1e3 * super::SECONDS_AN_HOUR);

/// Cost and energy, of a trillion tokens too where the job trains on them in so many seconds.
pub(super) fn expenses(
    machine: &Machine,
    terms: &CostTerms,
    seconds: Option<f64>,
) -> Result<(Cost, Energy), PlanError> {
    let job = JobCost::of(machine, terms, Seconds::new(seconds.unwrap_or_default()))?;
    let (total, network) = (job.bill.total(), job.bill.network());
    let n_endpoints = machine.counts()?.endpoints;
    let cost = Cost {
        cluster_usd: total.price.get(),
        usd_per_device: total.price.get() / machine.n_devices() as f64,
        network_usd: network.price.get(),
        network_usd_per_endpoint: network.price.get() / (n_endpoints as f64).max(1.0),
        training: seconds.map(|_| TrainingCost {
            usd_per_trillion_tokens: job.owned.get(),
            electricity_usd_per_trillion_tokens: job.electricity.get(),
            rental_usd_per_trillion_tokens: job.rental.get(),
        }),
    };
    let energy = Energy {
        power_watts: total.power.get(),
        pue: terms.pue,
        mwh_per_trillion_tokens: seconds.map(|_| job.energy / MEGAWATT_HOUR),
    };
    Ok((cost, energy))
}

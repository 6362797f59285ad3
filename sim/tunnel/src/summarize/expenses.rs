//! What training on the machine costs and draws.

use plan::{JobCost, PlanError, TrainPlan};
use report::{Cost, Energy};
use units::{Joules, Seconds};

/// Joules of a megawatt for an hour.
const MEGAWATT_HOUR: Joules = Joules::new(1e3 * 1e3 * super::SECONDS_AN_HOUR);

/// Cost and energy of a trillion tokens, which take `seconds`.
pub(super) fn expenses(plan: TrainPlan<'_>, seconds: f64) -> Result<(Cost, Energy), PlanError> {
    let machine = &plan.site.machine;
    let job = JobCost::of(machine, &plan.cost, Seconds::new(seconds))?;
    let (total, network) = (job.bill.total(), job.bill.network());
    let n_endpoints = machine.counts()?.endpoints;
    let cost = Cost {
        cluster_usd: total.price.get(),
        usd_per_device: total.price.get() / machine.n_devices() as f64,
        network_usd: network.price.get(),
        network_usd_per_endpoint: network.price.get() / (n_endpoints as f64).max(1.0),
        usd_per_trillion_tokens: job.owned.get(),
        electricity_usd_per_trillion_tokens: job.electricity.get(),
        rental_usd_per_trillion_tokens: job.rental.get(),
    };
    let energy = Energy {
        power_watts: total.power.get(),
        pue: plan.cost.pue,
        mwh_per_trillion_tokens: job.energy / MEGAWATT_HOUR,
    };
    Ok((cost, energy))
}

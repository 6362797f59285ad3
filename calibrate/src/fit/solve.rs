//! Least squares on logarithms, robust against stragglers.
//!
//! Minimises the sum of `rho(ln(predicted / measured))` over parameters that are positive, `rho` the pseudo-Huber loss:
//! square near zero, absolute beyond [`SCALE`], so a few shapes for which a library changes its kernel do not bend the rest.
//! The minimum is found by Levenberg and Marquardt's method on the logarithms of the parameters.

use levenberg_marquardt::{LeastSquaresProblem, LevenbergMarquardt};
use nalgebra::storage::Owned;
use nalgebra::{DMatrix, DVector, Dyn};

/// Relative error at which the loss turns from square to absolute.
const SCALE: f64 = 0.05;
/// Step of the central differences, in logarithms: wide enough to see across a wave.
const STEP: f64 = 1e-2;

/// Parameters at the minimum and the loss there.
#[derive(Clone, Debug)]
pub(super) struct Minimum {
    pub(super) parameters: Vec<f64>,
    pub(super) loss: f64,
}

/// Moves positive parameters from `start` to where `residuals` (logarithms of predicted over measured) are smallest.
pub(super) fn minimum(start: &[f64], residuals: &dyn Fn(&[f64]) -> Vec<f64>) -> Minimum {
    let problem = Problem { start, logarithms: DVector::zeros(start.len()), residuals };
    let (problem, report) = LevenbergMarquardt::new().with_patience(40).minimize(problem);
    Minimum { parameters: problem.parameters(&problem.logarithms), loss: report.objective_function }
}

struct Problem<'a> {
    start: &'a [f64],
    logarithms: DVector<f64>,
    residuals: &'a dyn Fn(&[f64]) -> Vec<f64>,
}

impl Problem<'_> {
    fn parameters(&self, logarithms: &DVector<f64>) -> Vec<f64> {
        self.start.iter().zip(logarithms.iter()).map(|(start, logarithm)| start * logarithm.exp()).collect()
    }

    fn at(&self, logarithms: &DVector<f64>) -> DVector<f64> {
        DVector::from_vec((self.residuals)(&self.parameters(logarithms)).into_iter().map(softened).collect())
    }
}

/// The signed root of the loss, whose square the method sums.
fn softened(residual: f64) -> f64 {
    let loss = SCALE * (2.0 * ((1.0 + (residual / SCALE).powi(2)).sqrt() - 1.0)).sqrt();
    loss.copysign(residual)
}

impl LeastSquaresProblem<f64, Dyn, Dyn> for Problem<'_> {
    type ParameterStorage = Owned<f64, Dyn>;
    type ResidualStorage = Owned<f64, Dyn>;
    type JacobianStorage = Owned<f64, Dyn, Dyn>;

    fn set_params(&mut self, logarithms: &DVector<f64>) {
        self.logarithms.copy_from(logarithms);
    }

    fn params(&self) -> DVector<f64> {
        self.logarithms.clone()
    }

    fn residuals(&self) -> Option<DVector<f64>> {
        Some(self.at(&self.logarithms))
    }

    fn jacobian(&self) -> Option<DMatrix<f64>> {
        let columns: Vec<DVector<f64>> = (0..self.logarithms.len())
            .map(|parameter| {
                let beside = |step: f64| {
                    let mut logarithms = self.logarithms.clone();
                    logarithms[parameter] += step;
                    self.at(&logarithms)
                };
                (beside(STEP) - beside(-STEP)) / (2.0 * STEP)
            })
            .collect();
        Some(DMatrix::from_columns(&columns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_through_its_own_points_is_found() {
        // seconds = latency + bytes / rate
        let truth = [3e-6, 4e9];
        let sizes: Vec<f64> = (10..30).map(|power| f64::from(1_u32 << power)).collect();
        let seconds = |parameters: &[f64], bytes: f64| parameters[0] + bytes / parameters[1];
        let residuals = |parameters: &[f64]| {
            sizes.iter().map(|&bytes| (seconds(parameters, bytes) / seconds(&truth, bytes)).ln()).collect()
        };
        let found = minimum(&[1e-6, 1e9], &residuals);
        for (found, truth) in found.parameters.iter().zip(truth) {
            assert!((found / truth - 1.0).abs() < 1e-4, "expectation {truth}, actual {found}");
        }
    }

    #[test]
    fn a_straggler_does_not_bend_the_rest() {
        let residuals = |parameters: &[f64]| -> Vec<f64> {
            (0..20).map(|i| (parameters[0] / if i == 0 { 4.0 } else { 1.0 }).ln()).collect()
        };
        let found = minimum(&[2.0], &residuals).parameters[0];
        assert!((found - 1.0).abs() < 0.02, "one of twenty at four times the rest moves the answer to {found}");
    }
}

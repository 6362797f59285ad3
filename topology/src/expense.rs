//! What a part costs and draws.

use std::iter::Sum;
use std::ops::{Add, Mul};

use units::{Dollars, Watts};

/// What a part costs, and what it draws at full load.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Expense {
    /// Paid once.
    pub price: Dollars,
    /// At full load.
    pub power: Watts,
}

/// What the parts of a network cost and draw. The `fabric.*-price` and `fabric.*-power` keys.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FabricExpenses {
    /// One switch, without optics.
    pub switch: Expense,
    /// One wire between switches: optics at both ends, and the fiber.
    pub link: Expense,
    /// One wire from a NIC to its leaf: optics at both ends, and the fiber or copper.
    pub endpoint_link: Expense,
}

impl Expense {
    /// Nothing.
    pub const ZERO: Self = Self { price: Dollars::ZERO, power: Watts::ZERO };
}

impl Add for Expense {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { price: self.price + other.price, power: self.power + other.power }
    }
}

impl Mul<f64> for Expense {
    type Output = Self;
    fn mul(self, count: f64) -> Self {
        Self { price: self.price * count, power: self.power * count }
    }
}

impl Sum for Expense {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::ZERO, Add::add)
    }
}

impl FabricExpenses {
    /// Nothing.
    pub const ZERO: Self = Self { switch: Expense::ZERO, link: Expense::ZERO, endpoint_link: Expense::ZERO };
}

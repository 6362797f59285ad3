//! How large a network is when every port is used.

use crate::LeafPorts;

/// Endpoints, switches and switch-to-switch wires of a network: with no port left free, or as built for a machine. A wire
/// counts once, both directions together; wires from NICs to leaves are not among them, and as many as endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// NICs that can be joined.
    pub endpoints: u64,
    /// Switches of all tiers.
    pub switches: u64,
    /// Wires between switches.
    pub links: u64,
}

impl Counts {
    /// A folded Clos of `tiers` tiers of switches with `ports` ports, full bisection.
    ///
    /// With h = ports / 2 and t tiers: 2 h^t endpoints, (2 t - 1) h^(t-1) switches, 2 (t - 1) h^t wires; for two
    /// tiers that is k^2/2, 3k/2, k^2/2 and for three k^3/4, 5k^2/4, k^3/2 (Al-Fares et al., SIGCOMM 2008; compared
    /// with table 3 of arXiv:2505.09343). Zero tiers are no network. Odd ports waste one. Counts saturate.
    #[must_use]
    pub const fn fat_tree(ports: u32, tiers: u32) -> Self {
        Self::clos(ports, tiers, LeafPorts { down: ports / 2, up: ports / 2 })
    }

    /// The same with leaves whose ports are split otherwise: lane u of all leaves leads into a tree of full bisection of its
    /// own, one tier lower, of which they are the endpoints.
    ///
    /// With D ports down and U up: 2 h^(t-1) D endpoints, 2 h^(t-1) + U (2 t - 3) h^(t-2) switches, 2 (t - 1) h^(t-1) U
    /// wires. One tier has no ports up.
    #[must_use]
    pub const fn clos(ports: u32, tiers: u32, leaf: LeafPorts) -> Self {
        let half = ports as u64 / 2;
        match tiers {
            0 => Self { endpoints: 0, switches: 0, links: 0 },
            1 => Self { endpoints: 2 * half, switches: 1, links: 0 },
            _ => {
                let leaves = half.saturating_pow(tiers - 1).saturating_mul(2);
                let wires = leaves.saturating_mul(leaf.up as u64);
                let above = half.saturating_pow(tiers - 2).saturating_mul(leaf.up as u64);
                Self {
                    endpoints: leaves.saturating_mul(leaf.down as u64),
                    switches: leaves.saturating_add(above.saturating_mul(2 * tiers as u64 - 3)),
                    links: wires.saturating_mul(tiers as u64 - 1),
                }
            }
        }
    }

    /// A Dragonfly: `groups` groups of `a` switches joined all to all, each with `p` endpoints and `h` wires to other
    /// groups. g a p endpoints, g a switches, g a (a - 1 + h) / 2 wires (Kim et al., ISCA 2008). A formula only: there
    /// is no builder.
    #[must_use]
    pub const fn dragonfly(groups: u32, a: u32, p: u32, h: u32) -> Self {
        let switches = groups as u64 * a as u64;
        let degree = (a as u64).saturating_sub(1) + h as u64;
        Self { endpoints: switches.saturating_mul(p as u64), switches, links: switches.saturating_mul(degree) / 2 }
    }

    /// A Slim Fly of parameter `q` with `p` endpoints a switch: 2 q^2 switches of degree (3 q - d) / 2, where
    /// q = 4 w + d and d is -1, 0 or 1 (Besta and Hoefler, SC 2014). `None` where q mod 4 is 2. A formula only: there
    /// is no builder, and whether a graph of that `q` exists (q a prime power) is not asked.
    #[must_use]
    pub const fn slim_fly(q: u32, p: u32) -> Option<Self> {
        let q = q as u64;
        let degree = match q % 4 {
            0 => 3 * q / 2,
            1 => (3 * q - 1) / 2,
            3 => (3 * q).div_ceil(2),
            _ => return None,
        };
        let switches = (2 * q).saturating_mul(q);
        Some(Self {
            endpoints: switches.saturating_mul(p as u64),
            switches,
            links: switches.saturating_mul(degree) / 2,
        })
    }

    /// `copies` disjoint networks of this size.
    #[must_use]
    pub const fn times(self, copies: u32) -> Self {
        Self {
            endpoints: self.endpoints.saturating_mul(copies as u64),
            switches: self.switches.saturating_mul(copies as u64),
            links: self.links.saturating_mul(copies as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(actual: Counts, endpoints: u64, switches: u64, links: u64) {
        assert_eq!(actual, Counts { endpoints, switches, links });
    }

    /// Table 3 of arXiv:2505.09343.
    #[test]
    fn counts_agree_with_the_published_table() {
        check(Counts::fat_tree(64, 2), 2048, 96, 2048);
        check(Counts::fat_tree(64, 2).times(8), 16_384, 768, 16_384);
        check(Counts::dragonfly(511, 32, 16, 16), 261_632, 16_352, 384_272);
    }

    #[test]
    fn fat_trees_follow_the_textbook() {
        for k in (2..=128u32).step_by(2) {
            let n = u64::from(k);
            check(Counts::fat_tree(k, 1), n, 1, 0);
            check(Counts::fat_tree(k, 2), n * n / 2, 3 * n / 2, n * n / 2);
            check(Counts::fat_tree(k, 3), n.pow(3) / 4, 5 * n * n / 4, n.pow(3) / 2);
        }
    }

    /// Two tiers: as many leaves as a spine has ports, a spine for each lane. Three: as many pods as a core has ports, and
    /// in each half as many leaves; a spine for each lane of a pod and half as many cores.
    #[test]
    fn ports_that_face_down_take_more_endpoints_and_need_fewer_spines() {
        for k in (4..=64u32).step_by(2) {
            for up in 1..=k / 2 {
                let leaf = LeafPorts { down: k - up, up };
                let [k, d, u] = [k, k - up, up].map(u64::from);
                check(Counts::clos(k as u32, 2, leaf), k * d, k + u, k * u);
                let (leaves, spines, cores) = (k * k / 2, k * u, u * k / 2);
                check(
                    Counts::clos(k as u32, 3, leaf),
                    leaves * d,
                    leaves + spines + cores,
                    leaves * u + spines * k / 2,
                );
            }
        }
    }

    /// q = 5 is the Hoffman-Singleton graph: 50 switches of degree 7.
    #[test]
    fn slim_fly_of_five_is_hoffman_singleton() {
        assert_eq!(Counts::slim_fly(5, 4), Some(Counts { endpoints: 200, switches: 50, links: 175 }));
        assert_eq!(Counts::slim_fly(7, 1).map(|c| c.links), Some(98 * 11 / 2));
        assert_eq!(Counts::slim_fly(6, 4), None);
    }

    #[test]
    fn absurd_sizes_saturate() {
        assert_eq!(Counts::fat_tree(u32::MAX, u32::MAX).endpoints, u64::MAX);
    }
}

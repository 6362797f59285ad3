//! Laws of every batch, and what is published or closed about random picks.

use rand::Rng;

use super::batch::expected_distinct;
use super::noise::{EXPONENTIAL_MAX, Noise, Purpose, normal, stream};
use super::pick::Picker;
use super::*;

/// DeepSeek-V3 over 64 ranks, with few tokens.
fn v3(tokens: u32) -> ExpertLayout {
    ExpertLayout {
        n_ranks: 64,
        n_nodes: 8,
        devices: 8,
        experts: 256,
        top_k: 8,
        groups: 8,
        node_limit: 4,
        gate: Gate::Sigmoid,
        group_score: GroupScore::TopSum,
        tokens,
    }
}

fn spec(router: Router, skew: f64) -> TrafficSpec {
    TrafficSpec { router, skew, exponent: 0.7, seed: 7, samples: 4, bias_speed: 0.005, bias_steps: 240 }
}

/// As many layouts as there are kinds of them.
fn layouts() -> Vec<ExpertLayout> {
    let v3 = v3(48);
    vec![
        ExpertLayout { node_limit: 8, ..v3.clone() },
        ExpertLayout { n_ranks: 128, n_nodes: 16, ..v3.clone() },
        ExpertLayout { n_ranks: 8, n_nodes: 1, ..v3.clone() },
        ExpertLayout { n_ranks: 2, n_nodes: 1, devices: 2, ..v3.clone() },
        ExpertLayout { group_score: GroupScore::Max, gate: Gate::Softmax, ..v3.clone() },
        ExpertLayout { gate: Gate::Softmax, ..v3.clone() },
        ExpertLayout {
            n_ranks: 6,
            n_nodes: 3,
            devices: 2,
            experts: 60,
            top_k: 6,
            groups: 5,
            node_limit: 2,
            ..v3.clone()
        },
        ExpertLayout {
            n_ranks: 4,
            n_nodes: 2,
            devices: 2,
            experts: 8,
            top_k: 8,
            groups: 1,
            node_limit: 1,
            ..v3.clone()
        },
        ExpertLayout {
            n_ranks: 1,
            n_nodes: 1,
            devices: 1,
            experts: 9,
            top_k: 2,
            groups: 3,
            node_limit: 1,
            ..v3.clone()
        },
        v3,
    ]
}

#[track_caller]
fn expect(what: &str, expectation: f64, actual: f64, tolerance: f64) {
    let off = (actual - expectation).abs();
    assert!(off <= tolerance, "{what}\n  Expectation: {expectation} +- {tolerance}\n  Actual:      {actual}");
}

#[test]
fn every_token_is_counted_once_and_arrives() {
    for layout in layouts() {
        for router in [Router::Balanced, Router::Skewed, Router::PowerLaw] {
            let batch = Sampler::new(&spec(router, 0.3), &layout).unwrap().batch(0);
            let tokens = layout.n_ranks * layout.tokens;
            assert_eq!(batch.expert_tokens.iter().sum::<u32>(), tokens * layout.top_k, "{layout:?}");
            assert_eq!(batch.forwarded.iter().sum::<u32>(), batch.received.iter().sum::<u32>(), "{layout:?}");
            let n_ranks = layout.n_ranks as usize;
            for rank in 0..layout.n_ranks {
                // A copy for each pick leaves its source and comes to its expert's rank.
                let sent = batch.copies[rank as usize * n_ranks..][..n_ranks].iter().sum::<u32>();
                assert_eq!(sent, layout.tokens * layout.top_k, "{layout:?}");
                let come = batch.copies.iter().skip(rank as usize).step_by(n_ranks).sum::<u32>();
                assert_eq!(come, batch.rows_total(rank), "{layout:?}");
                let (node, local) = (rank / layout.devices, rank % layout.devices);
                let relays = (0..layout.devices).map(|relay| node * layout.devices + relay);
                let handed: u32 = relays.map(|relay| batch.forwarded[(relay * layout.devices + local) as usize]).sum();
                assert_eq!(handed, batch.tokens_received(rank), "{layout:?}");
                assert!(batch.tokens_received(rank) <= batch.rows_total(rank).min(tokens), "{layout:?}");
            }
        }
    }
}

#[test]
fn relays_hand_on_what_reached_them() {
    for layout in layouts() {
        let batch = Sampler::new(&spec(Router::Skewed, 0.3), &layout).unwrap().batch(0);
        let (devices, n_nodes) = (layout.devices as usize, layout.n_nodes as usize);
        for relay in 0..layout.n_ranks as usize {
            let (node, local) = (relay / devices, relay % devices);
            let sources = (0..n_nodes).map(|source| source * devices + local);
            let arrived: u32 = sources.map(|source| batch.to_node[source * n_nodes + node]).sum();
            let handed = &batch.forwarded[relay * devices..][..devices];
            // Each token that arrives goes on to one rank of the node at least, and to each once at most.
            assert!(handed.iter().all(|&tokens| tokens <= arrived), "{layout:?}");
            assert!(handed.iter().sum::<u32>() >= arrived, "{layout:?}");
        }
    }
}

#[test]
fn no_token_passes_the_node_limit() {
    for layout in layouts().into_iter().filter(|layout| layout.n_nodes == layout.groups) {
        for router in [Router::Skewed, Router::PowerLaw] {
            let batch = Sampler::new(&spec(router, 1.0), &layout).unwrap().batch(0);
            for sent in batch.to_node.chunks(layout.n_nodes as usize) {
                let nodes = sent.iter().sum::<u32>();
                assert!((layout.tokens..=layout.tokens * layout.node_limit).contains(&nodes), "{layout:?}");
            }
        }
    }
}

/// The published selection, word for word: sort everything.
fn pick_by_sorting(layout: &ExpertLayout, scores: &[f32]) -> Vec<u32> {
    let best = |mut experts: Vec<u32>, n: usize| {
        experts.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
        experts.truncate(n);
        experts
    };
    let size = layout.experts / layout.groups;
    let members = |group: u32| (group * size..(group + 1) * size).collect::<Vec<u32>>();
    let affinity = |expert: u32| match layout.gate {
        Gate::Sigmoid => scores[expert as usize],
        Gate::Softmax => -1.0 / scores[expert as usize],
    };
    let n_judged = match layout.group_score {
        GroupScore::Max => 1,
        GroupScore::TopSum => (layout.top_k / layout.node_limit).clamp(1, size) as usize,
    };
    let judged = |group: &u32| best(members(*group), n_judged).into_iter().map(affinity).sum::<f32>();
    let mut groups: Vec<u32> = (0..layout.groups).collect();
    groups.sort_by(|a, b| judged(b).total_cmp(&judged(a)).then(a.cmp(b)));
    groups.truncate(layout.node_limit as usize);
    let mut picks = best(groups.into_iter().flat_map(members).collect(), layout.top_k as usize);
    picks.sort_unstable();
    picks
}

#[test]
fn picks_are_those_of_the_published_selection() {
    for layout in layouts() {
        let mut rng = stream(3, Purpose::Learning);
        let popularity: Vec<f64> = (0..layout.experts).map(|_| normal(&mut rng)).collect();
        let bias: Vec<f64> = (0..layout.experts)
            .map(|_| if layout.gate == Gate::Sigmoid { 0.1 * normal(&mut rng) } else { 0.0 })
            .collect();
        let mut picker = Picker::new(&layout, &popularity, &bias);
        let mut noise = Noise::new(&mut rng, layout.experts as usize);
        for token in 0..400 {
            let mut draws = noise.draw().to_vec();
            if token % 4 == 3 {
                // Coarse draws: many equal scores among equal experts.
                draws.iter_mut().for_each(|draw| *draw &= !0 << 28);
            }
            let picks = picker.pick(&draws).to_vec();
            assert_eq!(picks, pick_by_sorting(&layout, picker.scores()), "{layout:?} token {token}");
        }
    }
}

#[test]
fn equal_scores_go_to_the_first_expert() {
    let layout = v3(1);
    let same = vec![0.0; 256];
    let picks = Picker::new(&layout, &same, &same).pick(&[5; 256]).to_vec();
    assert_eq!(picks, pick_by_sorting(&layout, &[1.0; 256]));
    assert_eq!(picks, (0..8).collect::<Vec<u32>>());
}

#[test]
fn uniform_picks_without_limit_reach_the_closed_number_of_places() {
    let layout = ExpertLayout { node_limit: 8, ..v3(256) };
    let pool = PicksPool::sample(&spec(Router::Skewed, 0.0), &layout).unwrap();
    // 8 (1 - C(224,8)/C(256,8)).
    expect("nodes", expected_distinct(256, 8, 8), pool.nodes_per_token().mean, 0.01);
    expect("ranks", expected_distinct(256, 64, 8), pool.ranks_per_token().mean, 0.01);
    expect("one place", 1.0, expected_distinct(256, 1, 8), 1e-12);
    expect("places of one expert", 8.0, expected_distinct(256, 256, 8), 1e-12);
    expect("all experts", 4.0, expected_distinct(8, 4, 8), 1e-12);
}

/// Distinct nodes and ranks of a token in the tests of DeepEP: a group is a node, judged by its best score, and at most
/// four are kept (SYSTEMS, section 3; 2 Monte Carlo digits).
#[test]
fn picks_reach_the_published_numbers_of_nodes_and_ranks() {
    for (n_nodes, nodes, ranks) in [(1, 1.0, 5.30), (2, 1.99, 6.53), (4, 3.61, 7.27), (8, 3.98, 7.47), (16, 4.00, 7.63)]
    {
        let layout = ExpertLayout {
            n_ranks: 8 * n_nodes,
            n_nodes,
            groups: n_nodes,
            node_limit: n_nodes.min(4),
            group_score: GroupScore::Max,
            tokens: 8192 / (8 * n_nodes),
            ..v3(0)
        };
        let pool = PicksPool::sample(&spec(Router::Skewed, 0.0), &layout).unwrap();
        expect(&format!("nodes of {n_nodes}"), nodes, pool.nodes_per_token().mean, 0.015);
        expect(&format!("ranks of {}", layout.n_ranks), ranks, pool.ranks_per_token().mean, 0.025);
    }
}

/// Relative spread of a rank's rows when each of its picks is uniform: that of the hypergeometric distribution.
fn uniform_cv(layout: &ExpertLayout) -> f64 {
    let (k, experts) = (f64::from(layout.top_k), f64::from(layout.experts));
    let share = f64::from(layout.experts_per_rank()) / experts;
    let variance = k * share * (1.0 - share) * (experts - k) / (experts - 1.0);
    variance.sqrt() / (k * share) / f64::from(layout.n_ranks * layout.tokens).sqrt()
}

#[test]
fn uniform_picks_spread_load_by_half_a_percent_in_training() {
    expect("4,096 tokens a rank", 0.0054, uniform_cv(&v3(4096)), 5e-5);
    let layout = ExpertLayout { node_limit: 8, ..v3(128) };
    let cv = PicksPool::sample(&TrafficSpec { samples: 8, ..spec(Router::Skewed, 0.0) }, &layout).unwrap().load_cv();
    // 64 ranks tell a spread to 9 %, 8 batches to 3 %.
    expect("128 tokens a rank", uniform_cv(&layout), cv.mean, 0.1 * cv.mean);
}

#[test]
fn skew_spreads_load_as_documented() {
    let layout = v3(128);
    for skew in [0.05_f64, 0.13, 0.2, 0.5] {
        let spec = TrafficSpec { samples: 12, ..spec(Router::Skewed, skew) };
        let cv = PicksPool::sample(&spec, &layout).unwrap().load_cv();
        let experts = f64::from(layout.experts_per_rank());
        let expectation = (uniform_cv(&layout).powi(2) + ((skew * skew).exp() - 1.0) / experts).sqrt();
        expect(&format!("skew {skew}"), expectation, cv.mean, 0.09 * expectation);
    }
    let expectation = (uniform_cv(&v3(4096)).powi(2) + (0.13_f64.powi(2).exp() - 1.0) / 4.0).sqrt();
    expect("the spread seen in the trace", 0.065, expectation, 0.001);
}

fn power_law(exponent: f64, samples: u32) -> TrafficSpec {
    TrafficSpec { exponent, samples, ..spec(Router::PowerLaw, 0.0) }
}

/// Twelve experts on one rank, without groups.
fn twelve(top_k: u32, tokens: u32) -> ExpertLayout {
    let one = ExpertLayout { n_ranks: 1, n_nodes: 1, devices: 1, groups: 1, node_limit: 1, ..v3(tokens) };
    ExpertLayout { experts: 12, top_k, ..one }
}

/// Picks of each expert of the first batch, most first.
fn loads(spec: &TrafficSpec, layout: &ExpertLayout) -> Vec<u32> {
    let mut loads = Sampler::new(spec, layout).unwrap().batch(0).expert_tokens;
    loads.sort_unstable_by(|a, b| b.cmp(a));
    loads
}

#[test]
fn power_law_picks_are_successive_draws_without_replacement() {
    let tokens = 1 << 16;
    for exponent in [0.0, 0.7, 1.2, 2.0] {
        let weights: Vec<f64> = (1..=12).map(|rank| f64::from(rank).powf(-exponent)).collect();
        let total: f64 = weights.iter().sum();
        let first = |weight: f64| weight / total;
        let second = |rank: usize| {
            let others = weights.iter().enumerate().filter(|&(other, _)| other != rank);
            others.map(|(_, other)| first(*other) * weights[rank] / (total - other)).sum::<f64>()
        };
        for top_k in [1, 2] {
            // Loads, most first, are in the order of ranks but where two are equal within the error.
            for (rank, load) in loads(&power_law(exponent, 1), &twelve(top_k, tokens)).into_iter().enumerate() {
                let chance = first(weights[rank]) + if top_k == 2 { second(rank) } else { 0.0 };
                let deviation = (chance * (1.0 - chance) / f64::from(tokens)).sqrt();
                let what = format!("exponent {exponent}, {top_k} picks, rank {}", rank + 1);
                expect(&what, chance, f64::from(load) / f64::from(tokens), 5.0 * deviation);
            }
        }
    }
}

#[test]
fn no_exponent_is_uniform_and_a_larger_one_spreads_loads_further() {
    let layout = ExpertLayout { node_limit: 8, ..v3(128) };
    let cv = |exponent| PicksPool::sample(&power_law(exponent, 8), &layout).unwrap().load_cv().mean;
    expect("exponent 0", uniform_cv(&layout), cv(0.0), 0.1 * uniform_cv(&layout));
    let spreads = [0.0, 0.3, 0.7, 1.2, 2.0].map(cv);
    assert!(spreads.windows(2).all(|pair| 1.2 * pair[0] < pair[1]), "{spreads:?}");
}

#[test]
fn no_expert_gets_a_token_twice_however_popular_it_is() {
    for layout in layouts() {
        let tokens = layout.n_ranks * layout.tokens;
        assert!(loads(&power_law(4.0, 1), &layout)[0] <= tokens, "{layout:?}");
    }
    // The first of 256 has more than nine tenths of all weight: nearly every token picks it, and has seven picks left.
    let layout = ExpertLayout { node_limit: 8, ..v3(16) };
    let most = f64::from(loads(&power_law(4.0, 1), &layout)[0]) / f64::from(layout.n_ranks * layout.tokens);
    expect("the most popular expert's tokens", 1.0, most, 1e-3);
}

#[test]
fn ranks_of_popularity_are_drawn_anew_for_each_batch() {
    let sampler = Sampler::new(&power_law(1.2, 8), &v3(16)).unwrap();
    let busiest = |index| {
        let loads = sampler.batch(index).expert_tokens;
        (0..loads.len()).max_by_key(|&expert| loads[expert])
    };
    let different: std::collections::BTreeSet<Option<usize>> = (0..8).map(busiest).collect();
    assert!(different.len() > 4, "{different:?}");
}

#[test]
fn learned_bias_evens_out_persistent_popularity() {
    let layout = v3(128);
    let learned = TrafficSpec { samples: 2, ..spec(Router::LearnedBias, 0.0) };
    let cv = |spec: &TrafficSpec| PicksPool::sample(spec, &layout).unwrap().load_cv().mean;
    let before = cv(&TrafficSpec { bias_steps: 0, ..learned.clone() });
    let after = cv(&learned);
    assert!(before > 0.4, "persistent popularity alone spreads load by {before}");
    assert!(after < 2.5 * uniform_cv(&layout), "bias leaves a spread of {after}");
    let drifting = cv(&TrafficSpec { skew: 0.2, ..learned });
    assert!(drifting > 2.0 * after, "drift of micro-batches is not evened out: {drifting}");
}

#[test]
fn balanced_ranks_are_alike_to_the_last_token() {
    for layout in layouts() {
        let pool = PicksPool::sample(&spec(Router::Balanced, 0.5), &layout).unwrap();
        assert_eq!(pool.batches().len(), 1);
        let batch = &pool.batches()[0];
        for counts in [&batch.to_node, &batch.forwarded, &batch.received] {
            assert!(counts.windows(2).all(|pair| pair[0] == pair[1]), "{layout:?}");
        }
        for rank in 0..layout.n_ranks {
            assert_eq!(batch.rows(rank), batch.rows(0), "{layout:?}");
            assert_eq!(batch.rows_total(rank), layout.tokens * layout.top_k, "{layout:?}");
        }
        assert_eq!(pool.max_over_mean().mean, 1.0);
    }
    let layout = v3(4096);
    let pool = PicksPool::sample(&spec(Router::Balanced, 0.0), &layout).unwrap();
    let sampled = PicksPool::sample(&spec(Router::Skewed, 0.0), &v3(128)).unwrap();
    expect("nodes", sampled.nodes_per_token().mean, pool.nodes_per_token().mean, 0.01);
    expect("ranks", sampled.ranks_per_token().mean, pool.ranks_per_token().mean, 0.02);
}

#[test]
fn a_pool_is_the_same_twice_and_in_any_order() {
    let layout = v3(16);
    for router in [Router::Balanced, Router::Skewed, Router::PowerLaw, Router::LearnedBias] {
        let spec = TrafficSpec { bias_steps: 5, samples: 5, ..spec(router, 0.2) };
        let one = PicksPool::sample(&spec, &layout).unwrap();
        assert_eq!(one, PicksPool::sample(&spec, &layout).unwrap());
        let sampler = Sampler::new(&spec, &layout).unwrap();
        let mut backwards: Vec<Picks> = (0..sampler.n_batches()).rev().map(|index| sampler.batch(index)).collect();
        backwards.reverse();
        assert_eq!(one, PicksPool::from_batches(spec.seed, &layout, backwards).unwrap());
    }
    let other = PicksPool::sample(&TrafficSpec { seed: 8, ..spec(Router::Skewed, 0.2) }, &layout).unwrap();
    assert_ne!(other, PicksPool::sample(&spec(Router::Skewed, 0.2), &layout).unwrap());
}

#[test]
fn draws_are_even_and_depend_on_each_coordinate() {
    let layout = ExpertLayout { tokens: 1, ..layouts()[8].clone() };
    let spec = TrafficSpec { samples: 5, ..spec(Router::Skewed, 0.0) };
    let pool = PicksPool::sample(&spec, &layout).unwrap();
    let (n, mut drawn) = ([61, 120, 8], [0_u32; 5]);
    for layer in 0..n[0] {
        for micro_batch in 0..n[1] {
            for group in 0..n[2] {
                drawn[pool.draw(layer, micro_batch, group)] += 1;
            }
        }
    }
    let mean = f64::from(n[0] * n[1] * n[2]) / 5.0;
    for count in drawn {
        expect("draws of a batch", mean, f64::from(count), 5.0 * mean.sqrt());
    }
    let differ = |other: fn(u32) -> (u32, u32, u32)| {
        (0..200)
            .filter(|&i| {
                let (a, b, c) = other(i);
                pool.draw(a, b, c) != pool.draw(0, 0, 0)
            })
            .count()
    };
    for other in [|i| (i, 0, 0), |i| (0, i, 0), |i| (0, 0, i)] {
        assert!(differ(other) > 120, "four of five should differ");
    }
}

#[test]
fn draws_of_noise_are_uniform_and_normal() {
    let mut rng = stream(1, Purpose::Learning);
    let mut noise = Noise::new(&mut rng, 4099);
    let draws = noise.draw();
    assert_eq!(draws.len(), 4099);
    let scale = f64::from(u32::MAX);
    let mean = draws.iter().map(|&draw| f64::from(draw) / scale).sum::<f64>() / draws.len() as f64;
    expect("mean of uniform draws", 0.5, mean, 0.02);
    let exponential = Noise::new(&mut rng, 4099).draw_exponential().to_vec();
    let values: Vec<f64> = exponential.iter().map(|&draw| f64::from(draw) / scale * EXPONENTIAL_MAX).collect();
    expect("mean of exponential draws", 1.0, values.iter().sum::<f64>() / 4099.0, 0.06);
    let above = |least: f64| values.iter().filter(|&&value| value > least).count() as f64 / 4099.0;
    for least in [0.1_f64, 1.0, 3.0] {
        expect(&format!("exponential draws above {least}"), (-least).exp(), above(least), 0.03);
    }
    let values: Vec<f64> = (0..4000).map(|_| normal(&mut rng)).collect();
    let mean = values.iter().sum::<f64>() / 4000.0;
    expect("mean of normal draws", 0.0, mean, 0.06);
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 4000.0;
    expect("variance of normal draws", 1.0, variance, 0.09);
    assert_ne!(stream(1, Purpose::Batch(0)).next_u64(), stream(1, Purpose::Batch(1)).next_u64());
}

#[test]
fn experts_that_do_not_divide_leave_the_last_ranks_with_fewer() {
    // 60 experts on 8 ranks: eight each on seven of them, four on the last.
    let uneven = ExpertLayout { n_ranks: 8, n_nodes: 2, devices: 4, experts: 60, groups: 1, node_limit: 1, ..v3(600) };
    for router in [Router::Balanced, Router::Skewed] {
        let batch = Sampler::new(&spec(router, 0.0), &uneven).unwrap().batch(0);
        let all: u32 = (0..8).map(|rank| batch.rows_total(rank)).sum();
        assert_eq!(all, 8 * 600 * 8, "every pick is a row");
        let sizes: Vec<usize> = (0..8).map(|rank| batch.rows(rank).len()).collect();
        assert_eq!(sizes, [8, 8, 8, 8, 8, 8, 8, 4]);
        for rank in 0..8 {
            let rows = f64::from(all) * sizes[rank as usize] as f64 / 60.0;
            expect("rows of a rank", rows, f64::from(batch.rows_total(rank)), 0.06 * rows);
            let copies: u32 = (0..8).map(|source| batch.copies[source * 8 + rank as usize]).sum();
            expect("picks of a rank", rows, f64::from(copies), 0.06 * rows);
        }
    }
    // More room than experts: whole ranks without any.
    let few = ExpertLayout { experts: 9, n_ranks: 8, n_nodes: 2, devices: 4, groups: 1, node_limit: 1, ..v3(64) };
    let batch = Sampler::new(&spec(Router::Balanced, 0.0), &few).unwrap().batch(0);
    assert_eq!((0..8).map(|rank| batch.rows(rank).len()).collect::<Vec<_>>(), [2, 2, 2, 2, 1, 0, 0, 0]);
}

#[test]
fn what_cannot_be_sampled_is_refused() {
    let message = |layout: ExpertLayout| layout.check().unwrap_err().to_string();
    assert!(message(ExpertLayout { tokens: 0, ..v3(1) }).contains("`tokens` is 0"));
    assert!(message(ExpertLayout { n_nodes: 7, ..v3(1) }).contains("64 ranks do not fill 7 nodes of 8"));
    assert!(message(ExpertLayout { experts: 250, ..v3(1) }).contains("250 experts do not divide by 8 groups"));
    assert!(message(ExpertLayout { groups: 7, node_limit: 4, ..v3(1) }).contains("by 7 groups"));
    assert!(message(ExpertLayout { node_limit: 9, ..v3(1) }).contains("above the 8 groups"));
    assert!(message(ExpertLayout { top_k: 129, ..v3(1) }).contains("may reach only 128"));
    assert!(message(v3(u32::MAX / 64)).contains("more than a batch can count"));
    let message = |spec: TrafficSpec, layout| PicksPool::sample(&spec, &layout).unwrap_err().to_string();
    assert!(message(TrafficSpec { samples: 0, ..spec(Router::Skewed, 0.1) }, v3(1)).contains("`traffic.samples`"));
    assert!(message(spec(Router::Skewed, -0.1), v3(1)).contains("`traffic.skew` = -0.1"));
    assert!(message(spec(Router::Skewed, f64::NAN), v3(1)).contains("from 0 to"));
    assert!(message(power_law(4.5, 1), v3(1)).contains("`traffic.exponent` = 4.5; give a number from 0 to 4"));
    let softmax = ExpertLayout { gate: Gate::Softmax, ..v3(1) };
    assert_eq!(Sampler::new(&spec(Router::LearnedBias, 0.1), &softmax).unwrap_err(), TrafficError::BiasWithSoftmax);
    // As many as anybody waits for are sampled, and no more; where all batches are equal nothing is drawn.
    let check = |router, samples, bias_steps| {
        TrafficSpec { samples, bias_steps, ..spec(router, 0.1) }.check(&v3(4096)).map_err(|error| error.to_string())
    };
    let refused = check(Router::Skewed, 1 << 20, 0).unwrap_err();
    assert!(refused.contains("`traffic.samples` = 1048576") && refused.contains("at most 512"), "{refused}");
    assert_eq!(check(Router::Skewed, 512, 1 << 20), Ok(()));
    let refused = check(Router::LearnedBias, 4, 1 << 20).unwrap_err();
    assert!(refused.contains("`traffic.bias-steps` = 1048576") && refused.contains("at most 65536"), "{refused}");
    assert_eq!(check(Router::Balanced, 1 << 20, 1 << 20), Ok(()));
    let long = message(spec(Router::Skewed, 0.1), ExpertLayout { top_k: 1, ..v3(1 << 25) });
    assert!(long.contains("job.sequence"), "{long}");
    assert_eq!(PicksPool::from_batches(0, &v3(1), vec![]).unwrap_err(), TrafficError::Zero { name: "batches" });
}

//! What may be changed of a scenario so that its ranks hold less.

use scenario::Leaf;
use workloads::parallel::Sharding;

use super::Remedy;

/// Choices that hold less than the others of their key: the key, and the choice as TOML.
const CHOICES: [(&str, &str); 12] = [
    ("policy.recompute.norm", "true"),
    ("policy.recompute.mla-up", "true"),
    ("policy.recompute.swiglu", "true"),
    ("policy.recompute.core", "true"),
    ("policy.recompute.full", "true"),
    ("policy.attention", "\"fused\""),
    ("policy.sequence-parallel", "true"),
    ("policy.moments", "\"bf16\""),
    ("policy.gradients", "\"bf16\""),
    ("policy.master-weights", "\"none\""),
    ("policy.keep-activations", "\"fp8\""),
    ("policy.keep-bf16-weights", "false"),
];

/// Choices that say nothing where linear layers run in BF16.
const OF_FP8: [&str; 2] = ["policy.keep-activations", "policy.keep-bf16-weights"];

/// Degrees whose ranks are taken from the replicas.
const DEGREES: [&str; 3] = ["parallel.pp", "parallel.tp", "parallel.cp"];

/// How often the number of pieces of the logits is doubled, at most.
const N_DOUBLINGS: u32 = 6;

/// One thing to turn: what it may be turned to, the weakest first. The first that is enough is the one to name.
pub(super) type Lever = Vec<Remedy>;

/// The levers of a scenario by its values, whether or not they help.
pub(super) fn levers(leaves: &[Leaf]) -> Vec<Lever> {
    let values = Values(leaves);
    let mut levers = choices(&values);
    levers.extend(DEGREES.iter().filter_map(|degree| values.doubled_degree(degree)).map(|remedy| vec![remedy]));
    levers.extend(values.count("parallel.ep").map(|ep| vec![Remedy::one("parallel.ep", 2 * ep)]));
    let micro_batch = values.count("job.micro-batch").filter(|count| count.is_multiple_of(2));
    levers.extend(micro_batch.map(|count| vec![Remedy::one("job.micro-batch", count / 2)]));
    if let Some(pieces) = values.count("policy.logit-pieces") {
        let doubled = |n: u32| Remedy::one("policy.logit-pieces", pieces << n);
        levers.push((1..=N_DOUBLINGS).map(doubled).collect());
    }
    levers.extend(sharding(&values));
    levers
}

fn choices(values: &Values<'_>) -> Vec<Lever> {
    let is_bf16 = values.get("job.precision") == Some("\"bf16\"");
    let says = |key: &str| !(is_bf16 && OF_FP8.contains(&key));
    let open =
        CHOICES.iter().filter(|(key, choice)| says(key) && values.get(key).is_some_and(|value| value != *choice));
    open.map(|(key, choice)| vec![Remedy::one(key, choice)]).collect()
}

/// One level up, and all the way.
fn sharding(values: &Values<'_>) -> Vec<Lever> {
    let spelled = |sharding: Sharding| format!("\"{}\"", sharding.name());
    let Some(value) = values.get("parallel.sharding") else { return Vec::new() };
    let above: Vec<Sharding> = Sharding::ALL.into_iter().skip_while(|known| spelled(*known) != value).skip(1).collect();
    let mut named: Vec<Sharding> = above.first().into_iter().chain(above.last()).copied().collect();
    named.dedup();
    named.into_iter().map(|sharding| vec![Remedy::one("parallel.sharding", spelled(sharding))]).collect()
}

/// The values of a scenario by their keys.
struct Values<'a>(&'a [Leaf]);

impl Values<'_> {
    fn leaf(&self, key: &str) -> Option<&Leaf> {
        self.0.iter().find(|leaf| leaf.key == key)
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.leaf(key).map(|leaf| leaf.value.as_str())
    }

    fn count(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }

    /// Whether it was left to be decided.
    fn is_auto(&self, key: &str) -> bool {
        self.leaf(key).is_none_or(|leaf| leaf.written == "\"auto\"")
    }

    /// Twice a degree on the same devices: half as many replicas, and layers over the new stages by the rule. None where the replicas are
    /// an odd number.
    fn doubled_degree(&self, degree: &str) -> Option<Remedy> {
        let mut remedy = Remedy::one(degree, 2 * self.count(degree)?);
        if !self.is_auto("parallel.dp") {
            let dp = self.count("parallel.dp").filter(|dp| dp.is_multiple_of(2))?;
            remedy.push("parallel.dp", dp / 2);
        }
        if degree == "parallel.pp" && !self.is_auto("parallel.stages") {
            remedy.push("parallel.stages", "\"auto\"");
        }
        Some(remedy)
    }
}

//! What the devices of a node are asked together.

use super::matrix::both_ways;
use super::{Facts, counts, powers, thin};
use workloads::op::{Collective, Precision};

use crate::question::Question;

/// Width, experts and picks of the model whose exchange is public.
const DIM: u64 = 7168;
const EXPERTS: u32 = 256;
const TOP_K: u32 = 8;

/// 4 KiB to 1 GiB by kernel and by copy engine, 256 MiB on fewer SMs by loads and stores and by bulk copies, and a flag.
pub(super) fn peer(facts: &Facts, quick: bool) -> Vec<Question> {
    let mut questions = vec![Question::PeerLatency];
    for bytes in thin(powers(12, 30, 2), quick, 3) {
        questions.push(Question::PeerCopy { bytes, sms: facts.sms });
        questions.push(Question::PeerEngine { bytes });
    }
    let bytes = 1 << 28;
    for sms in thin(counts(facts, &[1, 2, 4, 8, 12, 16, 20, 24, 32, 48, 64]), quick, 2) {
        questions.push(Question::PeerCopy { bytes, sms });
        questions.push(Question::PeerBulk { bytes, sms });
    }
    questions
}

/// Tokens of decoding and training, on the SMs a rank may give.
pub(super) fn exchange(facts: &Facts, quick: bool) -> Vec<Question> {
    let mut questions = Vec::new();
    for ranks in degrees(facts, quick) {
        for tokens in thin(vec![128, 512, 2048, 4096, 8192], quick, 2) {
            questions.extend(exchange_of(ranks, tokens, 20.min(facts.sms)));
        }
        for sms in thin(vec![4, 8, 12, 16, 24, 32, 64], quick, 3).into_iter().filter(|sms| *sms < facts.sms) {
            questions.extend(exchange_of(ranks, 4096, sms));
        }
    }
    questions
}

fn exchange_of(ranks: u32, tokens: u64, sms: u32) -> [Question; 2] {
    [
        Question::Dispatch { ranks, tokens, dim: DIM, experts: EXPERTS, top_k: TOP_K, sms },
        Question::Combine { ranks, tokens, dim: DIM, experts: EXPERTS, top_k: TOP_K, sms },
    ]
}

/// 1 KiB to 1 GiB: every power of two on all ranks, every third on fewer; some sizes with the library's SMs bounded.
pub(super) fn collective(facts: &Facts, quick: bool) -> Vec<Question> {
    let mut questions = Vec::new();
    let degrees = degrees(facts, quick);
    let all = degrees.iter().copied().max().unwrap_or(facts.n_devices);
    for ranks in degrees {
        let step = if quick || ranks < all { 3 } else { 1 };
        for bytes in powers(10, 30, step) {
            questions.extend(Collective::ALL.map(|what| Question::on_node(what, ranks, bytes, None)));
        }
    }
    for what in Collective::ALL {
        for bytes in thin(vec![1 << 24, 1 << 28], quick, 2) {
            for sms in thin(vec![4, 8, 16, 20, 32], quick, 2).into_iter().filter(|sms| *sms < facts.sms) {
                questions.push(Question::on_node(what, all, bytes, Some(sms)));
            }
        }
    }
    questions
}

/// A product on the SMs that communication leaves, and communication beside it.
pub(super) fn overlap(facts: &Facts, quick: bool) -> Vec<Question> {
    let ranks = facts.n_devices;
    let mut questions = Vec::new();
    for sms in thin(vec![8, 16, 20, 24, 32], quick, 2).into_iter().filter(|sms| *sms < facts.sms) {
        let product = |dtype| Question::Gemm { m: 4096, n: 4096, k: 7168, dtype, sms: facts.sms - sms };
        let [dispatch, combine] = exchange_of(ranks, 4096, sms);
        let reduce = Question::on_node(Collective::AllReduce, ranks, 1 << 28, Some(sms));
        for beside in [dispatch, combine, reduce] {
            questions.extend(both_ways(&product(Precision::Fp8Tensor), &beside));
        }
        let gather = Question::on_node(Collective::AllGather, ranks, 1 << 28, Some(sms));
        questions.extend(both_ways(&product(Precision::Bf16), &gather));
    }
    questions
}

/// Two ranks, twice as many, and so on; with `quick` all only.
fn degrees(facts: &Facts, quick: bool) -> Vec<u32> {
    let all = facts.n_devices;
    let fewer = [2, 4, 8, 16, 32].into_iter().filter(|ranks| *ranks < all && !quick);
    fewer.chain([all]).collect()
}

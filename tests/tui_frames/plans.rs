//! Plans to lay over the made-up machines.

use std::sync::Arc;

use shardfit::monitor::{Expectation, ExpectedCard, ExpectedPart, Part};
use shardfit::units::Bytes;

/// A plan for so many cards of a capacity, of which `weights` and `kv` take most.
pub fn plan(cards: u32, capacity: Bytes, weights: Bytes, kv: Bytes) -> Arc<Expectation> {
    let parts = [
        (Part::Weights, weights),
        (Part::Kv, kv),
        (Part::Activation, Bytes::mib(900)),
        (Part::Graphs, Bytes::mib(400)),
        (Part::Communication, Bytes::mib(600)),
        (Part::Context, Bytes::mib(500)),
    ];
    let parts = parts.map(|(part, bytes)| ExpectedPart { part, bytes });
    let total: Bytes = parts.iter().map(|part| part.bytes).sum();
    let card = |place| ExpectedCard {
        place,
        uuid: None,
        label: "card".to_owned(),
        capacity,
        ranks: vec![place],
        parts: parts.to_vec(),
        total,
        high: total + Bytes::gib(1),
    };
    Arc::new(Expectation {
        title: "Qwen/Qwen2.5-72B-Instruct · vllm 0.11.0 · TP 4 × PP 1".to_owned(),
        verdict: "fits: 4.01 GiB to spare on card 0".to_owned(),
        cards: (0..cards).map(card).collect(),
    })
}

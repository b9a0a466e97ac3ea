//! Store the KV cache in 8 bits.

use super::{Candidate, Rejected, Repair, Situation};
use crate::engines::Settings;

/// `--kv-cache-dtype fp8`.
pub(super) struct CacheType;

impl Repair for CacheType {
    fn candidates(&self, situation: &Situation<'_>, rejected: &mut Vec<Rejected>) -> Vec<Candidate> {
        if situation.plan.workload.kv_cache_dtype.bits() <= 8 {
            return Vec::new();
        }
        let change = "KV cache in fp8".to_owned();
        let limiting = situation.request.fleet.cards.first();
        if limiting.and_then(|c| c.compute_capability).is_some_and(|capability| capability < (8, 0)) {
            let why = "cards before compute capability 8.0 have no kernels for it".to_owned();
            rejected.push(Rejected { change, why });
            return Vec::new();
        }
        vec![Candidate {
            change,
            flags: vec!["--kv-cache-dtype fp8".to_owned()],
            settings: Settings { kv_cache_dtype: Some("fp8".to_owned()), ..situation.settings.clone() },
            price: "some accuracy; the model should be checked with it",
            cost: 45,
        }]
    }
}

//! Let the engine use more of the card, or less.

use super::{Candidate, Rejected, Repair, Situation};
use crate::engines::Settings;
use crate::units::Fraction;

/// `--gpu-memory-utilization`, in steps of a hundredth: the nearest one that fits, up or down.
pub(super) struct MemoryFraction;

impl Repair for MemoryFraction {
    fn candidates(&self, situation: &Situation<'_>, _rejected: &mut Vec<Rejected>) -> Vec<Candidate> {
        let Some(now) = fraction_now(situation) else { return Vec::new() };
        let with = |hundredths: u32| {
            Fraction::new(f64::from(hundredths) / 100.0)
                .ok()
                .map(|fraction| Settings { memory_fraction: Some(fraction), ..situation.settings.clone() })
        };
        let candidate = |hundredths: u32, price: &'static str, cost: u32| {
            let settings = with(hundredths)?;
            situation.fits(&settings).then(|| Candidate {
                change: format!("{hundredths} % of each card for the engine"),
                flags: vec![format!("--gpu-memory-utilization {:.2}", f64::from(hundredths) / 100.0)],
                settings,
                price,
                cost,
            })
        };
        let up = (now + 1..=97).find_map(|h| candidate(h, "less room for what lies outside the budget", 20));
        let down = (30..now).rev().find_map(|h| candidate(h, "a smaller KV cache", 22));
        up.into_iter().chain(down).collect()
    }
}

/// The fraction in force, in hundredths; `None` for engines without one.
fn fraction_now(situation: &Situation<'_>) -> Option<u32> {
    let knob = situation.plan.workload.knobs.iter().find(|(name, _)| *name == "gpu_memory_utilization")?;
    Some((knob.1.as_f64()? * 100.0).round() as u32)
}

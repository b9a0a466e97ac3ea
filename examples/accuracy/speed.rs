//! Plans a second.
#![allow(clippy::disallowed_methods, reason = "an example reads the clock")]

use std::time::Instant;

use shardfit::engines::{ContextLength, Deployment, EntryPoint, Settings, engine};
use shardfit::hardware::{Card, Fleet, FleetSource};
use shardfit::model::Model;
use shardfit::planning::Verdict;
use shardfit::profiles::gpus::GpuCatalogue;
use shardfit::profiles::models::built_in_models;

/// Requests planned.
const REQUESTS: usize = 10_000;

/// Plans mixed requests one after the other on one core and prints how many a second: model facts are read beforehand, plan and verdict
/// are timed.
pub fn measure() -> String {
    let models = models();
    let gpus = GpuCatalogue::built_in();
    let cards: Vec<Card> = ["A10", "L4", "A100-80GB", "H100", "H200", "RTX-4090", "B200", "T4"]
        .iter()
        .map(|name| Card::of_profile(&gpus.select(name).unwrap()))
        .collect();
    let layouts = [(1, 1), (2, 1), (4, 1), (8, 1), (1, 2), (2, 2), (4, 2)];
    let versions = ["0.6.3", "0.8.5", "0.11.2", "0.17.0", "0.19.1", "0.25.1", "0.33.0"].map(|v| v.parse().unwrap());
    let engine = engine("vllm").unwrap();
    let fleets: Vec<Vec<Fleet>> = cards
        .iter()
        .map(|card| {
            let fleet = |(tp, pp): &(u32, u32)| Fleet {
                cards: vec![card.clone(); (tp * pp) as usize],
                source: FleetSource::Given,
            };
            layouts.iter().map(fleet).collect()
        })
        .collect();
    let (mut planned, mut refused, mut fitting) = (0u32, 0u32, 0u32);
    let before = on_core();
    let start = Instant::now();
    for i in 0..REQUESTS {
        // Strides without a common factor, so that every pair of values meets.
        let model = &models[i * 7 % models.len()];
        let layout = i * 3 % layouts.len();
        let fleet = &fleets[i * 5 % fleets.len()][layout];
        let (tp, pp) = layouts[layout];
        let settings = Settings {
            tensor_parallel: Some(tp),
            pipeline_parallel: Some(pp),
            max_model_len: if i % 3 == 0 { ContextLength::Model } else { ContextLength::Tokens(2048) },
            enforce_eager: (i % 5 == 0).then_some(true),
            entry_point: if i % 2 == 0 { EntryPoint::Server } else { EntryPoint::Library },
            ..Settings::default()
        };
        let deployment = Deployment { model, settings: &settings, fleet, version: versions[i * 11 % versions.len()] };
        match engine.plan(&deployment) {
            Ok(plan) => {
                planned += 1;
                fitting += u32::from(Verdict::of(&plan, fleet).state.fits());
            }
            Err(_) => refused += 1,
        }
    }
    let elapsed = start.elapsed().as_secs_f64();
    // What other programs took of the core does not count, where the kernel says.
    let seconds = on_core().zip(before).map_or(elapsed, |(after, before)| after - before);
    format!(
        "{REQUESTS} requests over {} models: {planned} planned ({fitting} fit), {refused} refused, {elapsed:.2} s, {seconds:.2} s of one \
         core: {:.0} plans/s\n",
        models.len(),
        f64::from(planned) / seconds
    )
}

/// Seconds that this thread has run.
fn on_core() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

fn models() -> Vec<Model> {
    let parse = |text: &str| serde_json::from_str(text).ok();
    built_in_models()
        .iter()
        .filter_map(|profile| {
            let quantization = profile.quantization.and_then(parse);
            Model::from_config(&parse(profile.config)?, quantization.as_ref()).ok()
        })
        .collect()
}

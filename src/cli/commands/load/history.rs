//! What a load looked like over time, for its picture.
#![expect(clippy::disallowed_methods, reason = "measures the time that the picture shows")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cards::Backend;
use crate::loader::{Phase, Progress, ProgressSnapshot};
use crate::report::PlanReport;
use crate::report::render::chart::LoadHistory;
use crate::units::Bytes;

/// Time between two looks at first; longer for loads that last.
const LOOK: Duration = Duration::from_millis(20);
/// Looks kept: more than a picture has columns.
const MOST: usize = 4000;

/// Looks at the progress until `done`.
pub(super) fn follow(progress: &Progress, backend: &Backend, plan: &PlanReport, done: &AtomicBool) -> LoadHistory {
    let started = Instant::now();
    let mut look = LOOK;
    let first = progress.snapshot();
    let devices = devices(&first);
    let id = plan.model.id.as_ref().unwrap_or(&plan.model.architecture);
    let mut history = LoadHistory {
        title: format!("{id}: loading {} ranks", first.ranks.len()),
        cards: devices.iter().map(|device| card(*device, &first, backend, plan)).collect(),
        ..LoadHistory::default()
    };
    let mut ended: Option<Phase> = None;
    loop {
        let last = done.load(Ordering::Relaxed);
        let now = progress.snapshot();
        let at = started.elapsed().as_secs_f64();
        let held =
            |device: &usize| now.ranks.iter().filter(|rank| rank.device == *device).map(|rank| rank.placed).sum();
        history.samples.push((at, devices.iter().map(held).collect::<Vec<Bytes>>()));
        if now.ended != ended {
            ended = now.ended;
            history.steps.extend(now.ended.map(|phase| (at, step(phase).to_owned())));
        }
        if last {
            return history;
        }
        if history.samples.len() == MOST {
            let mut place = 0;
            history.samples.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            look *= 2;
        }
        sleep(look);
    }
}

fn devices(now: &ProgressSnapshot) -> Vec<usize> {
    let mut devices: Vec<usize> = now.ranks.iter().map(|rank| rank.device).collect();
    devices.sort_unstable();
    devices.dedup();
    devices
}

/// Name, capacity and planned bytes of a card.
fn card(device: usize, now: &ProgressSnapshot, backend: &Backend, plan: &PlanReport) -> (String, Bytes, Bytes) {
    let name = backend.cards().identity(device).map_or_else(|_| format!("card {device}"), |i| i.to_string());
    let ranks = || now.ranks.iter().filter(|rank| rank.device == device);
    let planned: Bytes = ranks().map(|rank| rank.total).sum();
    let of_rank = |rank: u32| plan.ranks.iter().find(|planned| planned.rank == rank).map(|r| r.capacity_bytes);
    let capacity = ranks().find_map(|rank| of_rank(rank.rank)).unwrap_or(planned);
    (name, capacity, planned)
}

/// What a step that ended has done.
pub(super) const fn step(phase: Phase) -> &'static str {
    match phase {
        Phase::Checked => "files and memory checked",
        Phase::Opened => "cards opened",
        Phase::Allocated => "arenas allocated",
        Phase::Loaded => "all bytes arrived",
        Phase::Verified => "compared with the files",
        Phase::Pooled => "KV pool allocated",
        Phase::Peak => "workspace allocated",
        Phase::Freed => "arenas freed",
        Phase::Released => "contexts gone",
    }
}

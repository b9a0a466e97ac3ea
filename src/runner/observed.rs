//! What the recording of a run says about its end: neighbours that came or went, workers that nobody ended, a pool that ran dry.

use std::time::Duration;

use super::{CardTrace, Neighbour, PoolTrace};
use crate::engines::Cause;
use crate::monitor::CardId;
use crate::report::run::PhaseReport;
use crate::units::Bytes;

/// Kinds of observations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObservationKind {
    /// A neighbour took memory while the command ran.
    NeighbourTook,
    /// A neighbour released memory while the command ran.
    NeighbourReleased,
    /// A worker whose engine is gone held memory from the begin.
    Orphan,
    /// The memory that host and card share was used up.
    SharedPoolExhausted,
}

impl ObservationKind {
    /// Name as in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NeighbourTook => "neighbour_took",
            Self::NeighbourReleased => "neighbour_released",
            Self::Orphan => "orphan",
            Self::SharedPoolExhausted => "shared_pool_exhausted",
        }
    }

    /// The cause that it speaks for.
    #[must_use]
    pub const fn cause(self) -> Cause {
        match self {
            Self::NeighbourTook | Self::NeighbourReleased | Self::Orphan => Cause::OtherProcessOnGpu,
            Self::SharedPoolExhausted => Cause::HostRamExhausted,
        }
    }
}

/// Something that the recording shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Of what kind.
    pub kind: ObservationKind,
    /// On which card.
    pub card: CardId,
    /// The process, where one is known.
    pub pid: Option<u32>,
    /// How much: taken, released, held; of a pool, what was left.
    pub bytes: Bytes,
    /// When it was first seen.
    pub at: Duration,
    /// In words.
    pub text: String,
}

/// Less than this explains no failure.
const OF_NOTE: Bytes = Bytes::mib(256);
/// A pool with less than this share left is exhausted: kernels begin to swap and to kill before zero.
const DRY: f64 = 0.02;
/// A host whose memory is within this share of the card's is the one that the card draws on.
const SAME_POOL: f64 = 0.2;

/// What is known of a run beside its output.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    /// The cards.
    pub cards: &'a [CardTrace],
    /// Who else was on them.
    pub neighbours: &'a [Neighbour],
    /// Cards without memory of their own, each with its size where that is known.
    pub pools: &'a [(PoolTrace, Option<Bytes>)],
    /// The stages that the output told of.
    pub phases: &'a [PhaseReport],
}

/// All that is worth telling, the largest first.
#[must_use]
pub fn observe(recorded: &Recorded<'_>) -> Vec<Observation> {
    // On cards where the command was seen to hold nothing, nobody is blamed for coming or going: it does not use them, or its processes
    // are not to be told from others (a container's client, another namespace).
    let is_ours = |id: CardId| {
        let holds = |card: &CardTrace| card.id == id && card.peak_ours.is_some_and(|ours| ours > Bytes::ZERO);
        recorded.cards.iter().any(holds)
    };
    let mut all: Vec<Observation> = recorded
        .neighbours
        .iter()
        .flat_map(|neighbour| {
            let moved = is_ours(neighbour.card).then(|| [took(neighbour, recorded), released(neighbour, recorded)]);
            moved.into_iter().flatten().chain([orphan(neighbour)]).flatten()
        })
        .chain(recorded.pools.iter().filter_map(|(pool, size)| dry(pool, (*size)?)))
        .collect();
    all.sort_by_key(|seen| std::cmp::Reverse(seen.bytes));
    all
}

fn took(neighbour: &Neighbour, recorded: &Recorded<'_>) -> Option<Observation> {
    let base = if neighbour.was_there { neighbour.first() } else { Bytes::ZERO };
    let grown = |(at, bytes): &(Duration, Bytes)| {
        let more = bytes.saturating_sub(base);
        (more >= OF_NOTE).then_some((*at, more))
    };
    let at = neighbour.held.iter().find_map(grown)?.0;
    let most = neighbour.held.iter().filter_map(grown).map(|(_, bytes)| bytes).max()?;
    let verb = if neighbour.was_there { "took" } else { "came and took" };
    let text = format!("{} {verb} {most:.2}{} from {}", who(neighbour), place(neighbour), when(at, recorded));
    Some(Observation {
        kind: ObservationKind::NeighbourTook,
        card: neighbour.card,
        pid: neighbour.pid,
        bytes: most,
        at,
        text,
    })
}

fn released(neighbour: &Neighbour, recorded: &Recorded<'_>) -> Option<Observation> {
    let falls = neighbour.held.windows(2).map(|pair| (pair[1].0, pair[0].1.saturating_sub(pair[1].1)));
    let (at, bytes) = falls.max_by_key(|(_, bytes)| *bytes).filter(|(_, bytes)| *bytes >= OF_NOTE)?;
    let text = format!("{} released {bytes:.2}{} at {}", who(neighbour), place(neighbour), when(at, recorded));
    Some(Observation {
        kind: ObservationKind::NeighbourReleased,
        card: neighbour.card,
        pid: neighbour.pid,
        bytes,
        at,
        text,
    })
}

fn orphan(neighbour: &Neighbour) -> Option<Observation> {
    let bytes =
        Some(neighbour.first()).filter(|bytes| neighbour.is_orphan && neighbour.was_there && *bytes >= OF_NOTE)?;
    let text = format!(
        "{}, a worker whose engine is gone, held {bytes:.2}{} before the command started",
        who(neighbour),
        place(neighbour)
    );
    let (card, pid) = (neighbour.card, neighbour.pid);
    Some(Observation { kind: ObservationKind::Orphan, card, pid, bytes, at: Duration::ZERO, text })
}

/// A pool is as empty as the fuller of its two sides says: what processes hold of it on the card, and what the host has left.
fn dry(pool: &PoolTrace, size: Bytes) -> Option<Observation> {
    let by_card = (size.saturating_sub(pool.most_held.0), pool.most_held.1);
    let same = |total: Bytes| (total.0 as f64 / size.0 as f64 - 1.0).abs() < SAME_POOL;
    let by_host = pool.least_available.filter(|_| pool.host_total.is_some_and(same));
    let (left, at) = by_host.filter(|host| host.0 < by_card.0).unwrap_or(by_card);
    if left.0 as f64 > size.0 as f64 * DRY {
        return None;
    }
    let text = format!(
        "the pool of {size:.2} that host and card {} share had {left:.2} left at {:.0} s; processes held {:.2} on the card",
        pool.card,
        at.as_secs_f64(),
        pool.most_held.0
    );
    let card = CardId { index: pool.card, instance: None };
    Some(Observation { kind: ObservationKind::SharedPoolExhausted, card, pid: None, bytes: left, at, text })
}

fn who(neighbour: &Neighbour) -> String {
    let Some(pid) = neighbour.pid else {
        return "a process that the driver does not list (of another container, perhaps)".to_owned();
    };
    let words: Vec<&str> = [neighbour.name.as_deref(), neighbour.user.as_deref()].into_iter().flatten().collect();
    match words.is_empty() {
        true => format!("process {pid}"),
        false => format!("process {pid} ({})", words.join(", ")),
    }
}

fn place(neighbour: &Neighbour) -> String {
    format!(" on card {}", neighbour.card)
}

/// `12 s on, in the start-up profile`.
fn when(at: Duration, recorded: &Recorded<'_>) -> String {
    let seconds = at.as_secs_f64();
    let begun = |phase: &&PhaseReport| phase.seconds.is_some_and(|begin| begin <= seconds);
    match recorded.phases.iter().rfind(begun) {
        Some(phase) => format!("{seconds:.1} s on, in {}", phase.phase),
        None => format!("{seconds:.1} s on"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::runner::Moment;

    const CARD: CardId = CardId { index: 1, instance: None };

    fn neighbour(was_there: bool, held: &[(u64, u64)]) -> Neighbour {
        let held = held.iter().map(|(second, gib)| (Duration::from_secs(*second), Bytes::gib(*gib))).collect();
        Neighbour::seen(CARD, 42, "python3", was_there, held)
    }

    fn card(ours: u64) -> CardTrace {
        let moment = Moment { at: Duration::ZERO, used: Bytes::gib(9), ours: Some(Bytes::gib(ours)) };
        CardTrace {
            id: CARD,
            name: None,
            uuid: None,
            capacity: Bytes::gib(24),
            first: moment,
            last: VecDeque::from([moment]),
            peak: moment,
            peak_ours: moment.ours,
        }
    }

    fn seen(neighbour: Neighbour, ours: u64) -> Vec<(ObservationKind, Bytes, u64)> {
        let phase = |name: &str, seconds: f64| PhaseReport {
            phase: name.to_owned(),
            seconds: Some(seconds),
            text: String::new(),
        };
        let phases = [phase("loading weights", 2.0), phase("the start-up profile", 8.0)];
        let recorded = Recorded { cards: &[card(ours)], neighbours: &[neighbour], pools: &[], phases: &phases };
        observe(&recorded).into_iter().map(|seen| (seen.kind, seen.bytes, seen.at.as_secs())).collect()
    }

    #[test]
    fn who_comes_and_goes_is_told() {
        use ObservationKind::{NeighbourReleased, NeighbourTook};
        assert_eq!(seen(neighbour(false, &[(9, 4), (12, 7)]), 5), [(NeighbourTook, Bytes::gib(7), 9)]);
        assert_eq!(seen(neighbour(true, &[(0, 4), (12, 6)]), 5), [(NeighbourTook, Bytes::gib(2), 12)]);
        assert_eq!(seen(neighbour(true, &[(0, 4), (9, 1)]), 5), [(NeighbourReleased, Bytes::gib(3), 9)]);
        assert_eq!(seen(neighbour(true, &[(0, 4)]), 5), []);
        // Came and went: both are told.
        assert_eq!(seen(neighbour(false, &[(3, 4), (9, 0)]), 5).len(), 2);
    }

    #[test]
    fn nobody_is_blamed_on_cards_that_are_not_the_commands() {
        assert_eq!(seen(neighbour(false, &[(9, 4)]), 0), []);
    }

    #[test]
    fn a_worker_without_engine_is_told_whoever_uses_the_card() {
        let mut left = neighbour(true, &[(0, 18)]);
        left.is_orphan = true;
        assert_eq!(seen(left.clone(), 0), [(ObservationKind::Orphan, Bytes::gib(18), 0)]);
        // One that appears later is a worker of this command's own engine that died.
        left.was_there = false;
        assert_eq!(seen(left, 0), []);
    }

    #[test]
    fn words_name_process_size_time_and_stage() {
        let phase = PhaseReport { phase: "the start-up profile".to_owned(), seconds: Some(8.0), text: String::new() };
        let all = [neighbour(false, &[(9, 4)])];
        let recorded = Recorded { cards: &[card(5)], neighbours: &all, pools: &[], phases: &[phase] };
        assert_eq!(
            observe(&recorded)[0].text,
            "process 42 (python3) came and took 4.00 GiB on card 1 from 9.0 s on, in the start-up profile"
        );
    }

    #[test]
    fn a_pool_is_as_dry_as_its_drier_side() {
        let pool = |held: u64, host: Option<(u64, u64)>| PoolTrace {
            card: 0,
            name: "NVIDIA GB10".to_owned(),
            most_held: (Bytes::gib(held), Duration::from_secs(5)),
            least_available: host.map(|(_, available)| (Bytes::mib(available), Duration::from_secs(7))),
            host_total: host.map(|(total, _)| Bytes::gib(total)),
        };
        let left = |held, host| dry(&pool(held, host), Bytes::gib(122)).map(|seen| (seen.bytes, seen.at.as_secs()));
        assert_eq!(left(60, None), None);
        assert_eq!(left(121, None), Some((Bytes::gib(1), 5)));
        assert_eq!(left(60, Some((120, 500))), Some((Bytes::mib(500), 7)));
        assert_eq!(left(60, Some((120, 60_000))), None);
        // A host of another size draws on other memory.
        assert_eq!(left(60, Some((16, 100))), None);
    }
}

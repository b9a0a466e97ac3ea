//! What the screen of a load shows.

use std::time::Duration;

use super::Speed;
use crate::tui::attended::{Ending, LogLine, Onlooker, Step};
use crate::units::Bytes;

/// A load at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadView {
    /// What is loaded: the checkpoint, its layout.
    pub title: String,
    /// Time since the load began.
    pub elapsed: Duration,
    /// Its ranks, in order.
    pub ranks: Vec<RankProgress>,
    /// The steps that it reached, the present one last.
    pub steps: Vec<Step>,
    /// Notes, warnings and faults as they came, oldest first.
    pub log: Vec<LogLine>,
    /// Whether everything is on the cards and stays there until a key.
    pub is_held: bool,
    /// Whether it was told to stop.
    pub was_told: bool,
    /// How it ended, once it has.
    pub ending: Option<Ending>,
}

/// One rank of a load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RankProgress {
    /// Global rank.
    pub rank: u32,
    /// Where it goes: `cuda:0`, `host:1`.
    pub card: String,
    /// What has arrived in this phase.
    pub done: Bytes,
    /// What the phase brings in all.
    pub total: Bytes,
    /// What happens now: `weights`, `verify`, `done`.
    pub phase: String,
}

/// A load over time, and the cards it fills.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadState {
    /// As last told.
    pub view: LoadView,
    /// How fast each rank goes, by its place in the view.
    pub speeds: Vec<Speed>,
    /// How fast all go together.
    pub speed: Speed,
    /// Its cards, and where the user looks.
    pub onlooker: Onlooker,
    /// First rank on the screen, when not all fit.
    pub first_rank: usize,
}

impl LoadState {
    /// Takes in what the load tells.
    pub fn follow(&mut self, view: LoadView) {
        self.speeds.resize_with(view.ranks.len(), Speed::default);
        for (speed, rank) in self.speeds.iter_mut().zip(&view.ranks) {
            speed.mark(view.elapsed, rank.done);
        }
        self.view = view;
        self.speed.mark(self.view.elapsed, self.done());
        self.first_rank = self.first_rank.min(self.view.ranks.len().saturating_sub(1));
    }

    /// What all ranks have.
    #[must_use]
    pub fn done(&self) -> Bytes {
        self.view.ranks.iter().map(|rank| rank.done).sum()
    }

    /// What all ranks will have.
    #[must_use]
    pub fn total(&self) -> Bytes {
        self.view.ranks.iter().map(|rank| rank.total).sum()
    }

    /// Time until the slowest rank has its bytes; `None` when one of them does not move.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        let rest = |rank: &RankProgress| rank.total.saturating_sub(rank.done);
        let moving = self.view.ranks.iter().zip(&self.speeds).filter(|(rank, _)| rest(rank) > Bytes::ZERO);
        moving
            .map(|(rank, speed)| speed.time_for(rest(rank)))
            .try_fold(Duration::ZERO, |most, time| Some(most.max(time?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(second: u64, done: [u64; 2]) -> LoadView {
        let rank = |rank: u32, done: u64| RankProgress {
            rank,
            card: format!("host:{rank}"),
            done: Bytes(done),
            total: Bytes(1000),
            phase: "weights".to_owned(),
        };
        LoadView {
            title: "model".to_owned(),
            elapsed: Duration::from_secs(second),
            ranks: vec![rank(0, done[0]), rank(1, done[1])],
            ..LoadView::default()
        }
    }

    #[test]
    fn the_slowest_rank_decides_when_it_ends() {
        let mut state = LoadState::default();
        state.follow(view(0, [0, 0]));
        assert_eq!(state.time_left(), None);
        state.follow(view(1, [500, 100]));
        assert_eq!((state.done(), state.total()), (Bytes(600), Bytes(2000)));
        assert_eq!(state.time_left(), Some(Duration::from_secs(9)));
        // A rank that has all its bytes is waited for no longer, however little it moves.
        state.follow(view(2, [1000, 200]));
        state.follow(view(3, [1000, 300]));
        assert_eq!(state.time_left(), Some(Duration::from_secs(7)));
        state.follow(view(4, [1000, 1000]));
        assert_eq!(state.time_left(), Some(Duration::ZERO));
    }
}

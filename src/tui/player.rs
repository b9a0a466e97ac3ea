//! Feeds a recording to the screen in place of the cards.
#![expect(clippy::disallowed_methods, reason = "a replay follows the clock")]

use std::time::{Duration, Instant};

use super::{Action, State, update};
use crate::monitor::alarm::Watchman;
use crate::monitor::recording::Cursor;
use crate::monitor::{Sample, Trace, Watch};

/// Moves through the recording of a [`State`] as time passes.
pub(super) struct Player {
    cursor: Cursor,
    /// Read and not shown yet.
    next: Option<Sample>,
    /// When the position was moved last.
    moved: Instant,
}

impl Player {
    /// At the position of the playback; shows what led there. `None` for a state that replays nothing.
    pub fn start(state: &mut State) -> Option<Self> {
        let playback = state.playback.as_ref()?;
        let position = playback.position;
        let mut player = Self { cursor: playback.replay.cursor(position), next: None, moved: Instant::now() };
        player.seek(state, position);
        Some(player)
    }

    /// Shows another moment: with as much history before it as graphs show.
    pub fn seek(&mut self, state: &mut State, to: Duration) {
        let Some(playback) = state.playback.clone() else { return };
        let replay = playback.replay;
        let history = replay.sample_time().saturating_mul(u32::try_from(Trace::CAPACITY).unwrap_or(u32::MAX));
        let mut cursor = replay.cursor(to.saturating_sub(history));
        self.next = replay.next_sample(&mut cursor);
        self.cursor = cursor;
        state.live = Watch::default();
        state.watchman = Watchman::new(state.watchman.rules().to_vec());
        state.now = Duration::ZERO;
        self.moved = Instant::now();
        self.show_until(state, to);
    }

    /// Moves on by the time that has passed.
    pub fn go_on(&mut self, state: &mut State) {
        let passed = self.moved.elapsed();
        self.moved = Instant::now();
        let Some(playback) = state.playback.as_mut().filter(|playback| playback.playing) else { return };
        let end = playback.replay.end();
        let step = Duration::try_from_secs_f64(passed.as_secs_f64() * playback.speed).unwrap_or(end);
        let to = playback.position.saturating_add(step).min(end);
        playback.playing = to < end;
        self.show_until(state, to);
    }

    fn show_until(&mut self, state: &mut State, to: Duration) {
        let Some(replay) = state.playback.as_ref().map(|playback| playback.replay.clone()) else { return };
        while let Some(sample) = self.next.take_if(|sample| sample.at <= to) {
            self.next = replay.next_sample(&mut self.cursor);
            update(state, Action::Sample(sample));
        }
        update(state, Action::Tick(to));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Playback, Size};
    use super::*;
    use crate::hardware::{CardState, Reading, Snapshot};
    use crate::monitor::Interval;
    use crate::monitor::recording::{Encoder, Header, Replay};

    fn state() -> State {
        let (mut encoder, mut bytes) = Encoder::new(&Header::default());
        for second in 0..2000 {
            let mut card = CardState::unreadable(0, Reading::Denied);
            card.utilization_percent = Reading::Known(second % 100);
            let (driver_version, cuda_version) = (Reading::Denied, Reading::Denied);
            let snapshot = Snapshot { driver_version, cuda_version, cards: vec![card], peers: Vec::new() };
            let at = Duration::from_secs(u64::from(second));
            bytes.extend(encoder.sample(&Sample { at, outcome: Ok(snapshot) }));
        }
        let replay = Arc::new(Replay::of_bytes(bytes).unwrap());
        let mut state = State::new("r".to_owned(), Size { width: 80, height: 24 }, Interval::default());
        state.playback = Some(Playback::new(replay, 1.0));
        state
    }

    #[test]
    fn any_moment_is_shown_with_its_history() {
        let mut state = state();
        let mut player = Player::start(&mut state).unwrap();
        for second in [1500, 3, 1999, 700] {
            player.seek(&mut state, Duration::from_secs(second));
            assert_eq!(
                (state.live.last_answer, state.now),
                (Some(Duration::from_secs(second)), Duration::from_secs(second))
            );
            assert_eq!(state.live.cards[0].trace.len(), Trace::CAPACITY.min(second as usize + 1));
        }
        // Held: time passes and nothing moves.
        state.playback.as_mut().unwrap().playing = false;
        player.go_on(&mut state);
        assert_eq!(state.now, Duration::from_secs(700));
    }
}

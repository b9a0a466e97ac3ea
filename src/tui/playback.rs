//! Where a replay stands.

use std::sync::Arc;
use std::time::Duration;

use crate::monitor::recording::{Mark, Replay};

/// A recording on the screen in place of the cards.
#[derive(Debug, Clone)]
pub struct Playback {
    /// The recording.
    pub replay: Arc<Replay>,
    /// The moment that is shown.
    pub position: Duration,
    /// Whether time goes on.
    pub playing: bool,
    /// Seconds of the recording in a second.
    pub speed: f64,
}

impl PartialEq for Playback {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.replay, &other.replay)
            && (self.position, self.playing, self.speed.to_bits())
                == (other.position, other.playing, other.speed.to_bits())
    }
}

/// A jump through a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seek {
    /// So many samples on, or back.
    Samples(i32),
    /// So many seconds on, or back.
    Seconds(i32),
    /// So many hundredths of the whole on, or back.
    Hundredths(i32),
    /// To the next mark, or to the one before.
    Mark {
        /// Which of the two.
        forward: bool,
    },
    /// To the first sample.
    Begin,
    /// To the last sample.
    End,
}

impl Playback {
    /// Speeds that the keys walk through.
    const SPEEDS: [f64; 11] = [0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0];

    /// At the first sample, playing.
    #[must_use]
    pub fn new(replay: Arc<Replay>, speed: f64) -> Self {
        Self { position: replay.begin(), replay, playing: true, speed }
    }

    /// The moment that a jump leads to; within the recording.
    #[must_use]
    pub fn target(&self, seek: Seek) -> Duration {
        let (begin, end) = (self.replay.begin(), self.replay.end());
        let by = |seconds: f64| {
            let to = self.position.as_secs_f64() + seconds;
            Duration::try_from_secs_f64(to.max(0.0)).unwrap_or(end)
        };
        let target = match seek {
            Seek::Samples(count) => by(f64::from(count) * self.replay.sample_time().as_secs_f64()),
            Seek::Seconds(seconds) => by(f64::from(seconds)),
            Seek::Hundredths(count) => by(f64::from(count) / 100.0 * end.saturating_sub(begin).as_secs_f64()),
            Seek::Mark { forward: true } => {
                self.marks().find(|mark| mark.at > self.position).map_or(end, |mark| mark.at)
            }
            Seek::Mark { forward: false } => {
                // A moment after a mark, "back" means the one before it: the mark itself is still on the screen.
                let before = self.position.saturating_sub(Duration::from_secs(1));
                self.marks().rfind(|mark| mark.at < before).map_or(begin, |mark| mark.at)
            }
            Seek::Begin => begin,
            Seek::End => end,
        };
        target.clamp(begin, end)
    }

    /// The next faster speed, or slower.
    #[must_use]
    pub fn other_speed(&self, faster: bool) -> f64 {
        let mut speeds = Self::SPEEDS.iter().copied();
        if faster {
            speeds.find(|speed| *speed > self.speed).unwrap_or(self.speed)
        } else {
            speeds.rfind(|speed| *speed < self.speed).unwrap_or(self.speed)
        }
    }

    fn marks(&self) -> impl DoubleEndedIterator<Item = &Mark> {
        self.replay.marks().iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{Reading, Snapshot};
    use crate::monitor::Sample;
    use crate::monitor::recording::{Encoder, Header, MarkKind};

    fn playback() -> Playback {
        let (mut encoder, mut bytes) = Encoder::new(&Header::default());
        let (driver_version, cuda_version) = (Reading::Denied, Reading::Denied);
        let empty = Snapshot { driver_version, cuda_version, cards: Vec::new(), peers: Vec::new() };
        for second in 100..=200 {
            bytes.extend(encoder.sample(&Sample { at: Duration::from_secs(second), outcome: Ok(empty.clone()) }));
        }
        for second in [120, 150] {
            let at = Duration::from_secs(second);
            bytes.extend(Encoder::mark(&Mark { at, kind: MarkKind::Note, text: String::new() }));
        }
        Playback::new(Arc::new(Replay::of_bytes(bytes).unwrap()), 1.0)
    }

    #[test]
    fn jumps_stay_within_the_recording() {
        let mut playback = playback();
        for (seek, second) in [
            (Seek::Samples(1), 101),
            (Seek::Samples(-5), 100),
            (Seek::Seconds(60), 160),
            (Seek::Mark { forward: false }, 150),
            (Seek::Mark { forward: false }, 120),
            (Seek::Mark { forward: false }, 100),
            (Seek::Mark { forward: true }, 120),
            (Seek::Mark { forward: true }, 150),
            (Seek::Mark { forward: true }, 200),
            (Seek::Hundredths(-10), 190),
            (Seek::Hundredths(100), 200),
            (Seek::Begin, 100),
            (Seek::End, 200),
        ] {
            playback.position = playback.target(seek);
            assert_eq!(playback.position.as_secs(), second, "{seek:?}");
        }
    }

    #[test]
    fn speeds_have_ends() {
        let mut playback = playback();
        assert_eq!((playback.other_speed(true), playback.other_speed(false)), (2.0, 0.5));
        playback.speed = 7.0;
        assert_eq!((playback.other_speed(true), playback.other_speed(false)), (10.0, 5.0));
        playback.speed = 10_000.0;
        assert_eq!(playback.other_speed(true), 10_000.0);
    }
}

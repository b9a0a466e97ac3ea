//! Reading a recording: where things are in it, and samples from any moment on.
#![expect(clippy::disallowed_methods, reason = "reads recordings by design")]

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use super::frame::frame_at;
use super::{BadRecording, Decoder, Event, Header, MAGIC, Mark};
use crate::monitor::{CardId, Point, Sample, usages};
use crate::units::Bytes;

/// A recording in memory, scanned once.
#[derive(Debug, Clone)]
pub struct Replay {
    file: Vec<u8>,
    header: Header,
    /// Time and offset of each sample that stands alone.
    keys: Vec<(Duration, usize)>,
    marks: Vec<Mark>,
    series: Vec<Series>,
    begin: Duration,
    end: Duration,
    samples: u64,
    /// Whole frames end here; what follows was cut off or damaged.
    whole: usize,
    decoder: Decoder,
}

/// One card over the whole recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The card.
    pub id: CardId,
    /// UUID, where it could be read.
    pub uuid: Option<String>,
    /// Product name.
    pub name: Option<String>,
    /// What processes can share, as last told.
    pub capacity: Option<Bytes>,
    /// Its memory and activity: the most of each stretch, the mean of each stretch.
    pub points: Vec<Point>,
    /// Samples in each point; doubles when there are too many points.
    stride: u32,
    /// Samples in the last point.
    filled: u32,
}

impl Series {
    /// Points kept: more than a picture has columns.
    const MOST: usize = 4096;

    fn push(&mut self, point: Point) {
        match self.points.last_mut() {
            Some(last) if self.filled < self.stride => {
                *last = last.joined(point, self.filled);
                self.filled += 1;
            }
            _ => {
                if self.points.len() == Self::MOST {
                    let halves = self.points.chunks(2);
                    self.points =
                        halves.map(|pair| pair.iter().skip(1).fold(pair[0], |a, b| a.joined(*b, 1))).collect();
                    self.stride = self.stride.saturating_mul(2);
                }
                self.points.push(point);
                self.filled = 1;
            }
        }
    }
}

impl Replay {
    /// Largest file read: twenty times a day of eight cards.
    pub const LARGEST: u64 = 1 << 30;

    /// Reads and scans a file.
    ///
    /// # Errors
    /// When the file cannot be read (outer), or is no recording (inner).
    pub fn open(path: &Path) -> io::Result<Result<Self, BadRecording>> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        if bytes > Self::LARGEST {
            return Ok(Err(BadRecording::TooLarge { bytes, limit: Self::LARGEST }));
        }
        let mut content = Vec::new();
        file.take(Self::LARGEST).read_to_end(&mut content)?;
        Ok(Self::of_bytes(content))
    }

    /// Scans the content of a file.
    ///
    /// # Errors
    /// When it is no recording, or holds no sample.
    pub fn of_bytes(file: Vec<u8>) -> Result<Self, BadRecording> {
        if !file.starts_with(MAGIC) {
            return Err(BadRecording::NotARecording);
        }
        let mut replay = Self {
            header: Header::default(),
            keys: Vec::new(),
            marks: Vec::new(),
            series: Vec::new(),
            begin: Duration::MAX,
            end: Duration::ZERO,
            samples: 0,
            whole: MAGIC.len(),
            decoder: Decoder::default(),
            file,
        };
        replay.scan();
        if replay.samples == 0 { Err(BadRecording::Empty) } else { Ok(replay) }
    }

    fn scan(&mut self) {
        let mut decoder = Decoder::default();
        while let Some((payload, next)) = frame_at(&self.file, self.whole) {
            let stands_alone = payload.first().is_some_and(|kind| super::decode::kind::stands_alone(*kind));
            let Some(event) = decoder.read(payload) else { break };
            match event {
                Event::Header(header) => self.header = *header,
                Event::Mark(mark) => self.marks.push(mark),
                Event::Sample(sample) => {
                    if stands_alone {
                        self.keys.push((sample.at, self.whole));
                    }
                    self.begin = self.begin.min(sample.at);
                    self.end = self.end.max(sample.at);
                    self.samples += 1;
                    add_to(&mut self.series, &sample);
                }
                Event::Other => {}
            }
            self.whole = next;
        }
        self.decoder = decoder;
        self.marks.sort_by_key(|mark| mark.at);
    }

    /// What the recording says about itself.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Marks in order of time.
    #[must_use]
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Each card over the whole time.
    #[must_use]
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// Time of the first sample.
    #[must_use]
    pub const fn begin(&self) -> Duration {
        self.begin
    }

    /// Time of the last sample.
    #[must_use]
    pub const fn end(&self) -> Duration {
        self.end
    }

    /// Mean time from one sample to the next; a second when there is only one.
    #[must_use]
    pub fn sample_time(&self) -> Duration {
        let steps = u32::try_from(self.samples.saturating_sub(1)).unwrap_or(u32::MAX);
        let span = self.end.saturating_sub(self.begin);
        span.checked_div(steps).filter(|time| !time.is_zero()).unwrap_or(Duration::from_secs(1))
    }

    /// Number of samples.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// Bytes at the end that are no whole frame.
    #[must_use]
    pub fn cut_bytes(&self) -> usize {
        self.file.len() - self.whole
    }

    /// Reads from the latest sample that stands alone and is not after `from`; from the first when all are later.
    #[must_use]
    pub fn cursor(&self, from: Duration) -> Cursor {
        let key = self.keys.partition_point(|(at, _)| *at <= from).saturating_sub(1);
        let offset = self.keys.get(key).map_or(self.whole, |(_, offset)| *offset);
        Cursor { offset, decoder: self.decoder.elsewhere() }
    }

    /// The next sample or mark; `None` at the end.
    pub fn next(&self, cursor: &mut Cursor) -> Option<Event> {
        loop {
            if cursor.offset >= self.whole {
                return None;
            }
            let (payload, next) = frame_at(&self.file, cursor.offset)?;
            cursor.offset = next;
            // All texts are known from the scan.
            if payload.first() == Some(&super::decode::kind::TEXTS) {
                continue;
            }
            match cursor.decoder.read(payload)? {
                Event::Other | Event::Header(_) => {}
                event => return Some(event),
            }
        }
    }

    /// The next sample.
    pub fn next_sample(&self, cursor: &mut Cursor) -> Option<Sample> {
        loop {
            if let Event::Sample(sample) = self.next(cursor)? {
                return Some(sample);
            }
        }
    }
}

/// A place in a recording.
#[derive(Debug, Clone)]
pub struct Cursor {
    offset: usize,
    decoder: Decoder,
}

fn add_to(all: &mut Vec<Series>, sample: &Sample) {
    let Ok(snapshot) = &sample.outcome else { return };
    for usage in usages(snapshot) {
        let place = all.iter().position(|series| match (&usage.key, &series.uuid) {
            (Some(key), Some(uuid)) => key == uuid,
            _ => series.id == usage.id,
        });
        let place = place.unwrap_or_else(|| {
            let name = usage.name.as_ref().known().cloned();
            let (id, uuid) = (usage.id, usage.key.clone());
            all.push(Series { id, uuid, name, capacity: None, points: Vec::new(), stride: 1, filled: 0 });
            all.len() - 1
        });
        let memory = usage.memory.known();
        let series = &mut all[place];
        series.capacity = memory.map(|memory| memory.capacity).or(series.capacity);
        let used = memory.map(|memory| memory.used);
        series.push(Point { at: sample.at, used, utilization: usage.utilization_percent.known() });
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Encoder, MarkKind};
    use super::*;
    use crate::hardware::{CardState, MemoryState, ProcessState, Reading, Snapshot, Vitals};

    fn card(index: u32, second: u64) -> CardState {
        // Noise as real cards have it: memory in steps of 2 MiB, a temperature that wanders, a power that never rests.
        let noise = (second * 2_654_435_761 + u64::from(index) * 40_503) >> 7;
        let used = Bytes::gib(60) + Bytes::mib(noise % 512 * 2);
        let worker = ProcessState {
            pid: 4000 + index,
            used: Reading::Known(used),
            name: Some("python3".to_owned()),
            command: Some(format!("VLLM::Worker_TP{index}")),
            user: Some("serve".to_owned()),
            orphan: false,
            gpu_instance: None,
        };
        CardState {
            index,
            uuid: Reading::Known(format!("GPU-{index:08x}-51a0-4000-8000-000000000000")),
            name: Reading::Known("NVIDIA H100 80GB HBM3".to_owned()),
            pci_bus_id: Reading::Known(format!("00000000:{index:02X}:00.0")),
            compute_capability: Reading::Known((9, 0)),
            memory: Reading::Known(MemoryState {
                total: Bytes::mib(81_559),
                reserved: Reading::Known(Bytes::mib(550)),
                used: used + Bytes::mib(8),
                free: Bytes::mib(81_001).saturating_sub(used),
            }),
            processes: Reading::Known(vec![worker]),
            mig: Reading::Unsupported,
            pcie: Reading::NotRead,
            temperature_celsius: Reading::Known(50 + (noise % 9) as u32),
            power_milliwatts: Reading::Known(400_000 + (noise % 90_000) as u32),
            utilization_percent: Reading::Known((noise % 101) as u32),
            vitals: Vitals { sm_clock_mhz: Reading::Known(1980 - (noise % 4 * 15) as u32), ..Vitals::default() },
        }
    }

    fn sample(second: u64, cards: u32) -> Sample {
        let snapshot = Snapshot {
            driver_version: Reading::Known("570.124.06".to_owned()),
            cuda_version: Reading::Denied,
            cards: (0..cards).map(|index| card(index, second)).collect(),
            peers: Vec::new(),
        };
        Sample { at: Duration::from_secs(second), outcome: Ok(snapshot) }
    }

    fn mark(second: u64) -> Mark {
        Mark { at: Duration::from_secs(second), kind: MarkKind::Alarm, text: "headroom".to_owned() }
    }

    /// Samples with all that can change: a failure, a card that is lost, a process that comes.
    fn varied(count: u64) -> (Vec<u8>, Vec<Sample>) {
        let (mut encoder, mut bytes) = Encoder::new(&Header { version: "1".to_owned(), ..Header::default() });
        let mut samples = Vec::new();
        for second in 0..count {
            let mut sample = sample(second, 3);
            match (second % 50, &mut sample.outcome) {
                (7, outcome) => *outcome = Err("the driver is gone".to_owned()),
                (8, Ok(snapshot)) => snapshot.cards[1] = CardState::unreadable(1, Reading::Lost),
                (9..20, Ok(snapshot)) => snapshot.cards[2].processes = Reading::Denied,
                _ => {}
            }
            bytes.extend(encoder.sample(&sample));
            samples.push(sample);
        }
        (bytes, samples)
    }

    #[test]
    fn what_was_recorded_is_replayed() {
        let (mut bytes, samples) = varied(700);
        bytes.extend(Encoder::mark(&mark(650)));
        let replay = Replay::of_bytes(bytes).unwrap();
        assert_eq!((replay.begin(), replay.end()), (Duration::ZERO, Duration::from_secs(699)));
        assert_eq!((replay.samples(), replay.cut_bytes(), replay.marks()), (700, 0, &[mark(650)][..]));
        let mut cursor = replay.cursor(Duration::ZERO);
        for sample in &samples {
            assert_eq!(replay.next_sample(&mut cursor).as_ref(), Some(sample));
        }
        assert_eq!(replay.next_sample(&mut cursor), None);
        assert_eq!(replay.series().len(), 3);
        assert!(replay.series()[0].points.len() > 600);
    }

    #[test]
    fn reading_starts_before_any_moment_asked_for() {
        let (bytes, samples) = varied(700);
        let replay = Replay::of_bytes(bytes).unwrap();
        for second in [0, 1, 299, 300, 301, 655, 699, 5000] {
            let from = Duration::from_secs(second);
            let mut cursor = replay.cursor(from);
            let first = replay.next_sample(&mut cursor).unwrap();
            assert!(first.at <= from, "{second}");
            assert_eq!(first, samples[first.at.as_secs() as usize]);
        }
    }

    /// Cut anywhere, a file replays to its last whole sample.
    #[test]
    fn a_cut_file_replays_to_its_last_whole_sample() {
        let (bytes, samples) = varied(40);
        let mut seen = 0;
        for length in 0..bytes.len() {
            match Replay::of_bytes(bytes[..length].to_vec()) {
                Ok(replay) => {
                    assert!(replay.samples() >= seen);
                    seen = replay.samples();
                    let mut cursor = replay.cursor(Duration::ZERO);
                    let read: Vec<_> = std::iter::from_fn(|| replay.next_sample(&mut cursor)).collect();
                    assert_eq!(read, samples[..read.len()]);
                    assert_eq!(read.len() as u64, seen);
                }
                Err(BadRecording::NotARecording) => assert!(length < MAGIC.len()),
                Err(error) => assert_eq!((error, seen), (BadRecording::Empty, 0)),
            }
        }
        assert_eq!(seen, 39);
    }

    #[test]
    fn damage_ends_a_replay_and_harms_nothing() {
        let (bytes, _) = varied(60);
        for place in (0..bytes.len()).step_by(11) {
            for bit in [0x01, 0x80] {
                let mut damaged = bytes.clone();
                damaged[place] ^= bit;
                if let Ok(replay) = Replay::of_bytes(damaged) {
                    let mut cursor = replay.cursor(Duration::from_secs(30));
                    while replay.next(&mut cursor).is_some() {}
                }
            }
        }
    }

    #[test]
    fn long_recordings_keep_their_peaks_in_few_points() {
        let (mut encoder, mut bytes) = Encoder::new(&Header::default());
        for second in 0..10_000 {
            let mut sample = sample(second, 1);
            if let (4321, Ok(snapshot)) = (second, &mut sample.outcome)
                && let Reading::Known(memory) = &mut snapshot.cards[0].memory
            {
                memory.used = Bytes::gib(79);
            }
            bytes.extend(encoder.sample(&sample));
        }
        let replay = Replay::of_bytes(bytes).unwrap();
        let points = &replay.series()[0].points;
        assert!(points.len() <= Series::MOST && points.len() > Series::MOST / 4, "{}", points.len());
        assert_eq!(points.iter().filter_map(|point| point.used).max(), Some(Bytes::gib(79)));
    }
}

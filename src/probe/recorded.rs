//! What a machine said once, kept in a file.

#![expect(clippy::disallowed_methods, reason = "reads recordings by design")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Probe, ProbeError};
use crate::hardware::Snapshot;

/// The `schema` of a recording.
pub const RECORDING_SCHEMA: &str = "shardfit/recording/1";

/// Largest recording read: thousands of cards with hundreds of processes each stay far below.
const LARGEST: u64 = 64 << 20;

/// A snapshot in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// [`RECORDING_SCHEMA`].
    pub schema: String,
    /// Where it comes from, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What the cards said.
    pub snapshot: Snapshot,
}

/// A machine that is not here: tells the same snapshot each time.
#[derive(Debug, Clone)]
pub struct RecordedProbe {
    snapshot: Snapshot,
}

impl RecordedProbe {
    /// Reads a recording.
    ///
    /// # Errors
    /// When the file cannot be read or is no recording; the error names it.
    pub fn open(path: &Path) -> Result<Self, ProbeError> {
        let text = read_text(path)?;
        let not_a_recording = |why: String| ProbeError::NotARecording { path: path.to_owned(), why };
        let recording: Recording = serde_json::from_str(&text).map_err(|error| not_a_recording(error.to_string()))?;
        check(&recording).map_err(not_a_recording)?;
        Ok(Self { snapshot: recording.snapshot })
    }
}

impl Probe for RecordedProbe {
    fn snapshot(&mut self) -> Result<Snapshot, ProbeError> {
        Ok(self.snapshot.clone())
    }
}

fn read_text(path: &Path) -> Result<String, ProbeError> {
    let unreadable = |source| ProbeError::UnreadableRecording { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > LARGEST {
        let why = format!("it is larger than {} MiB", LARGEST >> 20);
        return Err(ProbeError::NotARecording { path: path.to_owned(), why });
    }
    Ok(text)
}

/// What the type cannot say: one entry a card, and links between cards that are there.
fn check(recording: &Recording) -> Result<(), String> {
    if recording.schema != RECORDING_SCHEMA {
        return Err(format!("its schema is `{}`, not `{RECORDING_SCHEMA}`", recording.schema));
    }
    let mut indices = BTreeSet::new();
    for card in &recording.snapshot.cards {
        if !indices.insert(card.index) {
            return Err(format!("card {} stands twice", card.index));
        }
    }
    if indices.is_empty() {
        return Err("it holds no card".to_owned());
    }
    for peer in &recording.snapshot.peers {
        if peer.a == peer.b || !indices.contains(&peer.a) || !indices.contains(&peer.b) {
            return Err(format!("a link joins cards {} and {}, which are not two of its cards", peer.a, peer.b));
        }
    }
    Ok(())
}

/// Writes a snapshot as a recording: to a temporary file beside `path`, renamed when complete, so that a reader never sees half of it.
///
/// # Errors
/// When the folder or the file cannot be written; the error names the file.
pub fn save_recording(path: &Path, snapshot: &Snapshot, note: Option<String>) -> Result<(), ProbeError> {
    let recording = Recording { schema: RECORDING_SCHEMA.to_owned(), note, snapshot: snapshot.clone() };
    write_whole(path, &recording).map_err(|source| ProbeError::UnwritableRecording { path: path.to_owned(), source })
}

fn write_whole(path: &Path, recording: &Recording) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".shardfit-").suffix(".part");
    // Temporary files are private; a recording is a file like any other, and the umask decides.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    serde_json::to_writer_pretty(&mut file, recording)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{CardState, PeerLink, Reading};

    fn snapshot() -> Snapshot {
        Snapshot {
            driver_version: Reading::Known("570.1".to_owned()),
            cuda_version: Reading::Denied,
            cards: vec![CardState::unreadable(0, Reading::Lost), CardState::unreadable(3, Reading::Failed)],
            peers: vec![PeerLink {
                a: 0,
                b: 3,
                nvlinks: Reading::Known(4),
                peer_access: Reading::Unsupported,
                common_ancestor: Reading::NotRead,
            }],
        }
    }

    #[test]
    fn what_is_saved_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cards.json");
        save_recording(&path, &Snapshot { peers: Vec::new(), ..snapshot() }, None).unwrap();
        save_recording(&path, &snapshot(), Some("the second one".to_owned())).unwrap();
        assert_eq!(RecordedProbe::open(&path).unwrap().snapshot().unwrap(), snapshot());
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "no temporary file stays behind");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = save_recording(&folder.path().join("none/cards.json"), &snapshot(), None).unwrap_err();
        assert!(error.to_string().contains("none/cards.json` cannot be written"), "{error}");
        assert!(error.is_bad_input());
    }
}

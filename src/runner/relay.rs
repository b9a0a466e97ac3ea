//! Output on its way through.

use std::io::{self, Read, Write};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use super::watch::Event;

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// Copies a stream byte by byte as it comes, and hands each piece on. Ends with the stream, or when the reader at the other end is gone:
/// then the command finds its pipe closed, as it would without this program between them.
pub(super) fn relay(
    mut from: impl Read + Send + 'static,
    mut to: Box<dyn Write + Send>,
    events: Sender<Event>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("relay".to_owned()).spawn(move || {
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let piece = &buffer[..length];
            let written = to.write_all(piece).and_then(|()| to.flush());
            if events.send(Event::Said(piece.to_vec())).is_err() || written.is_err() {
                break;
            }
        }
        let _ = events.send(Event::Closed);
    })
}

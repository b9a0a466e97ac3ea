//! Plain, packed, cut and hostile logs.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::oom::Patterns;

const LINE: &[u8] = b"ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`\n";

fn found(bytes: &[u8]) -> (usize, LogFile) {
    let patterns = Patterns::built_in().unwrap();
    let mut scanner = Scanner::new(&patterns);
    let file = scan(bytes, "x".into(), &mut scanner);
    (scanner.finish().list.len(), file)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn packed_logs_are_unpacked() {
    assert_eq!(found(LINE).0, 1);
    assert_eq!(found(&gzip(LINE)).0, 1);
    assert_eq!(found(&zstd::encode_all(LINE, 1).unwrap()).0, 1);
    // Several members one after the other, as log rotation appends them.
    assert_eq!(found(&[gzip(LINE), gzip(LINE)].concat()).0, 2);
    for tiny in [&b""[..], b"a", &[0x1f], &[0x28, 0xb5]] {
        assert_eq!(found(tiny).0, 0);
    }
}

#[test]
fn two_byte_text_is_decoded() {
    let text = std::str::from_utf8(LINE).unwrap();
    let little = text.encode_utf16().flat_map(u16::to_le_bytes);
    let big = text.encode_utf16().flat_map(u16::to_be_bytes);
    let little: Vec<u8> = [0xff, 0xfe].into_iter().chain(little).collect();
    assert_eq!(found(&little).0, 1);
    assert_eq!(found(&[0xfe, 0xff].into_iter().chain(big).collect::<Vec<_>>()).0, 1);
    // Cut in the middle of a character.
    assert_eq!(found(&little[..little.len() - 3]).0, 1);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.log"), little).unwrap();
    assert!(is_text(&folder.path().join("a.log")));
}

#[test]
fn what_was_read_of_a_cut_file_counts() {
    let text: Vec<u8> =
        LINE.iter().copied().chain((0..200_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())).collect();
    for packed in [gzip(&text), zstd::encode_all(&text[..], 1).unwrap()] {
        let (events, file) = found(&packed[..packed.len() - 300]);
        assert_eq!(events, 1, "{file:?}");
        assert!(file.note.is_some());
    }
    let mut broken = gzip(LINE);
    broken.truncate(12);
    assert!(found(&broken).1.note.is_some());
}

#[test]
fn folders_are_read_in_order_without_what_is_no_text() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("rank1")).unwrap();
    fs::write(folder.path().join("rank1/b.log"), LINE).unwrap();
    fs::write(folder.path().join("a.log.gz"), gzip(LINE)).unwrap();
    fs::write(folder.path().join("core"), b"\0\0No available memory for the cache blocks").unwrap();
    let patterns = Patterns::built_in().unwrap();
    let mut scanner = Scanner::new(&patterns);
    let files = scan_logs(&[folder.path().to_owned()], &mut scanner).unwrap();
    let names: Vec<_> = files.iter().map(|f| f.name.rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["a.log.gz", "b.log"]);
    let places: Vec<_> = scanner.finish().list.iter().map(|e| (e.place.file, e.place.line)).collect();
    assert_eq!(places, [(0, 1), (1, 1)]);

    let empty = tempfile::tempdir().unwrap();
    let mut scanner = Scanner::new(&patterns);
    assert!(matches!(scan_logs(&[empty.path().to_owned()], &mut scanner), Err(LogError::NoLogs(_))));
    assert!(matches!(scan_logs(&[empty.path().join("no")], &mut scanner), Err(LogError::NotFound(_))));
}

use proptest::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::*;

/// A file of this header and that many bytes of data.
fn file(json: &str, data: usize) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn entry(name: &str, dtype: &str, shape: &str, begin: u64, end: u64) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
}

fn header(entries: &[String]) -> String {
    format!("{{{}}}", entries.join(","))
}

fn fault(bytes: &[u8]) -> HeaderProblem {
    read_header_from_bytes(bytes).expect_err("the file has a fault")
}

#[test]
fn reads_names_formats_shapes_and_absolute_ranges() {
    let json = header(&[
        r#""__metadata__":{"format":"pt"}"#.to_owned(),
        entry("b", "F32", "[]", 6, 10),
        entry("a", "BF16", "[3,1]", 0, 6),
        entry("packed", "F4", "[4]", 10, 12),
        entry("nothing", "F32", "[0,7]", 12, 12),
    ]);
    let read = read_header_from_bytes(&file(&json, 12)).unwrap();
    let start = 8 + json.len() as u64;
    let names: Vec<_> = read.tensors.iter().map(|t| (t.name.as_str(), t.offset - start, t.bytes.0)).collect();
    assert_eq!(names, [("a", 0, 6), ("b", 6, 4), ("packed", 10, 2), ("nothing", 12, 0)]);
    assert_eq!(read.tensors[0].shape, [3, 1]);
    assert_eq!(read.metadata["format"], "pt");
}

#[test]
fn a_header_may_be_padded_with_spaces() {
    let json = format!("{}   ", header(&[entry("a", "U8", "[2]", 0, 2)]));
    assert_eq!(read_header_from_bytes(&file(&json, 2)).unwrap().tensors.len(), 1);
}

#[test]
fn every_element_format_is_known_by_its_exact_name() {
    for dtype in DType::ALL {
        let bytes = dtype.bits();
        let json = header(&[entry("a", dtype.name(), "[8]", 0, bytes)]);
        assert_eq!(read_header_from_bytes(&file(&json, bytes as usize)).unwrap().tensors[0].dtype, dtype);
    }
    let json = header(&[entry("a", "bf16", "[1]", 0, 2)]);
    assert!(matches!(fault(&file(&json, 2)), HeaderProblem::UnknownDType { dtype, .. } if dtype == "bf16"));
}

#[test]
fn only_the_header_is_read() {
    struct Watched<'a>(&'a [u8], usize);
    impl Read for Watched<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.0.read(buffer)?;
            self.1 += n;
            Ok(n)
        }
    }
    let json = header(&[entry("a", "U8", "[4096]", 0, 4096)]);
    let bytes = file(&json, 4096);
    let mut reader = Watched(&bytes, 0);
    read_header(&mut reader, bytes.len() as u64).unwrap();
    assert_eq!(reader.1, 8 + json.len());
}

#[test]
fn each_fault_has_its_own_name() {
    use HeaderProblem as P;
    let one = |e: String| header(&[e]);
    let two = |a: String, b: String| header(&[a, b]);
    let a = || entry("a", "U8", "[4]", 0, 4);
    let long = "n".repeat(MAX_NAME_BYTES + 1);
    let deep = format!("[{}]", vec!["1"; MAX_DIMENSIONS + 1].join(","));
    type Case = (Vec<u8>, fn(&P) -> bool, &'static str);
    #[rustfmt::skip]
    let cases: Vec<Case> = vec![
        (b"1234567".to_vec(), |p| matches!(p, P::TooSmall(_)), "7 B"),
        (b"PK\x03\x04aaaaaaaaaa".to_vec(), |p| matches!(p, P::OtherFormat(_)), "zip archive"),
        (b"version https://git-lfs.github.com/spec/v1".to_vec(), |p| matches!(p, P::OtherFormat(_)), "Git LFS pointer"),
        (b"GGUF\x03\0\0\0aaaaaaaa".to_vec(), |p| matches!(p, P::OtherFormat(_)), "GGUF"),
        (file("[1]", 0), |p| matches!(p, P::NotAnObject), "`{`"),
        (file("", 0), |p| matches!(p, P::NotAnObject), "`{`"),
        (u64::MAX.to_le_bytes().to_vec(), |p| matches!(p, P::LengthAbsurd(_)), "18446744073709551615"),
        ((MAX_HEADER_BYTES + 1).to_le_bytes().to_vec(), |p| matches!(p, P::LengthAbsurd(_)), "100000001"),
        (b"\x50\0\0\0\0\0\0\0{}".to_vec(), |p| matches!(p, P::Truncated { header: 80, present: 2 }), "80 bytes long, but only 2"),
        ([&3_u64.to_le_bytes()[..], b"{\xff}"].concat(), |p| matches!(p, P::NotUtf8(1)), "from byte 1"),
        (file("{\"a\":", 0), |p| matches!(p, P::Malformed(_)), "EOF"),
        (file("{}x", 0), |p| matches!(p, P::Malformed(_)), "trailing characters"),
        (file(r#"{"a":{"dtype":"U8","shape":[1]}}"#, 1), |p| matches!(p, P::Malformed(_)), "tensor `a`: missing field `data_offsets`"),
        (file(r#"{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#, 1), |p| matches!(p, P::Malformed(_)), "tensor `a`: invalid value: integer `-1`"),
        (file(r#"{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}"#, 1), |p| matches!(p, P::Malformed(_)), "tensor `a`: field `dtype` is given twice"),
        (file(r#"{"a":7}"#, 0), |p| matches!(p, P::Malformed(_)), "for tensor `a`"),
        (file(&one(entry(&long, "U8", "[4]", 0, 4)), 4), |p| matches!(p, P::NameTooLong { .. }), "nnnn"),
        (file(&one(entry("a", "U8", &deep, 0, 1)), 1), |p| matches!(p, P::TooManyDimensions { .. }), "tensor `a`"),
        (file(&two(a(), a()), 4), |p| matches!(p, P::Duplicate(_)), "`a` twice"),
        (file(r#"{"__metadata__":{},"__metadata__":{}}"#, 0), |p| matches!(p, P::Duplicate(_)), "`__metadata__` twice"),
        (file(&one(entry("a", "Q9", "[4]", 0, 4)), 4), |p| matches!(p, P::UnknownDType { .. }), "`a` as `Q9`"),
        (file(&one(entry("a", "U8", "[4294967296,4294967296]", 0, 4)), 4), |p| matches!(p, P::Overflow { .. }), "`a`"),
        (file(&one(entry("a", "F64", "[2305843009213693952]", 0, 4)), 4), |p| matches!(p, P::Overflow { .. }), "2^64 bits"),
        (file(&one(entry("a", "F4", "[3]", 0, 2)), 2), |p| matches!(p, P::PartialByte { .. }), "whole bytes"),
        (file(&one(entry("a", "U8", "[4]", 4, 0)), 4), |p| matches!(p, P::Reversed { .. }), "4..0"),
        (file(&one(entry("a", "U8", "[5]", 0, 4)), 4), |p| matches!(p, P::SizeMismatch { expected: 5, actual: 4, .. }), "`a` 4 bytes"),
        (file(&one(a()), 3), |p| matches!(p, P::OutOfRange { end: 4, available: 3, .. }), "3 bytes of data"),
        (file(&one(entry("a", "U8", "[1]", u64::MAX - 1, u64::MAX)), 4), |p| matches!(p, P::OutOfRange { .. }), "`a`"),
        (file(&two(a(), entry("b", "U8", "[4]", 3, 7)), 7), |p| matches!(p, P::Overlap { at: 3, .. }), "`a` and `b`"),
        (file(&two(a(), entry("b", "U8", "[4]", 0, 4)), 4), |p| matches!(p, P::Overlap { at: 0, .. }), "`a` and `b`"),
        (file(&two(a(), entry("b", "U8", "[4]", 5, 9)), 9), |p| matches!(p, P::Hole { from: 4, to: 5 }), "4..5"),
        (file(&one(entry("a", "U8", "[4]", 2, 6)), 6), |p| matches!(p, P::Hole { from: 0, to: 2 }), "0..2"),
        (file(&one(a()), 6), |p| matches!(p, P::Hole { from: 4, to: 6 }), "4..6"),
    ];
    for (bytes, is_expected, words) in &cases {
        let problem = fault(bytes);
        assert!(is_expected(&problem), "{problem:?}");
        assert!(problem.to_string().contains(words), "`{problem}` lacks `{words}`");
        assert!(!problem.repair().is_empty());
    }
}

#[test]
fn too_many_tensors_stop_the_reading() {
    let json = header(&[entry("a", "U8", "[0]", 0, 0), entry("b", "U8", "[0]", 0, 0), entry("c", "U8", "[0]", 0, 0)]);
    assert!(entries::parse(&json, 3).is_ok());
    assert!(matches!(entries::parse(&json, 2), Err(HeaderProblem::TooManyTensors(2))));
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_error() {
    let bytes = file(&header(&[entry("a", "U8", "[4]", 0, 4)]), 4);
    let problem = read_header(&mut &bytes[..20], bytes.len() as u64).unwrap_err();
    assert!(matches!(problem, HeaderProblem::Io(_)), "{problem:?}");
}

proptest! {
    #[test]
    fn agrees_with_the_format_s_own_writer(shapes in prop::collection::vec(prop::collection::vec(0_usize..5, 0..4), 0..8)) {
        let zeros = vec![0; 4 * 5 * 5 * 5];
        let views: Vec<_> = shapes.iter().enumerate().map(|(i, shape)| {
            let (dtype, size) = [(Dtype::F32, 4), (Dtype::BF16, 2), (Dtype::U8, 1)][i % 3];
            let elements: usize = shape.iter().product();
            (format!("t{i}"), TensorView::new(dtype, shape.clone(), &zeros[..elements * size]).unwrap())
        }).collect();
        let bytes = safetensors::serialize(views, None).unwrap();
        let ours = read_header_from_bytes(&bytes).unwrap();
        let (length, theirs) = SafeTensors::read_metadata(&bytes).unwrap();
        prop_assert_eq!(ours.tensors.len(), shapes.len());
        for tensor in &ours.tensors {
            let info = theirs.info(&tensor.name).unwrap();
            prop_assert_eq!(tensor.offset as usize, 8 + length + info.data_offsets.0);
            prop_assert_eq!(tensor.bytes.0 as usize, info.data_offsets.1 - info.data_offsets.0);
        }
    }

    #[test]
    fn is_never_laxer_than_the_format_s_own_reader(position in 0_usize..400, byte: u8, cut in 0_usize..400) {
        let mut bytes = file(&header(&[entry("a", "BF16", "[2,3]", 0, 12), entry("b", "F4", "[16]", 12, 20)]), 20);
        let at = position % bytes.len();
        bytes[at] = byte;
        if cut < bytes.len() {
            bytes.truncate(cut);
        }
        if read_header_from_bytes(&bytes).is_ok() {
            prop_assert!(SafeTensors::read_metadata(&bytes).is_ok());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_header_from_bytes(&bytes);
        let json = bytes.get(8..).unwrap_or_default();
        let _ = parse_header(json, bytes.len() as u64);
    }
}

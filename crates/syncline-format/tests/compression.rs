//! gzip and zstd: several members or frames, and files that were cut off or damaged.

mod samples;

use std::io::{self, Read, Write};

use samples::{WIDE, drain, open, texts, write};
use syncline_format::{Compression, CsvOptions, Format, Input, Step, Types, infer, reader};
use syncline_types::{LogicalType, codes};

fn csv() -> Format {
    Format::Csv(CsvOptions { header: false, ..CsvOptions::default() })
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

fn zstd(text: &str) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(vec![], 3).expect("the level exists");
    encoder.include_checksum(true).expect("zstd has checksums");
    encoder.write_all(text.as_bytes()).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

/// Every line of a compressed file, or its error; rows that were given out before it are counted.
fn read(compression: Compression, bytes: &[u8]) -> (usize, Result<(), syncline_types::Error>) {
    let schema = texts(&["a"]);
    let mut part = match open(&csv(), compression, &schema, bytes) {
        Ok(part) => part,
        Err(error) => return (0, Err(error)),
    };
    let mut rows = 0;
    loop {
        match part.next(WIDE) {
            Ok(Step::Rows(found)) => rows += found.records as usize,
            Ok(Step::Needs(_)) => panic!("the rows are small"),
            Ok(Step::End) => return (rows, Ok(())),
            Err(error) => return (rows, Err(error)),
        }
    }
}

#[test]
fn members_and_frames_one_after_the_other_are_one_file() {
    for (compression, compress) in
        [(Compression::Gzip, gzip as fn(&str) -> Vec<u8>), (Compression::Zstd, zstd)]
    {
        let bytes = [compress("a\nb"), compress(""), compress("c\nd\n")].concat();
        let schema = texts(&["a"]);
        let mut part = open(&csv(), compression, &schema, &bytes).unwrap();
        let all = drain(part.as_mut(), WIDE).unwrap();
        let found = samples::column(&all[0].batch, 0, LogicalType::TEXT);
        assert_eq!(found, ["a", "bc", "d"].map(|text| Some(text.to_owned())), "{compression:?}");
    }
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_an_error_that_names_it() {
    let text: String = (0..300).map(|line| format!("line {}\n", line * 7_919 % 1_000)).collect();
    for (compression, bytes) in [(Compression::Gzip, gzip(&text)), (Compression::Zstd, zstd(&text))] {
        assert_eq!(read(compression, &bytes).0, 300);
        let twice = [bytes.clone(), bytes.clone()].concat();
        for cut in 0..twice.len() {
            let (rows, result) = read(compression, &twice[..cut]);
            if cut == bytes.len() {
                assert!(rows == 300 && result.is_ok(), "the first one is whole");
                continue;
            }
            let error = result.expect_err("it was cut off");
            assert!(error.to_string().contains("could not read `part`"), "{compression:?} {cut}: {error}");
            assert_eq!(error.code(), &codes::BAD_BYTES, "{compression:?} {cut}: {error}");
        }
    }
}

#[test]
fn a_byte_that_was_changed_is_found_or_changes_nothing() {
    let text: String = (0..50).map(|line| format!("{}\n", line * 7_919 % 1_000)).collect();
    for (compression, bytes) in [(Compression::Gzip, gzip(&text)), (Compression::Zstd, zstd(&text))] {
        let schema = texts(&["a"]);
        let mut part = open(&csv(), compression, &schema, &bytes).unwrap();
        let whole = samples::whole(&schema, drain(part.as_mut(), WIDE).unwrap());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            let Ok(mut part) = open(&csv(), compression, &schema, &changed) else { continue };
            if let Ok(all) = drain(part.as_mut(), WIDE) {
                assert_eq!(samples::whole(&schema, all), whole, "{compression:?} byte {at}");
            }
        }
    }
}

#[test]
fn what_is_not_compressed_at_all_is_an_error() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let (rows, result) = read(compression, b"a\nb\n");
        assert_eq!((rows, result.unwrap_err().code()), (0, &codes::BAD_BYTES));
        let garbage_behind =
            [if compression == Compression::Gzip { gzip("a\n") } else { zstd("a\n") }, b"a\n".to_vec()];
        assert!(read(compression, &garbage_behind.concat()).1.is_err());
        let bytes = gzip("a\nb\n");
        let inputs = [Ok(Input::bytes("f", &bytes[..10]))];
        assert!(infer(&csv(), Compression::Gzip, Types::Infer, inputs).is_err());
    }
}

#[test]
fn an_empty_part_is_no_empty_file() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let bytes = write(&csv(), compression, &texts(&["a"]), &[]);
        assert!(!bytes.is_empty());
        let (rows, result) = read(compression, &bytes);
        assert!(rows == 0 && result.is_ok(), "{compression:?}");
    }
}

/// Gives some bytes, then fails as a disk or network does.
struct Failing(io::Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::from(io::ErrorKind::TimedOut)),
            count => Ok(count),
        }
    }
}

#[test]
fn a_failing_disk_is_no_damaged_file() {
    for (compression, bytes) in
        [(Compression::None, b"a\nb".to_vec()), (Compression::Gzip, gzip("a\nb\n")[..12].to_vec())]
    {
        let input = Input::stream("part", Failing(io::Cursor::new(bytes)));
        let part = reader(&csv(), compression, &texts(&["a"]), &["a".to_owned()], input);
        let error = part.and_then(|mut part| drain(part.as_mut(), WIDE)).unwrap_err();
        assert_eq!(error.code(), &codes::TIMED_OUT, "{error}");
    }
}

#[test]
fn names_tell_the_compression() {
    for (name, compression) in
        [("a.csv", Compression::None), ("a.csv.gz", Compression::Gzip), ("a.CSV.ZST", Compression::Zstd)]
    {
        assert_eq!(Compression::of_name(name), compression);
    }
}

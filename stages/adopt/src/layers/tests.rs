//! Every form that other tools write, whole and damaged: what comes out is the content or an error.

#![allow(clippy::disallowed_methods, reason = "what is written here is read here")]

use super::*;
use ::zip::write::{SimpleFileOptions, ZipWriter};
use contract::{Exit, Failure};
use flate2::Crc;
use proptest::prelude::*;
use std::io::Write;

/// What begins like a database and packs like one, of `length` bytes.
pub(crate) fn database(length: usize) -> Vec<u8> {
    let words = (0_u32..).flat_map(|n| (n / 7).wrapping_mul(0x9e37).to_le_bytes());
    let head = [0; 16].into_iter().chain(DATABASE_MAGIC);
    let mut bytes: Vec<u8> = head.chain(words).take(length).collect();
    bytes[8] = 4;
    bytes
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
}

fn zip_with(files: &[(&str, &[u8])], options: SimpleFileOptions) -> Vec<u8> {
    let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, content) in files {
        match name.strip_suffix('/') {
            Some(folder) => writer.add_directory(folder, options).unwrap(),
            None => writer.start_file(*name, options).unwrap(),
        }
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn zip(content: &[u8]) -> Vec<u8> {
    zip_with(&[("snapshot.db", content)], options())
}

/// As k3s and RKE2 write it with Go's `archive/zip`: lengths and CRC-32 behind the content, the time
/// in a field of its own, before and in the directory.
pub(crate) fn zip_of_k3s(content: &[u8], seconds: u32) -> Vec<u8> {
    let name = b"etcd-snapshot-node-1-1700000000";
    let mut deflate =
        flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    deflate.write_all(content).unwrap();
    let packed = deflate.finish().unwrap();
    let mut crc = Crc::new();
    crc.update(content);
    let lengths = |crc: u32, packed: usize, unpacked: usize| {
        let four = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
        [crc.to_le_bytes(), four(packed), four(unpacked)].concat()
    };
    let short = |n: usize| u16::try_from(n).unwrap().to_le_bytes();
    let extra = [&[0x55, 0x54, 5, 0, 1], &seconds.to_le_bytes()[..]].concat();
    let known = lengths(crc.sum(), packed.len(), content.len());
    // Version, flags (lengths behind, UTF-8), method, time and date.
    let common = [20, 0, 8, 8, 8, 0, 0, 0, 0x21, 0x58];
    let names = [short(name.len()), short(extra.len())].concat();
    let mut file = [b"PK\x03\x04", &common[..], &lengths(0, 0, 0), &names, name, &extra].concat();
    file.extend([&packed[..], b"PK\x07\x08", &known].concat());
    let directory = file.len();
    file.extend([b"PK\x01\x02", &[20, 3][..], &common, &known, &names].concat());
    file.extend([&[0; 14][..], name, &extra].concat());
    let bytes = file.len() - directory;
    let four = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    file.extend([&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &four(bytes), &four(directory)].concat());
    file.extend([0, 0]);
    file
}

fn read_all(bytes: &[u8], bytes_max: u64) -> Result<(Vec<u8>, Vec<Wrap>), Error> {
    let mut content = Vec::new();
    let read = open(Box::new(bytes), bytes_max).and_then(|mut opened| {
        opened.content.read_to_end(&mut content)?;
        Ok(opened.wrapped)
    });
    match read {
        Ok(wrapped) => Ok((content, wrapped)),
        Err(e) => Err(e.downcast::<Error>().expect("a slice can always be read")),
    }
}

const MAX: u64 = 1 << 24;

/// Every form, with its name.
fn forms(content: &[u8]) -> Vec<(&'static str, Vec<u8>, Vec<Wrap>)> {
    use Wrap::{Gzip, Zip, Zstd};
    let stored = options().compression_method(::zip::CompressionMethod::Stored);
    let mut streamed = ZipWriter::new_stream(Vec::new());
    streamed.start_file("snapshot.db", options()).unwrap();
    streamed.write_all(content).unwrap();
    let streamed = streamed.finish().unwrap().into_inner();
    vec![
        ("plain", content.to_vec(), vec![]),
        ("gzip", gzip(content), vec![Gzip]),
        ("zstd", zstd(content), vec![Zstd]),
        ("zip", zip(content), vec![Zip]),
        ("zip, stored", zip_with(&[("a", content)], stored), vec![Zip]),
        ("zip, large", zip_with(&[("a", content)], options().large_file(true)), vec![Zip]),
        ("zip, stored, large", zip_with(&[("a", content)], stored.large_file(true)), vec![Zip]),
        ("zip, as a stream", streamed, vec![Zip]),
        ("zip, of k3s", zip_of_k3s(content, 1_700_000_000), vec![Zip]),
        ("zip, in a folder", zip_with(&[("b/", b""), ("b/a", content)], options()), vec![Zip]),
        ("gzip in zip", zip(&gzip(content)), vec![Zip, Gzip]),
        ("zstd in gzip", gzip(&zstd(content)), vec![Gzip, Zstd]),
        ("four times", gzip(&zip(&zstd(&gzip(content)))), vec![Gzip, Zip, Zstd, Gzip]),
    ]
}

#[test]
fn every_form_gives_its_content_and_says_what_it_was() {
    let content = database(300_000);
    for (name, bytes, wrapped) in forms(&content) {
        let (found, layers) = read_all(&bytes, MAX).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(found == content, "{name}");
        assert_eq!(layers, wrapped, "{name}");
    }
}

#[test]
fn an_input_that_comes_byte_by_byte_changes_nothing() {
    struct Drip<'a>(&'a [u8]);
    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(1);
            self.0.read(&mut buffer[..length])
        }
    }
    let content = database(2_000);
    for (name, bytes, _) in forms(&content) {
        let mut found = Vec::new();
        let mut opened = open(Box::new(Drip(&bytes)), MAX).unwrap();
        opened.content.read_to_end(&mut found).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(found == content, "{name}");
    }
}

#[test]
fn f46_a_form_that_is_cut_anywhere_is_refused() {
    let content = database(2_000);
    for (name, bytes, _) in forms(&content).into_iter().filter(|form| form.0 != "plain") {
        for length in 0..bytes.len() {
            let error = read_all(&bytes[..length], MAX).expect_err(name);
            assert_eq!(error.exit(), Exit::Corrupt, "{name} of {length} bytes: {error}");
        }
    }
}

#[test]
fn f46_whatever_comes_after_the_end_is_refused() {
    let content = database(3_000);
    for (name, bytes, _) in forms(&content).into_iter().filter(|form| form.0 != "plain") {
        for tail in [&b"\0"[..], b"garbage", &bytes, &gzip(b"x"), &[0; 600]] {
            let error = read_all(&[&bytes, tail].concat(), MAX).expect_err(name);
            assert!(matches!(error, Error::Trailing { .. }), "{name}: {error}");
            assert_eq!(error.exit(), Exit::Corrupt);
        }
    }
    let inside = gzip(&[zstd(&content), b"x".to_vec()].concat());
    let error = read_all(&inside, MAX).unwrap_err();
    assert!(matches!(error, Error::Trailing { wrap: Wrap::Zstd, .. }), "{error}");
}

#[test]
fn f45_no_flipped_bit_gives_other_bytes() {
    let content = database(500);
    for (name, bytes, _) in forms(&content).into_iter().filter(|form| form.0 != "plain") {
        let mut noticed = 0;
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            match read_all(&damaged, MAX) {
                Ok((found, _)) => assert!(found == content, "{name}, bit {bit}"),
                Err(e) => {
                    let exit = e.exit();
                    assert!(matches!(exit, Exit::Corrupt | Exit::Unsupported), "{name}: {e}");
                    noticed += 1;
                }
            }
        }
        assert!(noticed > bytes.len() * 8 / 2, "{name}: {noticed} of {}", bytes.len() * 8);
    }
}

#[test]
fn f50_a_bomb_stops_at_the_limit() {
    let content = [database(4_096), vec![0; 8 << 20]].concat();
    for (name, bytes, _) in forms(&content) {
        let Some(wrap) = (name != "plain").then_some(1 << 20) else { continue };
        assert!(name.contains("stored") || bytes.len() < 100_000, "{name} is no bomb");
        let error = read_all(&bytes, wrap).expect_err(name);
        assert!(matches!(error, Error::TooLarge { bytes_max: 1_048_576, .. }), "{name}: {error}");
        assert_eq!(error.exit(), Exit::Corrupt);
    }
}

#[test]
fn f50_a_layer_that_unpacks_to_too_much_is_stopped_though_its_content_is_small() {
    // Eight megabytes of gzip whose content is small come out of the outer layer.
    let mut inner = gzip(&database(4_096));
    inner.extend(vec![0; 8 << 20]);
    let error = read_all(&gzip(&inner), 1 << 20).unwrap_err();
    assert_eq!(error.exit(), Exit::Corrupt, "{error}");
}

#[test]
fn f50_more_layers_than_anybody_makes_are_refused() {
    let mut bytes = database(4_096);
    for _ in 0..LAYERS_MAX {
        bytes = gzip(&bytes);
    }
    assert!(read_all(&bytes, MAX).is_ok());
    let error = read_all(&gzip(&bytes), MAX).unwrap_err();
    assert!(matches!(error, Error::TooDeep), "{error}");
}

#[test]
fn f50_a_window_beyond_the_limit_is_refused_before_memory_is_taken() {
    // RFC 8878, section 3.1.1.1.2: exponent 17 is 2^27 bytes, and each step doubles it.
    for (exponent, fits) in [(17_u8, true), (18, false), (21, false)] {
        let header = [&[0x28, 0xb5, 0x2f, 0xfd, 0b100, exponent << 3][..], &[0; 40]].concat();
        let error = read_all(&header, MAX).unwrap_err();
        assert_eq!(matches!(error, Error::Window { .. }), !fits, "{exponent}: {error}");
        assert_eq!(error.exit(), Exit::Corrupt);
    }
}

#[test]
fn a_zip_file_holds_one_file() {
    let content = database(3_000);
    let refused = |files: &[(&str, &[u8])]| read_all(&zip_with(files, options()), MAX).unwrap_err();
    let two = refused(&[("a", &content), ("b", b"other")]);
    assert!(matches!(two, Error::NotOneFile { found: "several files" }), "{two}");
    let folders = refused(&[("a/", b"")]);
    assert!(matches!(folders, Error::NotOneFile { .. }), "{folders}");
    let behind = refused(&[("a", &content), ("b/", b"")]);
    assert!(matches!(behind, Error::NotOneFile { .. }), "{behind}");
    let empty = read_all(&zip_with(&[], options()), MAX).unwrap_err();
    assert!(empty.to_string().contains("an empty zip file"), "{empty}");
}

#[test]
fn forms_of_zip_that_are_not_read_are_named() {
    let mut encrypted = zip(&database(3_000));
    encrypted[6] |= 1;
    let error = read_all(&encrypted, MAX).unwrap_err();
    assert!(error.to_string().contains("encrypted"), "{error}");
    assert_eq!(error.exit(), Exit::Unsupported);
    let stored = options().compression_method(::zip::CompressionMethod::Stored);
    let mut behind = zip_with(&[("a", &database(3_000))], stored);
    behind[6] |= 8;
    let error = read_all(&behind, MAX).unwrap_err();
    assert!(error.to_string().contains("its length stands behind it"), "{error}");
    let mut method = zip(&database(3_000));
    method[8] = 93;
    let error = read_all(&method, MAX).unwrap_err();
    assert!(error.to_string().contains("method 93"), "{error}");
    assert!(error.hint().unwrap().contains("unzip -p"));
}

#[test]
fn the_time_in_a_zip_file_is_read_where_it_is_told_in_utc() {
    let time = |bytes: &[u8]| crate::zip::time_of_entry(Peek::new(Box::new(bytes))).unwrap();
    let of_k3s = zip_of_k3s(&database(600), 1_700_000_000);
    let told = time(&of_k3s).unwrap();
    assert_eq!(told.as_second(), 1_700_000_000);
    // The old field is in a zone that nobody knows.
    assert_eq!(time(&zip(&database(600))), None);
}

#[test]
fn what_is_no_snapshot_is_named() {
    let mut tar = vec![0; 1_024];
    tar[0] = b'x';
    tar[257..262].copy_from_slice(b"ustar");
    for (bytes, name) in [
        (&b""[..], "empty"),
        (b"age-encryption.org/v1\n", "an encrypted age file"),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\n", "an encrypted age file"),
        (b"\xfd7zXZ\0rest", "an xz file"),
        (b"BZh91AY", "a bzip2 file"),
        (&tar, "a tar archive"),
        (&[0; 4_096], "nothing but zeros"),
        (b"SQLite format 3\0", "something that begins with 53514c6974652066"),
        (&gzip(b"some text"), "something that begins with 736f6d65"),
        (&gzip(b""), "empty"),
        (&gzip(b"age-encryption.org/v1\n"), "an encrypted age file"),
    ] {
        let error = read_all(bytes, MAX).unwrap_err();
        assert!(error.to_string().contains(name), "{name}: {error}");
        assert_eq!(error.exit(), Exit::Corrupt);
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: prop::test_runner::RngSeed::Fixed(20_261_120),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn f46_f50_any_input_is_whole_or_refused(
        form in 0..13_usize,
        length in 600..20_000_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop_oneof![3 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)],
        bytes_max in prop_oneof![Just(MAX), Just(10_000)],
    ) {
        let content = database(length);
        let (name, sound, _) = forms(&content).swap_remove(form);
        let mut bytes = sound.clone();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        match read_all(&bytes, bytes_max) {
            Ok((found, wrapped)) => {
                prop_assert!(wrapped.is_empty() || found == content, "{}", name);
                prop_assert!(wrapped.is_empty() || found.len() as u64 <= bytes_max);
            }
            Err(e) => {
                prop_assert!(matches!(e.exit(), Exit::Corrupt | Exit::Unsupported), "{}", e);
                prop_assert!(bytes != sound || length as u64 > bytes_max, "{}: {}", name, e);
            }
        }
    }
}

//! Whatever is wrong with the input: the right exit code, and no file.

use crate::common::{command, feed, foreign, noise, program, prose, stage};

/// Decompresses to a file that must not be there afterwards.
fn refuse(frame: &[u8], code: i32, message: &str) {
    refuse_with(frame, &[], code, message);
}

fn refuse_with(frame: &[u8], args: &[&str], code: i32, message: &str) {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("out");
    let args = [&["-d", "-o", output.to_str().unwrap()], args].concat();
    let ended = stage(&args, frame).expect(code);
    assert!(ended.stderr.contains(message), "expected {message:?} in {}", ended.stderr);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{message}");
}

fn packed(content: &[u8]) -> Vec<u8> {
    stage(&[], content).expect(0).stdout
}

#[test]
fn i16_f45_flipped_bits_never_publish_wrong_bytes() {
    let content = prose(300);
    let frame = packed(&content);
    let dir = tempfile::tempdir().unwrap();
    // Seven is prime to eight, so that every position in a byte has its turn.
    for bit in (0..frame.len() * 8).step_by(7) {
        let mut damaged = frame.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let output = dir.path().join(bit.to_string());
        let ended = stage(&["-d", "-o", output.to_str().unwrap()], &damaged);
        match ended.code {
            // A larger window than needed, say, changes no byte of the content.
            Some(0) => assert!(std::fs::read(&output).unwrap() == content, "bit {bit}"),
            Some(20 | 60) => assert!(!output.exists(), "bit {bit}"),
            _ => panic!("bit {bit}: {:?} {}", ended.code, ended.stderr),
        }
    }
}

#[test]
fn i16_f46_an_input_cut_anywhere_is_corrupt() {
    let frame = packed(&prose(300));
    for length in 1..frame.len() {
        refuse(&frame[..length], 20, "truncated");
    }
    refuse(b"", 20, "an empty input");
}

#[test]
fn f46_a_large_frame_cut_in_the_middle_is_corrupt() {
    let frame = packed(&noise(3 << 20, 4));
    refuse(&frame[..2 << 20], 20, "truncated");
    refuse(&frame[..frame.len() - 1], 20, "truncated");
}

/// Where a writer stops that flushes whole blocks: no path may show what was unpacked by then.
#[test]
fn i15_f46_a_cut_at_any_block_leaves_no_output() {
    let frame = packed(&noise(300_000, 8));
    for at in (1..).map(|blocks| blocks * (64 << 10)).take_while(|at| *at < frame.len()) {
        for length in [at - 1, at, at + 1] {
            refuse(&frame[..length], 20, "truncated");
        }
    }
}

#[test]
fn i16_a_wrong_checksum_is_corrupt() {
    let mut frame = packed(&prose(1 << 20));
    *frame.last_mut().unwrap() ^= 1;
    refuse(&frame, 20, "checksum");
}

#[test]
fn f46_nothing_may_follow_the_frame() {
    let frame = packed(&prose(300));
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9];
    refuse(&[frame.as_slice(), &[0]].concat(), 20, "bytes that belong to no frame");
    refuse(&[frame.clone(), frame.clone()].concat(), 20, "a second zstd frame");
    refuse(&[frame.as_slice(), &skippable].concat(), 20, "a skippable zstd frame");
    refuse(&[skippable.as_slice(), &frame].concat(), 20, "a skippable zstd frame");
    // The second frame far behind the first buffer.
    let long = packed(&noise(3 << 20, 5));
    refuse(&[long.clone(), frame].concat(), 20, "a second zstd frame");
}

#[test]
fn f50_a_bomb_stops_at_the_limit() {
    // 1 GiB of zeros in some tens of kilobytes.
    let mut child = command(&["--threads", "0", "--level", "1"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bomb = std::thread::scope(|scope| {
        scope.spawn(move || {
            use std::io::Write;
            let zeros = vec![0; 1 << 20];
            for _ in 0..1024 {
                stdin.write_all(&zeros).unwrap();
            }
        });
        child.wait_with_output().unwrap().stdout
    });
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    refuse_with(&bomb, &["--bytes-max", "1000000"], 20, "decompression bomb");
    // To a pipe, not one byte more than the limit.
    let ended = stage(&["-d", "--bytes-max", "1000000"], &bomb).expect(20);
    assert!(ended.stdout.len() <= 1_000_000);
    // A limit that fits exactly is none.
    let frame = packed(&prose(1000));
    stage(&["-d", "--bytes-max", "1000"], &frame).expect(0);
    stage(&["-d", "--bytes-max", "999"], &frame).expect(20);
}

#[test]
fn f50_a_frame_that_claims_too_much_is_refused_before_it_is_unpacked() {
    // Single segment, eight bytes of content size: 2^60 bytes.
    let mut claim = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1110_0100];
    claim.extend((1_u64 << 60).to_le_bytes());
    refuse(&claim, 20, "decompression bomb");
    // Window of 2^31 bytes, as of `zstd --ultra --long=31`.
    refuse(&[0x28, 0xb5, 0x2f, 0xfd, 0b100, 21 << 3, 1, 0, 0], 20, "window");
}

#[test]
fn frames_that_zstd_makes_otherwise_are_told_apart() {
    let name = "compress: frames_that_zstd_makes_otherwise_are_told_apart";
    let Some(zstd) = program("zstd", name) else { return };
    let content = prose(5000);
    refuse(&foreign(&zstd, &["-c", "--no-check"], &content), 20, "no content checksum");
    let dir = tempfile::tempdir().unwrap();
    let dictionary = dir.path().join("dictionary");
    let samples: Vec<String> = (0..200)
        .map(|n| {
            let file = dir.path().join(n.to_string());
            std::fs::write(&file, [prose(300 + n), noise(20, n as u64)].concat()).unwrap();
            file.to_str().unwrap().to_owned()
        })
        .collect();
    let mut args = vec!["--train", "-q", "-o", dictionary.to_str().unwrap()];
    args.extend(samples.iter().map(String::as_str));
    foreign(&zstd, &args, b"");
    let frame = foreign(&zstd, &["-c", "-D", dictionary.to_str().unwrap()], &content);
    refuse(&frame, 60, "dictionary");
}

#[test]
fn other_formats_are_named() {
    refuse(b"age-encryption.org/v1\n-> X25519 abc\n", 20, "an age file");
    refuse(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0], 20, "gzip");
}

#[test]
fn an_output_that_nobody_reads_is_the_neighbours_fault() {
    for args in [["--threads", "2"].as_slice(), &["--threads", "0"]] {
        let mut child = command(args).spawn().unwrap();
        drop(child.stdout.take());
        let ended = feed(child, &noise(8 << 20, 6)).expect(10);
        assert!(ended.stderr.contains(r#""blame":"downstream""#), "{}", ended.stderr);
    }
    let frame = packed(&noise(8 << 20, 6));
    let mut child = command(&["-d"]).spawn().unwrap();
    drop(child.stdout.take());
    let ended = feed(child, &frame).expect(10);
    assert!(ended.stderr.contains(r#""blame":"downstream""#), "{}", ended.stderr);
}

#[test]
fn f09_f53_a_full_disk_is_code_30() {
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let ended = stage(&["-o", "/dev/full"], &noise(2 << 20, 7)).expect(30);
    assert!(ended.stderr.contains("No space left"), "{}", ended.stderr);
}

//! What goes in comes out, through this program and through `zstd`.

use crate::common::{foreign, noise, program, prose, stage};

/// The frame header descriptor: a content checksum, no dictionary.
fn has_checksum(frame: &[u8]) -> bool {
    frame[4] & 0b0000_0111 == 0b0000_0100
}

#[test]
fn every_size_and_kind_comes_back() {
    let contents =
        [vec![], vec![7], prose(1000), prose(5 << 20), noise(5 << 20, 1), vec![0; (1 << 20) + 1]];
    for content in &contents {
        for threads in ["0", "1", "2"] {
            let packed = stage(&["--threads", threads], content).expect(0).stdout;
            assert!(has_checksum(&packed));
            let unpacked = stage(&["-d"], &packed).expect(0).stdout;
            assert!(unpacked == *content, "{} bytes, {threads} threads", content.len());
        }
    }
}

#[test]
fn every_level_is_accepted_and_no_other() {
    let content = prose(100_000);
    for level in 1..=19 {
        let packed = stage(&["--level", &level.to_string()], &content).expect(0).stdout;
        assert!(packed.len() < content.len());
        assert!(stage(&["-d"], &packed).expect(0).stdout == content);
    }
    for level in ["0", "20", "-1", "fast"] {
        stage(&[&format!("--level={level}")], &content).expect(2);
    }
}

#[test]
fn zstd_reads_ours() {
    let Some(zstd) = program("zstd", "compress: zstd_reads_ours") else { return };
    for content in [vec![], vec![7], prose(5 << 20), noise(3 << 20, 2)] {
        for threads in ["0", "2"] {
            let packed = stage(&["--threads", threads], &content).expect(0).stdout;
            assert!(foreign(&zstd, &["-d", "-c"], &packed) == content);
        }
    }
}

#[test]
fn zstd_sees_one_frame_with_a_checksum() {
    let Some(zstd) = program("zstd", "compress: zstd_sees_one_frame_with_a_checksum") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.zst");
    let file = file.to_str().unwrap();
    stage(&["--threads", "2", "-o", file], &prose(9 << 20)).expect(0);
    let text = foreign(&zstd, &["-l", "-v", file], b"");
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(text.contains("# Zstandard Frames: 1\n"), "{text}");
    assert!(text.contains("Check: XXH64"), "{text}");
}

#[test]
fn ours_reads_zstd() {
    let Some(zstd) = program("zstd", "compress: ours_reads_zstd") else { return };
    let dir = tempfile::tempdir().unwrap();
    for content in [vec![], vec![7], prose(5 << 20), noise(3 << 20, 3)] {
        // From a pipe the size is not in the header; from a file it is, often as one segment.
        let file = dir.path().join("content");
        std::fs::write(&file, &content).unwrap();
        let file = file.to_str().unwrap();
        let from_pipe = foreign(&zstd, &["-c", "-T2", "--check"], &content);
        let from_file = foreign(&zstd, &["-c", "--check", file], b"");
        for packed in [from_pipe, from_file] {
            assert!(stage(&["-d"], &packed).expect(0).stdout == content);
        }
    }
}

#[test]
fn files_are_new_private_and_whole() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("in"), dir.path().join("out.zst"));
    std::fs::write(&input, prose(1000)).unwrap();
    let args = ["-i", input.to_str().unwrap(), "-o", output.to_str().unwrap()];
    assert!(stage(&args, b"").expect(0).stdout.is_empty());
    assert_eq!(output.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let written = std::fs::read(&output).unwrap();
    let ended = stage(&args, b"").expect(2);
    assert!(ended.stderr.contains("exists already"), "{}", ended.stderr);
    assert_eq!(std::fs::read(&output).unwrap(), written);
}

#[test]
fn settings_come_from_the_command_line_then_the_environment_then_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pipeline.toml");
    let text = include_str!("../../../../pipeline.toml").replace("level = 1 ", "level = 5 ");
    std::fs::write(&file, text).unwrap();
    let check = |args: &[&str], level: Option<&str>| {
        let mut command = crate::common::command(args);
        command.args(["--check", "-c", file.to_str().unwrap()]);
        command.envs(level.map(|level| ("LIFEBOAT__COMPRESS__LEVEL", level)));
        let ended = crate::common::feed(command.spawn().unwrap(), b"");
        (ended.code, String::from_utf8(ended.stdout).unwrap())
    };
    assert_eq!(
        check(&[], None),
        (
            Some(0),
            concat!(
                r#"{"version":1,"stage":"compress","level":"ok","exit":0,"checks":[{"about":"","#,
                r#""name":"settings","level":"ok","detail":"level 5, 2 threads"}]}"#,
                "\n"
            )
            .to_owned()
        )
    );
    assert!(check(&[], Some("7")).1.contains("level 7, 2 threads"));
    assert!(check(&["--level", "9", "--threads", "0"], Some("7")).1.contains("level 9, 0 threads"));
    let (code, text) = check(&[], Some("25"));
    assert_eq!(code, Some(3));
    assert!(text.contains(r#""level":"failed""#), "{text}");
}

#[test]
fn help_teaches() {
    let ended = stage(&["--help"], b"").expect(0);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.contains("Examples:") && text.contains("Exit codes:"), "{text}");
}

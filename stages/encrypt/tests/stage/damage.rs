//! Whatever is wrong with the input: the right exit code, and not one byte published.

use crate::common::{command, feed, noise, stage};
use crate::keys::{Key, Keys, encrypt, names};

struct Ground {
    keys: Keys,
    key: Key,
}

fn ground() -> Ground {
    let keys = Keys::new();
    let key = keys.x25519("key");
    Ground { keys, key }
}

impl Ground {
    fn seal(&self, content: &[u8]) -> Vec<u8> {
        encrypt(&[&self.key.recipient], content)
    }

    /// Decrypts to a file and to a pipe; neither may get anything.
    fn refuse(&self, sealed: &[u8], codes: &[i32], message: &str) {
        let output = self.keys.arg("out");
        let scratch = self.keys.path("scratch");
        std::fs::create_dir_all(&scratch).unwrap();
        let to_file = ["-d", "--identity", &self.key.file, "-o", &output];
        let to_pipe = ["-d", "--identity", &self.key.file, "--scratch", scratch.to_str().unwrap()];
        for args in [to_file.as_slice(), &to_pipe] {
            let ended = stage(args, sealed);
            let code = ended.code.unwrap();
            assert!(codes.contains(&code), "{code}: {}", ended.stderr);
            assert!(ended.stderr.contains(message), "expected {message:?} in {}", ended.stderr);
            assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
            assert!(ended.stdout.is_empty(), "{} bytes", ended.stdout.len());
        }
        assert_eq!(self.keys.names(), ["key", "scratch"]);
        assert!(names(&scratch).is_empty());
    }

    fn header_length(sealed: &[u8]) -> usize {
        let mac = sealed.windows(5).position(|w| w == b"\n--- ").unwrap();
        mac + 1 + sealed[mac + 1..].iter().position(|b| *b == b'\n').unwrap() + 1
    }
}

#[test]
fn f45_flipped_bits_are_noticed() {
    let ground = ground();
    let sealed = ground.seal(b"a short content");
    let header = Ground::header_length(&sealed);
    // Seven is prime to eight, so that every position in a byte has its turn.
    for bit in (0..sealed.len() * 8).step_by(7) {
        let mut damaged = sealed.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        // In the header a damaged stanza looks like somebody else's, a version like a newer one.
        let codes: &[i32] = if bit / 8 < header { &[20, 21, 60] } else { &[20] };
        ground.refuse(&damaged, codes, "");
    }
}

#[test]
fn f46_an_input_cut_anywhere_is_corrupt() {
    let ground = ground();
    let sealed = ground.seal(b"a short content");
    let header = Ground::header_length(&sealed);
    ground.refuse(b"", &[20], "it is empty");
    for length in 1..sealed.len() {
        // After header and nonce, a cut chunk cannot be told from a damaged one.
        let message = if length < header + 16 { "truncated" } else { "" };
        ground.refuse(&sealed[..length], &[20], message);
    }
}

#[test]
fn i15_f46_an_input_cut_at_a_chunk_publishes_none_of_the_chunks_before() {
    const CHUNK_BYTES: usize = (64 << 10) + 16;
    let ground = ground();
    let sealed = ground.seal(&noise(300_000, 1));
    let payload = Ground::header_length(&sealed) + 16;
    for chunks in 1..=4 {
        let cut = payload + chunks * CHUNK_BYTES;
        ground.refuse(&sealed[..cut], &[20], "truncated");
        ground.refuse(&sealed[..cut - 1], &[20], "damaged");
        ground.refuse(&sealed[..cut + 1], &[20], "damaged");
    }
}

#[test]
fn f46_nothing_may_follow_the_last_chunk() {
    let ground = ground();
    let sealed = ground.seal(b"content");
    ground.refuse(&[sealed.as_slice(), b"x"].concat(), &[20], "payload is damaged");
    ground.refuse(&[sealed.clone(), sealed].concat(), &[20], "payload is damaged");
    let full = ground.seal(&noise(64 << 10, 2));
    ground.refuse(&[full.as_slice(), b"x"].concat(), &[20], "payload is damaged");
}

#[test]
fn other_formats_are_named() {
    let ground = ground();
    ground.refuse(&[0x28, 0xb5, 0x2f, 0xfd, 4, 0, 1, 0, 0], &[20], "a zstd frame");
    let mut database = vec![0; 4096];
    database[16..20].copy_from_slice(&[0xed, 0xda, 0x0c, 0xed]);
    ground.refuse(&database, &[20], "a plain etcd database");
    ground.refuse(b"-----BEGIN AGE ENCRYPTED FILE-----\n", &[20], "an armored age file");
    ground.refuse(b"hello, world, this is text", &[20], "68 65 6c 6c 6f");
    ground.refuse(b"age-encryption.org/v2\nwhatever", &[60], "v2");
}

#[test]
fn a_header_without_end_is_not_read_to_the_end() {
    let ground = ground();
    let mut endless = b"age-encryption.org/v1\n".to_vec();
    endless.resize(4 << 20, b'a');
    ground.refuse(&endless, &[20], "does not end within 131072 bytes");
    let mut lines = b"age-encryption.org/v1\n".to_vec();
    while lines.len() < 4 << 20 {
        lines.extend_from_slice(b"-> X25519 a\nb\n");
    }
    ground.refuse(&lines, &[20], "does not end within 131072 bytes");
}

#[test]
fn an_output_that_nobody_reads_is_the_neighbours_fault() {
    let ground = ground();
    let content = noise(8 << 20, 3);
    let sealed = ground.seal(&content);
    let encrypt = ["-r", &ground.key.recipient];
    let decrypt = ["-d", "--identity", &ground.key.file];
    for (args, input) in [(encrypt.as_slice(), &content), (&decrypt, &sealed)] {
        let mut child = command(args).spawn().unwrap();
        drop(child.stdout.take());
        let ended = feed(child, input).expect(10);
        assert!(ended.stderr.contains(r#""blame":"downstream""#), "{}", ended.stderr);
    }
}

#[test]
fn a_scratch_directory_that_is_not_there_is_a_local_fault() {
    let ground = ground();
    let sealed = ground.seal(b"content");
    let missing = ground.keys.arg("missing");
    let args = ["-d", "--identity", &ground.key.file, "--scratch", &missing];
    let ended = stage(&args, &sealed).expect(30);
    assert!(ended.stderr.contains("cannot make a private file"), "{}", ended.stderr);
}

#[test]
fn a_file_is_not_overwritten() {
    let ground = ground();
    let output = ground.keys.write("out", "precious");
    stage(&["-r", &ground.key.recipient, "-o", &output], b"content").expect(2);
    let sealed = ground.seal(b"content");
    stage(&["-d", "--identity", &ground.key.file, "-o", &output], &sealed).expect(2);
    assert_eq!(std::fs::read(&output).unwrap(), b"precious");
}

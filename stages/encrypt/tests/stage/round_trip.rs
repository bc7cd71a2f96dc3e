//! What goes in comes out, for every recipient, through this program and through `age`.

use crate::common::{foreign, noise, program, stage};
use crate::keys::{Keys, decrypt, encrypt, seal_with_passphrase};

/// age encrypts in chunks of this size.
const CHUNK_BYTES: usize = 64 << 10;

fn contents() -> Vec<Vec<u8>> {
    let sizes = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 5_000_000];
    sizes.into_iter().map(|length| noise(length, length as u64)).collect()
}

#[test]
fn every_recipient_opens_it_alone() {
    let keys = Keys::new();
    let all = [keys.x25519("a"), keys.x25519("b"), keys.x25519("c")];
    let recipients: Vec<&str> = all.iter().map(|key| key.recipient.as_str()).collect();
    for content in contents() {
        let sealed = encrypt(&recipients, &content);
        assert!(sealed.starts_with(b"age-encryption.org/v1\n"));
        for key in &all {
            assert!(decrypt(&[&key.file], &sealed).expect(0).stdout == content);
        }
    }
}

#[test]
fn the_right_identity_may_stand_anywhere_among_wrong_ones() {
    let keys = Keys::new();
    let (right, wrong, other) = (keys.x25519("a"), keys.x25519("b"), keys.x25519("c"));
    let sealed = encrypt(&[&other.recipient, &right.recipient], b"content");
    for files in [[&right.file, &wrong.file], [&wrong.file, &right.file]] {
        let files: Vec<&str> = files.iter().map(|f| f.as_str()).collect();
        assert_eq!(decrypt(&files, &sealed).expect(0).stdout, b"content");
    }
    // Several identities in one file, with Windows line ends and blank lines.
    let texts = [&wrong, &right].map(|key| std::fs::read_to_string(&key.file).unwrap());
    let joined = keys.write("joined", texts.join("\n\n").replace('\n', "\r\n"));
    assert_eq!(decrypt(&[&joined], &sealed).expect(0).stdout, b"content");
}

#[test]
fn ssh_keys_are_recipients_and_identities() {
    let test = "encrypt: ssh_keys_are_recipients_and_identities";
    let keys = Keys::new();
    for kind in ["ed25519", "rsa"] {
        let Some(key) = keys.ssh(kind, kind, "", test) else { return };
        let sealed = encrypt(&[&key.recipient], b"content");
        assert_eq!(decrypt(&[&key.file], &sealed).expect(0).stdout, b"content");
    }
}

#[test]
fn protected_ssh_keys_ask_once_for_all_stanzas() {
    let test = "encrypt: protected_ssh_keys_ask_once_for_all_stanzas";
    let keys = Keys::new();
    let Some(key) = keys.ssh("k", "ed25519", "open, sesame", test) else { return };
    let other = keys.x25519("x");
    let sealed = encrypt(&[&other.recipient, &key.recipient], b"content");
    let passphrase = keys.write("passphrase", "open, sesame\n");
    let args = ["-d", "--identity", &key.file, "--passphrase-file", &passphrase];
    assert_eq!(stage(&args, &sealed).expect(0).stdout, b"content");
    let wrong = keys.write("wrong", "open, barley\n");
    let args = ["-d", "--identity", &key.file, "--passphrase-file", &wrong];
    let ended = stage(&args, &sealed).expect(21);
    assert!(ended.stderr.contains("passphrase does not open"), "{}", ended.stderr);
}

#[test]
fn protected_identity_files_open_with_their_passphrase() {
    let keys = Keys::new();
    let key = keys.x25519("plain");
    let sealed = encrypt(&[&key.recipient], b"content");
    let passphrase = keys.write("passphrase", "correct horse\r\nbattery\n");
    for armored in [false, true] {
        let file = keys.protected("protected", &key, "correct horse", armored);
        let args = ["-d", "--identity", &file, "--passphrase-file", &passphrase];
        assert_eq!(stage(&args, &sealed).expect(0).stdout, b"content");
        // By environment, as in a container.
        let mut command = crate::common::command(&["-d", "--identity", &file]);
        command.env("LIFEBOAT_PASSPHRASE_FILE", &passphrase);
        let ended = crate::common::feed(command.spawn().unwrap(), &sealed).expect(0);
        assert_eq!(ended.stdout, b"content");
    }
}

#[test]
fn nobody_is_asked_when_another_identity_fits() {
    let keys = Keys::new();
    let (key, other) = (keys.x25519("a"), keys.x25519("b"));
    let sealed = encrypt(&[&key.recipient], b"content");
    // The protected file stands first, and its passphrase is wrong: trying it gives a warning.
    let file = keys.protected("protected", &other, "correct horse", false);
    let passphrase = keys.write("passphrase", "incorrect horse");
    let identities = ["-d", "--identity", &file, "--identity", &key.file];
    let args = [identities.as_slice(), &["--passphrase-file", &passphrase]].concat();
    let ended = stage(&args, &sealed).expect(0);
    assert_eq!(ended.stdout, b"content");
    assert_eq!(ended.stderr, "");
}

#[test]
fn age_opens_ours() {
    let test = "encrypt: age_opens_ours";
    let Some(age) = program("age", test) else { return };
    let keys = Keys::new();
    let (a, b) = (keys.x25519("a"), keys.x25519("b"));
    let ssh = keys.ssh("s", "ed25519", "", test);
    let mut recipients = vec![a.recipient.as_str(), b.recipient.as_str()];
    let mut files = vec![a.file.as_str(), b.file.as_str()];
    if let Some(ssh) = &ssh {
        recipients.push(&ssh.recipient);
        files.push(&ssh.file);
    }
    for content in contents() {
        let sealed = encrypt(&recipients, &content);
        for file in &files {
            assert!(foreign(&age, &["-d", "-i", file], &sealed) == content);
        }
    }
}

#[test]
fn ours_opens_age() {
    let test = "encrypt: ours_opens_age";
    let Some(age) = program("age", test) else { return };
    let keys = Keys::new();
    let (a, b) = (keys.x25519("a"), keys.x25519("b"));
    for content in contents() {
        let sealed = foreign(&age, &["-r", &a.recipient, "-r", &b.recipient], &content);
        for key in [&a, &b] {
            assert!(decrypt(&[&key.file], &sealed).expect(0).stdout == content);
        }
    }
    if let Some(ssh) = keys.ssh("s", "rsa", "", test) {
        let sealed = foreign(&age, &["-R", &format!("{}.pub", ssh.file)], b"content");
        assert_eq!(decrypt(&[&ssh.file], &sealed).expect(0).stdout, b"content");
    }
}

#[test]
fn new_keys_are_private_final_and_of_age() {
    use std::os::unix::fs::PermissionsExt;
    let keys = Keys::new();
    let key = keys.x25519("key");
    let text = std::fs::read_to_string(&key.file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("# created: 2"), "{text}");
    assert_eq!(lines[1], format!("# public key: {}", key.recipient));
    assert!(lines[2].starts_with("AGE-SECRET-KEY-1"));
    let mode = std::fs::metadata(&key.file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let ended = stage(&["--keygen", &key.file], b"").expect(2);
    assert!(ended.stdout.is_empty());
    assert_eq!(std::fs::read_to_string(&key.file).unwrap(), text);
    if let Some(keygen) = program("age-keygen", "encrypt: new_keys_are_private_final_and_of_age") {
        let public = foreign(&keygen, &["-y", &key.file], b"");
        assert_eq!(String::from_utf8(public).unwrap().trim_end(), key.recipient);
        let theirs = keys.arg("theirs");
        foreign(&keygen, &["-o", &theirs], b"");
        let public = foreign(&keygen, &["-y", &theirs], b"");
        let sealed = encrypt(&[String::from_utf8(public).unwrap().trim_end()], b"content");
        assert_eq!(decrypt(&[&theirs], &sealed).expect(0).stdout, b"content");
    }
}

#[test]
fn an_artifact_of_a_passphrase_says_what_it_needs() {
    let keys = Keys::new();
    let key = keys.x25519("key");
    let sealed = seal_with_passphrase(b"content", "correct horse", false);
    let ended = decrypt(&[&key.file], &sealed).expect(21);
    assert!(ended.stderr.contains("encrypted to a passphrase"), "{}", ended.stderr);
    assert!(ended.stdout.is_empty());
}

#[test]
fn help_teaches() {
    let ended = stage(&["--help"], b"").expect(0);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.contains("Examples:") && text.contains("Exit codes:"), "{text}");
}

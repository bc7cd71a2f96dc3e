//! Identities that do not open the artifact, and how that is told.

use crate::common::stage;
use crate::keys::{Keys, decrypt, encrypt};
use std::os::unix::fs::PermissionsExt;

#[test]
fn f44_none_of_them_fits() {
    let keys = Keys::new();
    let (right, wrong, other) = (keys.x25519("a"), keys.x25519("b"), keys.x25519("c"));
    let sealed = encrypt(&[&right.recipient], b"content");
    let ended = decrypt(&[&wrong.file, &other.file], &sealed).expect(21);
    let message = "none of the 2 identities opens the artifact, which is encrypted to 1 × X25519";
    assert!(ended.stderr.contains(message), "{}", ended.stderr);
    assert!(ended.stdout.is_empty());
}

#[test]
fn without_an_identity_there_is_nothing_to_try() {
    let ended = stage(&["-d"], b"").expect(3);
    assert!(ended.stderr.contains("there is no identity"), "{}", ended.stderr);
}

#[test]
fn files_that_are_no_identities() {
    let keys = Keys::new();
    let key = keys.x25519("a");
    let sealed = encrypt(&[&key.recipient], b"content");
    for (content, message) in [
        (String::new(), "has no identity in it"),
        ("# only a comment\n".into(), "has no identity in it"),
        (format!("\n{}\n", key.recipient), "a public recipient, which opens nothing, in line 2"),
        ("AGE-SECRET-KEY-1QQQQ\n".into(), "not an identity in line 1"),
        ("\u{1}\u{2}".into(), "not an identity in line 1"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".into(), "cannot"),
        ("x".repeat((1 << 20) + 1), "larger than 1048576 bytes"),
    ] {
        let file = keys.write("file", content);
        let ended = decrypt(&[&file], &sealed).expect(21);
        let message =
            if message == "cannot" { "not a private key that age can read" } else { message };
        assert!(ended.stderr.contains(message), "expected {message:?} in {}", ended.stderr);
    }
    let ended = decrypt(&[&keys.arg("missing")], &sealed).expect(21);
    assert!(ended.stderr.contains("No such file"), "{}", ended.stderr);
    // An artifact in place of the identity.
    let file = keys.write("file", &sealed);
    let ended = decrypt(&[&file], &sealed).expect(21);
    assert!(ended.stderr.contains("encrypted to recipients"), "{}", ended.stderr);
}

#[test]
fn without_a_terminal_nobody_waits_for_a_passphrase() {
    let keys = Keys::new();
    let key = keys.x25519("a");
    let sealed = encrypt(&[&key.recipient], b"content");
    let file = keys.protected("protected", &key, "correct horse", false);
    let ended = decrypt(&[&file], &sealed).expect(21);
    assert!(ended.stderr.contains("nobody can be asked"), "{}", ended.stderr);
    assert!(ended.stderr.contains("--passphrase-file"), "{}", ended.stderr);
    for (content, message) in [
        ("wrong\n", "the passphrase does not open the identity file"),
        ("", "its first line is empty"),
        ("\ncorrect horse\n", "its first line is empty"),
    ] {
        let passphrase = keys.write("passphrase", content);
        let args = ["-d", "--identity", &file, "--passphrase-file", &passphrase];
        let ended = stage(&args, &sealed).expect(21);
        assert!(ended.stderr.contains(message), "expected {message:?} in {}", ended.stderr);
    }
}

#[test]
fn a_protected_file_that_opens_but_does_not_fit_is_counted() {
    let keys = Keys::new();
    let (right, wrong) = (keys.x25519("a"), keys.x25519("b"));
    let sealed = encrypt(&[&right.recipient], b"content");
    let file = keys.protected("protected", &wrong, "correct horse", false);
    let passphrase = keys.write("passphrase", "correct horse");
    let args = ["-d", "--identity", &file, "--passphrase-file", &passphrase];
    let ended = stage(&args, &sealed).expect(21);
    assert!(ended.stderr.contains("the one identity that was tried"), "{}", ended.stderr);
}

#[test]
fn a_file_that_others_may_read_is_a_warning() {
    let keys = Keys::new();
    let key = keys.x25519("a");
    let sealed = encrypt(&[&key.recipient], b"content");
    assert_eq!(decrypt(&[&key.file], &sealed).expect(0).stderr, "");
    std::fs::set_permissions(&key.file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let ended = decrypt(&[&key.file], &sealed).expect(0);
    assert_eq!(ended.stdout, b"content");
    assert!(ended.stderr.contains("others may read"), "{}", ended.stderr);
    assert!(ended.stderr.contains("(mode 0640)"), "{}", ended.stderr);
}

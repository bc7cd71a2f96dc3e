//! No secret is ever repeated, wherever somebody put it by mistake.

use crate::common::{Ended, command, feed, stage};
use crate::keys::{Keys, encrypt};

/// Both outputs, without case: bech32 is valid in either.
fn assert_silent(ended: &Ended, secret: &str, what: &str) {
    let said = [ended.stdout.as_slice(), ended.stderr.as_bytes()].concat();
    let said = String::from_utf8_lossy(&said).to_uppercase();
    // Half of a key is too much already.
    let half = &secret.to_uppercase()[..secret.len() / 2];
    assert!(!said.contains(half), "{what}: {said}");
    assert!(!said.contains("PANICKED"), "{what}: {said}");
}

#[test]
fn i23_an_identity_in_the_wrong_place_is_refused_unseen() {
    let keys = Keys::new();
    let key = keys.x25519("key");
    let text = std::fs::read_to_string(&key.file).unwrap();
    let secret = text.lines().last().unwrap();
    let lower = secret.to_lowercase();
    let in_file = keys.write("recipients", format!("{}\n{secret}\n", key.recipient));
    let spaced = format!("  {secret}");
    let cases: [(&[&str], i32); 9] = [
        (&["-r", secret], 3),
        (&["-r", &lower], 3),
        (&["-r", &spaced], 3),
        (&["--check", "-r", secret], 3),
        (&["-R", &in_file], 3),
        (&["-R", secret], 3),
        (&["-d", "--identity", secret], 3),
        (&["-d", secret], 2),
        (&["-d", "--check", "--identity", secret], 3),
    ];
    for (args, code) in cases {
        let ended = stage(args, b"content").expect(code);
        assert_silent(&ended, secret, &args.join(" ").replace(secret, "SECRET"));
    }
    let ended = stage(&["-r", secret], b"").expect(3);
    assert!(ended.stderr.contains("is a secret identity"), "{}", ended.stderr);
    let ended = stage(&["-d", secret], b"").expect(2);
    assert!(ended.stderr.contains("on the command line"), "{}", ended.stderr);
    let mut configured = command(&["--check"]);
    configured.env("LIFEBOAT__ENCRYPT__RECIPIENTS", secret);
    assert_silent(&feed(configured.spawn().unwrap(), b"").expect(3), secret, "recipients");
}

#[test]
fn a_damaged_identity_is_not_quoted() {
    let keys = Keys::new();
    let key = keys.x25519("key");
    let text = std::fs::read_to_string(&key.file).unwrap();
    let secret = text.lines().last().unwrap();
    let sealed = encrypt(&[&key.recipient], b"content");
    let damaged = keys.write("damaged", &secret[..secret.len() - 1]);
    let ended = stage(&["-d", "--identity", &damaged], &sealed).expect(21);
    assert_silent(&ended, secret, "a damaged identity");
}

#[test]
fn i23_passphrases_and_keys_stay_unsaid_at_every_level_of_logging() {
    let keys = Keys::new();
    let (key, wrong) = (keys.x25519("key"), keys.x25519("wrong"));
    let text = std::fs::read_to_string(&key.file).unwrap();
    let secret = text.lines().last().unwrap();
    let passphrase = "canary-passphrase-canary";
    let sealed = encrypt(&[&key.recipient], b"content");
    let file = keys.protected("protected", &key, passphrase, true);
    let good = keys.write("good", passphrase);
    let bad = keys.write("bad", format!("{passphrase}!"));
    for (passphrase_file, identity, code) in
        [(&good, &file, 0), (&bad, &file, 21), (&good, &key.file, 0), (&good, &wrong.file, 21)]
    {
        let args = ["-d", "--identity", identity, "--passphrase-file", passphrase_file];
        let mut command = command(&args);
        command.env("LIFEBOAT_LOG_LEVEL", "trace");
        let ended = feed(command.spawn().unwrap(), &sealed).expect(code);
        assert_silent(&ended, secret, "a key");
        assert_silent(&ended, passphrase, "a passphrase");
    }
}

//! Who may be a recipient, and how a mistake is told.

use crate::common::{command, feed, stage};
use crate::keys::{Keys, decrypt};

fn refuse(args: &[&str], message: &str) {
    let ended = stage(args, b"content").expect(3);
    assert!(ended.stderr.contains(message), "expected {message:?} in {}", ended.stderr);
    assert!(ended.stdout.is_empty());
}

#[test]
fn there_must_be_one() {
    let keys = Keys::new();
    refuse(&[], "there is no recipient");
    let empty = keys.write("empty", "# nobody\n\n");
    refuse(&["-R", &empty], "there is no recipient");
    refuse(&["-R", &keys.arg("missing")], "cannot read the recipients file");
}

#[test]
fn files_may_have_comments_and_blank_lines() {
    let keys = Keys::new();
    let (a, b) = (keys.x25519("a"), keys.x25519("b"));
    let text = format!("# operations\r\n  {}  \r\n\r\n# escrow\n{}", a.recipient, b.recipient);
    let file = keys.write("recipients", text);
    let ended = stage(&["-R", &file], b"content").expect(0);
    for key in [&a, &b] {
        assert_eq!(decrypt(&[&key.file], &ended.stdout).expect(0).stdout, b"content");
    }
}

#[test]
fn nobody_stands_there_twice() {
    let keys = Keys::new();
    let a = keys.x25519("a");
    refuse(&["-r", &a.recipient, "-r", &a.recipient], "--recipient 2 repeats --recipient 1");
    let file = keys.write("recipients", format!("# one\n{}\n", a.recipient.to_uppercase()));
    refuse(&["-r", &a.recipient, "-R", &file], "line 2 of");
}

#[test]
fn an_ssh_key_with_another_comment_is_the_same_key() {
    let test = "encrypt: an_ssh_key_with_another_comment_is_the_same_key";
    let keys = Keys::new();
    let Some(key) = keys.ssh("s", "ed25519", "", test) else { return };
    let other = key.recipient.replace("somebody@", "another@");
    assert_ne!(key.recipient, other);
    refuse(&["-r", &key.recipient, "-r", &other], "repeats");
}

#[test]
fn f44_what_is_no_recipient_is_told_by_its_place() {
    let keys = Keys::new();
    let good = keys.x25519("a").recipient;
    let mut mistyped = good.clone();
    mistyped.replace_range(20..21, if good[20..].starts_with('q') { "p" } else { "q" });
    refuse(&["-r", &good, "-r", &mistyped], "--recipient 2 looks like an age recipient");
    refuse(&["-r", "correct horse battery"], "passphrases are not supported");
    let file = keys.write("recipients", format!("{good}\nwhatever\n"));
    refuse(&["-R", &file], "line 2 of");
    refuse(&["-r", "ssh-ed25519 AAAA"], "looks like an SSH key");
    let Some(ecdsa) = keys.ssh("e", "ecdsa", "", "encrypt: ecdsa recipients") else { return };
    refuse(&["-r", &ecdsa.recipient], "ecdsa");
}

#[test]
fn there_are_not_too_many() {
    let keys = Keys::new();
    let all: Vec<String> =
        (0..65).map(|_| age::x25519::Identity::generate().to_public().to_string()).collect();
    let file = keys.write("recipients", all.join("\n"));
    refuse(&["-R", &file], "at most 64");
    let file = keys.write("recipients", all[..64].join("\n"));
    let ended = stage(&["-R", &file], b"content").expect(0);
    let wrong = keys.x25519("k");
    let ended = decrypt(&[&wrong.file], &ended.stdout).expect(21);
    assert!(ended.stderr.contains("64 × X25519"), "{}", ended.stderr);
}

#[test]
fn one_recipient_alone_is_a_warning() {
    let keys = Keys::new();
    let (a, b) = (keys.x25519("a"), keys.x25519("b"));
    let warning = "only one recipient";
    let ended = stage(&["-r", &a.recipient], b"").expect(0);
    assert!(ended.stderr.contains(warning), "{}", ended.stderr);
    let ended = stage(&["-r", &a.recipient, "-r", &b.recipient], b"").expect(0);
    assert_eq!(ended.stderr, "");
}

#[test]
fn the_command_line_replaces_the_configuration() {
    let keys = Keys::new();
    let (a, b) = (keys.x25519("a"), keys.x25519("b"));
    let check = |args: &[&str]| {
        let mut command = command(args);
        command.env("LIFEBOAT__ENCRYPT__RECIPIENTS", &a.recipient).arg("--check");
        let ended = feed(command.spawn().unwrap(), b"").expect(0);
        String::from_utf8(ended.stdout).unwrap()
    };
    let text = check(&[]);
    let one = r#"{"version":1,"stage":"encrypt","level":"warning","exit":0,"#;
    assert!(text.starts_with(one), "{text}");
    assert!(text.contains(&format!("1: {}", a.recipient)), "{text}");
    let text = check(&["-r", &b.recipient]);
    assert!(!text.contains(&a.recipient) && text.contains(&b.recipient), "{text}");
}

#[test]
fn f44_check_finds_what_a_run_would() {
    let keys = Keys::new();
    let a = keys.x25519("a");
    let ended = stage(&["--check"], b"").expect(3);
    assert!(String::from_utf8(ended.stdout).unwrap().contains("there is no recipient"));
    let ended = stage(&["-d", "--check", "--identity", &a.file], b"").expect(0);
    assert!(String::from_utf8(ended.stdout).unwrap().contains("1 identities"));
    let ended = stage(&["-d", "--check", "--identity", &keys.arg("missing")], b"").expect(21);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.contains("missing: No such file"), "{text}");
}

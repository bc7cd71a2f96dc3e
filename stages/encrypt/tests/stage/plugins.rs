//! Plugins, with one that is a few lines of shell: `age-plugin-parrot` hides nothing, it hands
//! the file key back as it got it.

use crate::common::{Ended, command, feed};
use crate::keys::Keys;
use std::os::unix::fs::PermissionsExt;

const RECIPIENT: &str = "age1parrot1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0sffc95r";
const IDENTITY: &str = "AGE-PLUGIN-PARROT-1QQQSYQCYQ5RQW4H2ZLQ";
const ABSENT: &str = "age1absent1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0s5pkgz5";
const ABSENT_IDENTITY: &str = "AGE-PLUGIN-ABSENT-1QQQSYQCYQ5RQW8L02DE";

/// <https://c2sp.org/age-plugin>
const PLUGIN: &str = r#"#!/bin/sh
key=
while read -r line; do
  case "$line" in
    "-> wrap-file-key" | "-> recipient-stanza 0 parrot"*) read -r key ;;
    "-> done") read -r line; break ;;
  esac
done
case "$1" in
  *recipient-v1) printf -- '-> recipient-stanza 0 parrot\n%s\n' "$key"; read -r line; read -r line ;;
  *identity-v1)
    if [ -n "$key" ]; then
      printf -- '-> file-key 0\n%s\n' "$key"; read -r line; read -r line
    fi ;;
esac
printf -- '-> done\n\n'
"#;

const REFUSING_PLUGIN: &str = r#"#!/bin/sh
while read -r line; do
  case "$line" in "-> done") read -r line; break ;; esac
done
# "the parrot has flown"
printf -- '-> error internal\ndGhlIHBhcnJvdCBoYXMgZmxvd24\n'; read -r line; read -r line
printf -- '-> done\n\n'
"#;

fn with_plugin(keys: &Keys, plugin: &str, args: &[&str], input: &[u8]) -> Ended {
    let file = keys.write("age-plugin-parrot", plugin);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
    let path = format!("{}:{}", keys.arg(""), std::env::var("PATH").unwrap());
    feed(command(args).env("PATH", path).spawn().unwrap(), input)
}

#[test]
fn a_plugin_wraps_and_unwraps() {
    let keys = Keys::new();
    let other = keys.x25519("x");
    let args = ["-r", RECIPIENT, "-r", &other.recipient];
    let sealed = with_plugin(&keys, PLUGIN, &args, b"content").expect(0).stdout;
    let identity = keys.write("identity", format!("# parrot\n{IDENTITY}\n"));
    for file in [&identity, &other.file] {
        let ended = with_plugin(&keys, PLUGIN, &["-d", "--identity", file], &sealed).expect(0);
        assert_eq!(ended.stdout, b"content");
    }
}

#[test]
fn check_says_whether_the_plugin_is_there() {
    let keys = Keys::new();
    let args = ["--check", "-r", RECIPIENT];
    let ended = with_plugin(&keys, PLUGIN, &args, b"").expect(0);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.contains(r#""name":"plugin parrot","level":"ok""#), "{text}");
    let args = ["--check", "-r", RECIPIENT, "-r", ABSENT];
    let ended = with_plugin(&keys, PLUGIN, &args, b"").expect(3);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.contains(r#""name":"plugin absent","level":"failed""#), "{text}");
}

#[test]
fn a_missing_plugin_is_named() {
    let keys = Keys::new();
    let other = keys.x25519("x");
    let ended = with_plugin(&keys, PLUGIN, &["-r", ABSENT, "-r", &other.recipient], b"").expect(3);
    assert!(ended.stderr.contains("age-plugin-absent, which is not on the PATH"));
    assert!(ended.stdout.is_empty());
    let identity = keys.write("identity", ABSENT_IDENTITY);
    let ended = with_plugin(&keys, PLUGIN, &["-d", "--identity", &identity], b"").expect(21);
    assert!(ended.stderr.contains("age-plugin-absent, which is not on the PATH"));
    assert!(!ended.stderr.contains(ABSENT_IDENTITY), "{}", ended.stderr);
}

#[test]
fn a_plugin_that_refuses_is_quoted() {
    let keys = Keys::new();
    let ended = with_plugin(&keys, REFUSING_PLUGIN, &["-r", RECIPIENT], b"content").expect(3);
    assert!(ended.stderr.contains("the parrot has flown"), "{}", ended.stderr);
    assert!(ended.stdout.is_empty());
    let sealed = with_plugin(&keys, PLUGIN, &["-r", RECIPIENT], b"content").expect(0).stdout;
    let identity = keys.write("identity", IDENTITY);
    let args = ["-d", "--identity", &identity];
    let ended = with_plugin(&keys, REFUSING_PLUGIN, &args, &sealed).expect(21);
    assert!(ended.stderr.contains("the parrot has flown"), "{}", ended.stderr);
    // One that dies at once.
    with_plugin(&keys, "#!/bin/sh\nexit 1\n", &["-r", RECIPIENT], b"content").expect(3);
    with_plugin(&keys, "#!/bin/sh\nexit 1\n", &args, &sealed).expect(21);
}

//! What is decided from a made-up catalogue and a command line.

use super::super::made_up::{at, catalogue, manifest};
use super::*;
use clap::Parser;
use contract::{Exit, Failure};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: RestoreArgs,
}

fn args(words: &[&str]) -> RestoreArgs {
    Line::parse_from([&["restore"], words].concat()).args
}

/// Decides over one backup at revision 100, an hour old, and one at 40 before it.
fn decided<T>(words: &[&str], look: impl Fn(&Intent<'_>) -> T) -> Result<T, Front> {
    let made = catalogue(&[&[manifest(0, 40), manifest(3_600, 100)]]);
    let args = args(words);
    let wanted = wanted(&args, &TimeZone::UTC)?;
    let token = "lifeboat-new".to_owned();
    let intent = Intent::decide(&args, (&made, &made), &wanted, at(7_200), token)?;
    Ok(look(&intent))
}

fn stage_words(words: &[&str]) -> String {
    let told = |intent: &Intent<'_>| {
        let target = intent.target().unwrap();
        let all = intent.stage_arguments(&target);
        all.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    };
    decided(words, told).unwrap()
}

#[test]
fn a_members_name_is_enough() {
    let told = stage_words(&["--member", "cp-02"]);
    assert_eq!(
        told,
        "--data-dir /var/lib/etcd --name cp-02 \
         --initial-advertise-peer-urls https://10.0.0.2:2380 \
         --initial-cluster cp-01=https://10.0.0.1:2380,cp-02=https://10.0.0.2:2380,\
         cp-03=https://10.0.0.3:2380 \
         --initial-cluster-token lifeboat-new --bump-revision 1000000000 --mark-compacted"
    );
    let told = stage_words(&["--all-members", "/tmp/x", "--no-bump", "--disable-auth"]);
    assert!(told.starts_with("--all-members /tmp/x --initial-cluster cp-01="), "{told}");
    assert!(told.ends_with("--initial-cluster-token lifeboat-new --disable-auth"), "{told}");
}

#[test]
fn flags_override_and_other_members_get_the_same() {
    let words = [
        "--member",
        "cp-01",
        "--data-dir",
        "/d",
        "--wal-dir",
        "/w",
        "--replace",
        "--owner",
        "9:9",
        "--initial-advertise-peer-urls",
        "https://10.9.9.9:2380",
        "--revision",
        "70",
        "--keep-alarms",
        "--target-version",
        "3.5",
        "--from",
        "d0",
        "--identity",
        "my key",
    ];
    let told = stage_words(&words);
    for part in [
        "--data-dir /d --wal-dir /w --name cp-01",
        "--initial-advertise-peer-urls https://10.9.9.9:2380",
        "--initial-cluster cp-01=https://10.9.9.9:2380,cp-02=",
        "--bump-revision 1000000030 --revision 70 --target-version 3.5 --owner 9:9",
        "--mark-compacted --replace --keep-alarms",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    let other = decided(&words, |intent| intent.command("cp-02", None, false)).unwrap();
    let name = manifest(3_600, 100).backup;
    assert_eq!(
        other,
        format!(
            "lifeboat restore {name} --revision 70 --from d0 --identity 'my key' --member cp-02 \
             --wal-dir /w --initial-cluster 'cp-01=https://10.9.9.9:2380,\
             cp-02=https://10.0.0.2:2380,cp-03=https://10.0.0.3:2380' \
             --initial-cluster-token lifeboat-new --bump-revision 1000000030 \
             --target-version 3.5 --owner 9:9 --keep-alarms"
        )
    );
}

/// The command that is printed for another member decides just the same as the first one did.
#[test]
fn what_is_printed_for_another_member_is_the_same_restore() {
    let first = ["--member", "cp-01", "--revision", "70"];
    let told = |intent: &Intent<'_>| intent.command("cp-02", None, true);
    let command = decided(&first, told).unwrap();
    let words: Vec<&str> = command.split(' ').skip(2).collect();
    let common = |told: String| told[told.find("--initial-cluster ").unwrap()..].to_owned();
    assert_eq!(common(stage_words(&words)), common(stage_words(&first)) + " --replace");
}

#[test]
fn a_token_alone_is_refused_where_members_could_be_raised_differently() {
    let with = |more: &[&str]| {
        let words = [&["--member", "cp-01", "--initial-cluster-token", "t"], more].concat();
        decided(&words, |intent| intent.bump.by())
    };
    let refused = with(&[]).unwrap_err();
    assert!(matches!(refused, Front::Restore(Error::TokenAlone)), "{refused}");
    assert_eq!(refused.exit(), Exit::Refused);
    for vague in [
        &["--no-bump"][..],
        &["--bump-revision", "7", "latest"],
        &["--no-bump", "--revision", "70"],
    ] {
        let refused = with(vague).unwrap_err();
        assert!(matches!(refused, Front::Restore(Error::TokenWithoutBackup(_))), "{refused}");
        assert_eq!(refused.exit(), Exit::Refused);
    }
    let backup = manifest(3_600, 100).backup.to_string();
    assert_eq!(with(&["--no-bump", &backup]).unwrap(), None);
    assert_eq!(with(&["--bump-revision", "7", &backup]).unwrap(), Some(7));
    // All at once, or one alone: nobody could differ.
    let all = ["--all-members", "/x", "--initial-cluster-token", "t"];
    assert_eq!(decided(&all, |i| i.bump.by()).unwrap(), Some(1_000_000_000));
    let one = ["--initial-cluster", "a=http://h:1", "--initial-cluster-token", "t"];
    assert_eq!(decided(&one, |i| i.bump.by()).unwrap(), Some(1_000_000_000));
    for token in ["", "a b", "a\n", "ä"] {
        let refused = decided(&["--initial-cluster-token", token], |_| ()).unwrap_err();
        assert!(matches!(refused, Front::Restore(Error::BadToken(_))), "{token:?}: {refused}");
    }
}

#[test]
fn what_is_not_of_kubernetes_keeps_its_revision() {
    let mut one = manifest(0, 40);
    one.snapshot.kubernetes.clear();
    let made = catalogue(&[&[one]]);
    let backup = manifest(0, 40).backup.to_string();
    let args = args(&[&*backup, "--member", "cp-01", "--initial-cluster-token", "t"]);
    let wanted = wanted(&args, &TimeZone::UTC).unwrap();
    let intent = Intent::decide(&args, (&made, &made), &wanted, at(0), String::new()).unwrap();
    assert_eq!(intent.bump, Bump::None);
}

/// k3s and RKE2 would not start from it: their own tool has to write the directory.
#[test]
fn a_directory_of_k3s_is_written_only_where_it_is_named() {
    let words = ["--member", "cp-01", "--flavour", "k3s"];
    let refused = decided(&words, |intent| intent.target().unwrap_err().exit()).unwrap();
    assert_eq!(refused, Exit::Refused);
    let named = [&words[..], &["--data-dir", "/d"]].concat();
    assert!(decided(&named, |intent| intent.target().is_ok()).unwrap());
}

#[test]
fn flags_that_contradict_each_other_are_a_usage_error() {
    for words in [
        vec!["name", "--at", "2026-11-20"],
        vec!["--at", "2026-11-20", "--revision", "5"],
        vec!["--all-members", "/x", "--member", "a"],
        vec!["--all-members", "/x", "--data-dir", "/y"],
        vec!["--bump-revision", "5", "--no-bump"],
        vec!["--bump-revision", "0"],
        vec!["--revision", "-1"],
        vec!["--undo", "--plan"],
        vec!["--undo", "--replace"],
        vec!["--undo", "name"],
        vec!["--format", "text"],
        vec!["--output-dir", "/x"],
        vec!["--plan", "--json"],
        vec!["--plan", "--all-members", "/x"],
    ] {
        let parsed = Line::try_parse_from([&["restore"], &words[..]].concat());
        assert!(parsed.is_err(), "{words:?}");
    }
}

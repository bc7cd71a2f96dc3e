//! Faults that a review found, each with the run that showed it: claims without a backup, copies
//! that are none, waits without an end, and wrong root causes.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::site::{CLUSTER, Ran, Site, shipped, with_program};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Cluster, ClusterSpec, Etcd, LoadSpec, Running};
use rustix::process::Signal;
use std::fs::File;
use std::os::unix::fs::symlink;

/// Objects of a database of some 8 MB: more than all pipes between two stages hold.
const PIPES_FULL: usize = 4_000;

fn cluster_and_site(test: &str) -> Option<(Cluster, Site)> {
    let version = or_skip(test, Etcd::newest())?;
    let cluster = ClusterSpec::new(&version).start().unwrap();
    let _ = cluster.load(&LoadSpec::bulk(11, PIPES_FULL)).unwrap();
    let mut site = Site::new(&cluster).unwrap();
    site.set("LIFEBOAT__RUN__ATTEMPTS", "1");
    Some((cluster, site))
}

fn without_prune() -> String {
    let toml = shipped();
    let (before, _) = toml.split_once("[prune]\n").unwrap();
    before.replace(", \"prune\"]", "]")
}

/// Both destinations were given the same bytes, each found the other's, and one copy was two.
#[test]
fn i17_one_directory_under_two_names_is_one_copy() {
    let Some((_cluster, site)) = cluster_and_site("same_place") else { return };
    durable::create_private_dir(&site.path("backups/region-a")).unwrap();
    symlink("region-a", site.path("backups/region-b")).unwrap();
    let _ = site.lifeboat(&["run"]).code(3).said("the same place as \"region_a\"");
    assert!(site.objects("region_a", "").is_empty());
    site.configure(&shipped().replace("require = \"all\"", "require = 1")).unwrap();
    let _ = site.lifeboat(&["run"]).code(40);
    let status = site.lifeboat(&["status", "--json"]).code(40).json();
    assert_eq!(status["copies"], 1, "{status}");
}

/// The backup was written through the link, read back through the link, claimed with exit 0, and
/// listed by nobody.
#[test]
fn i01_i17_what_no_listing_will_see_is_not_claimed() {
    let Some((_cluster, site)) = cluster_and_site("linked_folder") else { return };
    site.configure(&without_prune()).unwrap();
    for region in ["region-a", "region-b"] {
        durable::create_private_dir(&site.path("backups").join(region)).unwrap();
        durable::create_private_dir(&site.path(&format!("elsewhere/{region}"))).unwrap();
        let link = site.path("backups").join(region).join(CLUSTER);
        symlink(site.path("elsewhere").join(region), link).unwrap();
    }
    let _ = site.lifeboat(&["run"]).code(3).said("is a symbolic link, which no listing follows");
    site.assert_nothing_stored();
}

/// The runner read what they said before it looked at the clock, and there was always more.
#[test]
fn i24_programs_that_never_stop_talking_do_not_stop_the_clock() {
    let Some((_cluster, mut site)) = cluster_and_site("talkers") else { return };
    let mut toml = shipped();
    for name in ["one", "two", "three"] {
        toml = with_program(&toml, (name, ""), "compress", &["sh", "-c", "yes noise >&2; cat"]);
    }
    site.configure(&toml).unwrap();
    site.set("LIFEBOAT__RUN__DEADLINE", "3s");
    let ran = site.start("lifeboat", &["run", "--json"]).end().code(10);
    assert_eq!(ran.json()["cause"]["message"], "the deadline of the run has passed");
    site.set("LIFEBOAT__RUN__DEADLINE", "1h");
    let mut running = site.start("lifeboat", &["run"]);
    running.wait("noise", |running| running.said().contains("noise").then_some(()));
    running.signal(Signal::TERM);
    let _ = running.end().code(143);
    running.wait_children_gone();
    site.assert_nothing_stored();
}

/// A run waited for whoever held its pipe, as long as there was something to hear.
#[test]
fn i24_a_program_left_behind_does_not_hold_up_the_end_of_the_run() {
    let Some((_cluster, site)) = cluster_and_site("left_behind") else { return };
    let stays = "(until test -e enough; do echo noise >&2; sleep 0.1; done) </dev/null >/dev/null & \
                 exec cat";
    let toml = with_program(&shipped(), ("stays", ""), "compress", &["sh", "-c", stays]);
    site.configure(&toml).unwrap();
    let ran = site.start("lifeboat", &["run"]).end();
    site.write("enough", b"");
    let _ = ran.code(0);
    site.assert_fetchable();
}

/// An error that the program logged was taken for its failure, whose fault it did not say: the
/// run then blamed a neighbour, said "retry", and did.
#[test]
fn a_program_that_logs_errors_as_json_is_still_the_root_cause() {
    let Some((_cluster, mut site)) = cluster_and_site("json_errors") else { return };
    site.set("LIFEBOAT__RUN__ATTEMPTS", "3");
    let script = "head -c 1000 >/dev/null; \
                  echo '{\"level\":\"error\",\"message\":\"an odd pod\"}' >&2; exit 20";
    let toml = with_program(&shipped(), ("scan", ""), "compress", &["sh", "-c", script]);
    site.configure(&toml).unwrap();
    let ran = site.lifeboat(&["run", "--json"]).code(20).said("an odd pod");
    assert_eq!(ran.json()["cause"]["stage"], "scan", "{}", ran.stderr);
    assert_eq!(ran.json()["attempts"], 1);
}

/// `replicate` alone, which reads from a pipe that the test holds open and writes nothing to.
fn replicate_that_waits_for_its_source(site: &Site) -> (Running, File) {
    let _ = site.lifeboat(&["plan", "--run-dir", "run", "--fifos", "pipes"]).code(0);
    let pipe = "pipes/03-encrypt.pipe";
    let running = site.start("lifeboat-replicate", &["--run-dir", "run", "--input", pipe]);
    (running, File::options().write(true).open(site.path(pipe)).unwrap())
}

/// With every destination gone it went on waiting for its source, and no longer heard signals.
#[test]
fn i24_replicate_does_not_wait_for_bytes_that_nobody_will_take() {
    let mut site = Site::without_cluster().unwrap();
    site.configure(&without_prune()).unwrap();
    for region in ["region-a", "region-b"] {
        durable::create_private_dir(&site.path("backups").join(region)).unwrap();
        site.write(&format!("backups/{region}/{CLUSTER}"), b"in the way");
    }
    site.set("LIFEBOAT_LOG", "human");
    let (mut running, pipe) = replicate_that_waits_for_its_source(&site);
    let ran: Ran = running.end().code(30);
    drop(pipe);
    let _ = ran.said("only 0 of 2 destinations hold a proved copy");
}

/// An interrupt ended it on the spot, and what it had uploaded stayed behind.
#[test]
fn f07_an_interrupt_aborts_the_uploads_as_a_termination_does() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let site = Site::without_cluster().unwrap();
        site.configure(&without_prune()).unwrap();
        let (mut running, pipe) = replicate_that_waits_for_its_source(&site);
        let begun = site.path("backups/region-b").join(CLUSTER).join("frequent");
        running.wait("to begin", |_| begun.exists().then_some(()));
        running.signal(signal);
        let _ = running.end().code(code).said("stopped by a signal; nothing was committed");
        drop(pipe);
        site.assert_nothing_stored();
    }
}

//! Faults of a real etcd cluster and of the way to it: members that are down, alarms, certificates,
//! a cluster that is another one, a compaction and a defragmentation under way, ports behind which
//! nobody answers, and names that lead nowhere.
//!
//! Where a backup can be had, it is made, is proved, and says what was wrong; where not, the old
//! set stays as it is, and the message names the endpoint, the finding and the next step.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]
#![allow(clippy::disallowed_methods, reason = "damage is done without care")]

use etcd_client::{AlarmAction, AlarmOptions, AlarmType, Client};
use lifeboat_tests::lying_etcd::{Lie, LyingEtcd, Reply};
use lifeboat_tests::objects::LoadSpec;
use lifeboat_tests::site::{REGIONS, Ran, Site};
use lifeboat_tests::skips::{or_skip, skip};
use lifeboat_tests::tls::{Certificates, Identity, Validity};
use lifeboat_tests::{Cluster, ClusterSpec, Etcd, wait_until};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ENDPOINTS: &str = "LIFEBOAT__CAPTURE__ENDPOINTS";
const ALLOW_DEGRADED: &str = "LIFEBOAT__CAPTURE__ALLOW_DEGRADED";
/// For anything that a cluster does in its own time.
const LIMIT: Duration = Duration::from_secs(60);

/// A cluster with a few objects, and a site with one backup of it.
fn backed_up(test: &str, spec: impl FnOnce(ClusterSpec) -> ClusterSpec) -> Option<(Cluster, Site)> {
    let version = or_skip(test, Etcd::newest())?;
    let cluster = spec(ClusterSpec::new(&version)).start().unwrap();
    let _ = cluster.load(&LoadSpec { objects: 20, ..LoadSpec::default() }).unwrap();
    let mut site = Site::new(&cluster).unwrap();
    site.set("LIFEBOAT__RUN__ATTEMPTS", "1");
    let _ = site.lifeboat(&["run"]).code(0);
    Some((cluster, site))
}

fn everything(site: &Site) -> [Vec<PathBuf>; 2] {
    REGIONS.map(|region| site.objects(region, ""))
}

/// A run that fails with this code, says all of this and the next step, and stores nothing.
fn assert_refused(site: &Site, what: &str, code: i32, words: &[&str]) -> Ran {
    let before = everything(site);
    let ran = site.lifeboat(&["run"]);
    assert_eq!(ran.code, code, "{what}: {}", ran.stderr);
    for word in words.iter().chain(&["no backup was made", "next: "]) {
        assert!(ran.stderr.contains(word), "{what}: {word:?} is not in\n{}", ran.stderr);
    }
    assert_eq!(before, everything(site), "{what}: something was stored or removed");
    ran
}

fn newest_manifest(site: &Site) -> serde_json::Value {
    site.lifeboat(&["show", "--json"]).code(0).json()["manifest"].clone()
}

#[test]
fn f18_without_a_quorum_the_best_member_is_captured_only_if_that_is_allowed() {
    let Some((mut cluster, mut site)) = backed_up("f18", |spec| spec.members(3)) else { return };
    cluster.kill(0).unwrap();
    cluster.kill(1).unwrap();
    wait_until("the last member to see that it is alone", LIMIT, || {
        let status = cluster.status_of(2).map_err(|e| e.to_string())?;
        if status.leader == 0 { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .unwrap();
    site.set(ALLOW_DEGRADED, "false");
    let words = ["the cluster has no quorum, and allow_degraded is false", "endpoint health"];
    let _ = assert_refused(&site, "no quorum", 10, &words);

    site.set(ALLOW_DEGRADED, "true");
    let _ = site.lifeboat(&["run"]).code(0);
    let manifest = newest_manifest(&site);
    assert_eq!(manifest["etcd"]["member_name"], "m3");
    let degraded = manifest["etcd"]["degraded"].to_string();
    assert!(degraded.contains("the cluster has no quorum"), "{degraded}");
    assert!(degraded.contains("\\\"m1\\\"") && degraded.contains("\\\"m2\\\""), "{degraded}");
    site.assert_fetchable();

    cluster.kill(2).unwrap();
    let all = cluster.endpoints();
    let words = ["no endpoint of etcd can be used", "was refused", &all[0], &all[1], &all[2]];
    let _ = assert_refused(&site, "all down", 10, &words);
}

#[test]
fn f17_a_learner_gives_no_snapshot_but_leads_to_the_voters() {
    let Some((cluster, mut site)) = backed_up("f17_learner", ClusterSpec::learner) else { return };
    let learner = cluster.members()[1].name.clone();
    let shown = newest_manifest(&site);
    assert_eq!(shown["etcd"]["member_name"], "m1");
    site.set("LIFEBOAT__CAPTURE__MEMBER", &learner);
    let words = ["no member is fit", &learner, cluster.endpoint(1), "it is a learner"];
    let _ = assert_refused(&site, "pinned", 10, &words);
    site.set("LIFEBOAT__CAPTURE__MEMBER", "follower");
    // A learner gives no member list, so that nothing can be compared with what it says.
    site.set(ENDPOINTS, cluster.endpoint(1));
    let words = [cluster.endpoint(1), "learner", "voting member"];
    let _ = assert_refused(&site, "alone", 10, &words);
}

fn set_alarm(cluster: &Cluster, action: AlarmAction, alarm: AlarmType) {
    let member = cluster.status_of(0).unwrap().member_id;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::connect(cluster.endpoints(), None).await.unwrap();
        let mut options = AlarmOptions::new();
        options.with_member(member);
        let mut maintenance = client.maintenance_client();
        drop(maintenance.alarm(action, alarm, Some(options)).await.unwrap());
    });
}

#[test]
fn f19_an_alarm_is_written_down_and_a_corrupt_cluster_evicts_no_good_backup() {
    let Some((cluster, mut site)) = backed_up("f19", |spec| spec) else { return };
    set_alarm(&cluster, AlarmAction::Activate, AlarmType::Nospace);
    let _ = site.lifeboat(&["run"]).code(0).said("alarm NOSPACE of member");
    assert_eq!(newest_manifest(&site)["etcd"]["alarms"][0]["alarm"], "NOSPACE");
    site.assert_fetchable();
    set_alarm(&cluster, AlarmAction::Deactivate, AlarmType::Nospace);

    // A policy that keeps one.
    for rule in ["HOURLY", "DAILY", "WEEKLY", "MONTHLY"] {
        site.set(&format!("LIFEBOAT__PRUNE__{rule}"), "0");
    }
    site.set("LIFEBOAT__PRUNE__LAST", "1");
    site.set("LIFEBOAT__PRUNE__MIN_KEEP", "1");
    let _ = site.lifeboat(&["run"]).code(0);
    let good = site.backups();
    assert_eq!(good.len(), 1);
    set_alarm(&cluster, AlarmAction::Activate, AlarmType::Corrupt);
    for _ in 0..3 {
        let ran = site.lifeboat(&["run"]).code(0);
        let _ = ran.said("alarm CORRUPT of member");
        let states: Vec<String> = states_of(&site, &good[0]);
        assert_eq!(states, ["verified", "verified"], "the good one was evicted, or is not trusted");
    }
    let newest = site.backups().remove(0);
    assert_eq!(states_of(&site, &newest), ["suspect", "suspect"]);
    // What is asked for without a name is the good one.
    let _ = site.lifeboat(&["fetch", "latest", "-o", "latest.db"]).code(0).said(&good[0]);
    let status = site.lifeboat(&["status", "--json"]).code(0).json();
    assert_eq!(status["newest"], good[0].as_str());
    set_alarm(&cluster, AlarmAction::Deactivate, AlarmType::Corrupt);
    let _ = site.lifeboat(&["run"]).code(0);
    assert_eq!(states_of(&site, &site.backups()[0]), ["verified", "verified"]);
}

/// The state of each copy of a backup, as the catalogue sees it.
fn states_of(site: &Site, backup: &str) -> Vec<String> {
    let catalogue = site.program("lifeboat-catalogue", &[]).code(0).json();
    let destinations = catalogue["destinations"].as_array().unwrap();
    let backups = destinations.iter().flat_map(|d| d["backups"].as_array().unwrap());
    let copies = backups.filter(|copy| copy["name"] == backup);
    copies.map(|copy| copy["state"].as_str().unwrap().to_owned()).collect()
}

/// A server that ends with the handshake, and the first byte of each connection to it.
struct Handshake {
    url: String,
    first_bytes: Arc<Mutex<Vec<u8>>>,
}

impl Handshake {
    fn with(identity: &Identity) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let chain = CertificateDer::pem_file_iter(&identity.certificate).unwrap();
        let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain.map(Result::unwrap).collect(), key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let first_bytes = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&first_bytes);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let mut first = [0];
                if socket.peek(&mut first).is_ok_and(|count| count == 1) {
                    seen.lock().unwrap().push(first[0]);
                }
                let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
                // The client ends it, one way or the other.
                let _ = session.complete_io(&mut socket);
                let _ = socket.read_to_end(&mut Vec::new());
            }
        });
        Handshake { url, first_bytes }
    }

    /// Nobody spoke anything but TLS: a record of type handshake.
    fn assert_only_tls(&self, what: &str) {
        let seen = self.first_bytes.lock().unwrap().clone();
        assert!(!seen.is_empty(), "{what}: nobody came");
        assert!(seen.iter().all(|byte| *byte == 0x16), "{what}: {seen:?}");
    }
}

#[test]
fn f20_each_fault_of_a_certificate_has_its_own_message_and_none_falls_back() {
    let Some((cluster, mut site)) = backed_up("f20", ClusterSpec::tls) else { return };
    let ours = cluster.certificates().unwrap();
    let other = Certificates::create(&site.path("other")).unwrap();
    let issue = |name: &str, host: &str, validity| {
        Handshake::with(&ours.issue_server_for(name, host, validity).unwrap())
    };
    let (here, elsewhere) = ("127.0.0.1", "etcd.example.internal");
    let servers = [
        ("expired", issue("expired", here, Validity::Expired), "certificate has expired"),
        ("not yet", issue("not-yet", here, Validity::NotYet), "certificate is not valid yet"),
        ("another name", issue("san", elsewhere, Validity::Current), "is for another name"),
        ("another authority", Handshake::with(&other.server()), "is not of a known authority"),
    ];
    for (what, server, word) in &servers {
        site.set(ENDPOINTS, &server.url);
        let ran = assert_refused(&site, what, 11, &[&server.url, word]);
        let others = servers.iter().map(|(_, _, word)| word).filter(|other| *other != word);
        assert!(!others.into_iter().any(|word| ran.stderr.contains(word)), "{what}: {ran:?}");
        server.assert_only_tls(what);
    }
    // One bad certificate among good members is told, and the others are asked.
    site.set(ENDPOINTS, &format!("{},{}", servers[0].1.url, cluster.endpoint(0)));
    let _ = site.lifeboat(&["run"]).code(0).said("certificate has expired");

    site.set(ENDPOINTS, cluster.endpoint(0));
    let expired = ours.issue_client("expired-client", Validity::Expired).unwrap();
    for (what, identity, word) in [
        ("an expired client", &expired, "the server refuses the client certificate"),
        ("a strange client", &other.client(), "the server refuses the client certificate"),
    ] {
        site.set("ETCDCTL_CERT", &identity.certificate.display().to_string());
        site.set("ETCDCTL_KEY", &identity.key.display().to_string());
        let _ = assert_refused(&site, what, 11, &[cluster.endpoint(0), word]);
    }
    site.set("ETCDCTL_CERT", "");
    site.set("ETCDCTL_KEY", "");
    let words = [cluster.endpoint(0), "the server asks for a client certificate"];
    let _ = assert_refused(&site, "no client certificate", 11, &words);
}

#[test]
fn f21_i12_another_cluster_is_refused_until_it_is_confirmed() {
    let Some((cluster, mut site)) = backed_up("f21", |spec| spec) else { return };
    let rebuilt = ClusterSpec::new(cluster.version()).start().unwrap();
    let id = |cluster: &Cluster| format!("{:x}", cluster.status_of(0).unwrap().cluster_id);
    let (ours, theirs) = (id(&cluster), id(&rebuilt));
    let set = |site: &mut Site, cluster: &Cluster| {
        site.set("ETCDCTL_ENDPOINTS", cluster.endpoint(0));
        site.set(ENDPOINTS, cluster.endpoint(0));
    };
    let newest = site.backups().remove(0);
    let confirm = format!("accept_cluster_id = \"{theirs}\"");
    set(&mut site, &rebuilt);
    let words = ["replicate failed", &ours, &theirs, &newest, &confirm, "this is the wrong etcd"];
    let refused = |site: &Site, what, words: &[&str]| {
        let before = everything(site);
        let ran = site.lifeboat(&["run"]);
        assert_eq!(ran.code, 50, "{what}: {}", ran.stderr);
        words.iter().for_each(|word| assert!(ran.stderr.contains(word), "{what}: {ran:?}"));
        assert_eq!(before, everything(site), "{what}");
    };
    refused(&site, "another cluster", &words);
    in_the_dark_the_last_backup_is_remembered(&mut site, &cluster, &set, &refused);
    set(&mut site, &rebuilt);
    site.set("LIFEBOAT__REPLICATE__ACCEPT_CLUSTER_ID", &ours);
    refused(&site, "confirmed another one", &words[1..3]);
    site.set("LIFEBOAT__REPLICATE__ACCEPT_CLUSTER_ID", &theirs);
    let _ = site.lifeboat(&["run"]).code(0);
    assert_eq!(newest_manifest(&site)["etcd"]["cluster_id"], theirs.as_str());
    assert_eq!(site.backups().len(), 2, "the old cluster's backup stays");
    site.assert_fetchable();
    // From now on the old one is the other one.
    set(&mut site, &cluster);
    refused(&site, "the old cluster", &[&ours, &theirs]);
}

/// No destination shows the old backups: one cannot be read, the other is new. Only what the
/// machine itself remembers stands between another etcd and the backups.
fn in_the_dark_the_last_backup_is_remembered(
    site: &mut Site,
    ours: &Cluster,
    set: &impl Fn(&mut Site, &Cluster),
    refused: &impl Fn(&Site, &'static str, &[&str]),
) {
    site.write("blocker", b"");
    site.set("LIFEBOAT__DESTINATIONS__REGION_A__URL", "file:blocker/below");
    site.set("LIFEBOAT__DESTINATIONS__REGION_B__URL", "file:backups/new");
    site.set("LIFEBOAT__REPLICATE__REQUIRE", "1");
    refused(site, "in the dark", &["but its newest backup"]);
    assert_eq!(site.objects("new", ""), Vec::<PathBuf>::new());
    set(site, ours);
    let _ = site.lifeboat(&["run"]).code(40);
    site.set("LIFEBOAT__DESTINATIONS__REGION_A__URL", "file:backups/region-a");
    site.set("LIFEBOAT__DESTINATIONS__REGION_B__URL", "file:backups/region-b");
    site.set("LIFEBOAT__REPLICATE__REQUIRE", "all");
}

/// Objects of some 31 MB: more than capture takes from etcd in advance, so that etcd's read
/// transaction is open while the stream is held.
const WINDOW_FULL: usize = 15_000;

#[test]
fn f22_a_compaction_and_a_defragmentation_under_way_leave_the_snapshot_whole() {
    let Some(version) = or_skip("f22", Etcd::newest()) else { return };
    let cluster = ClusterSpec::new(&version).start().unwrap();
    let head = cluster.load(&LoadSpec::bulk(11, WINDOW_FULL)).unwrap().revision;
    let site = Site::new(&cluster).unwrap();
    site.hold_before("verify");
    let mut running = site.run_until_held();
    cluster.etcdctl(&["del", "", "--from-key"]).unwrap();
    cluster.etcdctl(&["compaction", &(head + 1).to_string(), "--physical"]).unwrap();
    std::thread::scope(|scope| {
        let defrag = scope.spawn(|| cluster.etcdctl(&["defrag", "--command-timeout=120s"]));
        wait_until("the defragmentation to hold up writes", LIMIT, || {
            let put = cluster.etcdctl(&["put", "late", "1", "--command-timeout=1s"]);
            if put.is_err() || defrag.is_finished() { Ok(()) } else { Err("not yet".into()) }
        })
        .unwrap();
        site.go();
        let _ = running.end().code(0);
        defrag.join().unwrap().unwrap();
    });
    let manifest = newest_manifest(&site);
    assert_eq!(manifest["etcd"]["revision_barrier"], head);
    assert_eq!(manifest["snapshot"]["revision"], head);
    assert_eq!(manifest["snapshot"]["hashkv"][0]["agrees"], true, "{manifest:#}");
    site.assert_fetchable();
    // And of what is left now a backup can be made too.
    site.configure(&lifeboat_tests::site::shipped()).unwrap();
    let _ = site.lifeboat(&["run"]).code(0);
    site.assert_fetchable();
}

#[test]
fn f25_f59_i24_an_endpoint_that_leads_nowhere_is_named_and_costs_a_limited_time() {
    let Some((cluster, mut site)) = backed_up("f25_f59", |spec| spec) else { return };
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
    let closed_port = url(&listen());
    // The kernel takes the connection, and nobody ever reads from it.
    let hole = listen();
    let black_hole = url(&hole);
    let mute = LyingEtcd::before(cluster.endpoint(0)).unwrap();
    mute.tell(vec![Lie::Answer("Status", Reply::Never)]);
    site.set("LIFEBOAT__CAPTURE__CONNECT_TIMEOUT", "500ms");
    let nowhere = "http://no-such-host.invalid:2379";
    for (what, url, word) in [
        ("a closed port", closed_port.as_str(), "the connection was refused"),
        ("a black hole", &black_hole, "no answer to \"status\" within 0.5 s"),
        ("a member that does not answer", mute.url(), "no answer to \"status\" within 0.5 s"),
        ("a name that nobody knows", nowhere, "its name cannot be resolved"),
    ] {
        site.set(ENDPOINTS, url);
        let _ = assert_refused(&site, what, 10, &[url, word]);
        site.set(ENDPOINTS, &format!("{url},{}", cluster.endpoint(0)));
        let _ = site.lifeboat(&["run"]).code(0).said(word);
        let degraded = newest_manifest(&site)["etcd"]["degraded"].to_string();
        assert!(degraded.contains(url), "{what}: {degraded}");
    }
    ipv6_alone(&mut site, &cluster);
}

fn ipv6_alone(site: &mut Site, cluster: &Cluster) {
    if TcpListener::bind("[::1]:0").is_err() {
        return skip("f59_ipv6", "this machine has no IPv6 loopback");
    }
    let proxy = LyingEtcd::listening_on("[::1]:0", cluster.endpoint(0)).unwrap();
    site.set(ENDPOINTS, proxy.url());
    let _ = site.lifeboat(&["run"]).code(0);
    assert_eq!(newest_manifest(site)["etcd"]["endpoint"], proxy.url());
    site.assert_fetchable();
    let url = proxy.url().to_owned();
    drop(proxy);
    let _ = assert_refused(site, "nobody at an IPv6 address", 10, &[&url, "was refused"]);
}

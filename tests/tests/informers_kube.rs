//! What a real kube-apiserver tells its clients after a restore.
//!
//! A client that saw objects written after the backup watches on from its resource version.
//! Without a raised revision the API server takes the watch and says nothing, although objects
//! change; with it the answer is 410, "too old resource version", upon which every client lists
//! anew. `informers` shows the same on etcd itself.
//!
//! Needs kube-apiserver (`tests/servers/get.sh kube-apiserver`, a quarter of an hour to build) and
//! curl; without them it is skipped.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]
#![allow(clippy::disallowed_methods, reason = "throw-away files need no durability")]

use lifeboat_tests::restored::tools::{self, Order, Tool};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Cluster, ClusterSpec, Error, Etcd, Server, run, servers};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const BUMP: i64 = 1_000_000;
const LOST: usize = 40;
const TOKEN: &str = "throw-away";
const CONFIG_MAPS: &str = "api/v1/namespaces/default/configmaps";
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long the API server keeps a watch open: long enough to see the change that is made after
/// it has begun.
const WATCH_SECONDS: u32 = 4;

struct ApiServer {
    server: Server,
    url: String,
}

fn curl() -> Result<PathBuf, Error> {
    let missing = |_| Error::Missing { tool: "curl".into(), reason: "not in the PATH".into() };
    run(Command::new("curl").arg("--version")).map(|_| PathBuf::from("curl")).map_err(missing)
}

impl ApiServer {
    fn start(program: &Path, cluster: &Cluster) -> Self {
        let dir = cluster.dir();
        std::fs::write(dir.join("tokens"), format!("{TOKEN},admin,admin,system:masters\n"))
            .unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(dir.join("accounts.key"), key.serialize_pem()).unwrap();
        std::fs::write(dir.join("accounts.pub"), key.public_key_pem()).unwrap();
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.env_clear().current_dir(dir);
        command.arg(format!("--etcd-servers={}", cluster.endpoint(0)));
        command.args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"]);
        command.args(["--endpoint-reconciler-type=none", "--cert-dir=api-server"]);
        command.args(["--service-account-issuer=https://issuer.invalid"]);
        command.args(["--service-account-key-file=accounts.pub"]);
        command.args(["--service-account-signing-key-file=accounts.key"]);
        command.args(["--service-cluster-ip-range=10.0.0.0/24", "--token-auth-file=tokens"]);
        command.args(["--authorization-mode=AlwaysAllow", &format!("--secure-port={port}")]);
        let server = Server::spawn("kube-apiserver", &mut command, &dir.join("api.log")).unwrap();
        let mut this = ApiServer { server, url: format!("https://127.0.0.1:{port}") };
        let url = this.url.clone();
        let ready = this.server.wait_ready(START_LIMIT, || match ask(&url, "readyz", None) {
            answer if answer == "ok" => Ok(()),
            answer => Err(answer),
        });
        ready.unwrap();
        this
    }

    fn make(&self, name: &str) {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        let made = ask(&self.url, CONFIG_MAPS, Some(&object));
        assert!(made.contains("uid"), "{made}");
    }

    /// The resource version of a list, and the names in it.
    fn list(&self) -> (i64, Vec<String>) {
        let list: Value = serde_json::from_str(&ask(&self.url, CONFIG_MAPS, None)).unwrap();
        let version = list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        let items = list["items"].as_array().unwrap().iter();
        (version, items.map(|i| i["metadata"]["name"].as_str().unwrap().to_owned()).collect())
    }

    /// What a watch from `version` says while an object is made.
    fn watch(&self, version: i64, name: &str) -> String {
        let timeout = format!("timeoutSeconds={WATCH_SECONDS}");
        let path = format!("{CONFIG_MAPS}?watch=1&resourceVersion={version}&{timeout}");
        std::thread::scope(|scope| {
            let watching = scope.spawn(|| ask(&self.url, &path, None));
            self.make(name);
            watching.join().unwrap()
        })
    }
}

fn ask(url: &str, path: &str, object: Option<&Value>) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--insecure", "--noproxy", "*", "--max-time", "30"]);
    command.args(["--header", &format!("Authorization: Bearer {TOKEN}")]);
    if let Some(object) = object {
        command.args(["--header", "Content-Type: application/json"]);
        command.args(["--data", &object.to_string()]);
    }
    command.arg(format!("{url}/{path}"));
    run(&mut command).map_or_else(
        |e| e.to_string(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

fn restored(lost: Cluster, order: &Order) -> Cluster {
    let plan = lost.into_plan(1).unwrap();
    tools::clear(&plan).unwrap();
    tools::restore(Tool::Lifeboat, order, &plan).unwrap();
    plan.start().unwrap()
}

#[test]
fn i19_kube_apiserver_says_too_old_and_is_silent_without_the_bump() {
    let test = "i19_kube_apiserver";
    let Some(etcd) = or_skip(test, Etcd::version("3.6")) else { return };
    let Some(program) = or_skip(test, servers::tool("kube-apiserver")) else { return };
    let Some(_) = or_skip(test, curl()) else { return };
    let cluster = ClusterSpec::new(&etcd).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let snapshot = dir.path().join("snapshot.db");
    let api = ApiServer::start(&program, &cluster);
    api.make("kept");
    cluster.etcdctl_at(0, &["snapshot", "save", snapshot.to_str().unwrap()]).unwrap();
    (0..LOST).for_each(|number| api.make(&format!("lost-{number}")));
    let (late, _) = api.list();
    drop(api);

    let cluster = restored(cluster, &Order::new(&snapshot, "without-a-bump"));
    let api = ApiServer::start(&program, &cluster);
    assert!(api.list().0 < late - 5, "the store is too near to {late} to show anything");
    assert_eq!(api.watch(late, "unseen"), "");
    assert!(api.list().1.contains(&"unseen".to_owned()));
    drop(api);

    let cluster = restored(cluster, &Order::new(&snapshot, "with-a-bump").bump(BUMP));
    let api = ApiServer::start(&program, &cluster);
    let told: Value = serde_json::from_str(&api.watch(late, "seen")).unwrap();
    assert_eq!(told["object"]["code"], 410, "{told}");
    assert_eq!(told["object"]["reason"], "Expired", "{told}");
    let (version, names) = api.list();
    assert!(version > late, "{version}");
    assert_eq!(names, ["kept", "seen"]);
}

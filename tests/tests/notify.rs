//! Notifications: what a heartbeat and a webhook are told, and that a dead, slow or refusing one
//! changes nothing about a run but a warning.

#![allow(clippy::disallowed_methods, reason = "a test's own server")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::objects::LoadSpec;
use lifeboat_tests::site::{Site, shipped};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Cluster, ClusterSpec, Etcd};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Stands in the URLs, and nowhere else.
const CANARY: &str = "canary-url-3b7f";

/// How a server treats whoever comes.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Answers(&'static str),
    /// Takes the request and never says a word.
    IsSilent,
    /// Hangs up at once.
    HangsUp,
}

/// A server on loopback that remembers what it was told: path and body.
struct Listener {
    url: String,
    heard: Arc<Mutex<Vec<(String, String)>>>,
}

impl Listener {
    fn start(manner: Manner) -> Listener {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/{CANARY}", socket.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let memory = heard.clone();
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in socket.incoming().flatten() {
                match manner {
                    Manner::HangsUp => drop(stream),
                    Manner::IsSilent => silent.push(stream),
                    Manner::Answers(status) => {
                        let request = receive(&stream);
                        memory.lock().unwrap().push(request);
                        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                        let _ = (&stream).write_all(answer.as_bytes());
                    }
                }
            }
        });
        Listener { url, heard }
    }

    fn heard(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

fn receive(stream: &TcpStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let path = line.split(' ').nth(1).unwrap().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let header = line.trim().to_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (path, String::from_utf8(body).unwrap())
}

fn cluster_and_site(test: &str) -> Option<(Cluster, Site)> {
    let cluster = ClusterSpec::new(&or_skip(test, Etcd::newest())?).start().unwrap();
    let _ = cluster.load(&LoadSpec { objects: 20, ..LoadSpec::default() }).unwrap();
    let mut site = Site::new(&cluster).unwrap();
    site.set("LIFEBOAT__RUN__ATTEMPTS", "1");
    Some((cluster, site))
}

/// Turns both kinds of notices on.
fn notify(site: &Site, heartbeat: &str, webhook: &str) {
    site.write("heartbeat", format!("{heartbeat}\n").as_bytes());
    site.write("webhook", webhook.as_bytes());
    let on = shipped()
        .replace(
            "# heartbeat_file = \"/run/secrets/heartbeat-url\"",
            "heartbeat_file = \"heartbeat\"",
        )
        .replace("# webhook_file = \"/run/secrets/webhook-url\"", "webhook_file = \"webhook\"")
        .replace("timeout = \"10s\" ", "timeout = \"1s\" ");
    assert!(on.contains("\nheartbeat_file") && on.contains("\nwebhook_file"), "{on}");
    site.configure(&on).unwrap();
}

#[test]
fn f54_i22_a_run_is_told_when_it_begins_and_how_it_went() {
    let Some((_cluster, mut site)) = cluster_and_site("f54_told") else { return };
    let (heartbeat, webhook) =
        (Listener::start(Manner::Answers("200 OK")), Listener::start(Manner::Answers("204 No")));
    notify(&site, &heartbeat.url, &webhook.url);
    let ran = site.lifeboat(&["run", "--json"]).code(0);
    assert!(!ran.stderr.contains(CANARY), "{}", ran.stderr);
    let name = ran.json()["backup"].as_str().unwrap().to_owned();
    let [start, end] = heartbeat.heard().try_into().unwrap();
    assert_eq!(start, (format!("/{CANARY}/start"), String::new()));
    assert_eq!(end.0, format!("/{CANARY}/0"));
    assert_eq!(end.1, format!("demo: backup {name} is committed (exit 0)"));
    let [(path, body)] = webhook.heard().try_into().unwrap();
    assert_eq!(path, format!("/{CANARY}"));
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), ran.json());

    site.set("LIFEBOAT__CAPTURE__ENDPOINTS", "http://127.0.0.1:1");
    let ran = site.lifeboat(&["run", "--json"]).code(10);
    let [_, end] = heartbeat.heard().try_into().unwrap();
    assert_eq!(end.0, format!("/{CANARY}/10"));
    assert!(end.1.starts_with("demo: no backup was made: capture failed: "), "{}", end.1);
    let [(_, body)] = webhook.heard().try_into().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), ran.json());

    // Nothing is run, so nobody is told.
    let _ = site.lifeboat(&["run", "--dry-run"]).code(0);
    assert_eq!(heartbeat.heard(), []);
}

#[test]
fn f54_whoever_cannot_be_told_changes_nothing_about_the_run() {
    let Some((_cluster, site)) = cluster_and_site("f54_endpoints") else { return };
    let silent = Listener::start(Manner::IsSilent);
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let cases = [
        ("nobody there", format!("http://{closed}/{CANARY}"), "127.0.0.1 could not be told"),
        ("silent", silent.url.clone(), "127.0.0.1 could not be told: timeout"),
        ("hangs up", Listener::start(Manner::HangsUp).url, "127.0.0.1 could not be told"),
        ("refuses", Listener::start(Manner::Answers("404 No")).url, "it answered 404"),
        ("fails", Listener::start(Manner::Answers("500 No")).url, "it answered 500"),
        (
            "sends elsewhere",
            Listener::start(Manner::Answers("302 Go\r\nlocation: /other")).url,
            "it answered 302",
        ),
        ("no name", format!("http://no-such-host.invalid/{CANARY}"), "no-such-host.invalid could"),
        ("no URL", CANARY.to_owned(), "holds no http or https URL"),
        ("another scheme", format!("file:///{CANARY}"), "holds no http or https URL"),
        ("no TLS there", silent.url.replace("http:", "https:"), "127.0.0.1 could not be told"),
    ];
    for (what, url, words) in cases {
        notify(&site, &url, &url);
        let ran = site.lifeboat(&["run", "--json"]);
        assert_eq!(ran.code, 0, "{what}: {}", ran.stderr);
        assert_eq!(ran.json()["exit"], 0, "{what}");
        assert!(ran.stderr.contains("warning: notify: "), "{what}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{what}: {}", ran.stderr);
        assert!(!ran.stderr.contains(CANARY), "{what}: {}", ran.stderr);
        assert!(!ran.stderr.contains("error:"), "{what}: {}", ran.stderr);
    }
    durable::remove_file(&site.path("webhook")).unwrap();
    let _ = site.lifeboat(&["run"]).code(0).said("cannot read notify.webhook_file");
    site.assert_fetchable();
}

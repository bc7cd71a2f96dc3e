//! A live etcd with a database of a given size, full of made-up Kubernetes objects.
//!
//! Owns: filling it once and keeping its folder for later runs, starting it, and asking it for
//! its own numbers.
//! Invariants: a folder is complete or filled anew: the mark is written last. The same size and
//! version of etcd give the same objects.
//!
//! Does not: write to it while something is measured.

use crate::Error;
use lifeboat_tests::{Cluster, ClusterSpec, EtcdVersion, LoadSpec};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Objects, and later versions of them, that make about a megabyte of database.
const OBJECTS_PER_MB: usize = 374;
const UPDATES_PER_MB: usize = 112;
/// Increased when the objects change, so that an older folder is not taken for the same.
const FILLING: u32 = 1;
/// `key` of the metric, as etcd 3.4 and later print it with `--metrics extensive`.
const HELD: &str = "grpc_server_handling_seconds_sum{grpc_method=\"Snapshot\"";
/// A page of metrics is some 200 KB.
const METRICS_BYTES_MAX: u64 = 16 << 20;
/// How long etcd may take to answer with it.
const METRICS_LIMIT: Duration = Duration::from_secs(30);

/// A running etcd. It ends when this is dropped; its data stay.
#[derive(Debug)]
pub(crate) struct Database {
    cluster: Cluster,
    /// What is in it.
    pub(crate) content: Content,
}

/// What a database holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Content {
    /// Bytes of the database file.
    pub(crate) database_bytes: u64,
    /// Records of keys: first and later versions of all objects.
    pub(crate) records: u64,
}

impl Database {
    /// Starts one of about `mb` megabytes. Fills it first if that was not done before.
    pub(crate) fn open(dir: &Path, etcd: &EtcdVersion, mb: usize) -> Result<Self, Error> {
        let folder = dir.join(format!("etcd-{}-{mb}mb-{FILLING}", etcd.label));
        let mark = folder.join("content.json");
        let filled = fs::read(&mark).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if filled.is_none() {
            remove(&folder)?;
        }
        let cluster = start(&folder.join("data"), etcd, mb)?;
        let content = match filled {
            Some(content) => content,
            None => fill(&cluster, &folder, mb, &mark)?,
        };
        Ok(Database { cluster, content })
    }

    /// Where clients reach it.
    pub(crate) fn endpoint(&self) -> &str {
        self.cluster.endpoint(0)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.cluster.pid(0)
    }

    /// How long all snapshots since its start took, by its own clock.
    pub(crate) fn held_seconds(&self) -> Result<f64, Error> {
        let unmeasured = |why: String| Error::Unmeasured { what: "etcd's snapshots".into(), why };
        let page = metrics(self.endpoint()).map_err(|e| unmeasured(e.to_string()))?;
        match page.lines().find(|line| line.starts_with(HELD)) {
            // Before the first snapshot there is no line.
            None => Ok(0.0),
            Some(line) => {
                let number = line.rsplit(' ').next().and_then(|n| n.parse().ok());
                number.ok_or_else(|| unmeasured(format!("not a number: {line}")))
            }
        }
    }
}

fn start(data: &Path, etcd: &EtcdVersion, mb: usize) -> Result<Cluster, Error> {
    // etcd refuses writes beyond its quota, which is 2 GB by default.
    let quota = (mb as u64) * 2_000_000 + (1 << 30);
    let quota = format!("--quota-backend-bytes={quota}");
    let spec = ClusterSpec::new(etcd).arguments(&[&quota, "--metrics=extensive"]);
    let plan = spec.plan()?;
    durable::create_private_dir(data)?;
    // The data outlive the cluster: a link stands where it looks for them.
    let link = &plan.members()[0].data_dir;
    std::os::unix::fs::symlink(data, link).map_err(Error::io("link", link))?;
    Ok(plan.start()?)
}

fn fill(cluster: &Cluster, folder: &Path, mb: usize, mark: &Path) -> Result<Content, Error> {
    crate::say(&format!("filling etcd {} with about {mb} MB, once ...", cluster.version().label));
    let spec = LoadSpec { updates: mb * UPDATES_PER_MB, ..LoadSpec::bulk(1, mb * OBJECTS_PER_MB) };
    let report = cluster.load(&spec)?;
    let file: PathBuf = folder.join("data/member/snap/db");
    let database_bytes = fs::metadata(&file).map_err(Error::io("look at", &file))?.len();
    let content = Content { database_bytes, records: report.puts };
    let text = serde_json::to_vec(&content)
        .map_err(|e| Error::Unreadable { path: mark.to_path_buf(), why: e.to_string() })?;
    durable::write_new(mark, &text)?;
    Ok(content)
}

/// Removes a folder with all that is in it, if it is there.
pub(crate) fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", folder)(e)),
        _ => Ok(()),
    }
}

fn metrics(endpoint: &str) -> std::io::Result<String> {
    let host = endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(METRICS_LIMIT))?;
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut page = String::new();
    stream.take(METRICS_BYTES_MAX).read_to_string(&mut page)?;
    Ok(page)
}

//! An artifact that is ready to be stored, a real S3 server, and places in it that go wrong each
//! in its own way.
//!
//! Owns: one run up to `encrypt`, made once; and for each case a [`Place`] with its own front,
//! prefix, credentials, configuration and copy of the run, so that cases can run at once.
//! What became of a case is looked at as files under the server's root, without Lifeboat.
//!
//! Does not: say what should have become of it.

use crate::fault_front::FaultFront;
use crate::load::load_noise;
use crate::s3::{ACCESS_KEY, Bucket, S3Kind, S3Server, SECRET_KEY};
use crate::site::{CLUSTER, Ran, Site};
use crate::{Cluster, ClusterSpec, Error, Etcd, LoadSpec, run};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The bucket.
pub const BUCKET: &str = "backups";
/// The smallest part that S3 takes.
pub const PART_BYTES: usize = 5 << 20;

/// Everything that the places have in common.
#[derive(Debug)]
pub struct StoreScene {
    /// The cluster that the artifact is of.
    pub cluster: Cluster,
    /// Where programs run.
    pub site: Site,
    /// The server behind all fronts.
    pub server: S3Server,
    pub(crate) artifact: PathBuf,
}

impl StoreScene {
    /// An artifact of some kilobytes.
    ///
    /// # Errors
    /// When a server is missing or does not start, or the run does not get so far.
    pub fn small() -> Result<Self, Error> {
        StoreScene::with(0)
    }

    /// An artifact of three parts.
    ///
    /// # Errors
    /// As [`StoreScene::small`].
    pub fn large() -> Result<Self, Error> {
        StoreScene::with(2 * PART_BYTES + (1 << 20))
    }

    /// An artifact of so many bytes and some more.
    ///
    /// # Errors
    /// As [`StoreScene::small`].
    pub fn with(noise_bytes: usize) -> Result<Self, Error> {
        let cluster = ClusterSpec::new(&Etcd::newest()?).start()?;
        let server = S3Server::start(S3Kind::S3sFs)?;
        server.create_bucket(BUCKET, Bucket::Plain)?;
        let _ = cluster.load(&LoadSpec { objects: 20, ..LoadSpec::default() })?;
        load_noise(&cluster.connection(), noise_bytes)?;
        let site = Site::new(&cluster)?;
        let artifact = up_to_replicate(&site, "run");
        Ok(StoreScene { cluster, site, server, artifact })
    }

    /// A place of its own under `name`, in which nothing goes wrong yet: one bucket, which must
    /// take the backup.
    ///
    /// # Panics
    /// When its files cannot be made.
    #[must_use]
    pub fn place(&self, name: &str) -> Place<'_> {
        let front =
            FaultFront::start(&self.server, BUCKET).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let place = Place { scene: self, name: name.to_owned(), front, runs: AtomicU32::new(0) };
        place.credentials(SECRET_KEY, None);
        place.configure("\"all\"", &[place.bucket("timeout = \"20s\"\n")], "");
        place
    }

    /// The files of uploads that were begun in the server and never ended, whoever began them.
    #[must_use]
    pub fn unfinished(&self) -> Vec<PathBuf> {
        let root =
            self.server.bucket_dir(BUCKET).and_then(|dir| dir.parent().map(Path::to_path_buf));
        let entries = root.and_then(|root| std::fs::read_dir(root).ok()).into_iter().flatten();
        let is_upload = |p: &PathBuf| {
            let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with(".upload")
        };
        entries.flatten().map(|entry| entry.path()).filter(is_upload).collect()
    }
}

/// A prefix in the bucket, behind a front.
#[derive(Debug)]
pub struct Place<'a> {
    scene: &'a StoreScene,
    /// What it is called: in the bucket, and in the messages of tests.
    pub name: String,
    /// What goes wrong.
    pub front: FaultFront,
    /// How often it was run here.
    runs: AtomicU32,
}

impl Place<'_> {
    /// Writes the file of credentials of this place.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn credentials(&self, secret: &str, token: Option<&str>) {
        let token = token.map(|t| format!("aws_session_token = {t}\n")).unwrap_or_default();
        let text = format!(
            "[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {secret}\n{token}"
        );
        self.scene.site.write(&self.credentials_file(), text.as_bytes());
    }

    /// Its name, in the site.
    #[must_use]
    pub fn credentials_file(&self) -> String {
        format!("aws-{}", self.name)
    }

    /// The destination `s3s`: this place in the bucket, behind the front.
    #[must_use]
    pub fn bucket(&self, more: &str) -> String {
        self.bucket_at("s3s", &self.front.endpoint(), more)
    }

    /// A destination in this place under another name or at another server.
    #[must_use]
    pub fn bucket_at(&self, name: &str, endpoint: &str, more: &str) -> String {
        format!(
            "[destinations.{name}]\nurl = \"s3://{BUCKET}/{}\"\nendpoint = \"{endpoint}\"\n\
             path_style = true\ncredentials_file = \"{}\"\npart_bytes = {PART_BYTES}\n{more}\n",
            self.name,
            self.credentials_file()
        )
    }

    /// A directory of this place, as a destination.
    #[must_use]
    pub fn disk(&self, name: &str) -> String {
        format!("[destinations.{name}]\nurl = \"file:disks/{}/{name}\"\n", self.name)
    }

    /// Replaces the configuration of this place.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, require: &str, destinations: &[String], more: &str) {
        let pruned = if more.contains("[prune]") { ", \"prune\"" } else { "" };
        let text = format!(
            "cluster = \"{CLUSTER}\"\n\
             stages = [\"capture\", \"verify\", \"compress\", \"encrypt\", \"replicate\"{pruned}]\n\
             [run]\nattempts = 1\ndeadline = \"90s\"\nstate_dir = \"state-{}\"\n\
             [encrypt]\nrecipients_files = [\"keys/recipients.txt\"]\n\
             [decrypt]\nidentities_files = [\"keys/identity.txt\"]\n\
             [replicate]\nrequire = {require}\n{}\n{more}",
            self.name,
            destinations.concat()
        );
        self.scene.site.write(&format!("{}.toml", self.name), text.as_bytes());
    }

    /// A command of ours with the configuration of this place.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.scene.site.command(program);
        command.env("LIFEBOAT_CONFIG", self.scene.site.path(&format!("{}.toml", self.name)));
        command
    }

    /// Runs any program of ours in this place.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn program(&self, program: &str, arguments: &[&str]) -> Ran {
        let output = self.command(program).args(arguments).output();
        Ran::of(&output.unwrap_or_else(|e| panic!("{program}: {e}")))
    }

    /// Runs `lifeboat` in this place.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn lifeboat(&self, arguments: &[&str]) -> Ran {
        self.program("lifeboat", arguments)
    }

    /// Stores the artifact: `lifeboat-replicate` with a new copy of the run, which is the same
    /// run every time.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn replicate(&self) -> Ran {
        let output = self.replicate_command().output();
        Ran::of(&output.unwrap_or_else(|e| panic!("lifeboat-replicate: {e}")))
    }

    /// The same, not yet started.
    ///
    /// # Panics
    /// When the run cannot be copied.
    #[must_use]
    pub fn replicate_command(&self) -> Command {
        let number = self.runs.fetch_add(1, Ordering::SeqCst);
        let run_dir = format!("run-{}-{number}", self.name);
        let (from, to) = (self.scene.site.path("run"), self.scene.site.path(&run_dir));
        run(Command::new("cp").arg("-a").arg(from).arg(to)).unwrap_or_else(|e| panic!("{e:?}"));
        let mut command = self.command("lifeboat-replicate");
        command.args(["--run-dir", &run_dir, "--input"]).arg(&self.scene.artifact);
        command
    }

    /// The objects of this place in the bucket whose names end so, as files.
    #[must_use]
    pub fn objects(&self, ending: &str) -> Vec<PathBuf> {
        let folder = self.scene.server.bucket_dir(BUCKET).map(|dir| dir.join(&self.name));
        let mut found = folder.map(|folder| files(&folder)).unwrap_or_default();
        found.retain(|path| path.to_string_lossy().ends_with(ending));
        found
    }

    /// The folder of a directory destination of this place.
    #[must_use]
    pub fn disk_dir(&self, name: &str) -> PathBuf {
        self.scene.site.path(&format!("disks/{}/{name}", self.name))
    }

    /// Why the backups in the bucket are not exactly `count` whole ones, with nothing beside them.
    ///
    /// # Errors
    /// With what is amiss.
    pub fn holds(&self, count: usize) -> Result<(), String> {
        let (manifests, all) = (self.objects(".json"), self.objects(""));
        if manifests.len() != count || all.len() != 2 * count {
            return Err(format!("not {count} backups but {all:#?}"));
        }
        manifests.iter().try_for_each(|manifest| whole(manifest))
    }
}

/// Compares an artifact with what its manifest says, both as files in one folder.
fn whole(manifest: &Path) -> Result<(), String> {
    let said = |e: &dyn std::fmt::Display| format!("{}: {e}", manifest.display());
    let text = std::fs::read(manifest).map_err(|e| said(&e))?;
    let record: Value = serde_json::from_slice(&text).map_err(|e| said(&e))?;
    let name = manifest.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    // `time-run-revision.json`, beside `time-run.db.zst.age`.
    let stem = name.rsplit_once('-').map(|(stem, _)| stem.to_owned()).unwrap_or_default();
    let folder = manifest.parent().unwrap_or(manifest);
    let artifact = files(folder).into_iter().find(|path| {
        let file = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        file.starts_with(&format!("{stem}."))
    });
    let Some(artifact) = artifact else { return Err(said(&"it has no artifact")) };
    let bytes = std::fs::read(&artifact).map_err(|e| said(&e))?;
    let found = (bytes.len() as u64, hex::encode(Sha256::digest(&bytes)));
    let expected = &record["artifact"];
    match expected["bytes"] == found.0 && expected["sha256"] == found.1.as_str() {
        true => Ok(()),
        false => Err(said(&format!("says {expected}, and the artifact has {found:?}"))),
    }
}

/// Every file under a folder that is an object: s3s-fs keeps its own notes in hidden ones.
#[must_use]
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries.flatten() {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path if !hidden => found.push(path),
            _ => {}
        }
    }
    found.sort();
    found
}

/// The steps before `replicate`, joined by files; gives the artifact's path.
fn up_to_replicate(site: &Site, run_dir: &str) -> PathBuf {
    let _ = site.lifeboat(&["plan", "--run-dir", run_dir]).code(0);
    let mut input: Option<String> = None;
    for (position, stage) in ["capture", "verify", "compress", "encrypt"].iter().enumerate() {
        let output = format!("{position}-{stage}");
        let mut arguments = vec!["--run-dir", run_dir, "--output", &output];
        arguments.extend(input.iter().flat_map(|input| ["--input", input.as_str()]));
        let _ = site.program(&format!("lifeboat-{stage}"), &arguments).code(0);
        input = Some(output);
    }
    site.path(&input.unwrap_or_default())
}

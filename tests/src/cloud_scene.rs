//! One artifact that is ready to be stored, and places for it on every kind of store that is on this
//! machine, each of which goes wrong in its own way.
//!
//! Owns: the servers, started once; and for each case a [`CloudPlace`] with its own front, prefix,
//! credentials and configuration, so that cases can run at once. What became of a case is looked
//! at behind the front's back, without Lifeboat.
//!
//! Does not: say what should have become of it.

use crate::azure::{ACCOUNT, ACCOUNT_KEY, AzureServer};
use crate::fault_front::{FaultFront, Protocol};
use crate::gcs::GcsServer;
use crate::s3::{ACCESS_KEY, SECRET_KEY};
use crate::site::{CLUSTER, Ran};
use crate::skips::or_skip;
use crate::store_scene::{BUCKET, PART_BYTES, StoreScene};
use crate::vault::{AzureVault, FolderVault, GcsVault, Vault};
use crate::{Error, run};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// A directory, with no front before it.
    Directory,
    /// s3s-fs.
    S3,
    /// fake-gcs-server.
    Gcs,
    /// Azurite.
    Azure,
}

impl Backend {
    /// The name of its destination in configurations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Backend::Directory => "disk",
            Backend::S3 => "s3",
            Backend::Gcs => "gcs",
            Backend::Azure => "azure",
        }
    }

    /// The language of its front; none before a directory.
    #[must_use]
    pub fn protocol(self) -> Option<Protocol> {
        match self {
            Backend::Directory => None,
            Backend::S3 => Some(Protocol::S3),
            Backend::Gcs => Some(Protocol::Gcs),
            Backend::Azure => Some(Protocol::Azure),
        }
    }
}

/// Everything that the places have in common.
#[derive(Debug)]
pub struct CloudScene {
    /// The artifact, the site, and the server of S3.
    pub store: StoreScene,
    gcs: Option<(GcsServer, GcsVault)>,
    azure: Option<(AzureServer, AzureVault)>,
}

impl CloudScene {
    /// An artifact of so many bytes and some more. A store whose server is missing is left out, and
    /// noted as skipped.
    ///
    /// # Errors
    /// When etcd or the server of S3 is missing, or the run does not get so far.
    pub fn with(test: &str, noise_bytes: usize) -> Result<Self, Error> {
        let store = StoreScene::with(noise_bytes)?;
        let gcs = match or_skip(&format!("{test}::gcs"), GcsServer::start()) {
            Some(server) => {
                server.create_bucket(BUCKET)?;
                let vault = GcsVault { port: server.port(), bucket: BUCKET.to_owned() };
                Some((server, vault))
            }
            None => None,
        };
        let azure = match or_skip(&format!("{test}::azure"), AzureServer::start()) {
            Some(server) => {
                server.create_container(BUCKET)?;
                let vault = AzureVault {
                    port: server.port(),
                    account: ACCOUNT.to_owned(),
                    key: ACCOUNT_KEY.to_owned(),
                    container: BUCKET.to_owned(),
                };
                Some((server, vault))
            }
            None => None,
        };
        Ok(CloudScene { store, gcs, azure })
    }

    /// An artifact of some kilobytes.
    ///
    /// # Errors
    /// As [`CloudScene::with`].
    pub fn small(test: &str) -> Result<Self, Error> {
        CloudScene::with(test, 0)
    }

    /// An artifact of three parts.
    ///
    /// # Errors
    /// As [`CloudScene::with`].
    pub fn large(test: &str) -> Result<Self, Error> {
        CloudScene::with(test, 2 * PART_BYTES + (1 << 20))
    }

    /// The stores behind a front.
    #[must_use]
    pub fn clouds(&self) -> Vec<Backend> {
        let gcs = self.gcs.as_ref().map(|_| Backend::Gcs);
        let azure = self.azure.as_ref().map(|_| Backend::Azure);
        [Some(Backend::S3), gcs, azure].into_iter().flatten().collect()
    }

    /// Those, and a directory.
    #[must_use]
    pub fn backends(&self) -> Vec<Backend> {
        [vec![Backend::Directory], self.clouds()].concat()
    }

    /// A place of its own on a store, in which nothing goes wrong yet: its only destination, which
    /// must take the backup.
    ///
    /// # Panics
    /// When its files cannot be made.
    #[must_use]
    pub fn place(&self, backend: Backend, name: &str) -> CloudPlace<'_> {
        let name = format!("{}-{name}", backend.name());
        let (port, vault) = self.reach(backend, &name);
        let front = backend.protocol().map(|protocol| {
            let front = FaultFront::before(protocol, port, Some(vault.clone()));
            front.unwrap_or_else(|e| panic!("{name}: {e:?}"))
        });
        let (runs, has_sas) = (AtomicU32::new(0), AtomicBool::new(false));
        let place = CloudPlace { scene: self, backend, name, front, vault, runs, has_sas };
        place.credentials();
        place.configure("\"all\"", &[place.destination(CALM)], "");
        place
    }

    fn reach(&self, backend: Backend, name: &str) -> (u16, Arc<dyn Vault>) {
        match backend {
            Backend::Directory => {
                // Keys begin with the place's name, as in a bucket.
                let folder = self.store.site.path("disks");
                (0, Arc::new(FolderVault { folder }))
            }
            Backend::S3 => {
                let folder = self.store.server.bucket_dir(BUCKET).unwrap_or_default();
                (self.store.server.port(), Arc::new(FolderVault { folder }))
            }
            Backend::Gcs => {
                let (server, vault) = self.gcs.as_ref().unwrap_or_else(|| no_server(name));
                (server.port(), Arc::new(vault.clone()))
            }
            Backend::Azure => {
                let (server, vault) = self.azure.as_ref().unwrap_or_else(|| no_server(name));
                (server.port(), Arc::new(vault.clone()))
            }
        }
    }
}

fn no_server<T>(name: &str) -> T {
    panic!("{name}: there is no such server")
}

/// The settings of a destination with which nothing is wrong.
const CALM: &str = "timeout = \"20s\"\n";

/// A prefix on a store, behind a front.
#[derive(Debug)]
pub struct CloudPlace<'a> {
    scene: &'a CloudScene,
    /// On which kind of store.
    pub backend: Backend,
    /// What it is called: its prefix, and its name in the messages of tests.
    pub name: String,
    front: Option<FaultFront>,
    /// What is really there.
    pub vault: Arc<dyn Vault>,
    /// How often it was run here.
    runs: AtomicU32,
    /// Whether a shared access signature stands in the file of credentials, and not a key.
    has_sas: AtomicBool,
}

impl CloudPlace<'_> {
    /// What goes wrong.
    ///
    /// # Panics
    /// On a directory, which has no front.
    #[must_use]
    pub fn front(&self) -> &FaultFront {
        self.front.as_ref().unwrap_or_else(|| panic!("{}: no front", self.name))
    }

    /// Writes the credentials with which nothing is wrong.
    fn credentials(&self) {
        let text = match self.backend {
            Backend::Directory => return,
            Backend::S3 => format!(
                "[default]\naws_access_key_id = {ACCESS_KEY}\n\
                 aws_secret_access_key = {SECRET_KEY}\n"
            ),
            Backend::Gcs => self.front().google_user("writer"),
            Backend::Azure => ACCOUNT_KEY.to_owned(),
        };
        self.scene.store.site.write(&self.credentials_file(), text.as_bytes());
    }

    /// The name of the file of its credentials, in the site.
    #[must_use]
    pub fn credentials_file(&self) -> String {
        format!("credentials-{}", self.name)
    }

    /// Takes a file of the site away, if it is there.
    ///
    /// # Panics
    /// When it cannot be removed.
    pub fn remove(&self, file: &str) {
        let path = self.scene.store.site.path(file);
        durable::remove_file(&path).unwrap_or_else(|e| panic!("{e:?}"));
    }

    /// From now on the file of credentials of a place on Azure holds a shared access signature.
    pub fn use_sas(&self) {
        self.has_sas.store(true, Ordering::SeqCst);
    }

    /// This place as a destination, behind its front.
    #[must_use]
    pub fn destination(&self, more: &str) -> String {
        let endpoint = self.front.as_ref().map(FaultFront::endpoint).unwrap_or_default();
        self.destination_at(self.backend.name(), &endpoint, more)
    }

    /// The same under another name, or at another server.
    #[must_use]
    pub fn destination_at(&self, name: &str, endpoint: &str, more: &str) -> String {
        let (place, file) = (&self.name, self.credentials_file());
        let own = match self.backend {
            Backend::Directory => {
                return format!("[destinations.{name}]\nurl = \"file:disks/{place}\"\n");
            }
            Backend::S3 => format!(
                "url = \"s3://{BUCKET}/{place}\"\nendpoint = \"{endpoint}\"\npath_style = true\n\
                 credentials_file = \"{file}\"\n"
            ),
            Backend::Gcs => format!(
                "url = \"gs://{BUCKET}/{place}\"\nendpoint = \"{endpoint}\"\n\
                 credentials_file = \"{file}\"\n"
            ),
            Backend::Azure => format!(
                "url = \"az://{ACCOUNT}/{BUCKET}/{place}\"\nendpoint = \"{endpoint}/{ACCOUNT}\"\n\
                 {} = \"{file}\"\n",
                if self.has_sas.load(Ordering::SeqCst) { "sas_file" } else { "account_key_file" }
            ),
        };
        format!("[destinations.{name}]\n{own}part_bytes = {PART_BYTES}\n{more}\n")
    }

    /// A directory beside it, as a destination.
    #[must_use]
    pub fn beside(&self, name: &str) -> String {
        format!("[destinations.{name}]\nurl = \"file:beside/{}/{name}\"\n", self.name)
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
        self.scene.store.site.write(&format!("{}.toml", self.name), text.as_bytes());
    }

    /// A command of ours with the configuration of this place.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let site = &self.scene.store.site;
        let mut command = site.command(program);
        command.env("LIFEBOAT_CONFIG", site.path(&format!("{}.toml", self.name)));
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
        let number = self.runs.fetch_add(1, Ordering::SeqCst);
        let run_dir = format!("run-{}-{number}", self.name);
        let site = &self.scene.store.site;
        let (from, to) = (site.path("run"), site.path(&run_dir));
        run(Command::new("cp").arg("-a").arg(from).arg(to)).unwrap_or_else(|e| panic!("{e:?}"));
        let input = self.scene.store.artifact.to_string_lossy();
        self.program("lifeboat-replicate", &["--run-dir", &run_dir, "--input", &input])
    }

    /// The names of the objects of this place that end so, as they stand in the vault.
    #[must_use]
    pub fn objects(&self, ending: &str) -> Vec<String> {
        let all = self.vault.objects(&format!("{}/", self.name)).into_keys();
        all.filter(|name| name.ends_with(ending)).collect()
    }

    /// Why this place does not hold exactly `count` whole backups, with nothing beside them.
    ///
    /// # Errors
    /// With what is amiss.
    pub fn holds(&self, count: usize) -> Result<(), String> {
        let (manifests, all) = (self.objects(".json"), self.objects(""));
        if manifests.len() != count || all.len() != 2 * count {
            return Err(format!("not {count} backups but {all:#?}"));
        }
        manifests.iter().try_for_each(|manifest| self.whole(manifest))
    }

    /// Why something that is listed is not whole; whatever lies beside it.
    ///
    /// # Errors
    /// With what is amiss.
    pub fn lists_only_whole(&self) -> Result<(), String> {
        self.objects(".json").iter().try_for_each(|manifest| self.whole(manifest))
    }

    /// Compares an artifact with what its manifest says.
    fn whole(&self, manifest: &str) -> Result<(), String> {
        let said = |why: String| format!("{manifest}: {why}");
        let text = self.vault.get(manifest).ok_or_else(|| said("it went away".into()))?;
        let record: Value = serde_json::from_slice(&text).map_err(|e| said(e.to_string()))?;
        let (folder, _) = manifest.rsplit_once('/').unwrap_or_default();
        let file = record["artifact"]["file"].as_str().unwrap_or_default();
        let artifact = self.vault.get(&format!("{folder}/{file}"));
        let bytes = artifact.ok_or_else(|| said("it has no artifact".into()))?;
        let found = (bytes.len() as u64, hex::encode(Sha256::digest(&bytes)));
        let expected = &record["artifact"];
        match expected["bytes"] == found.0 && expected["sha256"] == found.1.as_str() {
            true => Ok(()),
            false => Err(said(format!("says {expected}, and the artifact has {found:?}"))),
        }
    }

    /// How many parts were sent more than once.
    ///
    /// # Panics
    /// On a directory, which has no front.
    #[must_use]
    pub fn parts_resent(&self) -> usize {
        use crate::fault_front::Operation::Part;
        let seen = self.front().seen();
        let parts = seen.iter().filter(|(call, _)| call.operation == Part).map(|(c, _)| c.part);
        let parts: Vec<u32> = parts.collect();
        parts.len() - parts.iter().collect::<BTreeSet<_>>().len()
    }
}

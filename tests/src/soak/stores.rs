//! The servers that worlds keep their backups on, each started once and shared by all of them.
//!
//! Owns: a bucket of its own for each destination of each world, with a front before it, and what
//! stands about it in the configuration.
//! Does not: decide what goes wrong; `fault` does.

use super::world::{Destination, Kind};
use crate::Error;
use crate::azure::{ACCOUNT, ACCOUNT_KEY, AzureServer};
use crate::checker::{Far, Place};
use crate::fault_front::{FaultFront, Protocol};
use crate::gcs::GcsServer;
use crate::s3::{Bucket, S3Kind, S3Server};
use crate::site::Site;
use crate::skips::or_skip;
use crate::vault::{AzureVault, FolderVault, GcsVault, Vault};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

/// What is put before every key.
const PREFIX: &str = "prefix";

/// All of them; that of S3 starts when it is first needed.
#[derive(Debug, Default)]
pub struct Stores {
    s3: OnceLock<S3Server>,
    gcs: Option<GcsServer>,
    azure: Option<AzureServer>,
    /// How many worlds there were.
    pub(super) worlds: AtomicUsize,
}

impl Stores {
    /// Those that are on this machine; a missing one is noted as skipped.
    ///
    /// # Panics
    /// When one that is there does not start.
    #[must_use]
    pub fn start(test: &str) -> Self {
        Stores {
            gcs: or_skip(&format!("{test}::gcs"), GcsServer::start()),
            azure: or_skip(&format!("{test}::azure"), AzureServer::start()),
            ..Stores::default()
        }
    }

    /// This kind of store, or S3's where its server is missing.
    #[must_use]
    pub fn or(&self, kind: Kind) -> Kind {
        match kind {
            Kind::Gcs if self.gcs.is_none() => Kind::Bucket,
            Kind::Azure if self.azure.is_none() => Kind::Bucket,
            kind => kind,
        }
    }

    pub(super) fn s3(&self) -> Result<&S3Server, Error> {
        if self.s3.get().is_none() {
            // Of two that start at once the second one ends again.
            let _ = self.s3.set(S3Server::start(S3Kind::S3sFs)?);
        }
        self.s3.get().ok_or_else(|| missing("s3s-fs"))
    }

    /// The destination number `at` of the world of this number.
    pub(super) fn destination(
        &self,
        kind: Kind,
        at: usize,
        world: usize,
        site: &Site,
    ) -> Result<Destination, Error> {
        let name = format!("place_{at}");
        let bucket = format!("world-{world}-place-{at}");
        if kind == Kind::Directory {
            let place =
                Place { name, folder: site.path(&format!("backups/place_{at}")), far: None };
            let settings = format!("url = \"file:backups/place_{at}\"\n");
            return Ok(Destination { kind, place, front: None, settings, url: None });
        }
        let (protocol, port, vault) = self.reach(kind, &bucket)?;
        let front = FaultFront::before(protocol, port, Some(vault.clone()))?;
        let settings = settings(kind, &bucket, &front, site);
        let far = Far { vault, prefix: format!("{PREFIX}/") };
        let place = match kind {
            // s3s-fs keeps files, unfinished ones too, and those are looked at as they are.
            Kind::Bucket => {
                let folder = self.s3()?.bucket_dir(&bucket).unwrap_or_default().join(PREFIX);
                Place { name, folder, far: None }
            }
            _ => Place { folder: site.path(&format!("near/{name}")), name, far: Some(far) },
        };
        Ok(Destination { kind, place, front: Some(front), settings, url: None })
    }

    /// Makes the bucket.
    fn reach(&self, kind: Kind, bucket: &str) -> Result<(Protocol, u16, Arc<dyn Vault>), Error> {
        let name = bucket.to_owned();
        Ok(match kind {
            Kind::Gcs => {
                let server = self.gcs.as_ref().ok_or_else(|| missing("fake-gcs-server"))?;
                server.create_bucket(bucket)?;
                let vault = GcsVault { port: server.port(), bucket: name };
                (Protocol::Gcs, server.port(), Arc::new(vault))
            }
            Kind::Azure => {
                let server = self.azure.as_ref().ok_or_else(|| missing("azurite"))?;
                server.create_container(bucket)?;
                let (account, key) = (ACCOUNT.to_owned(), ACCOUNT_KEY.to_owned());
                let vault = AzureVault { port: server.port(), account, key, container: name };
                (Protocol::Azure, server.port(), Arc::new(vault))
            }
            Kind::Bucket | Kind::Directory => {
                let server = self.s3()?;
                server.create_bucket(bucket, Bucket::Plain)?;
                let folder = server.bucket_dir(bucket).unwrap_or_default();
                (Protocol::S3, server.port(), Arc::new(FolderVault { folder }))
            }
        })
    }
}

fn settings(kind: Kind, bucket: &str, front: &FaultFront, site: &Site) -> String {
    let endpoint = front.endpoint();
    let file = format!("keys/{bucket}");
    match kind {
        Kind::Gcs => {
            site.write(&file, front.google_user("writer").as_bytes());
            format!(
                "url = \"gs://{bucket}/{PREFIX}\"\nendpoint = \"{endpoint}\"\n\
                 credentials_file = \"{file}\"\n"
            )
        }
        Kind::Azure => {
            site.write(&file, ACCOUNT_KEY.as_bytes());
            format!(
                "url = \"az://{ACCOUNT}/{bucket}/{PREFIX}\"\n\
                 endpoint = \"{endpoint}/{ACCOUNT}\"\naccount_key_file = \"{file}\"\n"
            )
        }
        Kind::Bucket | Kind::Directory => format!(
            "url = \"s3://{bucket}/{PREFIX}\"\nendpoint = \"{endpoint}\"\npath_style = true\n"
        ),
    }
}

fn missing(tool: &str) -> Error {
    let reason = "it was not started".to_owned();
    Error::Missing { tool: tool.to_owned(), reason }
}

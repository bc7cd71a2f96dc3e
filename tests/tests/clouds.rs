//! The main job into everything at once: a directory, three servers that speak S3, Google Cloud
//! Storage and Azure, from one configuration; and back from each of them alone.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::azure::{ACCOUNT, ACCOUNT_KEY, AzureServer, SAS};
use lifeboat_tests::gcs::GcsServer;
use lifeboat_tests::load::load_noise;
use lifeboat_tests::objects::LoadSpec;
use lifeboat_tests::s3::{ACCESS_KEY, Bucket, S3Kind, S3Server, SECRET_KEY};
use lifeboat_tests::site::Site;
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::vault::{AzureVault, FolderVault, GcsVault, Vault};
use lifeboat_tests::{Cluster, ClusterSpec, Error, Etcd};
use serde_json::Value;
use sha2::{Digest, Sha256};

const BUCKET: &str = "backups";
/// The smallest part of S3; the artifact has some of them.
const PART_BYTES: usize = 5 << 20;

/// A cluster, and one server of each kind.
struct Clouds {
    _cluster: Cluster,
    site: Site,
    s3: Vec<S3Server>,
    google: Option<GcsServer>,
    azure: Option<AzureServer>,
}

impl Clouds {
    /// All servers that are on this machine; each that is missing is noted as skipped.
    fn start(test: &str) -> Result<Self, Error> {
        let cluster = ClusterSpec::new(&Etcd::newest()?).start()?;
        let _ = cluster.load(&LoadSpec { objects: 50, ..LoadSpec::default() })?;
        load_noise(&cluster.connection(), 2 * PART_BYTES + (1 << 20))?;
        let site = Site::new(&cluster)?;
        let mut s3 = Vec::new();
        for kind in [S3Kind::S3sFs, S3Kind::Moto, S3Kind::Minio] {
            let name = format!("{test}::{}", name_of(kind));
            let Some(server) = or_skip(&name, S3Server::start(kind)) else { continue };
            server.create_bucket(BUCKET, Bucket::Plain)?;
            s3.push(server);
        }
        let google = or_skip(&format!("{test}::google"), GcsServer::start());
        let azure = or_skip(&format!("{test}::azure"), AzureServer::start());
        google.as_ref().map(|google| google.create_bucket(BUCKET)).transpose()?;
        azure.as_ref().map(|azure| azure.create_container(BUCKET)).transpose()?;
        let clouds = Clouds { _cluster: cluster, site, s3, google, azure };
        clouds.configure();
        Ok(clouds)
    }

    /// One configuration with all of them.
    fn configure(&self) {
        let aws = format!(
            "[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
        );
        self.site.write("aws", aws.as_bytes());
        self.site.write("azure-key", ACCOUNT_KEY.as_bytes());
        self.site.write("azure-sas", SAS.as_bytes());
        let s3 = self.s3.iter().map(|server| {
            // moto does not know the checksum of whole objects.
            let checksum = if server.kind() == S3Kind::Moto { "part" } else { "full" };
            format!(
                "[destinations.{}]\nurl = \"s3://{BUCKET}/etcd\"\nendpoint = \"{}\"\n\
                 path_style = true\ncredentials_file = \"aws\"\nchecksum = \"{checksum}\"\n",
                name_of(server.kind()),
                server.endpoint()
            )
        });
        let google = self.google.iter().map(|google| {
            format!(
                "[destinations.google]\nurl = \"gs://{BUCKET}/etcd\"\nendpoint = \"{}\"\n\
                 credentials = \"none\"\n",
                google.endpoint()
            )
        });
        let ways = [
            ("azure", "account_key_file = \"azure-key\""),
            ("azure_sas", "sas_file = \"azure-sas\""),
        ];
        let azure = self.azure.iter().flat_map(|azure| {
            ways.map(|(name, secret)| {
                format!(
                    "[destinations.{name}]\nurl = \"az://{ACCOUNT}/{BUCKET}/{name}\"\n\
                     endpoint = \"{}\"\n{secret}\n",
                    azure.endpoint()
                )
            })
        });
        let text = format!(
            "cluster = \"demo\"\n[encrypt]\nrecipients_files = [\"keys/recipients.txt\"]\n\
             [decrypt]\nidentities_files = [\"keys/identity.txt\"]\n[prune]\nlast = 3\n\
             [destinations.disk]\nurl = \"file:backups/disk\"\n{}{}{}",
            s3.collect::<String>(),
            google.collect::<String>(),
            azure.collect::<String>(),
        );
        self.site.configure(&text).unwrap();
    }

    /// The names of all destinations, in order.
    fn names(&self) -> Vec<&'static str> {
        let mut names = vec!["disk"];
        names.extend(self.s3.iter().map(|server| name_of(server.kind())));
        names.extend(self.google.iter().map(|_| "google"));
        names.extend(self.azure.iter().flat_map(|_| ["azure", "azure_sas"]));
        names.sort_unstable();
        names
    }

    /// What each destination holds, looked at without Lifeboat.
    fn vaults(&self) -> Vec<(&'static str, Box<dyn Vault>, &'static str)> {
        let mut all: Vec<(&'static str, Box<dyn Vault>, &'static str)> = Vec::new();
        for folder in self.s3.iter().filter_map(|server| server.bucket_dir(BUCKET)) {
            all.push(("s3sfs", Box::new(FolderVault { folder }), "etcd/"));
        }
        if let Some(google) = &self.google {
            let vault = GcsVault { port: google.port(), bucket: BUCKET.to_owned() };
            all.push(("google", Box::new(vault), "etcd/"));
        }
        if let Some(azure) = &self.azure {
            let vault = || AzureVault {
                port: azure.port(),
                account: ACCOUNT.to_owned(),
                key: ACCOUNT_KEY.to_owned(),
                container: BUCKET.to_owned(),
            };
            all.push(("azure", Box::new(vault()), "azure/"));
            all.push(("azure_sas", Box::new(vault()), "azure_sas/"));
        }
        all
    }
}

fn name_of(kind: S3Kind) -> &'static str {
    match kind {
        S3Kind::S3sFs => "s3sfs",
        S3Kind::Moto => "moto",
        S3Kind::Minio => "minio",
    }
}

#[test]
fn i01_i17_three_clouds_and_a_directory_in_one_run_and_back_from_each_alone() {
    let test = "i01_i17_three_clouds_and_a_directory_in_one_run_and_back_from_each_alone";
    let Some(clouds) = or_skip(test, Clouds::start(test)) else { return };
    let all = clouds.names();
    let _ = clouds.site.lifeboat(&["check"]).code(0);
    let run = clouds.site.lifeboat(&["run", "--json"]).code(0);
    for name in &all {
        let _ = run.clone().said(&format!("destination {name} holds a proved copy"));
    }
    let show = clouds.site.lifeboat(&["show", "latest", "--json"]).code(0).json();
    let copies = show["copies"].as_array().unwrap();
    let names: Vec<&str> = copies.iter().map(|c| c["destination"].as_str().unwrap()).collect();
    assert_eq!(names, all);
    assert!(copies.iter().all(|copy| copy["state"] == "verified"), "{copies:#?}");
    let first = fetched(&clouds.site, all[0]);
    for name in &all[1..] {
        assert!(fetched(&clouds.site, name) == first, "{name} gives other bytes");
    }
    for (name, vault, prefix) in clouds.vaults() {
        is_whole(name, &*vault, prefix, &all);
    }
    // The second one finds the first, and prune can read and list everywhere.
    let _ = clouds.site.lifeboat(&["run"]).code(0);
    let list = clouds.site.lifeboat(&["list", "--json"]).json();
    assert_eq!(list["backups"].as_array().unwrap().len(), 2, "{list:#}");
    assert_eq!(list["orphans"].as_array().unwrap().len(), 0, "{list:#}");
}

/// The snapshot out of one destination: fetched, decrypted, decompressed and verified.
fn fetched(site: &Site, from: &str) -> Vec<u8> {
    let output = format!("{from}.db");
    let _ = site.lifeboat(&["fetch", "latest", "--from", from, "-o", &output]).code(0);
    std::fs::read(site.path(&output)).unwrap()
}

/// The one manifest tells the artifact beside it, byte for byte, and where the other copies are.
fn is_whole(name: &str, vault: &dyn Vault, prefix: &str, all: &[&str]) {
    let objects = vault.objects(prefix);
    let keys: Vec<&String> = objects.keys().collect();
    assert_eq!(keys.len(), 2, "{name}: {keys:?}");
    let bytes = |ending: &str| {
        let key = keys.iter().find(|key| key.ends_with(ending)).unwrap();
        vault.get(key).unwrap()
    };
    let (artifact, manifest) = (bytes(".age"), bytes(".json"));
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let said = &manifest["artifact"];
    assert!(said["bytes"].as_u64().unwrap() > 2 * PART_BYTES as u64, "{name}: {said}");
    assert_eq!(said["bytes"].as_u64(), Some(artifact.len() as u64), "{name}");
    assert_eq!(said["sha256"], hex::encode(Sha256::digest(&artifact)), "{name}");
    let placed = manifest["placed"]["destinations"].as_object().unwrap();
    assert_eq!(placed.keys().collect::<Vec<_>>(), all);
    assert!(placed.values().all(|place| place["proved"] == true), "{placed:#?}");
}

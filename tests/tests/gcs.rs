//! The whole pipeline into a directory and a bucket of Google Cloud Storage, and back.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::gcs::GcsServer;
use lifeboat_tests::load::load_noise;
use lifeboat_tests::site::Site;
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{ClusterSpec, Error, Etcd};

/// More than two chunks of the smallest size that the configuration takes.
const NOISE_BYTES: usize = 12 << 20;
const PART_BYTES: usize = 5 << 20;

fn configure(site: &Site, more: &str) {
    let text = format!(
        "cluster = \"demo\"\n\
         stages = [\"capture\", \"verify\", \"compress\", \"encrypt\", \"replicate\"]\n\
         [run]\nattempts = 1\ndeadline = \"90s\"\n\
         [encrypt]\nrecipients_files = [\"keys/recipients.txt\"]\n\
         [decrypt]\nidentities_files = [\"keys/identity.txt\"]\n\
         [replicate]\nrequire = \"all\"\n\
         [destinations.disk]\nurl = \"file:backups/disk\"\n\
         [destinations.google]\nurl = \"gs://backups/etcd\"\npart_bytes = {PART_BYTES}\n{more}"
    );
    site.configure(&text).unwrap();
}

#[test]
fn i01_a_directory_and_a_bucket_of_google_at_once() {
    let test = "i01_a_directory_and_a_bucket_of_google_at_once";
    let scene = || -> Result<_, Error> {
        let server = GcsServer::start()?;
        server.create_bucket("backups")?;
        let cluster = ClusterSpec::new(&Etcd::newest()?).start()?;
        load_noise(&cluster.connection(), NOISE_BYTES)?;
        let site = Site::new(&cluster)?;
        Ok((server, cluster, site))
    };
    let Some((server, _cluster, site)) = or_skip(test, scene()) else { return };
    let place = format!("endpoint = \"{}\"\ncredentials = \"none\"\n", server.endpoint());
    let classed = "storage_class = \"NEARLINE\"\ntags = { team = \"etcd\" }\n";
    configure(&site, &format!("{place}{classed}"));
    let _ = site.lifeboat(&["run"]).code(0);

    let shown = site.lifeboat(&["show", "--json"]).code(0).json();
    let copies = shown["copies"].as_array().unwrap();
    assert_eq!(copies.len(), 2, "{copies:#?}");
    assert!(copies.iter().all(|copy| copy["state"] == "verified"), "{copies:#?}");
    let bytes = shown["manifest"]["artifact"]["bytes"].as_u64().unwrap();
    assert!(bytes > 2 * PART_BYTES as u64, "{bytes} bytes are not three chunks");

    let digest = |from: &str| {
        let file = format!("{from}.db");
        let _ = site.lifeboat(&["fetch", "latest", "--from", from, "-o", &file]).code(0);
        site.program("lifeboat-verify", &["--json", &file]).code(0).json()["sha256"].clone()
    };
    let google = digest("google");
    assert!(google.is_string());
    assert_eq!(google, digest("disk"));
    let checked = site.lifeboat(&["check"]);
    assert!(checked.stdout.contains("google"), "{checked:?}");

    // A key that this server knows nothing of: the copy does not count.
    let key = "projects/p/locations/l/keyRings/r/cryptoKeys/k";
    configure(&site, &format!("{place}sse = \"kms\"\nkms_key = \"{key}\"\n"));
    let _ = site.lifeboat(&["run"]).code(3).said("ignored kms_key");
    // Without its key, there is no such setting.
    configure(&site, &format!("{place}sse = \"kms\"\n"));
    let _ = site.lifeboat(&["run"]).code(3).said("sse needs kms_key");
}

//! Without credentials: a run of this very program in an environment that has none.

use crate::servers;
use lifeboat_store::{
    Checksum, CredentialsProblem, Destination, ErrorKind, GcsDestination, S3Destination,
};
use std::process::Command;

#[test]
fn missing_credentials_are_called_so() {
    in_a_bare_process("in_a_bare_environment");
    in_a_bare_process("outside_of_googles_cloud");
}

fn in_a_bare_process(test: &str) {
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program)
        .args(["--exact", &format!("credentials::{test}"), "--ignored", "--nocapture"])
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        // Nobody listens there.
        .env("GCE_METADATA_HOST", "127.0.0.1:9")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "run by missing_credentials_are_called_so, in an environment without credentials"]
async fn outside_of_googles_cloud() {
    assert_eq!(std::env::var("GCE_METADATA_HOST").as_deref(), Ok("127.0.0.1:9"));
    let mut settings = servers::gcs_settings("http://127.0.0.1:9");
    settings.anonymous = false;
    let destination = GcsDestination::open(settings).await.unwrap();
    let missing = CredentialsProblem::Missing;
    let error = destination.head("key").await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Credentials { problem, .. } if *problem == missing),
        "{error:?}"
    );
    assert!(error.to_string().contains("no metadata server"), "{error}");
}

#[tokio::test]
#[ignore = "run by missing_credentials_are_called_so, in an environment without credentials"]
async fn in_a_bare_environment() {
    assert_eq!(std::env::var("AWS_EC2_METADATA_DISABLED").as_deref(), Ok("true"));
    let mut settings = servers::settings("http://127.0.0.1:9", Checksum::Full);
    settings.credentials = None;
    let destination = S3Destination::open(settings).await.unwrap();
    let error = destination.head("key").await.unwrap_err();
    let missing = CredentialsProblem::Missing;
    assert!(
        matches!(error.kind(), ErrorKind::Credentials { problem, .. } if *problem == missing),
        "{error:?}"
    );
}

//! Without credentials: a run of this very program in an environment that has none.

use crate::servers;
use lifeboat_store::{Checksum, CredentialsProblem, Destination, ErrorKind, S3Destination};
use std::process::Command;

#[test]
fn missing_credentials_are_called_so() {
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program)
        .args(["--exact", "credentials::in_a_bare_environment", "--ignored", "--nocapture"])
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
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

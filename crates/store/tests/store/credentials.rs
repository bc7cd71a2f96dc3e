//! What the environment leads to: a run of this very program in one that has no credentials, or in
//! one that says where they are.

use crate::fake_s3::{FakeS3, Quirks, refusal};
use crate::servers;
use lifeboat_store::{
    Checksum, CredentialsProblem, Destination, ErrorKind, GcsDestination, S3Destination,
};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;

#[test]
fn missing_credentials_are_called_so() {
    in_a_bare_process("in_a_bare_environment", &[]);
    in_a_bare_process("outside_of_googles_cloud", &[]);
}

/// As a pod of Amazon's clusters has it: an address on this machine, and a file with what to say there.
#[test]
fn a_pods_identity_is_asked_for_at_its_address_with_its_token() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "CANARY-POD").unwrap();
    let agent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1/credentials", agent.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = agent.accept().unwrap();
        let (mut asked, mut piece) = (String::new(), [0; 4096]);
        while !asked.contains("\r\n\r\n") {
            let length = stream.read(&mut piece).unwrap();
            asked += &String::from_utf8_lossy(&piece[..length]);
        }
        let body = "{\"AccessKeyId\":\"EXPECTED-KEY\",\"SecretAccessKey\":\"S\",\
                    \"Token\":\"EXPECTED-TOKEN\",\"Expiration\":\"2099-01-01T00:00:00Z\"}";
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
        write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        asked
    });
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", address.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap()),
    ];
    in_a_bare_process("signs_with_what_the_environment_leads_to", &environment);
    let asked = answering.join().unwrap().to_lowercase();
    assert!(asked.starts_with("get /v1/credentials") && asked.contains("canary-pod"), "{asked}");
}

#[test]
fn a_credential_process_is_run() {
    let dir = tempfile::tempdir().unwrap();
    let (script, config) = (dir.path().join("issue"), dir.path().join("config"));
    let answer = "{\"Version\":1,\"AccessKeyId\":\"EXPECTED-KEY\",\"SecretAccessKey\":\"S\",\
                  \"SessionToken\":\"EXPECTED-TOKEN\",\"Expiration\":\"2099-01-01T00:00:00Z\"}";
    std::fs::write(&script, format!("echo '{answer}'\n")).unwrap();
    let line = format!("[default]\ncredential_process = /bin/sh {}\n", script.display());
    std::fs::write(&config, line).unwrap();
    let environment = [("AWS_CONFIG_FILE", config.to_str().unwrap())];
    in_a_bare_process("signs_with_what_the_environment_leads_to", &environment);
}

#[test]
fn f29_a_file_that_only_the_environment_names_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("aws");
    let environment = [("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap())];
    in_a_bare_process("is_renewed_in_the_file_of_the_environment", &environment);
}

fn in_a_bare_process(test: &str, environment: &[(&str, &str)]) {
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program)
        .args(["--exact", &format!("credentials::{test}"), "--ignored", "--nocapture"])
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        // Nobody listens there.
        .env("GCE_METADATA_HOST", "127.0.0.1:9")
        .envs(environment.iter().copied())
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

#[tokio::test]
#[ignore = "run in an environment of its own by the tests above"]
async fn signs_with_what_the_environment_leads_to() {
    assert_eq!(std::env::var("AWS_EC2_METADATA_DISABLED").as_deref(), Ok("true"));
    let fake = FakeS3::start(Quirks::default()).await;
    let mut settings = servers::settings(&fake.url, Checksum::Full);
    settings.credentials = None;
    S3Destination::open(settings).await.unwrap().list("").await.unwrap();
    let signed = fake.header("authorization");
    assert!(signed.contains("Credential=EXPECTED-KEY/"), "{signed}");
    assert_eq!(fake.header("x-amz-security-token"), "EXPECTED-TOKEN");
}

#[tokio::test]
#[ignore = "run in an environment of its own by the tests above"]
async fn is_renewed_in_the_file_of_the_environment() {
    let file = std::env::var("AWS_SHARED_CREDENTIALS_FILE").unwrap();
    let write = |token: &str| {
        let text = format!(
            "[default]\naws_access_key_id = A\naws_secret_access_key = S\n\
             aws_session_token = {token}\n"
        );
        std::fs::write(Path::new(&file), text).unwrap();
    };
    write("first");
    let fake = FakeS3::start(Quirks::default()).await;
    let mut settings = servers::settings(&fake.url, Checksum::Full);
    settings.credentials = None;
    let destination = S3Destination::open(settings).await.unwrap();
    destination.list("").await.unwrap();
    assert_eq!(fake.header("x-amz-security-token"), "first");
    write("second");
    fake.fail("list", 1, false, refusal(400, "ExpiredToken"));
    destination.list("").await.unwrap();
    assert_eq!(fake.header("x-amz-security-token"), "second");
    // What is not renewed has expired.
    fake.fail("list", u32::MAX, false, refusal(400, "ExpiredToken"));
    let error = destination.list("").await.unwrap_err();
    let expired = CredentialsProblem::Expired;
    assert!(
        matches!(error.kind(), ErrorKind::Credentials { problem, .. } if *problem == expired),
        "{error:?}"
    );
}

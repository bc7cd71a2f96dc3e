//! Azurite on 127.0.0.1, started for one test and stopped with it, and signatures for it.

use crate::servers::{Server, free_port, program, skip, start};
use azure_core::credentials::Secret;
use azure_core::hmac::hmac_sha256;
use azure_core::http::Url;
use azure_storage_blob::BlobContainerClient;
use lifeboat_store::{AzureCredentials, AzureSettings, Endpoint};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The account and the key that every Azurite has.
pub(crate) const ACCOUNT: &str = "devstoreaccount1";
pub(crate) const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
/// Everything that a signature may permit.
pub(crate) const EVERYTHING: &str = "rwdlacti";
/// An expiry that is far away.
pub(crate) const LATER: &str = "2099-01-01T00:00:00Z";
const SAS_VERSION: &str = "2020-12-06";

/// A server with the container `backups`, and a folder for files of secrets.
pub(crate) struct Azurite {
    server: Server,
    secrets: tempfile::TempDir,
}

pub(crate) async fn azurite(test: &str) -> Option<Azurite> {
    let Some(program) = program("azurite", "azurite-blob") else {
        skip(test, "azurite");
        return None;
    };
    let (root, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut command = Command::new(program);
    command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--silent"]);
    // It would refuse headers that it does not know, and tell its makers of each start.
    command.args(["--loose", "--skipApiVersionCheck", "--disableTelemetry", "--location"]);
    command.arg(root.path());
    let server = start(command, root, port);
    let azurite = Azurite { server, secrets: tempfile::tempdir().unwrap() };
    azurite.client().create(None).await.unwrap();
    Some(azurite)
}

impl Azurite {
    pub(crate) fn endpoint(&self) -> String {
        format!("{}/{ACCOUNT}", self.server.url)
    }

    /// A file with a secret in it.
    pub(crate) fn secret(&self, name: &str, text: &str) -> PathBuf {
        let path = self.secrets.path().join(name);
        std::fs::write(&path, format!("{text}\n")).unwrap();
        path
    }

    /// Settings with small blocks, and the account's key.
    pub(crate) fn settings(&self) -> AzureSettings {
        let key = AzureCredentials::AccountKeyFile(self.secret("key", KEY));
        settings(&self.endpoint(), key)
    }

    /// The same with a signature that permits what `permissions` says.
    pub(crate) fn settings_of_sas(&self, permissions: &str, expiry: &str) -> AzureSettings {
        let file = self.secret(&format!("sas-{permissions}"), &account_sas(permissions, expiry));
        settings(&self.endpoint(), AzureCredentials::SasFile(file))
    }

    /// A client of the server itself, to look behind the crate's back.
    pub(crate) fn client(&self) -> BlobContainerClient {
        let sas = account_sas(EVERYTHING, LATER);
        let url = Url::parse(&format!("{}/backups?{sas}", self.endpoint())).unwrap();
        BlobContainerClient::new(url, None, None).unwrap()
    }
}

/// Settings for a server on this machine, with small blocks.
pub(crate) fn settings(endpoint: &str, credentials: AzureCredentials) -> AzureSettings {
    let mut settings = AzureSettings::new("site-c", ACCOUNT, "backups");
    settings.prefix = "some/prefix/".into();
    settings.endpoint_url = Some(Endpoint::parse(endpoint).unwrap());
    settings.part_bytes = 256 << 10;
    settings.parts_in_flight = 2;
    settings.credentials = credentials;
    settings.patience = Duration::ZERO;
    settings
}

/// A signature for all containers and blobs of the account.
pub(crate) fn account_sas(permissions: &str, expiry: &str) -> String {
    let text = format!("{ACCOUNT}\n{permissions}\nb\nsco\n\n{expiry}\n\n\n{SAS_VERSION}\n\n");
    let signature = hmac_sha256(&text, &Secret::new(KEY)).unwrap();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("sv", SAS_VERSION).append_pair("ss", "b").append_pair("srt", "sco");
    query.append_pair("sp", permissions).append_pair("se", expiry);
    query.append_pair("sig", &signature).finish()
}

/// What must never be shown: the key, and every signature.
pub(crate) fn shows_no_secret(shown: &str, files: &[&Path]) {
    assert!(!shown.contains(KEY) && !shown.contains("sig="), "{shown}");
    for file in files {
        let secret = std::fs::read_to_string(file).unwrap();
        assert!(!shown.contains(secret.trim()), "{shown}");
    }
}

//! Tokens of Entra: which identity this process has, decided when the first token is needed.
//!
//! A workload identity where `AZURE_FEDERATED_TOKEN_FILE` is set, else a client secret of the
//! environment, else the machine's managed identity. The SDK keeps tokens and renews them before
//! they expire, and reads a workload's token file again every ten minutes.
//!
//! Does not: open any connection before a token is needed. Requests for tokens do not use the
//! destination's proxy or authorities, which are those of the container.

use super::error::Trouble;
use crate::CredentialsProblem;
use crate::error::{innermost, one_line};
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_identity::{
    ClientSecretCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions,
    UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use std::fmt;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Where an identity comes from.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Workload,
    ClientSecret { tenant: String, client: String },
    Machine,
}

/// The first of the sources that there is.
pub(super) struct Chain {
    client_id: Option<String>,
    chosen: OnceCell<(Source, Arc<dyn TokenCredential>)>,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({:?})", self.chosen.get().map(|(source, _)| source))
    }
}

impl Chain {
    pub(super) fn new(client_id: Option<String>) -> Self {
        Chain { client_id, chosen: OnceCell::new() }
    }

    async fn choose(&self) -> azure_core::Result<(Source, Arc<dyn TokenCredential>)> {
        let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let source = source(environment, self.client_id.as_deref());
        let credential: Arc<dyn TokenCredential> = match &source {
            Source::Workload => {
                let client_id = self.client_id.clone();
                let options = WorkloadIdentityCredentialOptions { client_id, ..Default::default() };
                WorkloadIdentityCredential::new(Some(options))?
            }
            Source::ClientSecret { tenant, client } => {
                let secret = Secret::new(environment(SECRET).unwrap_or_default());
                ClientSecretCredential::new(tenant, client.clone(), secret, None)?
            }
            Source::Machine => {
                let user_assigned_id = self.client_id.clone().map(UserAssignedId::ClientId);
                let options =
                    ManagedIdentityCredentialOptions { user_assigned_id, ..Default::default() };
                ManagedIdentityCredential::new(Some(options))?
            }
        };
        Ok((source, credential))
    }
}

const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const TENANT: &str = "AZURE_TENANT_ID";
const CLIENT: &str = "AZURE_CLIENT_ID";
const SECRET: &str = "AZURE_CLIENT_SECRET";

fn source(environment: impl Fn(&str) -> Option<String>, client_id: Option<&str>) -> Source {
    if environment(TOKEN_FILE).is_some() {
        return Source::Workload;
    }
    let client = client_id.map(str::to_owned).or_else(|| environment(CLIENT));
    match (environment(TENANT), client, environment(SECRET)) {
        (Some(tenant), Some(client), Some(_)) => Source::ClientSecret { tenant, client },
        _ => Source::Machine,
    }
}

#[async_trait::async_trait]
impl TokenCredential for Chain {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let (source, credential) = self.chosen.get_or_try_init(|| self.choose()).await?;
        let got = credential.get_token(scopes, options).await;
        got.map_err(|e| if *source == Source::Machine { nobody(&e) } else { refused(e) })
    }
}

/// The last of the sources is no source where nothing answers.
fn nobody(e: &azure_core::Error) -> azure_core::Error {
    let said = format!(
        "no workload identity and no client secret in the environment, and no managed identity: {}",
        innermost(e)
    );
    Trouble::Credentials { problem: CredentialsProblem::Missing, said }.into_sdk()
}

/// With its own words as the kind that says what it is about.
fn refused(e: azure_core::Error) -> azure_core::Error {
    match e.kind() {
        ErrorKind::Credential | ErrorKind::Connection | ErrorKind::Io => e,
        _ => azure_core::Error::with_message(ErrorKind::Credential, one_line(&e.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)], client_id: Option<&str>) -> Source {
        let value = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        };
        source(value, client_id)
    }

    #[test]
    fn the_first_source_of_an_identity_that_there_is_is_taken() {
        let secret = [(TENANT, "t"), (CLIENT, "c"), (SECRET, "s")];
        let with_file = [(TOKEN_FILE, "/f"), (TENANT, "t"), (CLIENT, "c"), (SECRET, "s")];
        let client =
            |client: &str| Source::ClientSecret { tenant: "t".into(), client: client.into() };
        assert_eq!(of(&[], None), Source::Machine);
        assert_eq!(of(&secret[..2], None), Source::Machine);
        assert_eq!(of(&secret, None), client("c"));
        assert_eq!(of(&secret, Some("mine")), client("mine"));
        assert_eq!(of(&with_file, None), Source::Workload);
    }

    #[tokio::test]
    async fn a_source_is_chosen_without_a_request() {
        let chain = Chain::new(Some("c".into()));
        assert_eq!(format!("{chain:?}"), "Chain(None)");
    }
}

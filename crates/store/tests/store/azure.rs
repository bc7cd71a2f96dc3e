//! Azure against a real server.

use crate::azure_server::{EVERYTHING, LATER, azurite};
use lifeboat_store::conformance::{Extent, run};
use lifeboat_store::{AzureDestination, AzureSettings, Destination};

const EXTENT: Extent = Extent { large_bytes: (1 << 20) + 123, many: 20, lists_uploads: true };

async fn conforms(settings: AzureSettings, extent: Extent) {
    let destination = AzureDestination::open(settings).await.unwrap();
    if let Err(failure) = run(&destination, "prod/daily", extent).await {
        panic!("{}: {failure}", destination.location());
    }
}

#[tokio::test]
async fn azurite_conforms_with_an_account_key() {
    let Some(azurite) = azurite("azurite_conforms_with_an_account_key").await else { return };
    conforms(azurite.settings(), EXTENT).await;
}

#[tokio::test]
async fn azurite_conforms_with_a_signature() {
    let Some(azurite) = azurite("azurite_conforms_with_a_signature").await else { return };
    conforms(azurite.settings_of_sas(EVERYTHING, LATER), EXTENT).await;
}

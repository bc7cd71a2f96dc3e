//! Azure against a real server.

use crate::azure_server::{EVERYTHING, LATER, azurite, shows_no_secret};
use lifeboat_store::conformance::{Extent, noise, run};
use lifeboat_store::{
    AzureDestination, AzureSettings, CredentialsProblem, Destination, ErrorKind, Keeping, Lock,
    LockMode, ReadBackOptions, Summary, Trial, Verdict, probe, read_back,
};

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

/// What is in a container with a prefix is the same for whoever asks without one.
#[tokio::test]
async fn azurite_conforms_without_a_prefix() {
    let Some(azurite) = azurite("azurite_conforms_without_a_prefix").await else { return };
    let mut settings = azurite.settings();
    settings.prefix = String::new();
    conforms(settings, Extent { large_bytes: 300_000, many: 3, lists_uploads: true }).await;
}

#[tokio::test]
async fn azurite_reports_a_class_and_is_found_out_about_a_lock() {
    let test = "azurite_reports_a_class_and_is_found_out_about_a_lock";
    let Some(azurite) = azurite(test).await else { return };
    let destination = AzureDestination::open(azurite.settings()).await.unwrap();
    let until = "2090-01-01T00:00:00Z".parse().unwrap();
    let lock = Some(Lock { mode: LockMode::Governance, until });
    for (number, length) in [100, 600_000].into_iter().enumerate() {
        let (key, bytes) = (format!("key-{number}"), noise(length));
        let storage_class = Some("Cool".to_owned());
        let keeping = Keeping { storage_class, ..Keeping::default() };
        let mut upload = destination.create(&key, &keeping, Default::default()).await.unwrap();
        upload.write(bytes.clone()).await.unwrap();
        upload.complete(&Summary::of(&bytes)).await.unwrap();
        let options = ReadBackOptions { keeping: keeping.clone(), ..ReadBackOptions::default() };
        let proven = read_back(&destination, &key, &Summary::of(&bytes), &options).await.unwrap();
        assert_eq!(proven.info.storage_class.as_deref(), Some("Cool"));
        let listed = destination.list(&key).await.unwrap();
        assert_eq!(listed[0].storage_class.as_deref(), Some("Cool"));
        let locked = Keeping { lock, ..keeping };
        let error = destination.audit(&proven.info, &locked).unwrap_err();
        let fits = matches!(error.kind(), ErrorKind::SilentDowngrade { setting: "lock", .. });
        assert!(fits, "{error}");
    }
    assert_eq!(destination.list("").await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_archived_blob_cannot_be_read_at_once() {
    let Some(azurite) = azurite("an_archived_blob_cannot_be_read_at_once").await else { return };
    let destination = AzureDestination::open(azurite.settings()).await.unwrap();
    let keeping = Keeping { storage_class: Some("archive".into()), ..Keeping::default() };
    destination.put_new("key", "x".into(), &keeping).await.unwrap();
    let info = destination.head("key").await.unwrap().unwrap();
    destination.audit(&info, &keeping).unwrap();
    let error = destination.read("key", None).await.err().unwrap();
    assert!(matches!(error.kind(), ErrorKind::Archived { .. }), "{error}");
    assert!(error.hint().unwrap().contains("read-back"), "{error}");
}

#[tokio::test]
async fn f30_f31_azurite_refuses_what_a_signature_does_not_permit() {
    let test = "f30_f31_azurite_refuses_what_a_signature_does_not_permit";
    let Some(azurite) = azurite(test).await else { return };
    let writer = AzureDestination::open(azurite.settings_of_sas("rcwl", LATER)).await.unwrap();
    writer.put_new("key", "x".into(), &Keeping::default()).await.unwrap();
    let delete = writer.delete("key").await.unwrap_err();
    let reader = AzureDestination::open(azurite.settings_of_sas("r", LATER)).await.unwrap();
    let list = reader.list("").await.unwrap_err();
    let write = reader.put_new("other", "x".into(), &Keeping::default()).await.unwrap_err();
    for (error, verb) in [(delete, "blobs/delete"), (list, "SAS: l"), (write, "blobs/write")] {
        assert!(matches!(error.kind(), ErrorKind::Denied { .. }), "{error}");
        assert!(error.to_string().contains(verb), "{error}");
        shows_no_secret(&format!("{error} {error:?}"), &[]);
    }
}

#[tokio::test]
async fn f29_f31_a_wrong_key_and_an_old_signature_are_refused_without_being_shown() {
    let test = "f29_f31_a_wrong_key_and_an_old_signature_are_refused_without_being_shown";
    let Some(azurite) = azurite(test).await else { return };
    let mut wrong = azurite.settings();
    let key = azurite.secret("wrong", "Q0FOQVJZ");
    wrong.credentials = lifeboat_store::AzureCredentials::AccountKeyFile(key.clone());
    let old = azurite.settings_of_sas("rl", "2020-01-01T00:00:00Z");
    for settings in [wrong, old] {
        let destination = AzureDestination::open(settings).await.unwrap();
        let error = destination.list("").await.unwrap_err();
        let fits = matches!(
            error.kind(),
            ErrorKind::Denied { .. }
                | ErrorKind::Credentials {
                    problem: CredentialsProblem::Invalid | CredentialsProblem::Expired,
                    ..
                }
        );
        assert!(fits, "{error}");
        shows_no_secret(&format!("{error} {error:?}"), &[&key]);
    }
}

#[tokio::test]
async fn f31_a_missing_container_and_a_missing_file_are_named() {
    let test = "f31_a_missing_container_and_a_missing_file_are_named";
    let Some(azurite) = azurite(test).await else { return };
    let mut settings = azurite.settings();
    settings.container = "nowhere".into();
    let destination = AzureDestination::open(settings).await.unwrap();
    for error in [
        destination.list("").await.unwrap_err(),
        destination.head("a").await.unwrap_err(),
        destination.put_new("a", "x".into(), &Keeping::default()).await.unwrap_err(),
    ] {
        assert!(matches!(error.kind(), ErrorKind::BucketMissing { .. }), "{error}");
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
    let mut settings = azurite.settings();
    settings.credentials = lifeboat_store::AzureCredentials::SasFile("nowhere/sas".into());
    let error = AzureDestination::open(settings).await.unwrap().head("a").await.unwrap_err();
    let missing = CredentialsProblem::Missing;
    assert!(
        matches!(error.kind(), ErrorKind::Credentials { problem, .. } if *problem == missing),
        "{error}"
    );
    assert!(error.to_string().contains("nowhere/sas"), "{error}");
}

/// What an upload left that was killed neither shows nor stands in the way of the next one, large
/// or small.
#[tokio::test]
async fn blocks_of_a_killed_upload_to_azure_are_in_nobodys_way() {
    let test = "blocks_of_a_killed_upload_to_azure_are_in_nobodys_way";
    let Some(azurite) = azurite(test).await else { return };
    let destination = AzureDestination::open(azurite.settings()).await.unwrap();
    let bytes = noise(600_000);
    for rest in [noise(700_000), noise(10), noise(0)] {
        let mut killed =
            destination.create("key", &Keeping::default(), Default::default()).await.unwrap();
        killed.write(bytes.clone()).await.unwrap();
        drop(killed);
        assert_eq!(destination.head("key").await.unwrap(), None);
        assert!(destination.list("").await.unwrap().is_empty());
        let mut next =
            destination.create("key", &Keeping::default(), Default::default()).await.unwrap();
        next.write(rest.clone()).await.unwrap();
        next.complete(&Summary::of(&rest)).await.unwrap();
        let (summary, options) = (Summary::of(&rest), ReadBackOptions::default());
        read_back(&destination, "key", &summary, &options).await.unwrap();
        destination.delete("key").await.unwrap();
    }
}

#[tokio::test]
async fn a_probe_of_azurite_finds_what_it_can_and_cannot_do() {
    let test = "a_probe_of_azurite_finds_what_it_can_and_cannot_do";
    let Some(azurite) = azurite(test).await else { return };
    let destination = AzureDestination::open(azurite.settings()).await.unwrap();
    let now = jiff::Timestamp::now;
    let found = probe(&destination, "lifeboat-probe", "one", &Keeping::default(), &now).await;
    for (trial, verdict) in &found.trials {
        match verdict {
            Verdict::Good(_) => {}
            // Azurite looks at no CRC-64.
            Verdict::Weak { .. } if *trial == Trial::Checksum => {}
            other => panic!("{trial:?}: {other:?}"),
        }
    }
    assert!(found.clock_ahead_seconds.is_some_and(|ahead| ahead.abs() <= 2), "{found:?}");
    assert!(destination.list("").await.unwrap().is_empty());
}

//! Azurite, as the harness starts it.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::azure::AzureServer;
use lifeboat_tests::skips::or_skip;

#[test]
fn azurite_starts_makes_a_container_and_ends() {
    let test = "azurite_starts_makes_a_container_and_ends";
    let Some(azure) = or_skip(test, AzureServer::start()) else { return };
    azure.create_container("backups").unwrap();
    let again = azure.create_container("backups").unwrap_err();
    assert!(again.to_string().contains("ContainerAlreadyExists"), "{again}");
    let port = azure.port();
    assert_eq!(azure.endpoint(), format!("http://127.0.0.1:{port}/devstoreaccount1"));
    drop(azure);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "it still listens");
}

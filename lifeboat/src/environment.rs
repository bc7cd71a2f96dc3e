//! Which variables a stage may see.
//!
//! A secret in the environment of a process that does not need it is a leak waiting for a debug
//! log. So every stage gets a clean environment with what its job needs, and nothing else: only
//! `capture` sees `ETCDCTL_*`, only the stages that talk to stores see what the clouds' own
//! chains of credentials read.

/// What every program may see. `LIFEBOAT__…` overrides hold no secrets, by design.
const FOR_ALL: [&str; 13] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_*",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "RUST_BACKTRACE",
    "LIFEBOAT_LOG_LEVEL",
    "LIFEBOAT__*",
    "LIFEBOAT_TEST_*",
];
const FOR_ETCD: [&str; 1] = ["ETCDCTL_*"];
const FOR_KEYS: [&str; 1] = ["LIFEBOAT_PASSPHRASE_FILE"];
/// What the three clouds' own chains of credentials read. The last four are how machines of Azure tell
/// of a managed identity.
const FOR_STORES: [&str; 8] = [
    "AWS_*",
    "GOOGLE_*",
    "GCE_METADATA_HOST",
    "AZURE_*",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "IMDS_ENDPOINT",
    "MSI_*",
];
const PROXIES: [&str; 7] =
    ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "ALL_PROXY"];

/// The variables of this process that `stage` may see.
pub(crate) fn of(stage: &str) -> impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)> {
    let own: &[&[&str]] = match stage {
        "capture" | "doctor" => &[&FOR_ETCD],
        "decrypt" => &[&FOR_KEYS],
        "replicate" | "prune" | "fetch" | "catalogue" | "sync" | "scrub" => {
            &[&FOR_STORES, &PROXIES]
        }
        "notify" => &[&PROXIES],
        _ => &[],
    };
    std::env::vars_os().filter(move |(name, _)| {
        let name = name.to_string_lossy();
        FOR_ALL.iter().chain(own.iter().copied().flatten()).any(|pattern| matches(pattern, &name))
    })
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_the_rest_of_a_name_only() {
        assert!(matches("AWS_*", "AWS_PROFILE"));
        assert!(!matches("AWS_*", "XAWS_PROFILE"));
        assert!(!matches("PATH", "PATHX"));
    }

    #[test]
    fn i18_each_clouds_own_chain_is_for_the_stages_that_talk_to_stores() {
        let may = |of: &[&str], name: &str| of.iter().any(|pattern| matches(pattern, name));
        for name in [
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "AZURE_FEDERATED_TOKEN_FILE",
            "AZURE_CLIENT_SECRET",
            "MSI_ENDPOINT",
        ] {
            assert!(may(&FOR_STORES, name), "{name}");
            assert!(
                !may(&FOR_ALL, name) && !may(&FOR_ETCD, name) && !may(&PROXIES, name),
                "{name}"
            );
        }
    }
}

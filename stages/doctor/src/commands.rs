//! How commands are written for the person who types them: with the endpoints and the files that
//! were configured, and fit for the very shell that this program was started from.
//!
//! etcdctl refuses a flag whose `ETCDCTL_…` variable is set. So where one is set here, the command
//! sets the variable too. Paths are shown, passwords never: etcdctl asks for them.

use crate::args::Args;
use etcd::Settings;
use std::collections::BTreeMap;
use std::path::Path;

const CONFIG_VARIABLE: &str = "LIFEBOAT_CONFIG";

/// How `etcdctl` and `lifeboat` are called.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tools {
    /// Flags and values for etcdctl, without the endpoints.
    options: Vec<(&'static str, String)>,
    /// Options of `lifeboat` itself.
    front: String,
    /// Options that `lifeboat doctor` was called with, to reach etcd.
    connection: String,
    /// Variables of etcdctl that are set here.
    set: BTreeMap<String, String>,
}

impl Tools {
    /// As this program was called.
    pub(crate) fn new(
        args: &Args,
        settings: &Settings,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let mut options = Vec::new();
        let files = &settings.files;
        for (flag, file) in [
            ("cacert", files.authority.as_deref()),
            ("cert", files.certificate.as_deref()),
            ("key", files.key.as_deref()),
        ] {
            options.extend(file.map(|path| (flag, absolute(path))));
        }
        options.extend(settings.login.as_ref().map(|login| ("user", login.user.clone())));
        let names = ["ENDPOINTS", "CACERT", "CERT", "KEY", "USER"];
        let set = names.iter().filter_map(|name| {
            let name = format!("ETCDCTL_{name}");
            let value = variable(&name).filter(|value| !value.is_empty())?;
            // It may carry the password: that it is set is all that counts.
            let value = if name == "ETCDCTL_USER" { String::new() } else { value };
            Some((name, value))
        });
        Tools {
            options,
            front: front_options(args, variable),
            connection: connection_options(args),
            set: set.collect(),
        }
    }

    /// `etcdctl WORDS`, asked of these endpoints.
    pub(crate) fn etcdctl(&self, endpoints: &[&str], words: &str) -> String {
        let mut before = String::new();
        let mut flags = String::new();
        let endpoints = ("endpoints", endpoints.join(","));
        for (flag, value) in std::iter::once(&endpoints).chain(&self.options) {
            let variable = format!("ETCDCTL_{}", flag.to_uppercase());
            match self.set.get(&variable) {
                Some(_) if *flag == "user" => {}
                Some(there) if there == value => {}
                Some(_) => before += &format!("{variable}={} ", quoted(value)),
                None => flags += &format!(" --{flag}={}", quoted(value)),
            }
        }
        format!("{before}etcdctl{flags} {words}")
    }

    /// `lifeboat WORDS`.
    pub(crate) fn lifeboat(&self, words: &str) -> String {
        format!("lifeboat{} {words}", self.front)
    }

    /// `lifeboat doctor WORDS`, with the options that it was called with.
    pub(crate) fn doctor(&self, words: &str) -> String {
        let space = if words.is_empty() { "" } else { " " };
        format!("lifeboat{} doctor{}{space}{words}", self.front, self.connection)
    }
}

fn front_options(args: &Args, variable: &dyn Fn(&str) -> Option<String>) -> String {
    match args.shown_config.as_deref() {
        Some("") => return String::new(),
        Some(config) => return format!(" -c {}", quoted(config)),
        None => {}
    }
    let Some(config) = &args.stage.config else { return String::new() };
    match variable(CONFIG_VARIABLE) {
        Some(there) if Path::new(&there) == config => String::new(),
        _ => format!(" -c {}", quoted(&absolute(config))),
    }
}

fn connection_options(args: &Args) -> String {
    let connect = &args.connect;
    let path = |path: &Option<std::path::PathBuf>| path.as_deref().map(absolute);
    let endpoints = (!connect.endpoints.is_empty()).then(|| connect.endpoints.join(","));
    let typed = [
        ("endpoints", endpoints),
        ("cacert", path(&connect.cacert)),
        ("cert", path(&connect.cert)),
        ("key", path(&connect.key)),
        ("server-name", connect.server_name.clone()),
        ("user", connect.user.clone()),
        ("password-file", path(&connect.password_file)),
    ];
    let said = typed.into_iter().filter_map(|(flag, value)| Some((flag, value?)));
    said.map(|(flag, value)| format!(" --{flag}={}", quoted(&value))).collect()
}

fn absolute(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    whole.display().to_string()
}

/// As one word of a shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/.:,_-%@+=".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use etcd::{KUBEADM_DIR, Sources};

    fn tools(typed: &[&str], set: &[(&str, &str)]) -> Tools {
        let words = ["lifeboat-doctor"].iter().chain(typed);
        let args = Args::try_parse_from(words).unwrap();
        let variable = |name: &str| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let config = config::Pipeline::default().capture;
        let kubeadm_dir = Path::new(KUBEADM_DIR);
        let sources =
            Sources { args: &args.connect, config: &config, variable: &variable, kubeadm_dir };
        Tools::new(&args, &sources.settings().unwrap(), &variable)
    }

    #[test]
    fn a_command_carries_what_was_typed() {
        let tools = tools(&["-c", "/etc/a b.toml", "--endpoints", "http://m1:1,http://m2:2"], &[]);
        assert_eq!(
            tools.etcdctl(&["http://m1:1"], "alarm disarm"),
            "etcdctl --endpoints=http://m1:1 alarm disarm"
        );
        assert_eq!(
            tools.doctor("--replace-member m3"),
            "lifeboat -c '/etc/a b.toml' doctor --endpoints=http://m1:1,http://m2:2 \
                    --replace-member m3"
        );
        assert_eq!(tools.lifeboat("restore --plan"), "lifeboat -c '/etc/a b.toml' restore --plan");
    }

    #[test]
    fn a_variable_that_is_set_is_set_and_never_shadowed_by_a_flag() {
        let set = [
            ("ETCDCTL_ENDPOINTS", "http://m1:1,http://m2:2"),
            ("ETCDCTL_USER", "root:s3cret"),
            ("LIFEBOAT_CONFIG", "/etc/pipeline.toml"),
        ];
        let tools = tools(&["-c", "/etc/pipeline.toml"], &set);
        assert_eq!(
            tools.etcdctl(&["http://m1:1", "http://m2:2"], "alarm list"),
            "etcdctl alarm list"
        );
        assert_eq!(
            tools.etcdctl(&["http://m2:2"], "defrag"),
            "ETCDCTL_ENDPOINTS=http://m2:2 etcdctl defrag"
        );
        assert_eq!(tools.doctor(""), "lifeboat doctor");
        let shown = tools.etcdctl(&["http://m2:2"], "defrag");
        assert!(!shown.contains("--user"), "{shown}");
        assert!(!format!("{tools:?}").contains("s3cret"));
    }

    #[test]
    fn a_word_of_a_shell_stays_one() {
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("$(rm)"), "'$(rm)'");
        assert_eq!(quoted("https://[::1]:2379"), "'https://[::1]:2379'");
    }
}

//! How a cluster is run, guessed from its manifest: k3s and RKE2 name members after the host with
//! eight hex digits behind, kubeadm after the host; without objects of Kubernetes it is an etcd of
//! its own. A guess is always said, and a flag overrides it.

use super::args::Flavour;
use catalogue::Manifest;

impl Flavour {
    /// The word for it, as `--flavour` takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Flavour::Kubeadm => "kubeadm",
            Flavour::Systemd => "systemd",
            Flavour::K3s => "k3s",
            Flavour::Rke2 => "rke2",
        }
    }

    /// Where its etcd has its data, unless somebody configured it otherwise.
    pub(crate) fn data_dir(self) -> &'static str {
        match self {
            Flavour::Kubeadm | Flavour::Systemd => "/var/lib/etcd",
            Flavour::K3s => "/var/lib/rancher/k3s/server/db/etcd",
            Flavour::Rke2 => "/var/lib/rancher/rke2/server/db/etcd",
        }
    }

    /// Whether it keeps the membership outside etcd, too, and so restores by its own tool.
    pub(crate) fn restores_itself(self) -> bool {
        matches!(self, Flavour::K3s | Flavour::Rke2)
    }
}

/// A flavour, and what it was concluded from; nothing where somebody said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) flavour: Flavour,
    pub(crate) because: Option<&'static str>,
}

/// What was said, or else a guess.
pub(crate) fn judge(said: Option<Flavour>, manifest: &Manifest) -> Judged {
    if let Some(flavour) = said {
        return Judged { flavour, because: None };
    }
    let mut names = manifest.etcd.members.iter().map(|member| member.name.as_str());
    let mut started = names.by_ref().filter(|name| !name.is_empty()).peekable();
    let (flavour, because) = if manifest.snapshot.kubernetes.is_empty() {
        (Flavour::Systemd, "it holds no objects of Kubernetes")
    } else if started.peek().is_some() && started.all(is_of_k3s) {
        (Flavour::K3s, "its members are named HOST-8HEX, as k3s and RKE2 name them")
    } else {
        (Flavour::Kubeadm, "it holds objects of Kubernetes, and k3s names members otherwise")
    };
    Judged { flavour, because: Some(because) }
}

fn is_of_k3s(name: &str) -> bool {
    const DIGITS: usize = 8;
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    name.rsplit_once('-').is_some_and(|(host, digits)| {
        !host.is_empty() && digits.len() == DIGITS && digits.chars().all(is_hex)
    })
}

#[cfg(test)]
mod tests {
    use super::super::made_up::manifest;
    use super::*;

    #[test]
    fn a_guess_is_made_of_the_manifest_and_what_is_said_stands() {
        let mut made = manifest(0, 5);
        let guessed = |m: &Manifest| judge(None, m).flavour;
        assert_eq!(guessed(&made), Flavour::Kubeadm);
        for member in &mut made.etcd.members {
            if !member.name.is_empty() {
                member.name += "-1f2e3d4c";
            }
        }
        assert_eq!(guessed(&made), Flavour::K3s);
        assert_eq!(judge(Some(Flavour::Rke2), &made).because, None);
        made.etcd.members[0].name = "cp-01".into();
        assert_eq!(guessed(&made), Flavour::Kubeadm, "one of another kind");
        made.etcd.members.clear();
        assert_eq!(guessed(&made), Flavour::Kubeadm);
        made.snapshot.kubernetes.clear();
        assert_eq!(guessed(&made), Flavour::Systemd);
        for name in ["", "-12345678", "a-1234567", "a-1234567g", "a-1234567A", "12345678"] {
            assert!(!is_of_k3s(name), "{name}");
        }
    }
}

//! `lifeboat restore --plan`: the recovery of a whole cluster as steps with their commands. It
//! needs the catalogue alone, and changes nothing.
//!
//! Owns: the shape of a plan, which nodes it is for, and where it is printed. What the steps are,
//! the flavours know (`kubeadm`, `systemd`, `rancher`); how they look, `text`, `markdown` and
//! `shell`.
//!
//! Invariants: nothing in a plan deletes anything; every member gets the same backup, token and
//! revision; etcd starts on all nodes before anything else; the way back from the way back is in
//! it. What comes out of a manifest is quoted for a shell.

mod kubeadm;
mod markdown;
mod rancher;
mod shell;
mod systemd;
mod text;

use super::args::{Flavour, Format};
use super::error::Error;
use super::intent::Intent;
use super::membership::Voter;
use super::screen::accept;
use crate::error::Error as Front;
use crate::views::{plural, print, print_json, quoted};
use config::Pipeline;
use jiff::Timestamp;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A plan. This is its JSON, too.
#[derive(Debug, Serialize)]
struct Recovery<'a> {
    version: u32,
    cluster: &'a str,
    backup: &'a str,
    taken_at: Timestamp,
    /// What was written since will be lost.
    age_seconds: i64,
    /// The revision that is brought back, before it is raised.
    revision: i64,
    flavour: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    flavour_because: Option<&'a str>,
    nodes: Vec<&'a str>,
    left_out: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bump: Option<i64>,
    notes: Vec<String>,
    steps: Vec<Step<'a>>,
    rollback: Vec<Step<'a>>,
}

/// One step, on some nodes or all of them. All nodes take it before one goes on to the next.
#[derive(Debug, Serialize)]
struct Step<'a> {
    number: usize,
    title: String,
    /// Why, and what to look at.
    why: String,
    nodes: Vec<OnNode<'a>>,
}

#[derive(Debug, Serialize)]
struct OnNode<'a> {
    node: &'a str,
    commands: Vec<String>,
}

/// What the steps are made of.
struct Scene<'a> {
    intent: &'a Intent<'a>,
    pipeline: &'a Pipeline,
    nodes: Vec<&'a Voter>,
}

impl<'a> Scene<'a> {
    /// A step on every node.
    fn each(&self, title: &str, why: &str, commands: impl Fn(&Voter) -> Vec<String>) -> Step<'a> {
        let on = |voter: &&'a Voter| OnNode { node: &voter.name, commands: commands(voter) };
        let nodes = self.nodes.iter().map(on).collect();
        Step { number: 0, title: title.to_owned(), why: why.to_owned(), nodes }
    }

    /// A step on the first node alone.
    fn first(&self, title: &str, why: &str, commands: Vec<String>) -> Step<'a> {
        let nodes = self.nodes.first().map(|voter| OnNode { node: &voter.name, commands });
        let nodes = nodes.into_iter().collect();
        Step { number: 0, title: title.to_owned(), why: why.to_owned(), nodes }
    }

    fn lifeboat(&self) -> String {
        self.intent.program().join(" ")
    }

    fn is_kubernetes(&self) -> bool {
        !self.intent.chosen.manifest.snapshot.kubernetes.is_empty()
    }

    fn data_dir(&self) -> PathBuf {
        let usual = self.intent.judged.flavour.data_dir();
        self.intent.args.data_dir.clone().unwrap_or_else(|| usual.into())
    }

    /// The first step of every plan: it costs nothing, and what fails here fails before anything
    /// was stopped.
    fn prove(&self) -> Step<'a> {
        let backup = &self.intent.chosen.backup;
        let proof = format!("/var/tmp/lifeboat-{backup}.db");
        let mut fetch = format!("{} fetch {backup}", self.lifeboat());
        if let Some(from) = &self.intent.args.from {
            fetch += &format!(" --from {}", quoted(from));
        }
        for file in &self.intent.args.identity {
            fetch += &format!(" --identity {}", quoted(&file.to_string_lossy()));
        }
        self.each(
            "Prove that the backup can be had here",
            "Destinations, identity and room are the same that the restore will need. Nothing is \
             stopped yet.",
            |_| vec![format!("{fetch} --output {proof}"), format!("rm {proof}")],
        )
    }

    fn restore(&self) -> Step<'a> {
        let data_dir = self.data_dir();
        self.each(
            "Restore on every node",
            "The same backup, token and revision everywhere: members that differ would diverge. \
             What is there is moved aside, not deleted, and only when everything was proved.",
            |voter| vec![self.intent.command(&voter.name, Some(&data_dir), true)],
        )
    }

    fn undo(&self) -> Vec<String> {
        let data_dir = quoted(&self.data_dir().to_string_lossy());
        let mut command = format!("{} restore --undo --data-dir {data_dir}", self.lifeboat());
        if let Some(directory) = &self.intent.args.wal_dir {
            command += &format!(" --wal-dir {}", quoted(&directory.to_string_lossy()));
        }
        vec![command]
    }

    fn back_up(&self) -> Step<'a> {
        let accept = match self.new_cluster_id() {
            Some(id) => accept(&id) + " ",
            None => String::new(),
        };
        self.first(
            "Back up",
            "The new cluster has an id of its own, which is accepted here once. From now on the \
             backups before this one are those of the lost cluster.",
            vec![format!("{accept}{} run", self.lifeboat())],
        )
    }

    /// etcd's id of the cluster that is to come; it follows from addresses and token.
    fn new_cluster_id(&self) -> Option<String> {
        if self.intent.judged.flavour.restores_itself() {
            return None;
        }
        self.intent.members.new_cluster_id(&self.intent.token)
    }

    /// Where clients reach the members, for `--endpoints`.
    fn endpoints(&self) -> String {
        let urls = self.intent.members.voters.iter().filter_map(|voter| voter.client_urls.first());
        quoted(&urls.cloned().collect::<Vec<_>>().join(","))
    }
}

/// Waits until a command succeeds.
fn until(command: &str) -> String {
    format!("until {command}; do sleep 2; done")
}

/// Prints the plan, or writes it.
pub(crate) fn plan(intent: &Intent<'_>, pipeline: &Pipeline, now: Timestamp) -> Result<(), Front> {
    let recovery = recovery(intent, pipeline, now)?;
    let format = intent.args.format.unwrap_or_default();
    if let Some(directory) = &intent.args.output_dir {
        return write(&recovery, format, directory);
    }
    match format {
        Format::Json => print_json(&recovery),
        Format::Text => print(&text::render(&recovery)),
        Format::Markdown => print(&markdown::render(&recovery)),
        Format::Shell => match recovery.nodes.as_slice() {
            [node] => print(&shell::render(&recovery, node)),
            nodes => Err(Error::SeveralScripts(nodes.len()).into()),
        },
    }
}

fn recovery<'a>(
    intent: &'a Intent<'a>,
    pipeline: &'a Pipeline,
    now: Timestamp,
) -> Result<Recovery<'a>, Front> {
    let (manifest, backup) = (intent.chosen.manifest, intent.chosen.backup.as_str());
    if intent.members.voters.is_empty() {
        return Err(Error::NoMembership(format!("that of {backup} lists no members")).into());
    }
    if let Some(name) = &intent.args.member {
        intent.members.member(Some(name), backup)?;
    }
    let scene = Scene { intent, pipeline, nodes: intent.members.voters.iter().collect() };
    let (mut steps, mut rollback) = match intent.judged.flavour {
        Flavour::Kubeadm => (kubeadm::steps(&scene), kubeadm::rollback(&scene)),
        Flavour::Systemd => (systemd::steps(&scene), systemd::rollback(&scene)),
        Flavour::K3s => {
            (rancher::steps(&scene, rancher::K3S), rancher::rollback(&scene, rancher::K3S))
        }
        Flavour::Rke2 => {
            (rancher::steps(&scene, rancher::RKE2), rancher::rollback(&scene, rancher::RKE2))
        }
    };
    // The numbers are those of the whole plan also where one node's part is shown.
    for all in [&mut steps, &mut rollback] {
        all.iter_mut().zip(1..).for_each(|(step, number)| step.number = number);
        if let Some(name) = &intent.args.member {
            all.iter_mut().for_each(|step| step.nodes.retain(|on| on.node == *name));
            all.retain(|step| !step.nodes.is_empty());
        }
    }
    let is_own = !intent.judged.flavour.restores_itself();
    let is_shown = |node: &&str| intent.args.member.as_deref().is_none_or(|name| name == *node);
    Ok(Recovery {
        version: 1,
        cluster: &manifest.cluster,
        backup,
        taken_at: manifest.taken_at,
        age_seconds: now.as_second() - manifest.taken_at.as_second(),
        revision: intent.chosen.cut.unwrap_or(manifest.snapshot.revision),
        flavour: intent.judged.flavour.name(),
        flavour_because: intent.judged.because,
        nodes: scene.nodes.iter().map(|v| v.name.as_str()).filter(is_shown).collect(),
        left_out: &intent.members.left_out,
        token: is_own.then_some(intent.token.as_str()),
        bump: intent.bump.by().filter(|_| is_own),
        notes: notes(intent),
        steps,
        rollback,
    })
}

fn notes(intent: &Intent<'_>) -> Vec<String> {
    let manifest = intent.chosen.manifest;
    let mut notes = vec![
        "One member down or broken, and the others in quorum? Then do not restore: replace that \
         member."
            .to_owned(),
    ];
    if intent.members.is_overridden && !intent.judged.flavour.restores_itself() {
        notes.push(
            "Addresses differ from those of the lost cluster: etcd's own flags \
             (--initial-advertise-peer-urls, --listen-peer-urls, --advertise-client-urls) and its \
             certificates have to fit the new ones."
                .to_owned(),
        );
    }
    for (key, count) in &manifest.snapshot.encryption_at_rest {
        notes.push(format!(
            "{} encrypted with {key}: the API servers need that key in their \
             EncryptionConfiguration.",
            plural(i64::try_from(*count).unwrap_or(i64::MAX), "value")
        ));
    }
    if intent.judged.flavour.restores_itself() && intent.chosen.cut.is_some() {
        notes.push(
            "Its own tool restores a backup whole: --revision has no effect here.".to_owned(),
        );
    }
    notes
}

fn write(recovery: &Recovery<'_>, format: Format, directory: &Path) -> Result<(), Front> {
    durable::create_private_dir(directory)?;
    let files: Vec<(String, String)> = match format {
        Format::Text => vec![("plan.txt".into(), text::render(recovery))],
        Format::Markdown => vec![("plan.md".into(), markdown::render(recovery))],
        Format::Json => {
            let text =
                serde_json::to_string_pretty(recovery).map_err(|e| Front::Output(e.into()))?;
            vec![("plan.json".into(), text + "\n")]
        }
        Format::Shell => {
            let named = recovery.nodes.iter().zip(1..);
            named.map(|(node, n)| (file_name(node, n), shell::render(recovery, node))).collect()
        }
    };
    for (name, text) in files {
        let path = directory.join(name);
        durable::write_new(&path, text.as_bytes())?;
        tracing::info!("wrote {}", path.display());
    }
    Ok(())
}

/// A member's name, where it is one for a file, too.
fn file_name(node: &str, number: usize) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match node.starts_with('.') || !node.chars().all(is_plain) {
        true => format!("node-{number}.sh"),
        false => format!("{node}.sh"),
    }
}

#[cfg(test)]
mod tests;

//! One restore, decided before anything is started: which backup, which members, which token, how
//! far the revision is raised. All members of one restore have this in common; what is printed for
//! the others is made of it.

use super::args::RestoreArgs;
use super::bump::Ceiling;
use super::choice::{Chosen, Wanted, choose};
use super::error::{Error, TOKEN_LENGTH_MAX};
use super::flavour::{Judged, judge};
use super::membership::Membership;
use super::time;
use crate::error::Error as Front;
use crate::views::quoted;
use catalogue::Catalogue;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// How far the revision is raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bump {
    /// Not at all.
    None,
    /// By as much as somebody said.
    Said(i64),
    /// Above what this rests on.
    Computed(i64, Ceiling),
}

impl Bump {
    pub(crate) fn by(&self) -> Option<i64> {
        match self {
            Bump::None => None,
            Bump::Said(by) | Bump::Computed(by, _) => Some(*by),
        }
    }
}

/// Where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// One member's data directory.
    One { name: Option<String>, data_dir: PathBuf, wal_dir: Option<PathBuf> },
    /// One directory for each member below this one.
    All(PathBuf),
}

impl Target {
    /// What is written, or what holds it.
    pub(crate) fn directory(&self) -> &Path {
        match self {
            Target::One { data_dir: directory, .. } | Target::All(directory) => directory,
        }
    }
}

/// What is going to be done.
#[derive(Debug)]
pub(crate) struct Intent<'a> {
    pub(crate) args: &'a RestoreArgs,
    pub(crate) chosen: Chosen<'a>,
    pub(crate) members: Membership,
    pub(crate) token: String,
    pub(crate) bump: Bump,
    pub(crate) judged: Judged,
    /// `-c FILE` for commands that are printed, where it is not in its usual place.
    pub(crate) config: Option<PathBuf>,
}

/// What the command line asks for, before the stores are asked.
pub(crate) fn wanted(args: &RestoreArgs, here: &TimeZone) -> Result<Wanted, Error> {
    if let Some(token) = &args.initial_cluster_token {
        let is_plain = |c: char| c.is_ascii_graphic();
        if token.is_empty() || token.len() > TOKEN_LENGTH_MAX || !token.chars().all(is_plain) {
            return Err(Error::BadToken(token.clone()));
        }
    }
    Ok(match (&args.at, args.revision, &args.backup) {
        (Some(text), _, _) => Wanted::At(time::parse(text, here)?),
        (None, Some(revision), None) => Wanted::Revision(revision),
        (None, cut, name) => Wanted::Name(name.clone().unwrap_or_else(|| "latest".into()), cut),
    })
}

impl<'a> Intent<'a> {
    /// Decides. `visible` is what can be chosen from; the revision is raised above everything in
    /// `whole`. `token` is the one to take if none was given.
    pub(crate) fn decide(
        args: &'a RestoreArgs,
        (visible, whole): (&'a Catalogue, &Catalogue),
        wanted: &Wanted,
        now: Timestamp,
        token: String,
    ) -> Result<Self, Front> {
        let chosen = choose(visible, wanted)?;
        let manifest = chosen.manifest;
        let members = members(args, &chosen)?;
        let is_kubernetes = !manifest.snapshot.kubernetes.is_empty();
        let is_alone = args.all_members.is_some() || args.plan || members.voters.len() == 1;
        let is_said = args.no_bump || args.bump_revision.is_some();
        if args.initial_cluster_token.is_some() && is_kubernetes && !is_said && !is_alone {
            return Err(Error::TokenAlone.into());
        }
        // What `latest` is may change between two members, whose ids would be the same.
        let is_named = args.backup.as_deref() == Some(chosen.backup.as_str());
        if args.initial_cluster_token.is_some() && !is_named && !is_alone {
            return Err(Error::TokenWithoutBackup(chosen.backup.to_string()).into());
        }
        let bump = match args.bump_revision {
            Some(by) => Bump::Said(by),
            None if args.no_bump || !is_kubernetes => Bump::None,
            None => {
                let ceiling = Ceiling::of(whole, now);
                let begins = chosen.cut.unwrap_or(manifest.snapshot.revision);
                Bump::Computed(ceiling.above(begins)?, ceiling)
            }
        };
        let token = args.initial_cluster_token.clone().unwrap_or(token);
        let judged = judge(args.flavour, manifest);
        Ok(Intent { args, chosen, members, token, bump, judged, config: None })
    }

    /// Where this call writes.
    pub(crate) fn target(&self) -> Result<Target, Front> {
        let args = self.args;
        if let Some(directory) = &args.all_members {
            return Ok(Target::All(absolute(directory)?));
        }
        let backup = self.chosen.backup.as_str();
        let member = self.members.member(args.member.as_deref(), backup)?;
        let data_dir = match &args.data_dir {
            Some(directory) => directory.clone(),
            None if self.judged.flavour.restores_itself() => {
                let flavour = self.judged.flavour.name();
                return Err(Error::NotItsOwn { backup: backup.to_owned(), flavour }.into());
            }
            None => self.judged.flavour.data_dir().into(),
        };
        Ok(Target::One {
            name: member.map(|voter| voter.name.clone()).or_else(|| args.member.clone()),
            data_dir: absolute(&data_dir)?,
            wal_dir: args.wal_dir.as_deref().map(absolute).transpose()?,
        })
    }

    /// What the program is told that writes the directories.
    pub(crate) fn stage_arguments(&self, target: &Target) -> Vec<OsString> {
        let mut all: Vec<OsString> = Vec::new();
        let mut add = |flag: &str, value: OsString| all.extend([flag.into(), value]);
        match target {
            Target::All(directory) => add("--all-members", directory.into()),
            Target::One { name, data_dir, wal_dir } => {
                add("--data-dir", data_dir.into());
                wal_dir.iter().for_each(|directory| add("--wal-dir", directory.into()));
                name.iter().for_each(|name| add("--name", name.into()));
                let voter = self.members.voters.iter().find(|v| Some(&v.name) == name.as_ref());
                let urls = voter.map(|voter| voter.peer_urls.join(","));
                let said = self.args.initial_advertise_peer_urls.clone();
                let urls = urls.or(said);
                urls.iter().for_each(|urls| add("--initial-advertise-peer-urls", urls.into()));
            }
        }
        if !self.members.voters.is_empty() {
            add("--initial-cluster", self.members.initial_cluster().into());
        }
        add("--initial-cluster-token", self.token.clone().into());
        if let Some(by) = self.bump.by() {
            add("--bump-revision", by.to_string().into());
        }
        if let Some(cut) = self.chosen.cut {
            add("--revision", cut.to_string().into());
        }
        self.args.target_version.iter().for_each(|version| add("--target-version", version.into()));
        self.args.owner.iter().for_each(|owner| add("--owner", owner.into()));
        // Never one without the other: a raised revision with its history readable would be a lie.
        let bumps = self.bump.by().is_some();
        let flags = [("--mark-compacted", bumps), ("--replace", self.args.replace)];
        let more =
            [("--keep-alarms", self.args.keep_alarms), ("--disable-auth", self.args.disable_auth)];
        all.extend(
            flags.into_iter().chain(more).filter(|(_, is_on)| *is_on).map(|(f, _)| f.into()),
        );
        all
    }

    /// The command that restores one member, whoever types it where: the same backup, token and
    /// revision. `data_dir` where it is not left to the flavour.
    pub(crate) fn command(&self, member: &str, data_dir: Option<&Path>, replaces: bool) -> String {
        let args = self.args;
        let mut words = self.program();
        words.extend(["restore".to_owned(), self.chosen.backup.to_string()]);
        let mut add = |flag: &str, value: &str| words.extend([flag.to_owned(), quoted(value)]);
        self.chosen.cut.iter().for_each(|cut| add("--revision", &cut.to_string()));
        args.from.iter().for_each(|from| add("--from", from));
        args.identity.iter().for_each(|file| add("--identity", &file.to_string_lossy()));
        if !member.is_empty() {
            add("--member", member);
        }
        // Somebody else types it, somewhere else.
        let mut whole = |flag: &str, path: &Path| {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
            add(flag, &path.to_string_lossy());
        };
        data_dir.iter().for_each(|directory| whole("--data-dir", directory));
        args.wal_dir.iter().for_each(|directory| whole("--wal-dir", directory));
        if self.members.is_overridden {
            add("--initial-cluster", &self.members.initial_cluster());
        }
        add("--initial-cluster-token", &self.token);
        match self.bump.by() {
            Some(by) => add("--bump-revision", &by.to_string()),
            None => words.push("--no-bump".into()),
        }
        let mut add = |flag: &str, value: &str| words.extend([flag.to_owned(), quoted(value)]);
        args.target_version.iter().for_each(|version| add("--target-version", version));
        args.owner.iter().for_each(|owner| add("--owner", owner));
        let flags = [
            ("--keep-alarms", args.keep_alarms),
            ("--disable-auth", args.disable_auth),
            ("--replace", replaces),
        ];
        words.extend(flags.iter().filter(|(_, is_on)| *is_on).map(|(flag, _)| (*flag).to_owned()));
        words.join(" ")
    }

    /// `lifeboat`, with the configuration if it is not where it is looked for.
    pub(crate) fn program(&self) -> Vec<String> {
        let mut words = vec!["lifeboat".to_owned()];
        if let Some(config) = &self.config {
            words.extend(["-c".to_owned(), quoted(&config.to_string_lossy())]);
        }
        words
    }
}

fn members(args: &RestoreArgs, chosen: &Chosen<'_>) -> Result<Membership, Error> {
    let listed = &chosen.manifest.etcd.members;
    let members = match &args.initial_cluster {
        Some(text) => {
            // What the manifest says is only of interest where it can be understood.
            let known = Membership::of(listed).unwrap_or_default();
            known.with_initial_cluster(text)?
        }
        None => Membership::of(listed)?,
    };
    let Some(urls) = &args.initial_advertise_peer_urls else { return Ok(members) };
    match members.member(args.member.as_deref(), chosen.backup.as_str())? {
        Some(voter) => {
            let name = voter.name.clone();
            members.with_addresses(&name, urls)
        }
        None => Ok(members),
    }
}

pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Front> {
    std::path::absolute(path)
        .map_err(|source| Front::Directory { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests;

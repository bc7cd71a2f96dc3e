//! The members of the cluster that is to come: voters of the manifest that have a name, or what
//! the command line says instead.
//!
//! Invariants: learners and members that never started are left out, and said to be; what stands
//! in a manifest becomes part of commands that people copy, so odd names and addresses are refused
//! here.
//!
//! Does not: check URLs or make ids; the program that writes the directories does.

use super::error::Error;
use contract::facts;

/// One voter of the new cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Voter {
    pub(crate) name: String,
    pub(crate) peer_urls: Vec<String>,
    /// Where clients will reach it, as far as that is known.
    pub(crate) client_urls: Vec<String>,
}

/// All of them, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Membership {
    pub(crate) voters: Vec<Voter>,
    /// Who is not in the new cluster and was in the old one: the reason, one phrase each.
    pub(crate) left_out: Vec<String>,
    /// Whether the command line changed anything.
    pub(crate) is_overridden: bool,
}

impl Membership {
    /// Of the members that a manifest lists, which may be none for a snapshot that was adopted.
    pub(crate) fn of(members: &[facts::Member]) -> Result<Self, Error> {
        let mut all = Membership::default();
        for member in members {
            let urls = member.peer_urls.join(",");
            match (member.name.as_str(), member.learner) {
                ("", _) => all.left_out.push(format!("{urls}, which never started")),
                (name, true) => all.left_out.push(format!("{name}, a learner at {urls}")),
                (name, false) => all.voters.push(Voter {
                    name: name.to_owned(),
                    peer_urls: member.peer_urls.clone(),
                    client_urls: member.client_urls.clone(),
                }),
            }
        }
        all.voters.sort_by(|a, b| a.name.cmp(&b.name));
        all.must_be_plain()?;
        Ok(all)
    }

    /// With what the command line says of the whole cluster.
    pub(crate) fn with_initial_cluster(mut self, text: &str) -> Result<Self, Error> {
        let wrong = || Error::BadInitialCluster(text.to_owned());
        let before = std::mem::take(&mut self.voters);
        for pair in text.split(',') {
            let (name, url) = pair.trim().split_once('=').ok_or_else(wrong)?;
            if name.is_empty() || !url.contains("://") {
                return Err(wrong());
            }
            // A member with several URLs stands there several times, as etcd has it.
            match self.voters.iter_mut().find(|voter| voter.name == name) {
                Some(voter) => voter.peer_urls.push(url.to_owned()),
                None => self.voters.push(Voter {
                    name: name.to_owned(),
                    peer_urls: vec![url.to_owned()],
                    client_urls: Vec::new(),
                }),
            }
        }
        let names: Vec<String> = self.voters.iter().map(|voter| voter.name.clone()).collect();
        let gone = before.iter().filter(|voter| !names.contains(&voter.name));
        self.left_out.extend(gone.map(|v| format!("{}, not in --initial-cluster", v.name)));
        self.voters.sort_by(|a, b| a.name.cmp(&b.name));
        for voter in &mut self.voters {
            let known = before.iter().find(|old| old.name == voter.name);
            voter.client_urls = client_urls(&voter.peer_urls, known);
        }
        self.is_overridden = true;
        self.must_be_plain().map_err(|_| wrong())?;
        Ok(self)
    }

    /// With other addresses of one member.
    pub(crate) fn with_addresses(mut self, name: &str, text: &str) -> Result<Self, Error> {
        let urls: Vec<String> = text.split(',').map(|url| url.trim().to_owned()).collect();
        let known = self.names();
        let Some(voter) = self.voters.iter_mut().find(|voter| voter.name == name) else {
            return Err(Error::UnknownMember { name: name.to_owned(), known });
        };
        if voter.peer_urls != urls {
            voter.client_urls = client_urls(&urls, Some(voter));
            voter.peer_urls = urls;
            self.is_overridden = true;
        }
        self.must_be_plain().map_err(|_| Error::BadInitialCluster(text.to_owned()))?;
        Ok(self)
    }

    /// The member that is meant: the one that is named, or the only one. None where the manifest
    /// knows no members; then the snapshot itself has to tell them.
    pub(crate) fn member(
        &self,
        wanted: Option<&str>,
        backup: &str,
    ) -> Result<Option<&Voter>, Error> {
        let known = || self.names();
        match (wanted, self.voters.as_slice()) {
            (_, []) => Ok(None),
            (None, [only]) => Ok(Some(only)),
            (None, _) => Err(Error::WhichMember { backup: backup.to_owned(), known: known() }),
            (Some(name), all) => match all.iter().find(|voter| voter.name == name) {
                Some(voter) => Ok(Some(voter)),
                None => Err(Error::UnknownMember { name: name.to_owned(), known: known() }),
            },
        }
    }

    /// As `--initial-cluster` of etcd takes it.
    pub(crate) fn initial_cluster(&self) -> String {
        let pairs = self.voters.iter().flat_map(|voter| {
            voter.peer_urls.iter().map(move |url| format!("{}={url}", voter.name))
        });
        pairs.collect::<Vec<_>>().join(",")
    }

    /// etcd's id of the new cluster with this token, in hex; none where etcd would refuse it.
    pub(crate) fn new_cluster_id(&self, token: &str) -> Option<String> {
        let new = datadir::Membership::parse(&self.initial_cluster(), token).ok()?;
        Some(format!("{:x}", new.cluster_id()))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.voters.iter().map(|voter| voter.name.clone()).collect()
    }

    fn must_be_plain(&self) -> Result<(), Error> {
        let odd = |text: &str| {
            text.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace() || c == ',')
        };
        for (at, voter) in self.voters.iter().enumerate() {
            if odd(&voter.name) || voter.name.contains('=') {
                return Err(Error::NoMembership(format!("a member is called {:?}", voter.name)));
            }
            if self.voters[..at].iter().any(|other| other.name == voter.name) {
                return Err(Error::NoMembership(format!("two are called {:?}", voter.name)));
            }
            let urls = voter.peer_urls.iter().chain(&voter.client_urls);
            if voter.peer_urls.is_empty() || urls.clone().any(|url| odd(url)) {
                let name = &voter.name;
                return Err(Error::NoMembership(format!("{name} has no address, or an odd one")));
            }
        }
        Ok(())
    }
}

/// Where clients will reach a member: as before where its peers do, else on the same hosts at
/// etcd's usual port.
fn client_urls(peer_urls: &[String], before: Option<&Voter>) -> Vec<String> {
    const CLIENT_PORT: u16 = 2379;
    match before {
        Some(known) if known.peer_urls == peer_urls => known.client_urls.clone(),
        _ => {
            let host = |url: &String| {
                let (scheme, rest) = url.split_once("://")?;
                let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
                Some(format!("{scheme}://{host}:{CLIENT_PORT}"))
            };
            peer_urls.iter().filter_map(host).collect()
        }
    }
}

#[cfg(test)]
mod tests;

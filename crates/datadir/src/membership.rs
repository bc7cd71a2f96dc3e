//! Who the members of the restored cluster are, and which ids that gives them.
//!
//! A member's id is the first eight bytes of SHA-1 over its peer URLs (sorted, joined) and the
//! cluster's token; the cluster's id is that over all member ids, ascending, eight bytes each, all
//! big-endian. So the same flags give the same ids as `etcdutl snapshot restore`, and another token
//! gives other ids: old members can never talk to a restored cluster by mistake.
//!
//! Invariants: members ascend by id; ids differ and none is 0; no URL comes twice.
//!
//! Stricter than etcd in three points: a member without a name is refused; URLs that Go would
//! rewrite are refused (see [`crate::UrlProblem`]); advertised URLs must equal those of the member as
//! texts, because names do not resolve on the day of a recovery.

use std::collections::{BTreeMap, BTreeSet};

use sha1::{Digest, Sha1};

use crate::json;
use crate::url::{self, UrlProblem};

/// Most members of a cluster. etcd recommends seven at most.
pub const MEMBERS_MAX: usize = 64;

/// One member of the new cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Where its peers reach it, ascending.
    pub peer_urls: Vec<String>,
}

/// All members of the new cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    members: Vec<Member>,
    cluster_id: u64,
    token: String,
}

/// Why there is no such cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// No member at all.
    #[error("the initial cluster names no member")]
    Empty,
    /// More than [`MEMBERS_MAX`].
    #[error("the initial cluster has {found} members, more than MEMBERS_MAX ({MEMBERS_MAX})")]
    TooMany {
        /// How many.
        found: usize,
    },
    /// `=http://…`.
    #[error("the initial cluster has a member without a name, at {url}")]
    NoName {
        /// Its first URL.
        url: String,
    },
    /// A member without a URL.
    #[error("member {name} has no peer URL")]
    NoUrl {
        /// The member.
        name: String,
    },
    /// A URL that etcd would refuse too.
    #[error("member {name}: peer URL {url:?}: {problem}")]
    Url {
        /// The member.
        name: String,
        /// The text.
        url: String,
        /// What is wrong with it.
        problem: UrlProblem,
    },
    /// The same URL twice, of one member or of two.
    #[error("the initial cluster has the peer URL {url} twice")]
    DuplicateUrl {
        /// The URL.
        url: String,
    },
    /// A name that is not in the initial cluster.
    #[error("the initial cluster has no member {name}; it has {}", known.join(", "))]
    NoSuchMember {
        /// The name.
        name: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// `--initial-advertise-peer-urls` contradicts `--initial-cluster`.
    #[error(
        "member {name} is to advertise {}, but has {} in the initial cluster",
        advertised.join(","), listed.join(",")
    )]
    AdvertisedDiffer {
        /// The member.
        name: String,
        /// What it is to advertise, ascending.
        advertised: Vec<String>,
        /// What the initial cluster says, ascending.
        listed: Vec<String>,
    },
    /// Two members whose URLs and token have the same hash.
    #[error("members {} and {} have the same id {id:x}", names.0, names.1)]
    SameId {
        /// The id.
        id: u64,
        /// The members.
        names: (String, String),
    },
    /// An id that raft reserves.
    #[error("member {name} has id 0, which raft reserves")]
    ZeroId {
        /// The member.
        name: String,
    },
}

impl MembershipError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::SameId { .. } | Self::ZeroId { .. } => "choose another --initial-cluster-token",
            Self::NoSuchMember { .. } => {
                "choose one of these with --name, or give --initial-cluster"
            }
            Self::AdvertisedDiffer { .. } => {
                "leave --initial-advertise-peer-urls out, or make both say the same"
            }
            _ => "give --initial-cluster as name=http://host:port,name=http://host:port",
        }
    }
}

// === impl Membership ===

impl Membership {
    /// Reads `--initial-cluster`: `name=url,name=url`. A name that comes twice has several URLs.
    ///
    /// # Errors
    /// Whatever `etcdutl` refuses, and what the head of this module lists.
    pub fn parse(initial_cluster: &str, token: &str) -> Result<Self, MembershipError> {
        let parts = initial_cluster.split(',').filter(|part| !part.is_empty());
        let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for part in parts {
            let (name, url) = part.split_once('=').unwrap_or((part, ""));
            by_name.entry(name.to_owned()).or_default().push(url.to_owned());
        }
        Self::new(by_name.into_iter().collect(), token)
    }

    /// Makes it of names and URLs. The same name twice is one member with all of the URLs.
    ///
    /// # Errors
    /// As [`Membership::parse`].
    pub fn new(members: Vec<(String, Vec<String>)>, token: &str) -> Result<Self, MembershipError> {
        let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, urls) in members {
            by_name.entry(name).or_default().extend(urls);
        }
        match by_name.len() {
            0 => return Err(MembershipError::Empty),
            found if found > MEMBERS_MAX => return Err(MembershipError::TooMany { found }),
            _ => {}
        }
        let mut members: Vec<Member> = Vec::new();
        for (name, urls) in by_name {
            members.push(member_of(name, &urls, token)?);
        }
        check_urls_differ(&members)?;
        members.sort_by_key(|member| member.id);
        check_ids(&members)?;
        let cluster_id = cluster_id(&members);
        Ok(Self { members, cluster_id, token: token.to_owned() })
    }

    /// The members, ascending by id.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member with this name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// The member with this name, or a refusal that lists those that there are.
    ///
    /// # Errors
    /// [`MembershipError::NoSuchMember`].
    pub fn must_have(&self, name: &str) -> Result<&Member, MembershipError> {
        self.member(name).ok_or_else(|| MembershipError::NoSuchMember {
            name: name.to_owned(),
            known: self.names(),
        })
    }

    /// Checks `--initial-advertise-peer-urls` (comma-separated, or one URL an item) of a member.
    ///
    /// # Errors
    /// [`MembershipError::NoSuchMember`], [`MembershipError::Url`] or
    /// [`MembershipError::AdvertisedDiffer`].
    pub fn must_advertise(&self, name: &str, urls: &[String]) -> Result<(), MembershipError> {
        let member = self.must_have(name)?;
        let mut advertised = Vec::new();
        for url in urls.iter().flat_map(|item| item.split(',')) {
            advertised.push(parse_url(name, url)?);
        }
        advertised.sort();
        if advertised == member.peer_urls {
            return Ok(());
        }
        let listed = member.peer_urls.clone();
        Err(MembershipError::AdvertisedDiffer { name: name.to_owned(), advertised, listed })
    }

    /// The cluster's id.
    #[must_use]
    pub fn cluster_id(&self) -> u64 {
        self.cluster_id
    }

    /// The token that the ids are made of.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// `--initial-cluster` of this cluster, by name.
    #[must_use]
    pub fn initial_cluster(&self) -> String {
        let mut parts: Vec<String> = self
            .members
            .iter()
            .flat_map(|m| m.peer_urls.iter().map(|url| format!("{}={url}", m.name)))
            .collect();
        parts.sort();
        parts.join(",")
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.members.iter().map(|m| m.name.clone()).collect();
        names.sort();
        names
    }

    /// Raft index of the restored log: one entry for each member.
    pub(crate) fn last_index(&self) -> u64 {
        self.members.len() as u64
    }

    /// `meta/confState` of this cluster, as etcd 3.5 and later write it.
    pub(crate) fn conf_state(&self) -> String {
        let ids: Vec<String> = self.members.iter().map(|m| m.id.to_string()).collect();
        format!("{{\"voters\":[{}],\"auto_leave\":false}}", ids.join(","))
    }
}

// === impl Member ===

impl Member {
    /// The member as the `members` bucket and the WAL hold it.
    pub(crate) fn json(&self) -> String {
        let (urls, name) = (json::strings(&self.peer_urls), json::string(&self.name));
        format!("{{\"id\":{},\"peerURLs\":{urls},\"name\":{name}}}", self.id)
    }

    /// The id as etcd prints it and keys buckets by it: hex without padding.
    #[must_use]
    pub fn id_hex(&self) -> String {
        format!("{:x}", self.id)
    }
}

fn member_of(name: String, urls: &[String], token: &str) -> Result<Member, MembershipError> {
    let Some(first) = urls.first() else {
        return Err(MembershipError::NoUrl { name });
    };
    if name.is_empty() {
        return Err(MembershipError::NoName { url: first.clone() });
    }
    let parsed: Result<Vec<String>, _> = urls.iter().map(|url| parse_url(&name, url)).collect();
    let mut peer_urls = parsed?;
    peer_urls.sort();
    let mut hash = Sha1::new();
    peer_urls.iter().for_each(|url| hash.update(url));
    hash.update(token);
    Ok(Member { id: first_u64(&hash.finalize()), name, peer_urls })
}

fn parse_url(name: &str, text: &str) -> Result<String, MembershipError> {
    url::parse(text).map_err(|problem| {
        let (name, url) = (name.to_owned(), text.to_owned());
        MembershipError::Url { name, url, problem }
    })
}

fn check_urls_differ(members: &[Member]) -> Result<(), MembershipError> {
    let mut seen = BTreeSet::new();
    let mut urls = members.iter().flat_map(|member| &member.peer_urls);
    match urls.find(|url| !seen.insert(*url)) {
        Some(url) => Err(MembershipError::DuplicateUrl { url: url.clone() }),
        None => Ok(()),
    }
}

/// `members` ascend by id.
fn check_ids(members: &[Member]) -> Result<(), MembershipError> {
    if let Some(zero) = members.iter().find(|member| member.id == 0) {
        return Err(MembershipError::ZeroId { name: zero.name.clone() });
    }
    for (one, next) in members.iter().zip(members.iter().skip(1)) {
        if one.id == next.id {
            let names = (one.name.clone(), next.name.clone());
            return Err(MembershipError::SameId { id: one.id, names });
        }
    }
    Ok(())
}

fn cluster_id(members: &[Member]) -> u64 {
    let mut hash = Sha1::new();
    members.iter().for_each(|member| hash.update(member.id.to_be_bytes()));
    first_u64(&hash.finalize())
}

fn first_u64(digest: &[u8]) -> u64 {
    digest.first_chunk::<8>().copied().map_or(0, u64::from_be_bytes)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod properties;

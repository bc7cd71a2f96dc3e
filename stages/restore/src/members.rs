//! Who the members of the new cluster are: as the flags say, or as the snapshot lists them.

use crate::args::{Args, DEFAULT_NAME};
use crate::error::Error;
use bbolt::{Database, ReadAt};
use datadir::{Member, Membership};
use serde::Deserialize;
use std::path::{Component, Path};

const BUCKET: &[u8] = b"members";
/// More members than these in the bucket are a mistake; `Membership` allows for fewer.
const LISTED_MAX: usize = 1_024;

/// A row of the `members` bucket.
#[derive(Debug, Deserialize)]
struct Listed {
    #[serde(default)]
    name: String,
    #[serde(default, rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(default, rename = "isLearner")]
    is_learner: bool,
}

/// The new cluster, and what was left out, one sentence each.
#[derive(Debug)]
pub(crate) struct NewCluster {
    pub(crate) membership: Membership,
    pub(crate) notes: Vec<String>,
}

/// What the flags say by themselves; none when the snapshot has to be asked.
pub(crate) fn of_flags(args: &Args, token: &str) -> Result<Option<NewCluster>, Error> {
    let Some(text) = &args.initial_cluster else { return Ok(None) };
    let membership = Membership::parse(text, token)?;
    Ok(Some(NewCluster { membership, notes: Vec::new() }))
}

/// As the snapshot lists them: whoever votes and has a name.
pub(crate) fn of_snapshot<R: ReadAt>(
    database: &Database<R>,
    token: &str,
) -> Result<NewCluster, Error> {
    let (mut voters, mut notes) = (Vec::new(), Vec::new());
    let mut rows = database.rows(BUCKET)?;
    let mut count = 0;
    while let Some((key, value)) = rows.as_mut().map(bbolt::Rows::next_row).transpose()?.flatten() {
        count += 1;
        let id = String::from_utf8_lossy(key).into_owned();
        if count > LISTED_MAX {
            return Err(Error::Member(id));
        }
        let listed: Listed =
            serde_json::from_slice(value).map_err(|_| Error::Member(id.clone()))?;
        let left_out = match &listed {
            Listed { is_learner: true, .. } => "it is a learner; add it again afterwards",
            Listed { name, .. } if name.is_empty() => "it has never started",
            _ => {
                voters.push((listed.name, listed.peer_urls));
                continue;
            }
        };
        notes.push(format!("member {id} {} is not in the new cluster: {left_out}", listed.name));
    }
    if voters.is_empty() {
        return Err(Error::NoMembers);
    }
    Ok(NewCluster { membership: Membership::new(voters, token)?, notes })
}

/// The members whose directories are written.
pub(crate) fn written(args: &Args, membership: &Membership) -> Result<Vec<Member>, Error> {
    if args.all_members.is_some() {
        membership.members().iter().try_for_each(|member| must_name_a_directory(&member.name))?;
        return Ok(membership.members().to_vec());
    }
    let member = match (&args.name, membership.members()) {
        (None, [only]) => only,
        (name, _) => membership.must_have(name.as_deref().unwrap_or(DEFAULT_NAME))?,
    };
    if let Some(urls) = &args.initial_advertise_peer_urls {
        membership.must_advertise(&member.name, std::slice::from_ref(urls))?;
    }
    Ok(vec![member.clone()])
}

fn must_name_a_directory(name: &str) -> Result<(), Error> {
    let mut parts = Path::new(name).components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name);
    let acts = name.starts_with('.') || name.contains('\0');
    if plain && !acts { Ok(()) } else { Err(Error::NoDirectoryName(name.to_owned())) }
}

//! Does what the plan says, one request after the other.
//!
//! A request that got no answer may have been carried out all the same: before it is made again,
//! and before it counts as failed, the member list is looked at.

use super::plan::Plan;
use crate::error::Error;
use etcd::{Connection, Endpoint, Listed, Settings, Trouble};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// etcd adds nobody until all members have been connected for five seconds, and after the leader
/// was removed there is an election first.
const ATTEMPTS_MAX: u32 = 15;
const PAUSE: Duration = Duration::from_secs(1);

/// What came of it.
#[derive(Debug)]
pub(crate) struct Done {
    /// The id of the new member.
    pub(crate) id: u64,
    /// For the `--initial-cluster` of the new member.
    pub(crate) initial_cluster: String,
}

pub(crate) async fn carry_out(
    plan: &Plan,
    settings: &Arc<Settings>,
    again: &str,
) -> Result<Done, Error> {
    let change = Change { plan, again };
    let connection = change.connect(settings).await?;
    if let Some(id) = plan.remove {
        change.remove(&connection, id).await?;
        failpoint::pass("doctor.member.removed");
    }
    let list = change.added(&connection).await?;
    failpoint::pass("doctor.member.added");
    let new = list.iter().find(|listed| change.is_new(listed));
    Ok(Done {
        id: new.map_or(0, |listed| listed.id),
        initial_cluster: initial_cluster(&list, |listed| change.is_new(listed), &plan.name),
    })
}

struct Change<'a> {
    plan: &'a Plan,
    again: &'a str,
}

impl Change<'_> {
    async fn connect(&self, settings: &Arc<Settings>) -> Result<Connection, Error> {
        let opened = match Endpoint::parse(&self.plan.through, false) {
            Ok(endpoint) => Connection::open(&endpoint, settings).await,
            Err(problem) => Err(Trouble::Lost(problem)),
        };
        let failed = |trouble| self.failed("nothing was changed", "answer", trouble);
        opened.map(|(connection, _)| connection).map_err(failed)
    }

    async fn remove(&self, connection: &Connection, id: u64) -> Result<(), Error> {
        let Err(trouble) = connection.remove_member(id).await else { return Ok(()) };
        let is_gone = |list: Vec<Listed>| !list.iter().any(|listed| listed.id == id);
        match connection.members().await.is_ok_and(is_gone) {
            true => Ok(()),
            false => Err(self.failed("the member is still listed", "remove it", trouble)),
        }
    }

    /// Adds the member unless it is there, and gives the list that it is in.
    async fn added(&self, connection: &Connection) -> Result<Vec<Listed>, Error> {
        let state = "the member is removed and not added yet";
        let mut attempt = 1;
        loop {
            let list = connection.members().await;
            if let Ok(list) = list
                && list.iter().any(|listed| self.is_new(listed))
            {
                return Ok(list);
            }
            let urls = self.plan.peer_urls.clone();
            match connection.add_member(urls, self.plan.is_learner).await {
                Ok(_) => {}
                Err(trouble) if attempt < ATTEMPTS_MAX && may_pass(&trouble) => {
                    tracing::info!("etcd does not add it yet ({trouble}); trying again");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(trouble) => return Err(self.failed(state, "add it", trouble)),
            }
            attempt += 1;
            if attempt > ATTEMPTS_MAX {
                let trouble = Trouble::Lost("it is not in the member list".into());
                return Err(self.failed(state, "list it", trouble));
            }
        }
    }

    /// Added and never started, with the peer URLs of the plan.
    fn is_new(&self, listed: &Listed) -> bool {
        let urls = &self.plan.peer_urls;
        listed.name.is_empty()
            && listed.peer_urls.len() == urls.len()
            && urls.iter().all(|url| listed.peer_urls.contains(url))
    }

    fn failed(&self, state: &'static str, request: &'static str, trouble: Trouble) -> Error {
        let (address, again) = (self.plan.through.clone(), self.again.to_owned());
        Error::Change { state, address, request, trouble: Box::new(trouble), again }
    }
}

/// `unhealthy cluster` and a missing leader come as the same.
fn may_pass(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::NoQuorum(_) | Trouble::TimedOut { .. } | Trouble::Lost(_) | Trouble::Refused
    )
}

/// `m1=url,m1=url,m2=url`. Another member that never started is named by its id: etcd compares the
/// URLs.
fn initial_cluster(list: &[Listed], is_new: impl Fn(&Listed) -> bool, name: &str) -> String {
    let mut text = String::new();
    for listed in list {
        let own = match listed.name.as_str() {
            _ if is_new(listed) => name.to_owned(),
            "" => etcd::hex_id(listed.id),
            there => there.to_owned(),
        };
        for url in &listed.peer_urls {
            let separator = if text.is_empty() { "" } else { "," };
            // Writing to a string cannot fail.
            let _ = write!(text, "{separator}{own}={url}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_initial_cluster_names_every_member_and_every_url() {
        let listed = |id, name: &str, urls: &[&str]| Listed {
            id,
            name: name.into(),
            peer_urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            client_urls: Vec::new(),
            is_learner: false,
        };
        let list =
            [listed(1, "a", &["u1", "u2"]), listed(0xfe, "", &["u3"]), listed(3, "", &["u4"])];
        let text = initial_cluster(&list, |listed| listed.id == 3, "c");
        assert_eq!(text, "a=u1,a=u2,fe=u3,c=u4");
    }
}

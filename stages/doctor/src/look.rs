//! One look at the whole cluster: every address that is configured or that a member advertises is
//! asked, all at once, with short limits.
//!
//! Invariants: what did not answer is in the result, with its reason; whatever the members
//! advertise, the number of addresses asked is limited; nothing is changed. Where logging in needs a
//! quorum that is not there, or a learner cannot do it, the rest is asked without.
//!
//! Does not: compare answers. That is `diagnose`.

mod questions;

use crate::observation::{Address, Answer, Member, Silence};
use etcd::certificates::{self, Certificate};
use etcd::{Connection, Endpoint, Listed, Settings, Status, Trouble};
use questions::ask;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// For one connection. A configured limit that is shorter wins.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// For one request. etcd itself gives up after about seven seconds without a leader.
const REQUEST_LIMIT: Duration = Duration::from_secs(4);
/// etcd's largest clusters have seven members and a few learners.
const ADDRESSES_MAX: usize = 64;
/// What a time-out means when whoever did not answer it answers something else.
const NO_LOGIN: &str = "it is alive, but nobody can log in";
/// Members may know of members that the ones asked before do not know of.
const ROUNDS_MAX: usize = 3;

/// What one look saw.
pub(crate) struct Seen {
    pub(crate) members: Vec<Member>,
    pub(crate) strays: Vec<Address>,
    pub(crate) certificates: Vec<Certificate>,
}

/// An address where a member answered.
struct Opened {
    endpoint: Endpoint,
    connection: Connection,
    status: Status,
    members: Result<Vec<Listed>, Trouble>,
}

/// The settings with limits for somebody who waits.
pub(crate) fn impatient(settings: &Settings) -> Settings {
    let connect_timeout = settings.connect_timeout.min(CONNECT_LIMIT);
    Settings { connect_timeout, request_timeout: REQUEST_LIMIT, ..settings.clone() }
}

/// Looks once. `settings` are those of [`impatient`].
pub(crate) async fn look(settings: &Arc<Settings>) -> Seen {
    let mut found = Found::default();
    let mut next: Vec<(Endpoint, bool)> =
        settings.endpoints.iter().map(|endpoint| (endpoint.clone(), true)).collect();
    for _ in 0..ROUNDS_MAX {
        if next.is_empty() {
            break;
        }
        found.round(settings, next).await;
        next = found.unasked(settings);
    }
    let endpoints = found.addresses.iter().map(|address| address.endpoint.clone()).collect();
    let certificates = certificates::seen(settings, endpoints);
    let (certificates, answers) = tokio::join!(certificates, ask(found.first_of_each()));
    let (members, strays) = found.members(answers);
    Seen { members, strays, certificates }
}

/// One address that was asked, or that was not and why.
struct Asked {
    endpoint: Endpoint,
    is_configured: bool,
    silence: Option<Silence>,
}

#[derive(Default)]
struct Found {
    addresses: Vec<Asked>,
    opened: Vec<Opened>,
}

impl Found {
    /// Asks some addresses, all at once.
    async fn round(&mut self, settings: &Arc<Settings>, addresses: Vec<(Endpoint, bool)>) {
        let mut tasks = JoinSet::new();
        for (position, (endpoint, is_configured)) in addresses.into_iter().enumerate() {
            let settings = Arc::clone(settings);
            tasks.spawn(async move {
                let opened = open(&endpoint, &settings).await;
                (position, endpoint, is_configured, opened)
            });
        }
        let mut answers = tasks.join_all().await;
        answers.sort_by_key(|(position, ..)| *position);
        for (_, endpoint, is_configured, opened) in answers {
            let silence = opened.as_ref().err().cloned().map(Silence::Trouble);
            self.addresses.push(Asked { endpoint: endpoint.clone(), is_configured, silence });
            if let Ok((connection, status, members)) = opened {
                self.opened.push(Opened { endpoint, connection, status, members });
            }
        }
    }

    /// What members advertise and nobody has asked yet.
    fn unasked(&mut self, settings: &Settings) -> Vec<(Endpoint, bool)> {
        let is_secure = settings.endpoints.iter().any(Endpoint::is_tls);
        let mut next: Vec<(Endpoint, bool)> = Vec::new();
        let urls: Vec<String> = self.lists().flat_map(|m| m.client_urls.clone()).collect();
        for url in urls {
            let Ok(endpoint) = Endpoint::parse(&url, false) else { continue };
            let is_known = self.addresses.iter().any(|asked| asked.endpoint == endpoint)
                || next.iter().any(|(other, _)| *other == endpoint);
            if is_known || self.addresses.len() + next.len() >= ADDRESSES_MAX {
                continue;
            }
            // Never send a password, or believe an answer, over less than what was configured.
            if is_secure && !endpoint.is_tls() {
                let silence = Some(Silence::NotAsked("it is advertised without TLS".into()));
                self.addresses.push(Asked { endpoint, is_configured: false, silence });
            } else {
                next.push((endpoint, false));
            }
        }
        next
    }

    /// Every member in every list.
    fn lists(&self) -> impl Iterator<Item = &Listed> {
        self.opened.iter().filter_map(|opened| opened.members.as_ref().ok()).flatten()
    }

    /// One connection for each member: configured addresses come first.
    fn first_of_each(&self) -> Vec<&Opened> {
        let mut first: BTreeMap<(u64, u64), &Opened> = BTreeMap::new();
        for opened in &self.opened {
            first.entry(opened.key()).or_insert(opened);
        }
        first.into_values().collect()
    }

    /// Who there is, and the addresses that are nobody's.
    fn members(
        &self,
        answers: Vec<((u64, u64), Result<Answer, Trouble>)>,
    ) -> (Vec<Member>, Vec<Address>) {
        let mut members = Vec::new();
        for (key, answer) in answers {
            let id = key.1;
            let mut addresses = self.addresses_of(id, Some(key));
            if let Err(trouble) = &answer {
                // It was there, and then it was not.
                for address in &mut addresses {
                    let late = || Silence::Trouble(trouble.clone());
                    address.silence.get_or_insert_with(late);
                }
            }
            members.push(Member { id, name: self.name_of(id), addresses, answer: answer.ok() });
        }
        for id in self.lists().map(|member| member.id).collect::<Vec<_>>() {
            if !members.iter().any(|member| member.id == id) {
                let addresses = self.addresses_of(id, None);
                members.push(Member { id, name: self.name_of(id), addresses, answer: None });
            }
        }
        members.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        let is_claimed =
            |url: &str| members.iter().any(|m| m.addresses.iter().any(|a| a.url == url));
        let strays = self.addresses.iter().map(Asked::address);
        let strays = strays.filter(|address| !is_claimed(&address.url)).collect();
        (members, strays)
    }

    /// Where a member was asked: the addresses that led to it, and those that it advertises.
    fn addresses_of(&self, id: u64, key: Option<(u64, u64)>) -> Vec<Address> {
        let leads = |endpoint: &Endpoint| {
            self.opened.iter().find(|o| o.endpoint == *endpoint).map(Opened::key)
        };
        let advertised: Vec<Endpoint> = self
            .lists()
            .filter(|member| member.id == id)
            .flat_map(|member| &member.client_urls)
            .filter_map(|url| Endpoint::parse(url, false).ok())
            .collect();
        let is_its = |asked: &&Asked| match leads(&asked.endpoint) {
            Some(other) => Some(other) == key,
            None => advertised.contains(&asked.endpoint),
        };
        let mut addresses: Vec<Address> =
            self.addresses.iter().filter(is_its).map(Asked::address).collect();
        // What leads to somebody else, though this member advertises it.
        for endpoint in &advertised {
            if let Some(other) = leads(endpoint).filter(|other| Some(*other) != key)
                && !addresses.iter().any(|address| address.url == endpoint.url())
            {
                let reason = format!("it leads to member {}", etcd::hex_id(other.1));
                addresses.push(Address {
                    url: endpoint.url().to_owned(),
                    is_configured: false,
                    silence: Some(Silence::NotAsked(reason)),
                });
            }
        }
        addresses
    }

    fn name_of(&self, id: u64) -> String {
        let named = self.lists().find(|member| member.id == id && !member.name.is_empty());
        named.map_or_else(String::new, |member| member.name.clone())
    }
}

impl Asked {
    fn address(&self) -> Address {
        Address {
            url: self.endpoint.url().to_owned(),
            is_configured: self.is_configured,
            silence: self.silence.clone(),
        }
    }
}

impl Opened {
    fn key(&self) -> (u64, u64) {
        (self.status.cluster_id, self.status.member_id)
    }
}

type Open = (Connection, Status, Result<Vec<Listed>, Trouble>);

async fn open(endpoint: &Endpoint, settings: &Arc<Settings>) -> Result<Open, Trouble> {
    let opened = match Connection::open(endpoint, settings).await {
        Err(trouble) if settings.login.is_some() && is_about_logging_in(&trouble) => {
            let anonymous = Settings { login: None, ..Settings::clone(settings) };
            match Connection::open(endpoint, &Arc::new(anonymous)).await {
                Ok(opened) => Ok(opened),
                // From 3.7 on nobody gets a status without having logged in. But it is alive, and
                // logging in fails for want of a majority.
                Err(Trouble::LoginMissing) if trouble != Trouble::Learner => {
                    Err(Trouble::NoQuorum(NO_LOGIN.into()))
                }
                // The first word is the better one.
                Err(_) => Err(trouble),
            }
        }
        result => result,
    };
    let (connection, status) = opened?;
    let members = connection.members().await;
    Ok((connection, status, members))
}

/// Logging in goes through the log of raft, and a learner passes nothing on.
fn is_about_logging_in(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Learner | Trouble::NoQuorum(_) | Trouble::TimedOut { request: "log in", .. }
    )
}

//! The state of the cluster before anything is captured: every member's status, the member list
//! and the alarms.
//!
//! Members that were not configured are found by the member list and asked at the client URLs
//! that they advertise, so that HashKV can be compared across the whole cluster. Endpoints of two
//! different clusters are refused. A member that does not answer is remembered with its reason.

use crate::choice::Seen;
use crate::error::{Error, Unreachable};
use contract::facts;
use etcd::{Connection, Endpoint, Listed, Settings, Status, alarm_of, hex_id};
use std::sync::Arc;
use tokio::task::JoinSet;

/// etcd's largest clusters have seven members and a few learners.
const MEMBERS_MAX: usize = 64;
/// How many of the URLs that a member advertises are tried.
const CLIENT_URLS_MAX: usize = 4;

/// One member that answered.
#[derive(Clone)]
pub(crate) struct Sighting {
    pub(crate) connection: Connection,
    pub(crate) status: Status,
    pub(crate) name: String,
    pub(crate) is_configured: bool,
}

/// One listed member that did not.
#[derive(Debug, Clone)]
pub(crate) struct Silent {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) client_urls: Vec<String>,
    pub(crate) reason: String,
}

/// What was seen of the cluster.
pub(crate) struct Survey {
    pub(crate) cluster_id: u64,
    pub(crate) sightings: Vec<Sighting>,
    pub(crate) silent: Vec<Silent>,
    pub(crate) listed: Vec<Listed>,
    pub(crate) alarms: Vec<facts::Alarm>,
    /// Configured endpoints that could not be used.
    pub(crate) unreachable: Vec<Unreachable>,
}

impl Survey {
    /// Looks at the whole cluster.
    ///
    /// # Errors
    /// [`Error::NoMember`] when no configured endpoint answers, [`Error::TwoClusters`], or
    /// [`Error::Endpoint`] when nobody gives a member list.
    pub(crate) async fn take(settings: &Arc<Settings>) -> Result<Survey, Error> {
        let (mut sightings, unreachable) = configured(settings).await;
        if sightings.is_empty() {
            return Err(Error::NoMember { unreachable });
        }
        let listed = member_list(&sightings).await?;
        for sighting in &mut sightings {
            sighting.name = name_of(&listed, sighting.status.member_id);
        }
        let (found, silent) = discovered(settings, &listed, &sightings, &unreachable).await;
        sightings.extend(found);
        refresh(&mut sightings).await;
        let cluster_id = one_cluster(&sightings)?;
        let alarms = alarms(&sightings);
        Ok(Survey { cluster_id, sightings, silent, listed, alarms, unreachable })
    }

    /// The same as plain facts, in the same order, to choose from.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let seen = self.sightings.iter().map(|sighting| Seen {
            id: sighting.status.member_id,
            name: sighting.name.clone(),
            endpoint: sighting.connection.endpoint().to_string(),
            is_configured: sighting.is_configured,
            is_learner: sighting.status.is_learner,
            is_corrupt: self.is_corrupt(sighting.status.member_id),
            leader: sighting.status.leader,
            raft_term: sighting.status.raft_term,
            raft_index: sighting.status.raft_index,
            raft_applied_index: sighting.status.raft_applied_index,
            revision: sighting.status.revision,
        });
        seen.collect()
    }

    fn is_corrupt(&self, id: u64) -> bool {
        let id = hex_id(id);
        let mut alarms = self.alarms.iter();
        alarms.any(|alarm| alarm.alarm == "CORRUPT" && alarm.member_id == id)
    }

    /// Configured endpoints that could not be used and are no listed member's. The others are
    /// named with their member in `silent`.
    pub(crate) fn strays(&self) -> impl Iterator<Item = &Unreachable> {
        self.unreachable.iter().filter(|failed| {
            let url = failed.endpoint.url();
            let mut urls = self.silent.iter().flat_map(|silent| &silent.client_urls);
            !urls.any(|advertised| advertised.trim_end_matches('/') == url)
        })
    }

    /// What a careful eye should know, whichever member gives the snapshot.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for stray in self.strays() {
            remarks.push(stray.to_string());
        }
        for silent in &self.silent {
            let (name, id, reason) = (&silent.name, hex_id(silent.id), &silent.reason);
            remarks.push(format!("member {name:?} ({id}) does not answer: {reason}"));
        }
        for alarm in &self.alarms {
            remarks.push(format!("alarm {} of member {}", alarm.alarm, alarm.member_id));
        }
        let downgrade = self.sightings.iter().find_map(|s| s.status.downgrade_to.clone());
        if let Some(version) = downgrade {
            remarks.push(format!("a downgrade to {version} is under way"));
        }
        remarks
    }
}

/// Connects to every configured endpoint at once. Two that lead to one member count once.
async fn configured(settings: &Arc<Settings>) -> (Vec<Sighting>, Vec<Unreachable>) {
    let mut tasks = JoinSet::new();
    for (position, endpoint) in settings.endpoints.iter().cloned().enumerate() {
        let settings = Arc::clone(settings);
        tasks.spawn(async move {
            let opened = Connection::open(&endpoint, &settings).await;
            (position, endpoint, opened)
        });
    }
    let mut opened = tasks.join_all().await;
    opened.sort_by_key(|(position, _, _)| *position);
    let mut sightings: Vec<Sighting> = Vec::new();
    let mut unreachable = Vec::new();
    for (_, endpoint, result) in opened {
        match result {
            Ok((connection, status)) => {
                let id = status.member_id;
                if !sightings.iter().any(|s| s.status.member_id == id) {
                    sightings.push(Sighting::new(connection, status, true));
                }
            }
            Err(trouble) => unreachable.push(Unreachable { endpoint, trouble }),
        }
    }
    (sightings, unreachable)
}

impl Sighting {
    fn new(connection: Connection, status: Status, is_configured: bool) -> Self {
        Sighting { connection, status, name: String::new(), is_configured }
    }
}

/// The list of the first member that gives one.
async fn member_list(sightings: &[Sighting]) -> Result<Vec<Listed>, Error> {
    let mut failed = None;
    for sighting in sightings {
        match sighting.connection.members().await {
            Ok(listed) => return Ok(listed),
            Err(trouble) => failed = Some((sighting, trouble)),
        }
    }
    match failed {
        Some((sighting, trouble)) => Err(Error::Endpoint {
            endpoint: sighting.connection.endpoint().clone(),
            request: "member list",
            trouble,
        }),
        None => Err(Error::NoMember { unreachable: Vec::new() }),
    }
}

/// The members that no configured endpoint leads to: those that answer, and the others.
async fn discovered(
    settings: &Arc<Settings>,
    listed: &[Listed],
    known: &[Sighting],
    unreachable: &[Unreachable],
) -> (Vec<Sighting>, Vec<Silent>) {
    let is_known = |id: u64| known.iter().any(|s| s.status.member_id == id);
    let mut tasks = JoinSet::new();
    for member in listed.iter().filter(|m| !is_known(m.id)).take(MEMBERS_MAX) {
        let (settings, member) = (Arc::clone(settings), member.clone());
        let tried = unreachable.to_vec();
        tasks.spawn(async move {
            let found = discover(&settings, &member, &tried).await;
            (member, found)
        });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(member, _)| member.id);
    let mut sightings = Vec::new();
    let mut silent = Vec::new();
    for (member, found) in answers {
        match found {
            Ok(mut sighting) => {
                sighting.name = member.name;
                sightings.push(sighting);
            }
            Err(reason) => silent.push(Silent {
                id: member.id,
                name: member.name,
                client_urls: member.client_urls,
                reason,
            }),
        }
    }
    (sightings, silent)
}

/// Tries the URLs that a member advertises, but for those that were tried already.
async fn discover(
    settings: &Arc<Settings>,
    member: &Listed,
    tried: &[Unreachable],
) -> Result<Sighting, String> {
    let mut reason = "it advertises no client URL".to_owned();
    for url in member.client_urls.iter().take(CLIENT_URLS_MAX) {
        let endpoint = match Endpoint::parse(url, false) {
            Ok(endpoint) => endpoint,
            Err(problem) => {
                reason = problem;
                continue;
            }
        };
        if let Some(failed) = tried.iter().find(|failed| failed.endpoint == endpoint) {
            reason = failed.to_string();
            continue;
        }
        // Never send a password, or believe an answer, over less than what was configured.
        if !endpoint.is_tls() && settings.endpoints.iter().any(Endpoint::is_tls) {
            reason = format!("it advertises {endpoint}, without TLS");
            continue;
        }
        match Connection::open(&endpoint, settings).await {
            Ok((connection, status)) if status.member_id == member.id => {
                return Ok(Sighting::new(connection, status, false));
            }
            Ok((_, status)) => {
                let id = hex_id(status.member_id);
                reason = format!("{endpoint}, which it advertises, leads to member {id}");
            }
            Err(trouble) => reason = format!("{endpoint}: {trouble}"),
        }
    }
    Err(reason)
}

/// Asks every member for its status anew, all at once: the statuses are going to be compared,
/// and connecting to a member that is down may have taken seconds.
async fn refresh(sightings: &mut [Sighting]) {
    let mut tasks = JoinSet::new();
    for (position, sighting) in sightings.iter().enumerate() {
        let connection = sighting.connection.clone();
        tasks.spawn(async move { (position, connection.status().await) });
    }
    for (position, status) in tasks.join_all().await {
        // One that went away meanwhile keeps its old status; the barrier will find out.
        if let (Some(sighting), Ok(status)) = (sightings.get_mut(position), status) {
            sighting.status = status;
        }
    }
}

fn one_cluster(sightings: &[Sighting]) -> Result<u64, Error> {
    let id = |sighting: &Sighting| sighting.status.cluster_id;
    let first = sightings.first().map_or(0, id);
    match sightings.iter().find(|sighting| id(sighting) != first) {
        None => Ok(first),
        Some(other) => Err(Error::TwoClusters {
            first: sightings[0].connection.endpoint().clone(),
            first_id: hex_id(first),
            second: other.connection.endpoint().clone(),
            second_id: hex_id(id(other)),
        }),
    }
}

/// The alarms that the members know of.
fn alarms(sightings: &[Sighting]) -> Vec<facts::Alarm> {
    let mut alarms: Vec<facts::Alarm> = Vec::new();
    for error in sightings.iter().flat_map(|s| &s.status.errors) {
        if let Some(alarm) = alarm_of(error)
            && !alarms.contains(&alarm)
        {
            alarms.push(alarm);
        }
    }
    alarms
}

fn name_of(listed: &[Listed], id: u64) -> String {
    let member = listed.iter().find(|member| member.id == id);
    member.map_or_else(String::new, |member| member.name.clone())
}

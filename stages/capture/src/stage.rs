//! One capture: look at the cluster, choose a member, set the barrier, stream, sign off.
//!
//! Until the first byte is handed out a failing member is replaced by the next one in the order
//! of choice. After that the capture ends with an error, because a stream that went out cannot be
//! taken back; whoever started it begins anew, with `--avoid-member`.

use crate::args::Args;
use crate::choice::{Choice, Reason, Wish, choose, is_named};
use crate::error::Error;
use crate::settings::Settings;
use crate::stream::{Limits, LiveMessages, Pump};
use crate::survey::{Sighting, Survey};
use crate::{barrier, check, hashkv};
use config::MemberChoice;
use contract::facts::{self, CaptureFacts};
use contract::{Clock, Digest, Exit, Failure as _, Job, Sink};
use etcd::{LINEARIZABLE_READ, Listed, Status, Trouble, hex_id};
use std::time::Duration;

/// An election takes a second or two, and so may a name server's bad moment. A cluster is taken
/// for one that cannot be reached, or has no quorum, only after it had that time.
const ATTEMPTS_MAX: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);

/// Captures, or checks that a capture would succeed.
pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    if args.check {
        return check::run(args);
    }
    let settings = Settings::load(args)?;
    let job = Job::open("capture", &args.stage.streams, Clock::system())?;
    let sink = job.output()?;
    let sink = if verify_hashes_it(&job) { sink.without_sha256() } else { sink };
    let turn = turn_of(&job);
    let runtime = runtime()?;
    let captured = runtime.block_on(Capture { settings, turn }.run(sink));
    // A task that still waits for a member, or a writer stuck in a pipe, must not hold up the end.
    runtime.shutdown_background();
    let (sink, facts) = captured?;
    job.finish(None, sink, &facts)?;
    Ok(Exit::Ok)
}

/// Whether a later step takes the SHA-256 of the very bytes that are written here.
fn verify_hashes_it(job: &Job) -> bool {
    let Some(plan) = job.plan() else { return false };
    let Some(verify) = plan.position("verify") else { return false };
    plan.steps[..verify].iter().all(|step| step.suffix.is_empty())
}

/// Two threads: one drains etcd while the other asks for HashKV.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Error::Runtime)
}

/// A number that differs from run to run and is the same in all attempts of one run.
fn turn_of(job: &Job) -> u64 {
    let seed = match job.plan() {
        Some(plan) => plan.run.to_string(),
        None => job.now().to_string(),
    };
    let digest = Digest::of(seed.as_bytes()).sha256;
    u64::from_str_radix(&digest[..16], 16).unwrap_or(0)
}

struct Capture {
    settings: Settings,
    turn: u64,
}

impl Capture {
    async fn run(&self, sink: Sink) -> Result<(Sink, CaptureFacts), Error> {
        let mut sink = Some(sink);
        for attempt in 1..=ATTEMPTS_MAX {
            match self.attempt(&mut sink).await {
                Err(error) if sink.is_some() && is_worth_another_look(&error) => {
                    if attempt == ATTEMPTS_MAX && !error.is_no_quorum() {
                        return Err(error);
                    }
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(causes = cause, attempt, "{error}");
                }
                result => return result,
            }
            if attempt < ATTEMPTS_MAX {
                tokio::time::sleep(PAUSE).await;
            }
        }
        if !self.settings.allow_degraded {
            return Err(Error::DegradedNotAllowed);
        }
        let survey = Survey::take(&self.settings.etcd).await?;
        let choice = self.choose(&survey, false)?;
        self.go_down(&survey, &choice, false, &mut sink).await
    }

    /// One look at the cluster, then down the order of choice.
    async fn attempt(&self, sink: &mut Option<Sink>) -> Result<(Sink, CaptureFacts), Error> {
        let survey = Survey::take(&self.settings.etcd).await?;
        let choice = self.choose(&survey, true)?;
        if choice.order.is_empty() {
            return Err(Error::NoQuorum);
        }
        self.go_down(&survey, &choice, true, sink).await
    }

    /// Puts the members in order.
    ///
    /// # Errors
    /// When nobody is left, for another reason than the want of a leader.
    fn choose(&self, survey: &Survey, has_quorum: bool) -> Result<Choice, Error> {
        let wish = wish(&self.settings, self.turn, has_quorum);
        let choice = choose(&survey.seen(), &wish);
        if choice.order.is_empty() && !choice.lacks_only_a_leader() {
            return Err(nobody(survey, &choice, &self.settings.member));
        }
        Ok(choice)
    }

    /// Asks one member after the other until one has given its whole snapshot.
    async fn go_down(
        &self,
        survey: &Survey,
        choice: &Choice,
        has_quorum: bool,
        sink: &mut Option<Sink>,
    ) -> Result<(Sink, CaptureFacts), Error> {
        let mut failed = Vec::new();
        for &index in &choice.order {
            let attempt = Attempt {
                survey,
                sighting: &survey.sightings[index],
                has_quorum,
                settings: &self.settings,
            };
            match attempt.capture(sink).await {
                Ok(captured) => return Ok(captured),
                Err(error) if sink.is_none() || error.is_final() => return Err(error),
                // Wrong bytes are not tried away here: whoever runs the stages begins anew, once,
                // and with another member.
                Err(error) if error.exit() == Exit::Corrupt => return Err(error),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(causes = cause, "{error}; nothing was handed out yet");
                    failed.push(error);
                }
            }
        }
        Err(Error::exhausted(failed))
    }
}

fn is_worth_another_look(error: &Error) -> bool {
    error.is_no_quorum()
        || matches!(error, Error::NoMember { .. }) && error.exit() == Exit::Transient
}

pub(crate) fn wish(settings: &Settings, turn: u64, has_quorum: bool) -> Wish<'_> {
    Wish {
        member: &settings.member,
        avoid: &settings.avoid,
        max_lag: settings.max_lag,
        turn,
        has_quorum,
    }
}

/// Why nobody is left to ask.
pub(crate) fn nobody(survey: &Survey, choice: &Choice, member: &MemberChoice) -> Error {
    let seen = survey.seen();
    if let MemberChoice::Named(named) = member
        && !seen.iter().any(|member| is_named(named, member))
    {
        return not_seen(survey, named);
    }
    let relevant = choice.refused.iter().filter(|(_, reason)| *reason != Reason::NotNamed);
    let refused = relevant.map(|(index, reason)| {
        let sighting = &survey.sightings[*index];
        format!("{}: {reason}", sighting.title())
    });
    Error::NoCandidate { refused: refused.collect() }
}

fn not_seen(survey: &Survey, named: &str) -> Error {
    let named = named.to_owned();
    let is_it = |name: &str, id: u64| name == named || hex_id(id) == named.to_ascii_lowercase();
    if let Some(silent) = survey.silent.iter().find(|s| is_it(&s.name, s.id)) {
        let reason = silent.reason.clone();
        return Error::NamedSilent { named, reason };
    }
    let mut unreachable = survey.unreachable.iter();
    if let Some(there) = unreachable.find(|u| u.endpoint.url() == named.trim_end_matches('/')) {
        let reason = there.trouble.to_string();
        return Error::NamedSilent { named, reason };
    }
    let known: Vec<String> =
        survey.listed.iter().map(|m| format!("{:?} ({})", m.name, hex_id(m.id))).collect();
    Error::NoSuchMember { named, known: known.join(", ") }
}

impl Sighting {
    /// How a member is called in messages.
    pub(crate) fn title(&self) -> String {
        let id = hex_id(self.status.member_id);
        let (name, endpoint) = (&self.name, self.connection.endpoint());
        format!("member {name:?} ({id}) at {endpoint}")
    }
}

/// The capture from one member.
struct Attempt<'a> {
    survey: &'a Survey,
    sighting: &'a Sighting,
    has_quorum: bool,
    settings: &'a Settings,
}

impl Attempt<'_> {
    async fn capture(&self, sink: &mut Option<Sink>) -> Result<(Sink, CaptureFacts), Error> {
        let (barrier, listed) = self.prepare().await?;
        let connection = &self.sighting.connection;
        let messages = LiveMessages::begin(connection)
            .await
            .map_err(|trouble| self.none("snapshot", trouble))?;
        tracing::info!(
            member = self.sighting.name,
            endpoint = connection.endpoint().url(),
            barrier,
            "capturing"
        );
        for remark in self.remarks() {
            tracing::warn!("{remark}");
        }
        let limits = Limits { stall: self.settings.stall_timeout, whole: self.settings.timeout };
        let mut asked = None;
        let pumped = Pump::new(messages, limits, sink)
            .run(|| asked = Some(hashkv::ask(self.survey, &listed, barrier)))
            .await
            .map_err(|broken| {
                let member_id = self.sighting.status.member_id;
                Error::snapshot(self.sighting.title(), member_id, broken)
            })?;
        let hashkv = match asked {
            Some(asked) => asked.answers().await,
            None => Vec::new(),
        };
        let facts = self.facts(barrier, &listed, hashkv, pumped.storage_version);
        Ok((pumped.sink, facts))
    }

    /// The barrier, then the member list: over one connection, so the list is no older.
    async fn prepare(&self) -> Result<(i64, Vec<Listed>), Error> {
        let barrier = if self.has_quorum {
            barrier::read(self.sighting)
                .await
                .map_err(|trouble| self.none(LINEARIZABLE_READ, trouble))?
        } else {
            self.sighting.status.revision
        };
        let listed = self.sighting.connection.members().await;
        let listed = listed.map_err(|trouble| self.none("member list", trouble))?;
        Ok((barrier, listed))
    }

    fn none(&self, request: &'static str, trouble: Trouble) -> Error {
        Error::Endpoint { endpoint: self.sighting.connection.endpoint().clone(), request, trouble }
    }

    fn facts(
        &self,
        barrier: i64,
        listed: &[Listed],
        hashkv: Vec<facts::MemberHashKv>,
        storage_version: Option<String>,
    ) -> CaptureFacts {
        let Status {
            version,
            leader,
            raft_term,
            raft_index,
            raft_applied_index,
            db_bytes,
            db_bytes_in_use,
            member_id,
            ..
        } = self.sighting.status.clone();
        CaptureFacts {
            cluster_id: hex_id(self.survey.cluster_id),
            member_id: hex_id(member_id),
            member_name: self.sighting.name.clone(),
            endpoint: self.sighting.connection.endpoint().to_string(),
            etcd_version: version,
            storage_version,
            leader_id: hex_id(leader),
            raft_term,
            raft_index,
            raft_applied_index,
            db_bytes,
            db_bytes_in_use,
            revision_barrier: barrier,
            alarms: self.survey.alarms.clone(),
            members: listed.iter().map(|member| self.member(member)).collect(),
            hashkv,
            degraded: self.remarks(),
            adopted: None,
        }
    }

    fn member(&self, listed: &Listed) -> facts::Member {
        let mut sightings = self.survey.sightings.iter();
        let seen = sightings.find(|s| s.status.member_id == listed.id);
        facts::Member {
            id: hex_id(listed.id),
            name: listed.name.clone(),
            peer_urls: listed.peer_urls.clone(),
            client_urls: listed.client_urls.clone(),
            learner: listed.is_learner,
            etcd_version: seen.map(|s| s.status.version.clone()),
        }
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.survey.remarks();
        if !self.has_quorum {
            let own = self.sighting.status.revision;
            let best = self.survey.sightings.iter().map(|s| s.status.revision).max();
            let behind = best.unwrap_or(own) - own;
            remarks.push(format!(
                "the cluster has no quorum: the barrier is what this member had, {behind} \
                 revisions behind the most advanced member that answered"
            ));
        }
        remarks
    }
}

//! Made-up clusters to diagnose: a healthy one, in which a test breaks what it wants.

use crate::backup::Backup;
use crate::commands::Tools;
use crate::observation::{Address, Answer, Member, Observations, Silence};
use etcd::{HashKv, Listed, Status, Trouble};

pub(crate) const CLUSTER: u64 = 0xc1;
pub(crate) const TERM: u64 = 4;
pub(crate) const REVISION: i64 = 5_000;
pub(crate) const INDEX: u64 = 20_000;
const VERSION: &str = "3.6.14";
const HASH: u32 = 0xfeed;

/// A cluster of `m1`, `m2`, … with the ids 1, 2, …; `m1` leads.
#[derive(Debug, Clone)]
pub(crate) struct Scene(pub(crate) Observations);

pub(crate) fn listed(id: u64) -> Listed {
    Listed {
        id,
        name: format!("m{id}"),
        peer_urls: vec![format!("http://peer-{id}:2380")],
        client_urls: vec![url(id)],
        is_learner: false,
    }
}

pub(crate) fn url(id: u64) -> String {
    format!("http://m{id}:2379")
}

pub(crate) fn list(ids: &[u64]) -> Vec<Listed> {
    ids.iter().map(|id| listed(*id)).collect()
}

pub(crate) fn no_quorum() -> Trouble {
    Trouble::TimedOut { request: etcd::LINEARIZABLE_READ, limit: std::time::Duration::from_secs(4) }
}

impl Scene {
    /// So many voters, all well.
    pub(crate) fn of(voters: u64) -> Self {
        let ids: Vec<u64> = (1..=voters).collect();
        let members = ids.iter().map(|id| member(*id, list(&ids))).collect();
        Scene(Observations {
            at: "2026-11-20T02:14:00Z".parse().unwrap(),
            looks: 2,
            members,
            strays: Vec::new(),
            certificates: Vec::new(),
            max_lag: 1000,
            backup: Backup::default(),
            tools: Tools::default(),
        })
    }

    fn member(&mut self, id: u64) -> &mut Member {
        self.0.members.iter_mut().find(|member| member.id == id).unwrap()
    }

    /// What a member said, to change it.
    pub(crate) fn answer(&mut self, id: u64) -> &mut Answer {
        self.member(id).answer.as_mut().unwrap()
    }

    /// A change of what a member said.
    pub(crate) fn with(mut self, id: u64, change: impl FnOnce(&mut Answer)) -> Self {
        change(self.answer(id));
        self
    }

    /// The same change of everybody's answer.
    pub(crate) fn all(mut self, change: impl Fn(&mut Answer)) -> Self {
        self.0.members.iter_mut().filter_map(|m| m.answer.as_mut()).for_each(change);
        self
    }

    /// A member that does not answer, for this reason.
    pub(crate) fn silent(mut self, id: u64, trouble: &Trouble) -> Self {
        let member = self.member(id);
        member.answer = None;
        for address in &mut member.addresses {
            address.silence = Some(Silence::Trouble(trouble.clone()));
        }
        self
    }

    /// Members that are down: nobody listens there.
    pub(crate) fn down(self, ids: &[u64]) -> Self {
        ids.iter().fold(self, |scene, id| scene.silent(*id, &Trouble::Refused))
    }

    /// Nobody who answers sees a leader.
    pub(crate) fn leaderless(self) -> Self {
        self.all(|answer| {
            answer.status.leader = 0;
            answer.status.errors = vec!["etcdserver: no leader".into()];
            answer.linearizable = Err(no_quorum());
        })
    }

    /// Everybody holds another member list.
    pub(crate) fn lists(self, list: &[Listed]) -> Self {
        self.all(|answer| answer.members = Ok(list.to_vec()))
    }

    /// One more member that is on nobody's list but its own.
    pub(crate) fn stranger(mut self, id: u64, cluster_id: u64) -> Self {
        let mut stranger = member(id, list(&[id]));
        let answer = stranger.answer.as_mut().unwrap();
        answer.status.cluster_id = cluster_id;
        answer.status.leader = id;
        self.0.members.push(stranger);
        self
    }

    /// One more member that votes not; it is on every list.
    pub(crate) fn learner(self, id: u64) -> Self {
        let mut scene = self;
        let mut everybody: Vec<Listed> = scene.0.members.iter().map(|m| listed(m.id)).collect();
        everybody.push(Listed { is_learner: true, ..listed(id) });
        let mut learner = member(id, everybody.clone());
        let answer = learner.answer.as_mut().unwrap();
        answer.status.is_learner = true;
        answer.members = Err(Trouble::Learner);
        answer.linearizable = Err(Trouble::Learner);
        answer.hashkv = Err(Trouble::Learner);
        scene = scene.lists(&everybody);
        scene.0.members.push(learner);
        scene
    }

    /// The newest backup, as the front tells it.
    pub(crate) fn backup(mut self, safety: &str, revision: i64) -> Self {
        self.0.backup = Backup {
            safety: Some(safety.into()),
            newest: (safety != "none").then(|| "20261120T020900Z-x".into()),
            age_seconds: Some(300),
            revision: Some(revision),
            ..Backup::default()
        };
        self
    }
}

fn member(id: u64, list: Vec<Listed>) -> Member {
    let status = Status {
        cluster_id: CLUSTER,
        member_id: id,
        version: VERSION.into(),
        leader: 1,
        raft_term: TERM,
        raft_index: INDEX,
        raft_applied_index: INDEX,
        revision: REVISION,
        db_bytes: 20 << 20,
        db_bytes_in_use: 19 << 20,
        db_quota_bytes: 8 << 30,
        is_learner: false,
        errors: Vec::new(),
        downgrade_to: None,
    };
    let answer = Answer {
        address: url(id),
        latency_ms: 2,
        before: (1, TERM),
        status,
        members: Ok(list),
        linearizable: Ok(REVISION),
        serializable: Ok(REVISION),
        hashkv_revision: REVISION,
        hashkv: Ok(HashKv { hash: HASH, compact_revision: 4_000 }),
    };
    Member {
        id,
        name: format!("m{id}"),
        addresses: vec![Address { url: url(id), is_configured: true, silence: None }],
        answer: Some(answer),
    }
}

//! What the running etcd has to answer.
//!
//! Everything is asked at the revision that was restored: a short lease may end while the drill is
//! at work, and what etcd then deletes is no fault of the backup.

use crate::ask::{Asked, Listed};
use crate::checks::Checks;
use crate::directory::Member;
use crate::error::Error;
use crate::native::{NEVER_COMPACTED, Witness};
use crate::sample::{Holds, Sample};
use contract::facts::RestoreFacts;

/// A drill's own key. It is written to the scratch copy only.
const OWN_KEY: &str = "lifeboat-drill";
/// So many keys that differ are named.
const NAMED_MAX: usize = 3;

/// The keys that a client can name, as the file has them.
pub(crate) struct Named {
    /// How many are live.
    pub(crate) keys: u64,
    pub(crate) sample: Sample,
}

/// What every member of the scratch copy has to hold.
pub(crate) struct Wanted<'a> {
    pub(crate) restored: &'a RestoreFacts,
    pub(crate) witnesses: &'a [Witness],
    pub(crate) named: &'a Named,
    pub(crate) members: &'a [Member],
    pub(crate) etcd_version: &'a str,
}

impl Wanted<'_> {
    /// Compares one member.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn compare(
        &self,
        checks: &mut Checks,
        member: &str,
        asked: &mut Asked,
    ) -> Result<(), Error> {
        let about = |what: &str| match self.members.len() {
            1 => what.to_owned(),
            _ => format!("{what} of {member}"),
        };
        self.hashes(checks, &about, asked).await?;
        failpoint::pass("drill.hashed");
        let version = asked.version().await?;
        checks.same(about("version of etcd"), &self.etcd_version.to_owned(), &version);
        self.listed(checks, &about, asked).await?;
        checks.same(about("alarms"), &0, &asked.alarms().await?);
        checks.same(
            about("live keys"),
            &self.named.keys,
            &asked.keys(self.restored.revision).await?,
        );
        self.values(checks, &about, asked).await
    }

    async fn hashes(
        &self,
        checks: &mut Checks,
        about: &impl Fn(&str) -> String,
        asked: &mut Asked,
    ) -> Result<(), Error> {
        let revision = self.restored.revision;
        let now = asked.revision().await?;
        // Only the end of a lease moves it before the drill has written anything.
        let fits = now >= revision;
        checks.note(about("revision"), revision, now, fits);
        if !fits {
            return Ok(());
        }
        if let Some(wanted) = &self.restored.hashkv {
            let hashed = asked.hash_kv(0).await?;
            let is_same = hashed.at == revision && wanted.revision == revision;
            let hashed = if is_same { hashed } else { asked.hash_kv(wanted.revision).await? };
            let text = |hash: u32, compact: i64| format!("{hash} (compacted at {compact})");
            checks.same(
                about(&format!("HashKV at revision {}", wanted.revision)),
                &text(wanted.hash, wanted.compact_revision),
                &text(hashed.hash, hashed.compact_revision),
            );
        }
        let compact_revision = self.restored.compact_revision.unwrap_or(NEVER_COMPACTED);
        let comparable = |w: &&Witness| {
            w.compact_revision == compact_revision
                && w.revision > compact_revision
                && w.revision <= revision
        };
        let mut asked_for: Vec<(i64, u32)> = Vec::new();
        for witness in self.witnesses.iter().filter(comparable) {
            if asked_for.contains(&(witness.revision, witness.hash)) {
                continue;
            }
            asked_for.push((witness.revision, witness.hash));
            let hashed = asked.hash_kv(witness.revision).await?;
            if hashed.compact_revision == witness.compact_revision {
                let name = format!("HashKV that the members had at revision {}", witness.revision);
                checks.same(about(&name), &witness.hash, &hashed.hash);
            }
        }
        Ok(())
    }

    async fn listed(
        &self,
        checks: &mut Checks,
        about: &impl Fn(&str) -> String,
        asked: &mut Asked,
    ) -> Result<(), Error> {
        let mut expected: Vec<Listed> = self
            .members
            .iter()
            .map(|member| Listed {
                id: member.id.clone(),
                name: member.name.clone(),
                peer_urls: vec![member.peer_url.clone()],
                learner: false,
            })
            .collect();
        expected.sort();
        let found = asked.members().await?;
        checks.note(about("members"), text(&expected), text(&found), expected == found);
        Ok(())
    }

    async fn values(
        &self,
        checks: &mut Checks,
        about: &impl Fn(&str) -> String,
        asked: &mut Asked,
    ) -> Result<(), Error> {
        let mut differ: Vec<String> = Vec::new();
        for (key, expected) in &self.named.sample.keys {
            let found = asked.holds(key, self.restored.revision).await?;
            if found != *expected {
                differ.push(difference(key, expected, &found));
            }
        }
        let count = self.named.sample.keys.len();
        let passed = differ.is_empty();
        let found = match passed {
            true => format!("{count} of {count} the same"),
            false => {
                let named = differ.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
                format!("{} differ: {named}", differ.len())
            }
        };
        checks.note(about("sampled keys"), format!("{count} the same"), found, passed);
        Ok(())
    }
}

/// How a key differs. Values are secrets: only where they differ is told.
fn difference(key: &[u8], expected: &Holds, found: &Holds) -> String {
    let key = contract::brief(&String::from_utf8_lossy(key));
    match (expected, found) {
        (Holds::Nothing, _) => format!("{key} was deleted and is there"),
        (_, Holds::Nothing) => format!("{key} is missing"),
        (Holds::Value(e), Holds::Value(f)) => {
            let same_value = (e.value_bytes, e.value_sha256) == (f.value_bytes, f.value_sha256);
            let what = match same_value {
                true => "another revision, version or lease",
                false => "another value",
            };
            format!("{key} has {what}")
        }
    }
}

fn text(members: &[Listed]) -> String {
    let one = |member: &Listed| {
        let learner = if member.learner { " (learner)" } else { "" };
        format!("{} {} {}{learner}", member.name, member.id, member.peer_urls.join(","))
    };
    members.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Writes through the first member, and reads it back through each.
///
/// # Errors
/// When a member does not answer. A write that is refused is a check that failed.
pub(crate) async fn write(
    checks: &mut Checks,
    revision: i64,
    members: &mut [(String, Asked)],
    token: &str,
) -> Result<(), Error> {
    let key = format!("{OWN_KEY}/{token}");
    let Some((_, first)) = members.first_mut() else { return Ok(()) };
    let written = match first.put(&key, token).await {
        Ok(written) => written,
        Err(Error::NoAnswer { problem, .. }) => {
            checks.note("a write", "accepted", problem, false);
            return Ok(());
        }
        Err(e) => return Err(e),
    };
    checks.note(
        "a write",
        format!("a revision after {revision}"),
        format!("revision {written}"),
        written > revision,
    );
    for (name, asked) in members {
        let found = asked.get(&key).await?;
        let found = found
            .map_or_else(|| "nothing".into(), |v| contract::brief(&String::from_utf8_lossy(&v)));
        checks.same(format!("what was written, read from {name}"), &token.to_owned(), &found);
    }
    Ok(())
}

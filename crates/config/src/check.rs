//! Rules that no single key can express.

use crate::destination::{Location, Sse};
use crate::layers::nearest;
use crate::{ByTier, Destination, Pipeline, STAGES, TIERS, lock_span};

/// One broken rule.
pub(crate) struct Problem {
    /// The dotted key that it is about.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) text: String,
    /// What to write instead.
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        Problem { key: key.into(), text: text.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Longer names would not fit into object names and file names.
const NAME_LENGTH_MAX: usize = 63;

/// The first broken rule, if there is one.
pub(crate) fn check(pipeline: &Pipeline) -> Option<Problem> {
    cluster(pipeline)
        .or_else(|| stages(pipeline))
        .or_else(|| programs(pipeline))
        .or_else(|| numbers(pipeline))
        .or_else(|| destinations(pipeline))
        .or_else(|| prune(pipeline))
        .or_else(|| signatures(pipeline))
        .or_else(|| lock_span::check(pipeline))
}

fn cluster(pipeline: &Pipeline) -> Option<Problem> {
    let name = &pipeline.cluster;
    if name.is_empty() {
        return Some(
            Problem::new("cluster", "the cluster has no name")
                .hint("write cluster = \"my-cluster\""),
        );
    }
    let fits = name.len() <= NAME_LENGTH_MAX
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    (!fits).then(|| {
        Problem::new("cluster", format!("{name:?} cannot be part of an object's name"))
            .hint("use up to 63 of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit")
    })
}

fn stages(pipeline: &Pipeline) -> Option<Problem> {
    let names = &pipeline.stages;
    if names.is_empty() {
        return Some(Problem::new("stages", "there are no stages"));
    }
    for (position, name) in names.iter().enumerate() {
        if names[..position].contains(name) {
            return Some(Problem::new("stages", format!("stage {name:?} stands there twice")));
        }
        if !STAGES.contains(&name.as_str()) && !pipeline.programs.contains_key(name) {
            let known = STAGES.into_iter().chain(pipeline.programs.keys().map(String::as_str));
            let hint = nearest(name, known).map_or_else(
                || format!("describe it under [programs.{name}]"),
                |key| format!("did you mean {key:?}?"),
            );
            return Some(Problem::new("stages", format!("stage {name:?} is not known")).hint(hint));
        }
    }
    order(names)
}

/// Our own stages have one order; programs fit anywhere.
fn order(names: &[String]) -> Option<Problem> {
    let place = |name: &str| STAGES.iter().position(|stage| *stage == name);
    let ours: Vec<&str> = names.iter().map(String::as_str).filter(|n| place(n).is_some()).collect();
    for pair in ours.windows(2) {
        if place(pair[0]) > place(pair[1]) {
            return Some(
                Problem::new("stages", format!("{:?} comes before {:?}", pair[0], pair[1]))
                    .hint(format!("the order is {}", STAGES.join(", "))),
            );
        }
    }
    for needed in ["capture", "verify", "replicate"] {
        if !ours.contains(&needed) {
            return Some(Problem::new("stages", format!("stage {needed:?} is missing")).hint(
                "a backup that was not captured, verified and replicated cannot be claimed",
            ));
        }
    }
    let first = names.first().map(String::as_str);
    if first != Some("capture") {
        return Some(Problem::new("stages", "the first stage must be \"capture\""));
    }
    let after = names.iter().skip_while(|n| *n != "replicate").skip(1).find(|n| *n != "prune");
    after.map(|name| {
        Problem::new("stages", format!("{name:?} comes after \"replicate\", where no bytes flow"))
    })
}

fn programs(pipeline: &Pipeline) -> Option<Problem> {
    for (name, program) in &pipeline.programs {
        let key = format!("programs.{name}");
        if STAGES.contains(&name.as_str()) {
            return Some(Problem::new(key, format!("{name:?} is the name of a stage of Lifeboat")));
        }
        if !is_plain(name) {
            return Some(
                Problem::new(key, format!("{name:?} is no name for a program"))
                    .hint("use a-z, 0-9 and _"),
            );
        }
        if program.command.is_empty() {
            return Some(
                Problem::new(key, format!("program {name:?} has no command"))
                    .hint("write command = [\"program\", \"argument\"]"),
            );
        }
        let suffix = program.suffix.strip_prefix('.').unwrap_or("");
        if !program.suffix.is_empty() && !is_plain(suffix) {
            return Some(Problem::new(format!("{key}.suffix"), "it must look like \".xyz\""));
        }
        if !pipeline.stages.contains(name) {
            return Some(
                Problem::new(key, format!("program {name:?} has no effect"))
                    .hint("name it in `stages`, or delete the table"),
            );
        }
    }
    None
}

fn numbers(pipeline: &Pipeline) -> Option<Problem> {
    if !(1..=19).contains(&pipeline.compress.level) {
        let text = format!("level {} is not from 1 to 19", pipeline.compress.level);
        return Some(Problem::new("compress.level", text));
    }
    if pipeline.compress.threads > 64 {
        return Some(Problem::new("compress.threads", "more than 64 threads"));
    }
    if pipeline.run.attempts == 0 {
        return Some(Problem::new("run.attempts", "without an attempt nothing is backed up"));
    }
    let both = pipeline.capture.cert_file.is_some() == pipeline.capture.key_file.is_some();
    (!both).then(|| {
        Problem::new("capture", "cert_file and key_file belong together")
            .hint("set both of them, or neither")
    })
}

fn destinations(pipeline: &Pipeline) -> Option<Problem> {
    let count = pipeline.destinations.len();
    if count == 0 {
        return Some(
            Problem::new("destinations", "there is no destination")
                .hint("add [destinations.NAME] with url = \"file:DIR\" or \"s3://BUCKET/PREFIX\""),
        );
    }
    if pipeline.replicate.require.of(count) > count {
        let text = format!("it asks for more copies than there are destinations ({count})");
        return Some(
            Problem::new("replicate.require", text)
                .hint(format!("write \"all\", \"majority\" or a number up to {count}")),
        );
    }
    if let Some(problem) = tiers(pipeline) {
        return Some(problem);
    }
    let encrypted = pipeline.stages.iter().any(|stage| stage == "encrypt");
    for (name, destination) in &pipeline.destinations {
        let problem = one_destination(name, destination);
        if problem.is_some() {
            return problem;
        }
        if destination.is_remote() && !encrypted && !pipeline.replicate.allow_plaintext {
            let text = format!("destination {name:?} would receive plaintext Secrets");
            return Some(
                Problem::new(format!("destinations.{name}"), text)
                    .hint("add \"encrypt\" to `stages`, or set replicate.allow_plaintext = true"),
            );
        }
    }
    same_place_twice(pipeline)
}

/// Every backup has a tier, and what is set for a tier is set for one that there is.
fn tiers(pipeline: &Pipeline) -> Option<Problem> {
    let tiers = &pipeline.replicate.tiers;
    if let Some(unknown) = tiers.iter().find(|tier| !TIERS.contains(&tier.as_str())) {
        let text = format!("tier {unknown:?} is not known");
        let hint = format!("use {}", TIERS.join(", "));
        return Some(Problem::new("replicate.tiers", text).hint(hint));
    }
    if !tiers.iter().any(|tier| tier == TIERS[0]) {
        let text = format!("without {:?} most backups have no tier", TIERS[0]);
        return Some(Problem::new("replicate.tiers", text).hint("add it"));
    }
    for (name, destination) in &pipeline.destinations {
        let classes = destination.storage_class.iter().flat_map(ByTier::tiers);
        let classes = classes.map(|tier| ("storage_class", tier));
        let locks = destination.lock_for.iter().flat_map(ByTier::tiers);
        let mut named = classes.chain(locks.map(|tier| ("lock_for", tier)));
        if let Some((key, tier)) = named.find(|(_, tier)| !tiers.iter().any(|t| t == tier)) {
            let text = format!("{key} of tier {tier:?} has no effect");
            return Some(
                Problem::new(format!("destinations.{name}.{key}"), text)
                    .hint(format!("add {tier:?} to replicate.tiers, or delete it")),
            );
        }
    }
    None
}

fn one_destination(name: &str, destination: &Destination) -> Option<Problem> {
    let key = format!("destinations.{name}");
    if !is_plain(name) {
        return Some(
            Problem::new(key, format!("{name:?} is no name for a destination"))
                .hint("use a-z, 0-9 and _, so that an environment variable can name it too"),
        );
    }
    let location = match destination.location() {
        Ok(location) => location,
        Err(text) => {
            return Some(Problem::new(
                format!("{key}.url"),
                format!("{:?}: {text}", redacted(&destination.url)),
            ));
        }
    };
    if let Some(first) = destination.idle_keys(&location).first() {
        let text = format!("{first} has no effect on {}", location.kind());
        return Some(Problem::new(format!("{key}.{first}"), text).hint("delete it"));
    }
    keys_that_need_another(&key, destination)
        .or_else(|| part_bytes(&key, destination))
        .or_else(|| pace(&key, destination))
}

fn keys_that_need_another(key: &str, destination: &Destination) -> Option<Problem> {
    let with = |name: &str, other: &str| {
        Problem::new(format!("{key}.{name}"), format!("{name} has no effect"))
            .hint(format!("set {other}, or delete it"))
    };
    let needs = |name: &str, other: &str| {
        Problem::new(format!("{key}.sse"), format!("sse needs {name}")).hint(format!("set {other}"))
    };
    if destination.kms_key.is_some() && destination.sse != Some(Sse::Kms) {
        return Some(with("kms_key", "sse = \"kms\""));
    }
    if destination.customer_key_file.is_some() && destination.sse != Some(Sse::Customer) {
        return Some(with("customer_key_file", "sse = \"customer\""));
    }
    if destination.sse == Some(Sse::Customer) && destination.customer_key_file.is_none() {
        return Some(needs("customer_key_file", "it to a file with the key, 32 bytes in base64"));
    }
    let is_s3 = matches!(destination.location(), Ok(Location::S3 { .. }));
    if destination.sse == Some(Sse::S3) && !is_s3 {
        let text = "sse = \"s3\" has no effect on this kind of store";
        let hint =
            "delete it: what is stored there is encrypted with keys of the store's in any case";
        return Some(Problem::new(format!("{key}.sse"), text).hint(hint));
    }
    if destination.sse == Some(Sse::Kms) && destination.kms_key.is_none() && !is_s3 {
        return Some(needs(
            "kms_key",
            "it to the full name of the key, or of the encryption scope",
        ));
    }
    if destination.lock_for.is_some() && destination.lock.is_none() {
        return Some(with("lock_for", "lock = \"governance\" or \"compliance\""));
    }
    if destination.credentials.is_some() && destination.credentials_file.is_some() {
        let text = "it has credentials = \"none\" and a credentials_file";
        return Some(Problem::new(key, text).hint("delete one of the two"));
    }
    let ways = [&destination.sas_file, &destination.account_key_file];
    let more_than_one = ways.iter().filter(|way| way.is_some()).count() > 1
        || (destination.client_id.is_some() && ways.iter().any(|way| way.is_some()));
    more_than_one.then(|| {
        Problem::new(key, "there are several ways to sign in")
            .hint("keep one of sas_file, account_key_file and client_id")
    })
}

/// Slower than this, a backup of some gigabytes takes days.
const BYTES_PER_SECOND_MIN: u64 = 16 << 10;

fn pace(key: &str, destination: &Destination) -> Option<Problem> {
    let limit = destination.bytes_per_second_max.filter(|limit| *limit < BYTES_PER_SECOND_MIN)?;
    let text = format!("{limit} bytes a second are too few for a backup");
    Some(
        Problem::new(format!("{key}.bytes_per_second_max"), text)
            .hint(format!("use {BYTES_PER_SECOND_MIN} or more, or delete it")),
    )
}

fn part_bytes(key: &str, destination: &Destination) -> Option<Problem> {
    const PART_BYTES_MIN: u64 = 5 << 20;
    const PART_BYTES_MAX: u64 = 512 << 20;
    match destination.part_bytes {
        Some(bytes) if !(PART_BYTES_MIN..=PART_BYTES_MAX).contains(&bytes) => {
            let text = format!("a part has from {PART_BYTES_MIN} to {PART_BYTES_MAX} bytes");
            Some(Problem::new(format!("{key}.part_bytes"), text))
        }
        _ => None,
    }
}

/// Two destinations in one place would be one copy that counts as two.
fn same_place_twice(pipeline: &Pipeline) -> Option<Problem> {
    let mut seen: Vec<(String, &str)> = Vec::new();
    for (name, destination) in &pipeline.destinations {
        let place = place(destination);
        if let Some((_, other)) = seen.iter().find(|(there, _)| *there == place) {
            let text = format!("{name:?} and {other:?} are the same place: one copy, not two");
            return Some(
                Problem::new(format!("destinations.{name}.url"), text)
                    .hint("give each copy a place of its own, or delete one of the two"),
            );
        }
        seen.push((place, name));
    }
    None
}

/// The place itself, however it is written. Links are not followed: that would take the disk.
fn place(destination: &Destination) -> String {
    match destination.location() {
        Ok(Location::Directory(path)) => {
            let path = std::path::absolute(&path).unwrap_or(path);
            path.components().collect::<std::path::PathBuf>().display().to_string()
        }
        Ok(Location::S3 { bucket, prefix }) => {
            let endpoint = destination.endpoint.as_deref().unwrap_or_default();
            format!("s3://{bucket}/{prefix} {}", endpoint.trim_end_matches('/'))
        }
        Ok(Location::Gcs { bucket, prefix }) => {
            let endpoint = destination.endpoint.as_deref().unwrap_or_default();
            format!("gs://{bucket}/{prefix} {}", endpoint.trim_end_matches('/'))
        }
        Ok(Location::Azure { account, container, prefix }) => {
            let endpoint = destination.endpoint.as_deref().unwrap_or_default();
            format!("az://{account}/{container}/{prefix} {}", endpoint.trim_end_matches('/'))
        }
        Err(_) => destination.url.clone(),
    }
}

fn prune(pipeline: &Pipeline) -> Option<Problem> {
    let named = pipeline.stages.iter().any(|stage| stage == "prune");
    let Some(prune) = &pipeline.prune else {
        return named.then(|| {
            Problem::new("stages", "stage \"prune\" has no policy")
                .hint("add [prune], or take \"prune\" out of `stages`")
        });
    };
    if jiff::tz::TimeZone::get(&prune.time_zone).is_err() {
        let text = format!("time zone {:?} is not known", prune.time_zone);
        return Some(
            Problem::new("prune.time_zone", text).hint("use a name such as \"Europe/Berlin\""),
        );
    }
    if !(prune.max_fraction > 0.0 && prune.max_fraction <= 1.0) {
        return Some(Problem::new("prune.max_fraction", "it must be above 0 and at most 1"));
    }
    if let Some(within) = &prune.within
        && within.parse::<jiff::Span>().is_err()
    {
        let text = format!("{within:?} is not a length of time");
        return Some(
            Problem::new("prune.within", text).hint("write it like \"36h\", \"7d\" or \"1mo\""),
        );
    }
    let rules = [prune.last, prune.hourly, prune.daily, prune.weekly, prune.monthly, prune.yearly];
    let empty = rules.iter().all(|rule| *rule == 0) && prune.within.is_none();
    empty.then(|| {
        Problem::new("prune", "the policy keeps nothing").hint("set at least one of its rules")
    })
}

/// What is signed is checked, and what is to be believed can be signed.
fn signatures(pipeline: &Pipeline) -> Option<Problem> {
    let (trust, key) = (&pipeline.trust, &pipeline.encrypt.signing_key_file);
    if key.as_ref().is_some_and(|path| trust::is_secret(&path.to_string_lossy())) {
        let text = "a secret key stands where the name of its file belongs; it is not shown here";
        let hint = "put it into a file of mode 0600; it may have been seen: make a new one";
        return Some(Problem::new("encrypt.signing_key_file", text).hint(hint));
    }
    if key.as_ref().is_some_and(|path| path.to_string_lossy().contains('\n')) {
        let text = "there is a line break in the name of the file";
        return Some(Problem::new("encrypt.signing_key_file", text).hint("delete it"));
    }
    if trust.unsigned_until.is_some() && !trust.is_wanted() {
        let text = "unsigned_until has no effect: everything is believed without a signature";
        return Some(
            Problem::new("trust.unsigned_until", text).hint("set trust.signers, or delete it"),
        );
    }
    if key.is_some() && !trust.is_wanted() {
        return Some(
            Problem::new("encrypt.signing_key_file", "nobody checks the signatures")
                .hint("write the public key into [trust] signers, or delete it"),
        );
    }
    let before = pipeline.stages.iter().take_while(|stage| *stage != "replicate").last();
    let is_signed_last = before.is_some_and(|stage| stage == "encrypt");
    (trust.is_wanted() && !is_signed_last).then(|| {
        Problem::new("trust.signers", "no backup of this pipeline would be believed")
            .hint("`encrypt` signs, and must be the last of the stages before \"replicate\"")
    })
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_LENGTH_MAX
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// What may be shown of a URL that may hold credentials.
fn redacted(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => url.to_owned(),
    }
}

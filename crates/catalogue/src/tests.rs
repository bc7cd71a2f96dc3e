use super::*;
use contract::facts::{CaptureFacts, VerifyFacts};
use contract::{Digest, RunId};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use trust::{SecretKey, Trust};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_763_600_000 + second).unwrap()
}

fn manifest(second: i64) -> Manifest {
    let run = RunId::new(at(second), 7);
    let backup = BackupName::new(at(second), &run);
    let capture: CaptureFacts = serde_json::from_value(serde_json::json!({
        "cluster_id": "cafe", "member_id": "1", "member_name": "a", "endpoint": "http://e:2379",
        "etcd_version": "3.6.0", "leader_id": "1", "raft_term": 2, "raft_index": 9,
        "raft_applied_index": 9, "db_bytes": 4096, "db_bytes_in_use": 4096,
        "revision_barrier": 5, "alarms": [], "members": [], "hashkv": [],
    }))
    .unwrap();
    let verify: VerifyFacts = serde_json::from_value(serde_json::json!({
        "snapshot_bytes": 4128, "db_sha256": "00", "status_hash": 1, "revision": 5,
        "total_key_records": 9, "total_key_live": 4, "total_bytes": 4096, "free_bytes": 0,
        "page_bytes": 4096, "buckets": {}, "hashkv": [],
    }))
    .unwrap();
    Manifest {
        version: 1,
        cluster: "prod".into(),
        tier: TIER_DEFAULT.into(),
        run: run.to_string(),
        taken_at: at(second),
        tool: "lifeboat 0".into(),
        etcd: capture,
        snapshot: verify,
        key_count_rules: BTreeMap::new(),
        steps: vec![],
        recipients: vec![],
        artifact: Artifact {
            file: format!("{backup}.db.zst.age"),
            bytes: 100,
            sha256: Digest::of(b"").sha256,
        },
        previous: None,
        placed: None,
        signature: None,
        backup,
    }
}

#[derive(Default)]
struct Folder {
    objects: Vec<Object>,
    read: BTreeMap<String, Vec<u8>>,
    trust: Trust,
}

impl Folder {
    fn of(manifests: &[Manifest]) -> Self {
        let mut folder = Folder::default();
        for manifest in manifests {
            folder.put(&manifest.artifact_key(), manifest.artifact.bytes);
            let key = manifest.object_name().key("prod");
            folder.put(&key, 1);
            folder.read.insert(key, manifest.to_bytes());
        }
        folder
    }

    fn put(&mut self, key: &str, bytes: u64) {
        self.objects.push(Object { key: key.into(), bytes, modified: None });
    }

    fn assemble(&self) -> (Vec<Backup>, Vec<Orphan>) {
        let assembled = self.assembled();
        (assembled.backups, assembled.orphans)
    }

    fn assembled(&self) -> Assembled {
        let mut looks = Looks::default();
        for (key, bytes) in &self.read {
            looks.take("prod", key.clone(), bytes, &self.trust);
        }
        assemble("prod", &self.objects, looks, at(100_000))
    }
}

fn catalogue(folders: &[Option<&Folder>]) -> Catalogue {
    let destinations = folders.iter().enumerate().map(|(i, folder)| {
        let (backups, orphans) = folder.map(Folder::assemble).unwrap_or_default();
        DestinationCatalogue {
            destination: format!("d{i}"),
            location: String::new(),
            problem: folder.is_none().then(|| "unreachable".into()),
            exit: None,
            backups,
            orphans,
            stray_records: Vec::new(),
        }
    });
    let destinations = destinations.collect();
    Catalogue { version: 1, cluster: "prod".into(), read_at: at(0), destinations }
}

#[test]
fn a_manifest_and_its_artifact_are_a_backup() {
    let (backups, orphans) = Folder::of(&[manifest(60), manifest(0)]).assemble();
    assert!(orphans.is_empty());
    assert!(backups.iter().all(|b| b.state == State::Verified));
    assert!(backups[0].name < backups[1].name, "oldest first");
}

#[test]
fn i02_an_artifact_without_a_manifest_is_not_listed() {
    let mut folder = Folder::of(&[manifest(0)]);
    let other = manifest(60);
    folder.put(&other.artifact_key(), 5);
    let (backups, orphans) = folder.assemble();
    assert_eq!(backups.len(), 1);
    assert_eq!(orphans, [Orphan { key: other.artifact_key(), bytes: 5 }]);
}

#[test]
fn f47_what_is_not_whole_is_broken_and_says_why() {
    let problem = |folder: &Folder| {
        let (backups, orphans) = folder.assemble();
        assert!(orphans.is_empty());
        assert_eq!(backups[0].state, State::Broken);
        backups[0].problem.clone().unwrap()
    };
    let mut folder = Folder::of(&[manifest(0)]);
    folder.objects[0].bytes = 99;
    assert_eq!(problem(&folder), "the artifact has 99 bytes; its manifest says 100");
    folder.objects.remove(0);
    assert_eq!(problem(&folder), "the artifact is missing");
    let mut folder = Folder::of(&[manifest(0)]);
    folder.read.values_mut().for_each(|bytes| bytes.truncate(40));
    assert!(problem(&folder).starts_with("the manifest is unusable: it is not a manifest"));
}

#[test]
fn f47_i12_a_manifest_must_describe_the_backup_that_its_name_says() {
    let right = manifest(0);
    let name = right.object_name();
    assert_eq!(
        Manifest::from_bytes("prod", &name, &right.to_bytes(), &Trust::default()).unwrap(),
        right
    );
    let refused = |change: &dyn Fn(&mut Manifest)| {
        let mut other = right.clone();
        change(&mut other);
        Manifest::from_bytes("prod", &name, &other.to_bytes(), &Trust::default())
            .unwrap_err()
            .to_string()
    };
    assert!(refused(&|m| m.cluster = "dev".into()).contains("cluster \"dev\""));
    assert!(refused(&|m| m.snapshot.revision = 6).contains("but its name says"));
    assert!(refused(&|m| m.backup = manifest(1).backup).contains("but its name says"));
    assert!(refused(&|m| m.taken_at = at(1)).contains("time and run"));
    assert!(refused(&|m| m.run = RunId::new(at(0), 8).to_string()).contains("time and run"));
    assert!(refused(&|m| m.run = "r".into()).contains("by run r"));
    assert!(refused(&|m| m.artifact.file = "../x".into()).contains("artifact"));
    for more in ["/x", ";reboot", " x", "$(x)"] {
        assert!(refused(&|m| m.artifact.file += more).contains("artifact"), "{more}");
    }
    assert!(refused(&|m| m.artifact.file = manifest(1).artifact.file).contains("artifact"));
    assert!(refused(&|m| m.version = 2).contains("knows up to 1"));
}

#[test]
fn f47_a_key_that_stands_twice_is_refused() {
    let right = manifest(0);
    let text = String::from_utf8(right.to_bytes()).unwrap();
    let twice = text.replacen("{", "{\"cluster\": \"dev\",", 1);
    let error =
        Manifest::from_bytes("prod", &right.object_name(), twice.as_bytes(), &Trust::default())
            .unwrap_err();
    assert!(error.to_string().contains("duplicate field"), "{error}");
    // Not only among the fields of the manifest itself: the last of the two counted here.
    let twice = text.replacen("\"buckets\": {", "\"buckets\": {\"key\": 1, \"key\": 2", 1);
    assert_ne!(twice, text);
    let error =
        Manifest::from_bytes("prod", &right.object_name(), twice.as_bytes(), &Trust::default())
            .unwrap_err();
    assert!(error.to_string().contains("duplicate field"), "{error}");
}

/// Keys that are not ours: what is made into paths and shown stays in its folder.
#[test]
fn f47_a_tier_that_leads_elsewhere_is_no_tier() {
    let file = format!("{}.db.zst.age", manifest(0).backup);
    assert!(ObjectName::parse("prod", &format!("prod/daily/{file}")).is_some());
    for tier in ["..", ".", ".hidden", "a b", "a\\b", "\u{1b}[2J", "täglich"] {
        assert_eq!(ObjectName::parse("prod", &format!("prod/{tier}/{file}")), None, "{tier:?}");
    }
}

#[test]
fn only_what_will_be_listed_may_be_claimed() {
    assert_eq!(manifest(0).must_be_readable(&Trust::default()), Ok(()));
    let refused = |change: &dyn Fn(&mut Manifest)| {
        let mut other = manifest(0);
        change(&mut other);
        assert!(other.must_be_readable(&Trust::default()).is_err(), "{other:?}");
    };
    refused(&|m| m.tier = String::new());
    refused(&|m| m.snapshot.revision = -1);
    refused(&|m| m.artifact.file += "/x");
    refused(&|m| m.artifact.file = m.backup.to_string());
    let long = usize::try_from(MANIFEST_BYTES_MAX).unwrap();
    refused(&|m| m.etcd.degraded = vec!["x".repeat(long)]);
}

#[test]
fn f39_i22_a_backup_from_a_clock_that_is_ahead_does_not_hide_that_no_others_come() {
    let year = 365 * 24 * 3600;
    let both = Folder::of(&[manifest(0), manifest(year)]);
    let judge = |folder: &Folder, now| {
        let hour = Duration::from_secs(3600);
        let v = verdict(&catalogue(&[Some(folder)]), at(now), hour, 1);
        (v.safety, v.age_seconds)
    };
    assert_eq!(judge(&both, 100), (Safety::Safe, Some(100)));
    assert_eq!(judge(&both, 7200), (Safety::Stale, Some(7200)));
    assert_eq!(judge(&Folder::of(&[manifest(year)]), 0), (Safety::None, None));
    // Clocks are never quite the same.
    assert_eq!(judge(&Folder::of(&[manifest(60)]), 0), (Safety::Safe, Some(-60)));
}

#[test]
fn i12_a_cluster_does_not_see_one_whose_name_begins_alike() {
    let name = manifest(0).object_name();
    assert_eq!(ObjectName::parse("prod", &name.key("prod-2")), None);
    assert!(!name.key("prod-2").starts_with(&ObjectName::prefix_of("prod")));
}

#[test]
fn i22_the_verdict() {
    let hour = Duration::from_secs(3600);
    let new = Folder::of(&[manifest(0), manifest(60)]);
    let old = Folder::of(&[manifest(0)]);
    let judge = |folders: &[Option<&Folder>], now: i64| {
        let v = verdict(&catalogue(folders), at(now), hour, folders.len());
        (v.safety, v.copies, v.exit().code())
    };
    assert_eq!(judge(&[Some(&new), Some(&new)], 100), (Safety::Safe, 2, 0));
    assert_eq!(judge(&[Some(&new), Some(&old)], 100), (Safety::Partial, 1, 40));
    assert_eq!(judge(&[Some(&new), None], 100), (Safety::Partial, 1, 40));
    assert_eq!(judge(&[Some(&new), Some(&new)], 60 + 3600), (Safety::Safe, 2, 0));
    assert_eq!(judge(&[Some(&new), Some(&new)], 61 + 3600), (Safety::Stale, 2, 41));
    assert_eq!(judge(&[Some(&Folder::of(&[])), None], 0), (Safety::None, 0, 41));
    assert_eq!(judge(&[None, None], 0), (Safety::Unknown, 0, 10));
}

proptest::proptest! {
    #[test]
    fn names_come_back_from_their_keys(second in 0i64..4_000_000_000, random: u128, revision in 0i64..) {
        let time = Timestamp::from_second(second).unwrap();
        let backup = BackupName::new(time, &RunId::new(time, random));
        let tier = "daily".to_owned();
        let drill = BackupName::new(time, &RunId::new(time, !random));
        let finding = Finding::ALL[(random % 4) as usize];
        let (t, b) = (tier.clone(), backup.clone());
        let names = [
            ObjectName::Artifact { tier: tier.clone(), backup: backup.clone(), suffix: ".db.zst".into() },
            ObjectName::Manifest { tier, backup, revision },
            ObjectName::Record { tier: t, backup: b, finding, drill },
        ];
        for name in names {
            proptest::prop_assert_eq!(ObjectName::parse("c", &name.key("c")), Some(name));
        }
    }

    #[test]
    fn no_key_makes_it_panic(key in "\\PC{0,120}") {
        if let Some(name) = ObjectName::parse("c", &key) {
            proptest::prop_assert_eq!(name.key("c"), key);
        }
    }
}

#[test]
fn f47_two_stories_of_one_backup_make_both_suspect() {
    let (first, mut other) = (manifest(0), manifest(60));
    let a = Folder::of(&[first.clone(), other.clone()]);
    other.snapshot.total_key_live += 1;
    let b = Folder::of(&[first, other]);
    let mut both = catalogue(&[Some(&a), Some(&b), Some(&a)]).destinations;
    mark_forks(&mut both);
    for destination in &both {
        let [same, forked] = destination.backups.as_slice() else { panic!("{destination:?}") };
        assert_eq!((same.state, &same.problem), (State::Verified, &None));
        assert_eq!(forked.state, State::Suspect);
        assert!(forked.problem.as_ref().unwrap().contains("differ"), "{forked:?}");
    }
    // One that cannot be read tells no story.
    let mut broken = Folder::of(&[manifest(0), manifest(60)]);
    broken.read.values_mut().for_each(|bytes| bytes.truncate(10));
    let mut one = catalogue(&[Some(&a), Some(&broken)]).destinations;
    mark_forks(&mut one);
    assert!(one[0].backups.iter().all(|backup| backup.state == State::Verified));
    assert!(one[1].backups.iter().all(|backup| backup.state == State::Broken));
}

mod signatures {
    use super::*;
    use contract::Exit;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn signed(mut manifest: Manifest, key: &SecretKey) -> Manifest {
        manifest.signature = None;
        manifest.signature = Some(manifest.signed_by(key));
        manifest
    }

    fn ours() -> Trust {
        Trust { signers: vec![key(1).public()], unsigned_until: None }
    }

    fn judged(manifests: &[Manifest], trust: Trust) -> Vec<Backup> {
        Folder { trust, ..Folder::of(manifests) }.assemble().0
    }

    #[test]
    fn f48_i14_what_nobody_trusted_signed_is_forged_and_used_for_nothing() {
        let mut changed = signed(manifest(60), &key(1));
        changed.snapshot.total_key_live += 1;
        let all =
            [signed(manifest(0), &key(1)), changed, signed(manifest(120), &key(2)), manifest(180)];
        let backups = judged(&all, ours());
        let [good, changed, foreign, unsigned] = backups.as_slice() else { panic!("{backups:?}") };
        assert_eq!((good.state, good.exit), (State::Verified, None));
        assert_eq!(good.signed.as_ref().unwrap().key, key(1).public().to_string());
        let said = [(changed, "changed"), (foreign, "does not list"), (unsigned, "nobody signed")];
        for (forged, words) in said {
            assert_eq!((forged.state, forged.exit), (State::Forged, Some(Exit::Forged.code())));
            assert!(forged.problem.as_ref().unwrap().contains(words), "{forged:?}");
            assert_eq!((&forged.manifest, &forged.signed), (&None, &None));
            assert!(!forged.state.is_usable() && !forged.state.is_trusted());
        }
        // Where nobody is to be trusted by name, all are what their bytes are.
        let backups = judged(&all, Trust::default());
        assert!(backups.iter().all(|b| b.state == State::Verified && b.signed.is_none()));
    }

    #[test]
    fn f48_i14_a_signed_manifest_in_another_place_is_a_replay() {
        let good = signed(manifest(0), &key(1));
        let bytes = good.to_bytes();
        let name = good.object_name();
        let read = |cluster: &str, name: &ObjectName| {
            let error = Manifest::from_bytes(cluster, name, &bytes, &ours()).unwrap_err();
            assert!(matches!(error, ManifestError::Replayed { .. }), "{error:?}");
            assert_eq!(error.exit(), Exit::Forged);
        };
        Manifest::from_bytes("prod", &name, &bytes, &ours()).unwrap();
        read("test", &name);
        read("prod", &manifest(60).object_name());
        read("prod", &Manifest { tier: "monthly".into(), ..good.clone() }.object_name());
        // The same without a signature is merely in the wrong place.
        let plain = manifest(0).to_bytes();
        let error = Manifest::from_bytes("test", &name, &plain, &Trust::default()).unwrap_err();
        assert_eq!(error.exit(), Exit::Corrupt);
    }

    #[test]
    fn f48_i25_what_a_newer_program_signed_is_newer_and_the_rest_is_forged() {
        let mut newer =
            serde_json::from_slice::<serde_json::Value>(&manifest(0).to_bytes()).unwrap();
        newer["version"] = 99.into();
        newer["wonder"] = true.into();
        let name = manifest(0).object_name();
        let read = |value: &serde_json::Value| {
            let bytes = value.to_string().into_bytes();
            Manifest::from_bytes("prod", &name, &bytes, &ours()).unwrap_err().exit()
        };
        assert_eq!(read(&newer), Exit::Forged);
        newer["signature"] = serde_json::to_value(key(1).sign(newer.clone())).unwrap();
        assert_eq!(read(&newer), Exit::Unsupported);
    }

    #[test]
    fn i14_nobody_else_can_make_a_signed_backup_doubtful() {
        let good = signed(manifest(0), &key(1));
        let place = Place { location: "file:/x".into(), proved: true };
        let placed = Placed { required: 1, destinations: [("x".into(), place)].into() };
        let elsewhere = Manifest { placed: Some(placed), tool: "x".into(), ..good.clone() };
        let mut forged = good.clone();
        forged.artifact.sha256 = Digest::of(b"other").sha256;
        let folders = [&good, &elsewhere, &forged]
            .map(|manifest| Folder { trust: ours(), ..Folder::of(std::slice::from_ref(manifest)) });
        let mut all = catalogue(&folders.each_ref().map(Some)).destinations;
        mark_forks(&mut all);
        let states: Vec<State> = all.iter().map(|d| d.backups[0].state).collect();
        assert_eq!(states, [State::Verified, State::Verified, State::Forged]);
        // Two signed stories are a fork as before.
        let other = Manifest { recipients: vec!["age1x".into()], ..manifest(0) };
        let folders = [good, signed(other, &key(1))]
            .map(|manifest| Folder { trust: ours(), ..Folder::of(&[manifest]) });
        let mut all = catalogue(&folders.each_ref().map(Some)).destinations;
        mark_forks(&mut all);
        assert!(all.iter().all(|d| d.backups[0].state == State::Suspect), "{all:?}");
    }

    #[test]
    fn f48_i14_a_signature_that_is_taken_away_is_missed_where_another_copy_has_it() {
        let good = signed(manifest(0), &key(1));
        let stripped = Manifest { signature: None, tier: good.tier.clone(), ..good.clone() };
        let trust = Trust { unsigned_until: Some(at(1_000)), ..ours() };
        let folder = |manifest: &Manifest| Folder {
            trust: trust.clone(),
            ..Folder::of(std::slice::from_ref(manifest))
        };
        let folders = [folder(&stripped), folder(&good), folder(&manifest(60))];
        let mut all = catalogue(&folders.each_ref().map(Some)).destinations;
        mark_forks(&mut all);
        let states: Vec<State> = all.iter().map(|d| d.backups[0].state).collect();
        assert_eq!(states, [State::Forged, State::Verified, State::Verified]);
        assert_eq!((all[0].backups[0].exit, &all[0].backups[0].manifest), (Some(22), &None));
    }

    #[test]
    fn f48_a_forged_copy_comes_before_everything_else_in_the_verdict() {
        let good = Folder { trust: ours(), ..Folder::of(&[signed(manifest(0), &key(1))]) };
        let bad = Folder { trust: ours(), ..Folder::of(&[signed(manifest(60), &key(2))]) };
        let judge = |folders: &[Option<&Folder>]| {
            verdict(&catalogue(folders), at(120), Duration::from_secs(600), folders.len())
        };
        assert_eq!(judge(&[Some(&good)]).exit(), Exit::Ok);
        let found = judge(&[Some(&good), Some(&bad)]);
        assert_eq!((found.exit(), found.forged, found.not_trusted), (Exit::Forged, 1, 1));
        assert_eq!(found.newest.as_ref(), Some(&manifest(0).backup), "the forged one is newer");
    }
}

mod drills {
    use super::*;

    fn record(manifest: &Manifest, second: i64, finding: Finding, depth: Depth) -> Record {
        let sha256 = Digest::of(&manifest.to_bytes()).sha256;
        let run = RunId::new(at(second), 9);
        Record::new(manifest, &sha256, &run, at(second), (finding, depth), "lifeboat 0".into())
            .saying("HashKV differs")
    }

    impl Folder {
        fn put_record(&mut self, record: &Record) -> String {
            let key = record.object_name(TIER_DEFAULT).unwrap().key("prod");
            self.put(&key, 1);
            self.read.insert(key.clone(), record.to_bytes());
            key
        }

        fn only(&self) -> Backup {
            let assembled = self.assembled();
            assert_eq!((assembled.orphans.len(), assembled.stray_records.len()), (0, 0));
            let [backup] = assembled.backups.as_slice() else { panic!("{assembled:?}") };
            backup.clone()
        }
    }

    #[test]
    fn i20_only_a_drill_that_started_etcd_proves() {
        let manifest = manifest(0);
        let mut folder = Folder::of(std::slice::from_ref(&manifest));
        folder.put_record(&record(&manifest, 60, Finding::Restored, Depth::Native));
        let backup = folder.only();
        assert_eq!((backup.state, backup.proven_at), (State::Verified, None));
        assert_eq!(backup.drill.unwrap().depth, Depth::Native);

        let proving = record(&manifest, 120, Finding::Proven, Depth::Etcd);
        let key = folder.put_record(&proving);
        let backup = folder.only();
        assert_eq!((backup.state, backup.proven_at), (State::Proven, Some(at(120))));
        assert_eq!(backup.records[0], key, "the newest first");

        // A later one without etcd takes nothing back.
        folder.put_record(&record(&manifest, 180, Finding::Restored, Depth::Native));
        let backup = folder.only();
        assert_eq!((backup.state, backup.proven_at), (State::Proven, Some(at(120))));
        assert_eq!((backup.drill.unwrap().at, backup.records.len()), (at(180), 3));

        let mut claim = proving;
        claim.depth = Depth::Native;
        assert!(Record::read(&claim.to_bytes()).unwrap_err().to_string().contains("cannot call"));
    }

    #[test]
    fn f56_the_newest_record_decides() {
        let manifest = manifest(0);
        let mut folder = Folder::of(std::slice::from_ref(&manifest));
        folder.put_record(&record(&manifest, 60, Finding::Proven, Depth::Etcd));
        folder.put_record(&record(&manifest, 120, Finding::Suspect, Depth::Native));
        let backup = folder.only();
        assert_eq!((backup.state, backup.proven_at), (State::Suspect, None));
        let problem = backup.problem.unwrap();
        assert!(problem.contains("a drill failed") && problem.contains("HashKV"), "{problem}");
        // Without etcd nobody clears it of that.
        folder.put_record(&record(&manifest, 150, Finding::Restored, Depth::Native));
        assert_eq!(folder.only().state, State::Suspect);
        folder.put_record(&record(&manifest, 180, Finding::Proven, Depth::ThreeMembers));
        assert_eq!(folder.only().state, State::Proven);
    }

    #[test]
    fn a_record_about_other_bytes_is_told_and_decides_nothing() {
        let manifest = manifest(0);
        let ignored = |change: &dyn Fn(&mut Record), why: &str| {
            let mut folder = Folder::of(std::slice::from_ref(&manifest));
            let mut other = record(&manifest, 60, Finding::Proven, Depth::Etcd);
            change(&mut other);
            folder.put_record(&other);
            let backup = folder.only();
            assert_eq!((backup.state, &backup.drill), (State::Verified, &None), "{why}");
            assert!(backup.notes.concat().contains(why), "{:?}", backup.notes);
        };
        ignored(&|r| r.manifest_sha256 = "00".into(), "another manifest");
        ignored(&|r| r.artifact_sha256 = "00".into(), "another artifact");
        ignored(&|r| r.version = 2, "knows up to 1");
        // Under another name than its own, and what is no record at all.
        let mut folder = Folder::of(std::slice::from_ref(&manifest));
        let key = folder.put_record(&record(&manifest, 60, Finding::Suspect, Depth::Etcd));
        let proven = record(&manifest, 60, Finding::Proven, Depth::Etcd);
        for bytes in [proven.to_bytes(), b"{}".to_vec(), Vec::new()] {
            folder.read.insert(key.clone(), bytes);
            let backup = folder.only();
            assert_eq!((backup.state, backup.notes.len()), (State::Verified, 1), "{backup:?}");
        }
    }

    #[test]
    fn no_record_makes_a_broken_or_corrupt_backup_better() {
        let mut manifest = manifest(0);
        let mut folder = Folder::of(std::slice::from_ref(&manifest));
        folder.put_record(&record(&manifest, 60, Finding::Proven, Depth::Etcd));
        folder.objects[0].bytes = 99;
        assert_eq!((folder.only().state, folder.only().proven_at), (State::Broken, None));
        manifest
            .etcd
            .alarms
            .push(contract::facts::Alarm { member_id: "1".into(), alarm: "CORRUPT".into() });
        let mut folder = Folder::of(std::slice::from_ref(&manifest));
        folder.put_record(&record(&manifest, 60, Finding::Proven, Depth::Etcd));
        assert_eq!((folder.only().state, folder.only().proven_at), (State::Suspect, None));
    }

    #[test]
    fn what_is_read_of_records_has_a_bound() {
        let manifest = manifest(0);
        let mut folder = Folder::of(std::slice::from_ref(&manifest));
        for day in 0..=RECORDS_READ_MAX {
            let finding = if day == 0 { Finding::Restored } else { Finding::Proven };
            let depth = if day == 0 { Depth::Native } else { Depth::Etcd };
            folder.put_record(&record(&manifest, 60 * day as i64, finding, depth));
        }
        let keys: Vec<&str> = folder.objects.iter().map(|o| o.key.as_str()).collect();
        let newest = newest_records("prod", keys.iter().copied());
        assert_eq!(newest.len(), RECORDS_READ_MAX);
        assert!(!newest.iter().any(|key| key.contains("restored")), "the oldest is left out");
        let backup = folder.only();
        assert_eq!(backup.records.len(), RECORDS_READ_MAX + 1, "all of them go with the backup");
        assert!(backup.notes.concat().contains("1 older records"), "{:?}", backup.notes);
        let long = "ß".repeat(60_000);
        let record = record(&manifest, 1, Finding::Suspect, Depth::Native).saying(&long);
        assert!(record.to_bytes().len() as u64 <= RECORD_BYTES_MAX);
    }

    #[test]
    fn records_are_no_orphans_and_without_their_backup_they_are_strays() {
        let (kept, gone) = (manifest(0), manifest(60));
        let mut folder = Folder::of(std::slice::from_ref(&kept));
        folder.put_record(&record(&kept, 120, Finding::Proven, Depth::Etcd));
        let key = folder.put_record(&record(&gone, 120, Finding::Proven, Depth::Etcd));
        let assembled = folder.assembled();
        assert_eq!((assembled.backups.len(), assembled.orphans.len()), (1, 0));
        assert_eq!(assembled.stray_records, [key]);
        // Its artifact may be on its way, or its manifest is what the listing lacks.
        folder.put(&gone.artifact_key(), 100);
        let assembled = folder.assembled();
        assert_eq!((assembled.stray_records.len(), assembled.orphans.len()), (0, 1));
    }

    /// Programs that know no drills parsed names like this.
    #[test]
    fn older_programs_see_neither_an_artifact_nor_a_manifest() {
        let manifest = manifest(0);
        for finding in Finding::ALL {
            let name = record(&manifest, 60, finding, Depth::Etcd).object_name("daily").unwrap();
            let key = name.key("prod");
            let stem = key.rsplit('/').next().unwrap().split_once('.').unwrap().0;
            assert!(stem.parse::<BackupName>().is_err(), "{stem}");
            let last = stem.rsplit_once('-').unwrap().1;
            assert!(!last.bytes().all(|b| b.is_ascii_digit()) || last.len() != 20, "{stem}");
            assert_eq!(ObjectName::parse("prod", &key), Some(name));
        }
    }

    /// What a scrub suspects goes with a look that is as deep; what a drill suspects does not.
    #[test]
    fn f45_i20_a_check_clears_what_a_scrub_suspects_and_nothing_else() {
        let manifest = manifest(0);
        let state = |records: &[(i64, Finding, Depth)]| {
            let mut folder = Folder::of(std::slice::from_ref(&manifest));
            for (second, finding, depth) in records {
                folder.put_record(&record(&manifest, *second, *finding, *depth));
            }
            let backup = folder.only();
            assert_eq!(backup.doubt.is_some(), backup.state == State::Suspect, "{backup:?}");
            backup.state
        };
        use Depth::{Content, Digest as Bytes, Etcd, Native};
        use Finding::{Checked, Proven, Restored, Suspect};
        assert_eq!(state(&[(60, Checked, Bytes)]), State::Verified);
        assert_eq!(state(&[(60, Suspect, Bytes)]), State::Suspect);
        assert_eq!(state(&[(60, Suspect, Bytes), (120, Checked, Bytes)]), State::Verified);
        assert_eq!(state(&[(60, Checked, Bytes), (120, Suspect, Bytes)]), State::Suspect);
        assert_eq!(state(&[(60, Suspect, Content), (120, Checked, Bytes)]), State::Suspect);
        assert_eq!(state(&[(60, Suspect, Content), (120, Checked, Content)]), State::Verified);
        assert_eq!(state(&[(60, Suspect, Content), (120, Restored, Native)]), State::Verified);
        assert_eq!(state(&[(60, Suspect, Native), (120, Checked, Content)]), State::Suspect);
        assert_eq!(state(&[(60, Suspect, Etcd), (120, Restored, Native)]), State::Suspect);
        // Made good byte for byte, it stays what a drill called it.
        let repaired = [(60, Proven, Etcd), (120, Suspect, Bytes), (180, Checked, Bytes)];
        assert_eq!(state(&repaired), State::Proven);
        assert_eq!(state(&repaired[..2]), State::Suspect);
    }

    #[test]
    fn checks_have_a_bound_of_their_own_and_the_older_ones_are_superfluous() {
        let manifest = manifest(0);
        let mut folder = Folder::of(std::slice::from_ref(&manifest));
        let drill = folder.put_record(&record(&manifest, 1, Finding::Suspect, Depth::Etcd));
        let deep = folder.put_record(&record(&manifest, 2, Finding::Checked, Depth::Content));
        for day in 1..=5 {
            folder.put_record(&record(&manifest, 60 * day, Finding::Checked, Depth::Digest));
        }
        let backup = folder.only();
        assert_eq!(backup.superfluous.len(), 4, "{:?}", backup.superfluous);
        assert!(!backup.superfluous.contains(&deep), "a shallower one does not replace it");
        assert_eq!(backup.verified.unwrap().at, at(300));
        for day in 6..=60 {
            folder.put_record(&record(&manifest, 60 * day, Finding::Checked, Depth::Digest));
        }
        let keys: Vec<&str> = folder.objects.iter().map(|o| o.key.as_str()).collect();
        let newest = newest_records("prod", keys.iter().copied());
        assert_eq!(newest.len(), CHECKS_READ_MAX + 1);
        assert!(newest.contains(&drill.as_str()), "what a drill found is not crowded out");
        assert_eq!((folder.only().state, folder.only().notes.len()), (State::Suspect, 0));
    }

    /// However often a scrub suspects it, a proof and a failed drill are still read.
    #[test]
    fn f45_f56_what_scrubs_suspect_crowds_out_nothing_that_a_drill_found() {
        let manifest = manifest(0);
        let mut folder = Folder::of(std::slice::from_ref(&manifest));
        folder.put_record(&record(&manifest, 1, Finding::Proven, Depth::Etcd));
        for day in 1..=40 {
            folder.put_record(&record(&manifest, 60 * day, Finding::Suspect, Depth::Digest));
        }
        folder.put_record(&record(&manifest, 60 * 50, Finding::Checked, Depth::Digest));
        let keys: Vec<&str> = folder.objects.iter().map(|o| o.key.as_str()).collect();
        let newest = newest_records("prod", keys.iter().copied()).len();
        assert_eq!(newest, 1 + RECORDS_READ_MAX + 1);
        let backup = folder.only();
        assert_eq!((backup.state, backup.proven_at), (State::Proven, Some(at(1))));
        // What is cleared is superfluous, and so is what is said twice.
        assert_eq!(backup.superfluous.len(), RECORDS_READ_MAX);
        folder.put_record(&record(&manifest, 60 * 60, Finding::Suspect, Depth::Content));
        let standing =
            folder.put_record(&record(&manifest, 60 * 70, Finding::Suspect, Depth::Content));
        let backup = folder.only();
        assert_eq!((backup.state, backup.doubt.unwrap().at), (State::Suspect, at(60 * 70)));
        assert_eq!(backup.superfluous.len(), RECORDS_READ_MAX - 1, "of those that are read");
        assert!(!backup.superfluous.contains(&standing));
        assert!(backup.is_doubted(Depth::Content) && !backup.is_doubted(Depth::Digest));
        // What a drill suspects is nobody's to sweep away.
        folder.put_record(&record(&manifest, 60 * 80, Finding::Suspect, Depth::Etcd));
        let drill = folder.put_record(&record(&manifest, 60 * 90, Finding::Suspect, Depth::Etcd));
        let backup = folder.only();
        assert!(!backup.superfluous.contains(&drill), "{:?}", backup.superfluous);
    }

    /// A record from a clock that is ahead would decide for as long as its date lies ahead.
    #[test]
    fn i11_f39_a_record_that_is_dated_ahead_decides_nothing() {
        let manifest = manifest(0);
        let now = 100_000;
        for finding in [Finding::Proven, Finding::Suspect] {
            let mut folder = Folder::of(std::slice::from_ref(&manifest));
            folder.put_record(&record(&manifest, now + 181, finding, Depth::Etcd));
            let backup = folder.only();
            assert_eq!((backup.state, &backup.drill), (State::Verified, &None), "{finding:?}");
            assert!(backup.notes.concat().contains("ahead"), "{:?}", backup.notes);
            // Clocks differ by a little.
            folder.put_record(&record(&manifest, now + 179, finding, Depth::Etcd));
            assert_ne!(folder.only().state, State::Verified, "{finding:?}");
        }
        // One from the future clears nothing either.
        let mut folder = Folder::of(std::slice::from_ref(&manifest));
        folder.put_record(&record(&manifest, 60, Finding::Suspect, Depth::Digest));
        folder.put_record(&record(&manifest, now + 9_000, Finding::Checked, Depth::Digest));
        assert_eq!(folder.only().state, State::Suspect);
    }

    #[test]
    fn what_is_kept_in_quarantine_is_neither_a_backup_nor_an_orphan() {
        let manifest = manifest(0);
        let mut folder = Folder::of(std::slice::from_ref(&manifest));
        for key in [manifest.artifact_key(), manifest.object_name().key("prod")] {
            let kept = ObjectName::quarantine_of("prod", &key, &"ab".repeat(32)).unwrap();
            let file = key.strip_prefix("prod/").unwrap();
            assert_eq!(kept, format!("prod/quarantine/{file}/abababababababab"));
            assert_eq!(ObjectName::parse("prod", &kept), None);
            assert_eq!(ObjectName::quarantine_of("prod", &kept, &"ab".repeat(32)), None);
            folder.put(&kept, 5);
        }
        let assembled = folder.assembled();
        assert_eq!((assembled.backups.len(), assembled.orphans.len()), (1, 0));
        let name = format!("prod/quarantine/{}", manifest.artifact.file);
        assert_eq!(ObjectName::parse("prod", &name), None);
    }

    #[test]
    fn i22_the_verdict_names_the_newest_proven_backup() {
        let (old, new) = (manifest(0), manifest(60));
        let mut folder = Folder::of(&[old.clone(), new]);
        let hour = Duration::from_secs(3600);
        let judge =
            |folder: &Folder| verdict(&catalogue(&[Some(folder), Some(folder)]), at(100), hour, 2);
        assert_eq!((judge(&folder).newest_proven, judge(&folder).proven_at), (None, None));
        folder.put_record(&record(&old, 70, Finding::Proven, Depth::Etcd));
        let judged = judge(&folder);
        assert_eq!((judged.safety, judged.copies), (Safety::Safe, 2));
        assert_eq!(judged.newest_proven.as_ref(), Some(&old.backup));
        assert_eq!(judged.proven_at, Some(at(70)));
        // A proven copy counts as a copy, and a suspect one does not.
        folder.put_record(&record(&manifest(60), 80, Finding::Suspect, Depth::Etcd));
        let judged = judge(&folder);
        assert_eq!((judged.newest.as_ref(), judged.not_trusted), (Some(&old.backup), 2));
    }

    /// The line of `lifeboat status` speaks of one backup: what was read back is named.
    #[test]
    fn i22_the_verdict_names_the_newest_backup_that_was_read_back() {
        let (old, new) = (manifest(0), manifest(60));
        let mut folder = Folder::of(&[old.clone(), new.clone()]);
        let judge = |folder: &Folder| {
            let hour = Duration::from_secs(3600);
            let judged = verdict(&catalogue(&[Some(folder)]), at(100), hour, 1);
            (judged.newest_read_back, judged.verified_at)
        };
        assert_eq!(judge(&folder), (None, None));
        folder.put_record(&record(&old, 90, Finding::Checked, Depth::Digest));
        assert_eq!(judge(&folder), (Some(old.backup.clone()), Some(at(90))));
        // A look at another one that was later says nothing of this one.
        folder.put_record(&record(&new, 70, Finding::Checked, Depth::Digest));
        assert_eq!(judge(&folder), (Some(new.backup), Some(at(70))));
    }
}

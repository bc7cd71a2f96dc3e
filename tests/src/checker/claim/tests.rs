//! The judge must find every kind of lie. One made-up picture for each.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use super::*;
use crate::checker::{Found, Stored};

const NEW: &str = "20261120T021400Z-01kah4s1n0v3p8x2c5t7q9w4yz";

/// Backups of these revisions, each in its own two objects.
fn holding(revisions: &[i64]) -> Holding {
    let mut holding = Holding::default();
    for revision in revisions {
        add(&mut holding, &format!("backup-{revision}"), *revision, Verdict::Restorable);
    }
    holding
}

fn add(holding: &mut Holding, name: &str, revision: i64, verdict: Verdict) {
    let (manifest, artifact) = (format!("{name}.json"), format!("{name}.db"));
    for key in [&manifest, &artifact] {
        let stored = Stored { bytes: 1, sha256: key.clone() };
        holding.objects.insert(key.clone(), stored);
    }
    let found = Found { manifest, artifact: Some(artifact), revision, verdict };
    holding.backups.insert(name.to_owned(), found);
}

fn picture(holdings: [Holding; 2]) -> Picture {
    ["a", "b"].map(str::to_owned).into_iter().zip(holdings).collect()
}

fn before() -> Picture {
    picture([holding(&[1, 2, 3]), holding(&[1, 2, 3])])
}

fn committed(places: &[&str]) -> Picture {
    let mut after = before();
    for place in places {
        add(after.get_mut(*place).unwrap(), NEW, 4, Verdict::Restorable);
    }
    after
}

fn claim(code: i32, backup: Option<&str>) -> Claim {
    Claim {
        code,
        backup: backup.map(str::to_owned),
        require: 2,
        min_keep: Some(2),
        ..Claim::default()
    }
}

#[test]
fn i01_a_commit_that_is_there_is_right() {
    let good = [
        (claim(0, Some(NEW)), committed(&["a", "b"])),
        (Claim { require: 1, ..claim(40, Some(NEW)) }, committed(&["b"])),
        (claim(143, Some(NEW)), committed(&["a", "b"])),
        (claim(10, None), before()),
        (Claim { silent: true, ..claim(137, None) }, committed(&["a"])),
    ];
    for (claim, after) in good {
        assert_eq!(violations(&claim, &before(), &after), Vec::<String>::new(), "{claim:?}");
    }
}

#[test]
fn i01_i02_a_claim_that_is_not_true_is_found() {
    let mut broken = committed(&["a"]);
    let bad = Verdict::BrokenInside("a bit".into());
    add(broken.get_mut("b").unwrap(), NEW, 4, bad);
    let mut orphan = before();
    orphan.get_mut("a").unwrap().orphans.insert("x.db".into());
    let mut partial = before();
    partial.get_mut("a").unwrap().unfinished.insert(".x.partial".into());
    let lies = [
        ("nothing was stored", claim(0, Some(NEW)), before()),
        ("one copy of two", claim(0, Some(NEW)), committed(&["a"])),
        ("one copy where two are required", claim(40, Some(NEW)), committed(&["a"])),
        ("exit 0 in one of two", Claim { require: 1, ..claim(0, Some(NEW)) }, committed(&["a"])),
        ("a broken copy", claim(0, Some(NEW)), broken.clone()),
        ("a broken copy of a dead run", Claim { silent: true, ..claim(137, None) }, broken),
        ("a success without a name", claim(0, None), before()),
        ("a backup that nobody claims", claim(10, None), committed(&["a"])),
        ("an artifact left behind", claim(10, None), orphan),
        ("an unfinished file left behind", claim(10, None), partial),
    ];
    for (lie, claim, after) in lies {
        assert!(!violations(&claim, &before(), &after).is_empty(), "{lie} was not found");
    }
}

#[test]
fn i04_i07_i08_what_must_not_happen_to_old_backups_is_found() {
    let remove = |picture: &mut Picture, keys: &[&str]| {
        for holds in picture.values_mut() {
            for key in keys {
                holds.objects.remove(*key);
                holds.backups.retain(|_, found| found.manifest != *key);
            }
        }
    };
    let mut pruned = committed(&["a", "b"]);
    remove(&mut pruned, &["backup-1.json", "backup-1.db"]);
    assert_eq!(violations(&claim(0, Some(NEW)), &before(), &pruned), Vec::<String>::new());

    let mut again = committed(&["a", "b"]);
    again.get_mut("a").unwrap().objects.get_mut("backup-2.db").unwrap().sha256 = "other".into();
    let mut too_many = committed(&["a", "b"]);
    remove(&mut too_many, &["backup-1.json", "backup-2.json", "backup-3.json"]);
    let mut wrong_order = committed(&["a", "b"]);
    remove(&mut wrong_order, &["backup-1.db"]);
    let mut early = before();
    remove(&mut early, &["backup-1.json", "backup-1.db"]);
    let no_prune = Claim { min_keep: None, ..claim(0, Some(NEW)) };
    let lies = [
        ("an object written twice", claim(0, Some(NEW)), again),
        ("too few that are left", claim(0, Some(NEW)), too_many),
        ("an artifact before its manifest", claim(0, Some(NEW)), wrong_order),
        ("pruning without a commit", claim(10, None), early.clone()),
        ("a removal by a run that prunes nothing", no_prune, pruned),
        ("a removal by what only reads", Claim { deed: Deed::Read, ..claim(0, None) }, early),
    ];
    for (lie, claim, after) in lies {
        assert!(!violations(&claim, &before(), &after).is_empty(), "{lie} was not found");
    }
    let mut old = before();
    let bad = Verdict::Broken("gone".into());
    old.get_mut("a").unwrap().backups.get_mut("backup-1").unwrap().verdict = bad;
    let mut after = committed(&["a", "b"]);
    remove(&mut after, &["backup-1.json", "backup-1.db"]);
    assert!(!violations(&claim(0, Some(NEW)), &old, &after).is_empty(), "a broken one was pruned");
}

#[test]
fn i04_only_a_repair_writes_again_and_only_what_another_place_holds() {
    // As a cut manifest that a sync makes good, while the sibling's artifact has rotted.
    let (key, kept) = ("c/t/x.json", "c/quarantine/t/x.json/the manifest of,");
    let at = |manifest: &str, verdict: Verdict| {
        let mut holding = Holding::default();
        let stored = |sha256: &str| Stored { bytes: 1, sha256: sha256.into() };
        holding.objects.insert(key.into(), stored(manifest));
        holding.objects.insert("c/t/x.db".into(), stored("bytes"));
        let (manifest, artifact) = (key.to_owned(), Some("c/t/x.db".to_owned()));
        holding.backups.insert("x".into(), Found { manifest, artifact, revision: 1, verdict });
        holding
    };
    let cut = || at("the manifest of, cut", Verdict::Broken("cut".into()));
    let mended = |manifest: &str| {
        let mut holding = at(manifest, Verdict::Restorable);
        let stored = cut().objects[key].clone();
        holding.objects.insert(kept.into(), stored);
        holding
    };
    let rotten = || at("right", Verdict::BrokenInside("a bit".into()));
    let did = Claim { deed: Deed::Sync, min_keep: None, ..claim(0, None) };
    let judge =
        |after: Holding| violations(&did, &picture([cut(), rotten()]), &picture([after, rotten()]));
    assert_eq!(judge(mended("right")), Vec::<String>::new());
    assert!(!judge(mended("made up")).is_empty(), "nobody had that one");
    let mut lost = mended("right");
    lost.objects.remove(kept);
    assert!(!judge(lost).is_empty(), "what lay there is gone");
    let mut worthless = mended("right");
    worthless.backups.get_mut("x").unwrap().verdict = Verdict::BrokenInside("a bit".into());
    assert!(!judge(worthless).is_empty(), "it is of other bytes");
}

#[test]
fn i02_a_copy_that_a_repair_could_not_finish_is_no_litter_where_the_run_says_so() {
    let artifact = format!("{NEW}.db");
    let partial = |sha256: &str| {
        let mut after = committed(&["b"]);
        let place = after.get_mut("a").unwrap();
        place.objects.insert(artifact.clone(), Stored { bytes: 1, sha256: sha256.to_owned() });
        place.orphans.insert(artifact.clone());
        after
    };
    let told = |code| Claim { require: 1, ..claim(code, Some(NEW)) };
    assert_eq!(violations(&told(40), &before(), &partial(&artifact)), Vec::<String>::new());
    assert!(!violations(&told(40), &before(), &partial("half")).is_empty(), "half of it");
    assert!(!violations(&told(0), &before(), &partial(&artifact)).is_empty(), "exit 0");
}

#[test]
fn i01_i17_a_sync_or_scrub_that_claims_too_much_is_found() {
    let did = |deed| Claim { deed, every: true, min_keep: None, ..claim(0, None) };
    let level = before();
    let mut lacking = before();
    add(lacking.get_mut("a").unwrap(), NEW, 4, Verdict::Restorable);
    let mut flipped = before();
    let inside = Verdict::BrokenInside("a bit".into());
    flipped.get_mut("b").unwrap().backups.get_mut("backup-3").unwrap().verdict = inside;
    for deed in [Deed::Sync, Deed::Scrub] {
        assert_eq!(violations(&did(deed), &level, &level), Vec::<String>::new());
    }
    // What only a look inside finds is no matter of a sync.
    assert_eq!(violations(&did(Deed::Sync), &flipped, &flipped), Vec::<String>::new());
    assert!(!violations(&did(Deed::Sync), &lacking, &lacking).is_empty(), "one is lacking");
    assert!(!violations(&did(Deed::Scrub), &flipped, &flipped).is_empty(), "one is damaged");
    let partial = Claim { code: 40, ..did(Deed::Sync) };
    assert_eq!(violations(&partial, &lacking, &lacking), Vec::<String>::new());
}

#[test]
fn i04_a_record_goes_only_where_a_newer_one_says_the_same() {
    let with = |records: &[&str]| {
        let mut picture = before();
        for record in records {
            let stored = Stored { bytes: 1, sha256: (*record).to_owned() };
            picture.get_mut("a").unwrap().objects.insert((*record).to_owned(), stored);
        }
        picture
    };
    let did = Claim { deed: Deed::Scrub, min_keep: None, ..claim(0, None) };
    let old = with(&["backup-1-checked-1.json"]);
    let newer = with(&["backup-1-checked-2.json"]);
    assert_eq!(violations(&did, &old, &newer), Vec::<String>::new());
    for other in ["backup-2-checked-2.json", "backup-1-suspect-2.json"] {
        assert!(!violations(&did, &old, &with(&[other])).is_empty(), "{other}");
    }
    let doubt = with(&["backup-1-suspect-1.json"]);
    assert_eq!(violations(&did, &doubt, &newer), Vec::<String>::new(), "it was cleared");
}

#[test]
fn i02_a_listing_that_is_not_true_is_found() {
    let list = |json: &str| serde_json::from_str::<Value>(json).unwrap();
    let one = picture([holding(&[1]), holding(&[])]);
    let right = r#"{"backups": [{"name": "backup-1", "copies": {"a": "verified"}}]}"#;
    assert_eq!(misread(&list(right), &one), Vec::<String>::new());
    let dark = r#"{"backups": [], "unreadable": {"a": "dark"}}"#;
    assert_eq!(misread(&list(dark), &one), Vec::<String>::new());
    for lie in [
        r#"{"backups": []}"#,
        r#"{"backups": [{"name": "backup-1", "copies": {"a": "broken"}}]}"#,
        r#"{"backups": [{"name": "backup-1", "copies": {"a": "verified", "b": "verified"}}]}"#,
        r#"{"backups": [{"name": "backup-1", "copies": {"a": "verified"}},
                        {"name": "other", "copies": {"a": "broken"}}]}"#,
    ] {
        assert!(!misread(&list(lie), &one).is_empty(), "{lie}");
    }
}

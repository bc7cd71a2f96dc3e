use crate::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn document() -> Value {
    json!({
        "version": 1,
        "taken_at": "2026-11-20T02:14:00Z",
        "snapshot": { "revision": 7, "buckets": { "key": 3, "auth": 1 } },
        "later": { "b": [1, 2], "a": "ü\n" },
    })
}

fn signed(document: &Value, key: &SecretKey) -> Value {
    let mut document = document.clone();
    document["signature"] = serde_json::to_value(key.sign(document.clone())).unwrap();
    document
}

fn trust(keys: &[&SecretKey]) -> Trust {
    Trust { signers: keys.iter().map(|key| key.public()).collect(), unsigned_until: None }
}

#[test]
fn i14_what_a_trusted_key_signed_is_believed_and_what_replicate_adds_changes_nothing() {
    let (ours, next) = (key(1), key(2));
    let mut document = signed(&document(), &ours);
    let first = trust(&[&next, &ours]).judge(document.clone()).unwrap().unwrap();
    assert_eq!(first.key, ours.public().to_string());
    document["tool"] = json!("lifeboat 9");
    document["placed"] = json!({ "required": 1 });
    assert_eq!(trust(&[&ours]).judge(document.clone()).unwrap().unwrap(), first);
}

#[test]
fn f48_i14_what_was_changed_unsigned_or_signed_by_somebody_else_is_not_believed() {
    let (ours, theirs) = (key(1), key(2));
    let rule = trust(&[&ours]);
    assert_eq!(rule.judge(document()), Err(Distrust::Unsigned));
    let unknown = Distrust::UnknownKey { key: theirs.public().to_string() };
    assert_eq!(rule.judge(signed(&document(), &theirs)), Err(unknown));

    let changed = Err(Distrust::Changed { key: ours.public().to_string() });
    let good = signed(&document(), &ours);
    for (pointer, value) in [
        ("/snapshot/revision", json!(8)),
        ("/snapshot/revision", json!(7.0)),
        ("/later/a", json!("ü")),
        ("/later/b", json!([2, 1])),
        ("/snapshot/buckets", json!({ "key": 3 })),
    ] {
        let mut other = good.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        assert_eq!(rule.judge(other), changed, "{pointer}");
    }
    let mut more = good.clone();
    more["new"] = json!(true);
    assert_eq!(rule.judge(more), changed);

    // Somebody else's signature under our name, and things that are none.
    let mut borrowed = good.clone();
    borrowed["signature"]["value"] = signed(&document(), &theirs)["signature"]["value"].clone();
    assert_eq!(rule.judge(borrowed), changed);
    for none in [json!(null), json!("x"), json!({}), json!({ "key": "k" })] {
        let mut document = good.clone();
        document["signature"] = none.clone();
        assert_eq!(rule.judge(document.clone()), Err(Distrust::NoSignature), "{none}");
    }
    for value in ["", "====", "AAAA"] {
        let mut document = good.clone();
        document["signature"]["value"] = json!(value);
        assert_eq!(rule.judge(document.clone()), changed, "{value:?}");
    }
}

#[test]
fn i14_without_signers_nothing_is_asked_for_and_a_date_lets_the_past_in() {
    let ours = key(1);
    assert_eq!(Trust::default().judge(document()), Ok(None));
    let until =
        |text: &str| Trust { unsigned_until: Some(text.parse().unwrap()), ..trust(&[&ours]) };
    assert_eq!(until("2026-11-20T02:14:01Z").judge(document()), Ok(None));
    assert_eq!(until("2026-11-20T02:14:00Z").judge(document()), Err(Distrust::Unsigned));
    let mut undated = document();
    undated["taken_at"] = json!("yesterday");
    assert_eq!(until("2027-01-01T00:00:00Z").judge(undated), Err(Distrust::Unsigned));
    // The date is no way round a signature that does not hold.
    let foreign = signed(&document(), &key(2));
    assert!(until("2027-01-01T00:00:00Z").judge(foreign).is_err());
}

#[test]
fn keys_have_one_text_and_weak_or_secret_ones_are_refused() {
    let secret = key(3);
    let public = secret.public();
    assert_eq!(public.to_string().parse(), Ok(public.clone()));
    let pem = secret.to_pem().unwrap();
    assert_eq!(SecretKey::from_pem(pem.as_ref()).unwrap().public(), public);
    assert!(!format!("{secret:?}").contains("PRIVATE"));
    assert_eq!(pem.as_ref().parse::<PublicKey>(), Err(KeyError::Secret));
    // The neutral element, for which everybody can sign.
    let weak = "ed25519:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    assert_eq!(weak.parse::<PublicKey>(), Err(KeyError::Weak));
    for bad in ["", "ed25519:", "ed25519:AAAA", "rsa:AAAA", "-----BEGIN PUBLIC KEY-----"] {
        assert_eq!(bad.parse::<PublicKey>(), Err(KeyError::Public), "{bad}");
    }
    for bad in ["", "-----BEGIN PRIVATE KEY-----", "AGE-SECRET-KEY-1"] {
        assert!(SecretKey::from_pem(bad).is_err(), "{bad}");
    }
}

/// RFC 8032, 7.1, test 1: the secret key's public key.
#[test]
fn the_keys_are_those_of_rfc_8032() {
    let hex = |text: &str| -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    };
    let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let public = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let key = SecretKey::from_seed(&seed.try_into().unwrap());
    assert_eq!(key.public().to_string(), public);
}

proptest! {
    /// The order of keys and the spaces of a text decide nothing, and every other change does.
    #[test]
    fn i14_a_statement_is_what_the_document_says(
        names in proptest::collection::btree_set("[a-z]{1,3}", 1..6),
        values in proptest::collection::vec(any::<i64>(), 6),
        flipped in any::<prop::sample::Index>(),
    ) {
        let fields: Vec<String> =
            names.iter().zip(&values).map(|(name, value)| format!("\"x{name}\": {value}")).collect();
        let text = |fields: &[String]| format!("{{ {} }}", fields.join(" ,\n"));
        let read = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        let backwards: Vec<String> = fields.iter().rev().cloned().collect();
        let one = statement(read(text(&fields)));
        prop_assert_eq!(&one, &statement(read(text(&backwards))));
        let mut other = fields.clone();
        let at = flipped.index(other.len());
        other[at] = other[at].replacen("\"x", "\"y", 1);
        prop_assert_ne!(&one, &statement(read(text(&other))));
    }
}

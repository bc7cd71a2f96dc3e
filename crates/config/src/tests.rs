use super::*;
use contract::Failure;
use figment::providers::Env;
use std::collections::BTreeMap;

fn parse(text: &str) -> Result<Pipeline, Error> {
    // A prefix that nobody uses: the environment of the test must not matter.
    Pipeline::parse("pipeline.toml", text, Env::prefixed("LIFEBOAT_NOT_SET__"))
}

fn minimal(extra: &str) -> String {
    format!(
        "cluster = \"c\"\nstages = [\"capture\", \"verify\", \"replicate\"]\n\
         [destinations.a]\nurl = \"file:a\"\n{extra}"
    )
}

fn problem(text: &str) -> String {
    let error = parse(text).unwrap_err();
    match error.hint() {
        Some(hint) => format!("{error} / {hint}"),
        None => error.to_string(),
    }
}

#[test]
fn the_reference_holds_the_defaults() {
    let shipped = parse(REFERENCE).unwrap();
    let defaults = Pipeline::default();
    assert_eq!(shipped.run, defaults.run);
    assert_eq!(shipped.verify, defaults.verify);
    assert_eq!(shipped.compress, defaults.compress);
    assert_eq!(shipped.replicate, defaults.replicate);
    assert_eq!(shipped.drill, defaults.drill);
    assert_eq!(shipped.notify, defaults.notify);
    assert_eq!(shipped.stages, defaults.stages);
    let capture = Capture { endpoints: shipped.capture.endpoints.clone(), ..Capture::default() };
    assert_eq!(shipped.capture, capture);
}

/// Every key of the configuration stands in the shipped file, if only as a comment.
#[test]
fn the_reference_is_complete() {
    let everything = Pipeline {
        prune: Some(Prune { within: Some("2d".into()), ..Prune::default() }),
        ..Pipeline::default()
    };
    let json = serde_json::to_value(&everything).unwrap();
    let mut keys = Vec::new();
    for (section, value) in json.as_object().unwrap() {
        keys.push(section.clone());
        keys.extend(value.as_object().into_iter().flatten().map(|(key, _)| key.clone()));
    }
    let destination = serde_json::to_value(Destination {
        url: String::new(),
        region: Some(String::new()),
        endpoint: Some(String::new()),
        path_style: Some(true),
        ca_file: Some("".into()),
        proxy: Some(String::new()),
        profile: Some(String::new()),
        credentials_file: Some("".into()),
        credentials: Some(Credentials::None),
        sas_file: Some("".into()),
        account_key_file: Some("".into()),
        client_id: Some(String::new()),
        storage_class: Some(ByTier::All(String::new())),
        sse: Some(Sse::S3),
        kms_key: Some(String::new()),
        customer_key_file: Some("".into()),
        lock: Some(Lock::Governance),
        lock_for: Some(ByTier::All(Duration::from_secs(1))),
        tags: Some(BTreeMap::new()),
        checksum: Some(Checksum::Full),
        read_back: Some(ReadBack::Full),
        part_bytes: Some(0),
        parts_in_flight: Some(0),
        bytes_per_second_max: Some(0),
        timeout: Some(Duration::from_secs(1)),
    });
    keys.extend(destination.unwrap().as_object().unwrap().keys().cloned());
    for key in keys {
        assert!(REFERENCE.contains(&key), "pipeline.toml does not mention {key}");
    }
}

#[test]
fn f51_an_unknown_key_is_named_with_its_place_and_a_suggestion() {
    assert_eq!(
        problem(&minimal("[compress]\nlevle = 3\n")),
        "pipeline.toml:6:1: unknown field `levle`, expected `level` or `threads` \
         / did you mean \"level\"?"
    );
}

#[test]
fn f51_a_syntax_error_is_named_with_its_place() {
    assert!(problem("cluster = \n").starts_with("pipeline.toml:1:"));
    assert!(problem("cluster = 7\n").starts_with("pipeline.toml:1:11: invalid type"));
}

#[test]
fn f51_an_empty_file_asks_for_the_cluster_first() {
    assert!(problem("").contains("the cluster has no name"));
}

#[test]
fn f51_byte_order_mark_and_carriage_returns_are_no_obstacle() {
    let text = format!("\u{feff}{}", minimal("").replace('\n', "\r\n"));
    assert_eq!(parse(&text).unwrap(), parse(&minimal("")).unwrap());
}

#[test]
fn f51_i13_stages_have_one_order() {
    let with =
        |stages: &str| minimal("").replace("[\"capture\", \"verify\", \"replicate\"]", stages);
    let expect = |stages: &str, text: &str| {
        let found = problem(&with(stages));
        assert!(found.contains(text), "{stages}: {found}");
    };
    expect(
        r#"["capture", "verify", "encrypt", "compress", "replicate"]"#,
        "\"encrypt\" comes before",
    );
    expect(r#"["capture", "verify", "verify", "replicate"]"#, "twice");
    expect(r#"["capture", "verfy", "replicate"]"#, "did you mean \"verify\"?");
    expect(r#"["capture", "replicate"]"#, "\"verify\" is missing");
    expect(r#"["capture", "verify"]"#, "\"replicate\" is missing");
    expect(r#"["capture", "verify", "scan", "replicate"]"#, "[programs.scan]");
    expect("[]", "there are no stages");
    assert!(problem(&with(r#"["capture", "verify", "replicate", "prune"]"#)).contains("no policy"));
}

#[test]
fn a_key_without_effect_is_an_error() {
    let found = problem(&minimal("region = \"eu\"\n"));
    assert_eq!(found, "pipeline.toml:5:1: region has no effect on a directory / delete it");
    let text = minimal("[programs.scan]\ncommand = [\"true\"]\n");
    assert!(problem(&text).contains("program \"scan\" has no effect"));
}

#[test]
fn f33_a_kind_of_encryption_that_a_store_does_not_have_is_an_error() {
    for (url, more) in [("gs://b/etcd", ""), ("az://account/b/etcd", "")] {
        let with = |sse: &str| {
            let text = format!("[destinations.b]\nurl = \"{url}\"\n{sse}\n{more}");
            minimal(&format!("{text}[replicate]\nallow_plaintext = true\n"))
        };
        assert!(problem(&with("sse = \"s3\"")).contains("sse = \"s3\" has no effect"), "{url}");
        assert!(problem(&with("sse = \"kms\"")).contains("sse needs kms_key"), "{url}");
        parse(&with("sse = \"kms\"\nkms_key = \"k\"")).unwrap();
    }
    let s3 =
        "[destinations.b]\nurl = \"s3://b\"\nsse = \"kms\"\n[replicate]\nallow_plaintext = true\n";
    parse(&minimal(s3)).unwrap();
}

#[test]
fn i13_plaintext_does_not_leave_the_machine_unasked() {
    let text = minimal("[destinations.b]\nurl = \"s3://bucket/etcd\"\n");
    assert!(problem(&text).contains("would receive plaintext Secrets"));
    parse(&format!("{text}[replicate]\nallow_plaintext = true\n")).unwrap();
}

#[test]
fn f51_i23_credentials_in_a_url_are_refused_and_not_repeated() {
    let text = minimal("[destinations.b]\nurl = \"s3://key:hunter2@bucket/etcd\"\n");
    let found = problem(&text);
    assert!(found.contains("credentials_file") && !found.contains("hunter2"), "{found}");
}

#[test]
fn one_place_does_not_count_twice() {
    let text = minimal("[destinations.b]\nurl = \"file:a/\"\n");
    assert!(problem(&text).contains("one copy, not two"));
}

#[test]
fn require_cannot_ask_for_more_than_there_is() {
    let with = |value: &str| minimal(&format!("[replicate]\nrequire = {value}\n"));
    assert!(problem(&with("2")).contains("more copies than there are destinations (1)"));
    assert!(problem(&with("0")).contains("a number above 0"));
    assert!(problem(&with("\"some\"")).contains("majority"));
    assert_eq!(parse(&with("\"majority\"")).unwrap().replicate.require.of(3), 2);
}

#[test]
fn durations_read_like_people_write_them() {
    let with = |value: &str| minimal(&format!("[run]\nstale_after = \"{value}\"\n"));
    assert_eq!(parse(&with("2d")).unwrap().run.stale_after, Duration::from_secs(172_800));
    assert_eq!(parse(&with("90m")).unwrap().run.stale_after, Duration::from_secs(5400));
    for bad in ["", "0s", "-1h", "soon", "3 bananas"] {
        assert!(problem(&with(bad)).contains("is not a duration"), "{bad}");
    }
}

#[test]
fn locations() {
    let of = |url: &str| Destination { url: url.into(), ..Destination::default() }.location();
    assert_eq!(of("file:a/b").unwrap(), Location::Directory("a/b".into()));
    assert_eq!(of("file:///a/b").unwrap(), Location::Directory("/a/b".into()));
    let s3 = Location::S3 { bucket: "bucket".into(), prefix: "a/b".into() };
    assert_eq!(of("s3://bucket/a/b/").unwrap(), s3);
    for bad in ["", "bucket", "file:", "s3:///x", "ftp://x/y", "s3://b/x?y=z"] {
        assert!(of(bad).is_err(), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,300}") {
        let _ = parse(&text);
    }

    /// Mutations of the real file reach further than random text.
    #[test]
    fn no_damaged_reference_makes_it_panic(at in 0..REFERENCE.len(), with in "\\PC{0,3}") {
        let mut text: String = REFERENCE.chars().take(at).collect();
        text.push_str(&with);
        text.extend(REFERENCE.chars().skip(at + 1));
        let _ = parse(&text);
    }
}

/// figment's own parser knows TOML 1.0 only, and an error of it was shown as one of the environment.
#[test]
fn f51_every_toml_that_is_parsed_is_merged() {
    let inline = minimal("").replace(
        "[destinations.a]\nurl = \"file:a\"\n",
        "destinations = {\n a = { url = \"file:\\x61\", },\n}\n",
    );
    assert_eq!(parse(&inline).unwrap(), parse(&minimal("")).unwrap());
}

/// Half a second was shown as `0s`, which is no duration.
#[test]
fn f51_a_duration_is_written_as_it_is_read() {
    for text in ["500ms", "1s", "90s", "26h", "7d", "1ns", "7304484d"] {
        let length: Duration = text.parse().unwrap();
        let written = length.to_string();
        assert_eq!(written.parse::<Duration>(), Ok(length), "{text} became {written}");
    }
}

#[test]
fn a_lock_needs_an_end_that_something_says() {
    let bucket = |more: &str| {
        minimal(&format!(
            "[destinations.b]\nurl = \"s3://b\"\nlock = \"governance\"\n{more}\n\
             [replicate]\nallow_plaintext = true\ntiers = [\"frequent\", \"monthly\"]\n"
        ))
    };
    let prune = "[prune]\nhourly = 24\n";
    assert!(problem(&bucket("")).contains("tier \"frequent\" is to be locked / set lock_for, or"));
    let found = problem(&format!("{}{prune}", bucket("")));
    assert!(found.contains("tier \"monthly\"") && found.contains("prune.monthly"), "{found}");
    parse(&format!("{}{prune}monthly = 12\n", bucket(""))).unwrap();
    parse(&bucket("lock_for = \"30d\"")).unwrap();
    parse(&format!("{}{prune}", bucket("lock_for = { monthly = \"30d\" }"))).unwrap();
    let found = problem(&bucket("lock_for = \"30d\"\nchecksum = \"none\""));
    assert!(found.contains("without a checksum"), "{found}");
}

//! What must hold for every plan, whatever the flavour. How they read is in `tests/golden`.

use super::super::args::RestoreArgs;
use super::super::intent::{Intent, wanted};
use super::super::made_up::{at, catalogue, manifest};
use super::*;
use jiff::tz::TimeZone;

const FLAVOURS: [Flavour; 4] = [Flavour::Kubeadm, Flavour::Systemd, Flavour::K3s, Flavour::Rke2];

fn with_plan(args: RestoreArgs, look: impl Fn(&Recovery<'_>)) {
    let made = catalogue(&[&[manifest(0, 40)]]);
    let args = RestoreArgs { plan: true, ..args };
    let wanted = wanted(&args, &TimeZone::UTC).unwrap();
    let intent = Intent::decide(&args, (&made, &made), &wanted, at(60), "new".into()).unwrap();
    look(&recovery(&intent, &Pipeline::default(), at(60)).unwrap());
}

fn commands<'p>(steps: &'p [Step<'_>], node: &str) -> Vec<&'p str> {
    let on = steps.iter().flat_map(|step| &step.nodes).filter(|on| on.node == node);
    on.flat_map(|on| &on.commands).map(String::as_str).collect()
}

fn place(all: &[&str], part: &str) -> usize {
    all.iter().position(|command| command.contains(part)).unwrap_or_else(|| {
        panic!("{part} is not in {all:#?}");
    })
}

#[test]
fn every_member_is_restored_alike_after_everything_stopped() {
    for flavour in [Flavour::Kubeadm, Flavour::Systemd] {
        with_plan(RestoreArgs { flavour: Some(flavour), ..RestoreArgs::default() }, |plan| {
            let mut restores = Vec::new();
            for node in ["cp-01", "cp-02", "cp-03"] {
                let all = commands(&plan.steps, node);
                let restore = all[place(&all, "lifeboat restore")];
                assert!(restore.contains(&format!("--member {node} ")), "{restore}");
                assert!(
                    restore.ends_with(
                        "--initial-cluster-token new --bump-revision 1000000000 --replace"
                    )
                );
                restores.push(restore.replace(node, "X"));
                assert_eq!(place(&all, "lifeboat fetch"), 0, "before anything is stopped");
            }
            restores.dedup();
            assert_eq!(restores.len(), 1, "{restores:?}");
        });
    }
}

#[test]
fn etcd_stops_last_and_starts_first() {
    with_plan(RestoreArgs::default(), |plan| {
        let all = commands(&plan.steps, "cp-02");
        let order = [
            "lifeboat fetch",
            "mv /etc/kubernetes/manifests/kube-apiserver.yaml",
            "mv /etc/kubernetes/manifests/etcd.yaml",
            "lifeboat restore",
            "mv /etc/kubernetes/manifests.lifeboat/etcd.yaml",
            "endpoint health",
            "mv /etc/kubernetes/manifests.lifeboat/kube-apiserver.yaml",
            "mv /etc/kubernetes/manifests.lifeboat/kube-scheduler.yaml",
            "systemctl restart kubelet",
        ];
        let places: Vec<usize> = order.iter().map(|part| place(&all, part)).collect();
        assert!(places.is_sorted(), "{places:?} of {all:#?}");
        let back = commands(&plan.rollback, "cp-02");
        let order = [
            "manifests/etcd.yaml",
            "restore --undo --data-dir /var/lib/etcd",
            "manifests.lifeboat/etcd",
        ];
        let places: Vec<usize> = order.iter().map(|part| place(&back, part)).collect();
        assert!(places.is_sorted(), "{places:?} of {back:#?}");
    });
}

#[test]
fn i19_no_plan_deletes_anything_that_was_there_before() {
    for flavour in FLAVOURS {
        with_plan(RestoreArgs { flavour: Some(flavour), ..RestoreArgs::default() }, |plan| {
            for step in plan.steps.iter().chain(&plan.rollback) {
                for command in step.nodes.iter().flat_map(|on| &on.commands) {
                    let deletes = command.split_whitespace().any(|word| word == "rm");
                    let own = command.starts_with("rm /var/tmp/lifeboat-");
                    assert!(!deletes || own, "{command}");
                }
            }
        });
    }
}

#[test]
fn one_nodes_part_keeps_the_numbers_of_the_whole() {
    let of = |member: Option<&str>| RestoreArgs {
        member: member.map(str::to_owned),
        ..RestoreArgs::default()
    };
    with_plan(of(Some("cp-03")), |plan| {
        assert_eq!(plan.nodes, ["cp-03"]);
        let numbers: Vec<usize> = plan.steps.iter().map(|step| step.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 9], "8 and 10 are the first node's");
        assert!(commands(&plan.steps, "cp-01").is_empty());
    });
    with_plan(of(None), |plan| assert_eq!(plan.steps.len(), 10));
}

/// A manifest lies in a bucket: a name in it that means something to a shell is only a name.
#[test]
fn f49_a_name_from_a_manifest_does_nothing_in_a_shell() {
    let mut evil = manifest(0, 40);
    let name = "a$(touch${IFS}/tmp/x)`id`'\"";
    evil.etcd.members[0].name = name.into();
    evil.etcd.members[0].client_urls = vec!["https://h:1$(id)".into()];
    let made = catalogue(&[&[evil]]);
    for flavour in FLAVOURS {
        let args = RestoreArgs { plan: true, flavour: Some(flavour), ..RestoreArgs::default() };
        let wanted = wanted(&args, &TimeZone::UTC).unwrap();
        let intent = Intent::decide(&args, (&made, &made), &wanted, at(60), "new".into()).unwrap();
        let pipeline = Pipeline::default();
        let plan = recovery(&intent, &pipeline, at(60)).unwrap();
        let script = shell::render(&plan, name);
        // Everywhere it stands within single quotes, whose own are taken out of them.
        let quoted_name = "a$(touch${IFS}/tmp/x)`id`'\\''\"";
        assert!(script.contains(quoted_name), "{script}");
        assert_eq!(script.matches("$(touch").count(), script.matches(quoted_name).count());
        assert!(!script.contains("=https://h:1$(id)"), "{script}");
        assert_eq!(file_name(name, 1), "node-1.sh");
    }
    assert_eq!(
        (file_name("cp-01", 1), file_name("../x", 2)),
        ("cp-01.sh".into(), "node-2.sh".into())
    );
}

//! The recovery of k3s and RKE2 by their own `--cluster-reset`. They keep the membership, the
//! name of each member and a token outside etcd, too, so a data directory from elsewhere is none
//! to them; Lifeboat's part is to bring a proved snapshot to the first server.

use super::{OnNode, Scene, Step};

/// What the two differ in.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    program: &'static str,
    unit: &'static str,
    stopping: &'static str,
    agent: &'static str,
    db: &'static str,
    token: &'static str,
    kubectl: &'static str,
}

pub(super) const K3S: Kind = Kind {
    program: "k3s",
    unit: "k3s",
    stopping: "Workloads keep running.",
    agent: "k3s-agent",
    db: "/var/lib/rancher/k3s/server/db",
    token: "/var/lib/rancher/k3s/server/token",
    kubectl: "k3s kubectl",
};

pub(super) const RKE2: Kind = Kind {
    program: "rke2",
    unit: "rke2-server",
    stopping: "Workloads keep running. Pods of the control plane may outlive the unit: where `crictl \
               ps` still shows etcd, rke2-killall.sh ends it, and every other pod of that node.",
    agent: "rke2-agent",
    db: "/var/lib/rancher/rke2/server/db",
    token: "/var/lib/rancher/rke2/server/token",
    kubectl: "/var/lib/rancher/rke2/bin/kubectl --kubeconfig /etc/rancher/rke2/rke2.yaml",
};

pub(super) fn steps<'a>(scene: &Scene<'a>, kind: Kind) -> Vec<Step<'a>> {
    let Kind { program, unit, agent, db, token, kubectl, .. } = kind;
    let snapshot = format!("/var/tmp/lifeboat-{}.db", scene.intent.chosen.backup);
    let mut steps = vec![fetch(scene, &snapshot)];
    steps.push(stop(scene, kind));
    steps.push(scene.first(
        "Restore the first server, with its own tool",
        &format!(
            "This part is that of {program}, not of Lifeboat. It moves the old data to \
             {db}/etcd-old-TIME, makes a cluster of one member and ends. It has succeeded only if it \
             says that the membership has been reset, whatever its exit code. On a new machine it \
             needs the old {token} (--token)."
        ),
        vec![format!("{program} server --cluster-reset --cluster-reset-restore-path={snapshot}")],
    ));
    steps.push(scene.first(
        "Start the first server",
        "It is the whole cluster for now.",
        vec![format!("systemctl start {unit}"), format!("rm {snapshot}")],
    ));
    if scene.nodes.len() > 1 {
        let join = [format!("mv -T {db} {db}.before-lifeboat"), format!("systemctl start {unit}")];
        steps.push(others(
            scene,
            "Join the other servers, one after the other",
            "Each one gets its data from the first; its old data are moved aside, not deleted.",
            &join,
        ));
    }
    steps.push(scene.first(
        "Validate",
        "All nodes are Ready or become so.",
        vec![format!("{kubectl} get nodes")],
    ));
    steps.push(scene.first(
        "Restart the agents",
        &format!(
            "{program} does not raise the revision, so watchers may wait for what never comes. \
             On every agent node: systemctl restart {agent}. Restart operators, too."
        ),
        Vec::new(),
    ));
    steps.push(scene.first(
        "Back up",
        "The next backup is refused once, with the new id of the cluster: it has to be accepted \
         with replicate.accept_cluster_id.",
        vec![format!("{} run", scene.lifeboat())],
    ));
    steps
}

pub(super) fn rollback<'a>(scene: &Scene<'a>, kind: Kind) -> Vec<Step<'a>> {
    let Kind { unit, db, .. } = kind;
    let old = format!("\"$(find {db} -maxdepth 1 -name 'etcd-old-*' | sort | tail -n 1)\"");
    let mut steps = vec![
        stop(scene, kind),
        scene.first(
            "Put the old data of the first server back",
            "Look at the directory first: there is one etcd-old-TIME for each reset.",
            vec![
                format!("ls -d {db}/etcd-old-*"),
                format!("mv -T {db}/etcd {db}/etcd.restored"),
                format!("mv -T {old} {db}/etcd"),
            ],
        ),
    ];
    if scene.nodes.len() > 1 {
        let back = [
            format!("[ ! -e {db}.before-lifeboat ] || mv -T {db} {db}.restored"),
            format!("[ ! -e {db}.before-lifeboat ] || mv -T {db}.before-lifeboat {db}"),
        ];
        steps.push(others(
            scene,
            "Put the old data of the other servers back",
            "As far as they were moved aside.",
            &back,
        ));
    }
    steps.push(scene.each("Start every server", "All of them, without waiting.", |_| {
        vec![format!("systemctl start --no-block {unit}")]
    }));
    steps
}

fn stop<'a>(scene: &Scene<'a>, kind: Kind) -> Step<'a> {
    scene
        .each("Stop every server", kind.stopping, |_| vec![format!("systemctl stop {}", kind.unit)])
}

fn fetch<'a>(scene: &Scene<'a>, snapshot: &str) -> Step<'a> {
    let mut step = scene.prove();
    step.title = "Bring the snapshot to the first server".to_owned();
    step.nodes.truncate(1);
    // The proof is what the next step needs.
    step.nodes.iter_mut().for_each(|on| on.commands.truncate(1));
    step.why = format!("It is proved when {snapshot} is there. Nothing is stopped yet.");
    step
}

fn others<'a>(scene: &Scene<'a>, title: &str, why: &str, commands: &[String]) -> Step<'a> {
    let on = |voter: &&'a super::Voter| OnNode { node: &voter.name, commands: commands.to_vec() };
    let nodes = scene.nodes.iter().skip(1).map(on).collect();
    Step { number: 0, title: title.to_owned(), why: why.to_owned(), nodes }
}

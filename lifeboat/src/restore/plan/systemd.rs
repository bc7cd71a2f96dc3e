//! The recovery of an etcd that systemd runs, with or without Kubernetes on it.

use super::{Scene, Step, until};
use crate::views::quoted;

const CONTROL_PLANE: &str = "kube-apiserver kube-controller-manager kube-scheduler";

pub(super) fn steps<'a>(scene: &Scene<'a>) -> Vec<Step<'a>> {
    let mut steps = vec![scene.prove(), stop_users(scene), stop_etcd(scene), scene.restore()];
    steps.push(scene.each(
        "Start etcd, on every node before anything else",
        "A member alone has no quorum, and its unit is only ready with one: nobody waits here.",
        |_| vec!["systemctl start --no-block etcd".to_owned()],
    ));
    steps.push(scene.each(
        "Wait until etcd is healthy",
        "Every endpoint says that it is healthy. If not: journalctl -u etcd",
        |_| vec![until(&etcdctl(scene, "endpoint health"))],
    ));
    steps.push(start_users(scene));
    let mut look = vec![
        etcdctl(scene, "endpoint status --write-out=table"),
        etcdctl(scene, "endpoint hashkv --write-out=table"),
    ];
    if scene.is_kubernetes() {
        look.push("kubectl get nodes".to_owned());
    }
    steps.push(scene.first(
        "Validate",
        "All members show the same hash at the same revision, and one of them leads.",
        look,
    ));
    if scene.is_kubernetes() {
        steps.push(scene.each(
            "Restart the kubelets",
            "On the workers, too. Controllers and operators that do not notice that their watches \
             ended have to be restarted as well.",
            |_| vec!["systemctl try-restart kubelet".to_owned()],
        ));
    }
    steps.push(scene.back_up());
    steps
}

pub(super) fn rollback<'a>(scene: &Scene<'a>) -> Vec<Step<'a>> {
    vec![
        stop_users(scene),
        stop_etcd(scene),
        scene.each(
            "Put back what was moved aside",
            "What was restored is moved aside in its turn.",
            |_| scene.undo(),
        ),
        scene.each("Start etcd again", "As it was before the restore.", |_| {
            vec!["systemctl start --no-block etcd".to_owned()]
        }),
        start_users(scene),
    ]
}

fn stop_users<'a>(scene: &Scene<'a>) -> Step<'a> {
    let why = "Nothing may write while etcd is exchanged.";
    match scene.is_kubernetes() {
        true => scene.each("Stop the control plane", why, |_| {
            vec![format!("systemctl stop {CONTROL_PLANE}")]
        }),
        false => {
            let why = format!("{why} What they are, the backup does not tell.");
            scene.each("Stop the programs that use this etcd", &why, |_| Vec::new())
        }
    }
}

fn start_users<'a>(scene: &Scene<'a>) -> Step<'a> {
    match scene.is_kubernetes() {
        true => scene.each(
            "Start the control plane",
            "The API server first; controllers act only on what it tells them.",
            |_| vec![format!("systemctl start {CONTROL_PLANE}")],
        ),
        false => scene.each(
            "Start the programs that use this etcd",
            "Those that were stopped above. Where the revision was not raised, restart every \
             program that watches keys, too: revisions below mean something else now.",
            |_| Vec::new(),
        ),
    }
}

fn stop_etcd<'a>(scene: &Scene<'a>) -> Step<'a> {
    scene.each(
        "Stop etcd",
        "On every node, before the first is restored: no member of the lost cluster may go on.",
        |_| vec!["systemctl stop etcd".to_owned()],
    )
}

/// With the certificates that `capture` uses.
fn etcdctl(scene: &Scene<'_>, what: &str) -> String {
    let capture = &scene.pipeline.capture;
    let mut command = format!("etcdctl --endpoints={}", scene.endpoints());
    let files = [
        ("--cacert", &capture.ca_file),
        ("--cert", &capture.cert_file),
        ("--key", &capture.key_file),
    ];
    for (flag, file) in files {
        if let Some(path) = file {
            command += &format!(" {flag}={}", quoted(&path.to_string_lossy()));
        }
    }
    format!("{command} {what}")
}

//! The recovery of a kubeadm cluster: static pods, which the kubelet starts and stops as their
//! manifests come and go.

use super::{Scene, Step, until};

const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// Beside the kubelet's directory and not in it: it would start what it finds there.
const ASIDE: &str = "/etc/kubernetes/manifests.lifeboat";
const CONTROL_PLANE: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
const KUBECTL: &str = "kubectl --kubeconfig /etc/kubernetes/admin.conf";
/// As kubeadm makes them; the pod of etcd has the same paths inside.
const CERTIFICATES: &str = "--cacert=/etc/kubernetes/pki/etcd/ca.crt \
                            --cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt \
                            --key=/etc/kubernetes/pki/etcd/healthcheck-client.key";

pub(super) fn steps<'a>(scene: &Scene<'a>) -> Vec<Step<'a>> {
    let mut steps =
        vec![scene.prove(), stop_control_plane(scene), stop_etcd(scene), scene.restore()];
    steps.push(scene.each(
        "Start etcd, on every node before anything else",
        "A member alone has no quorum: start all of them, then wait.",
        |_| vec![back("etcd")],
    ));
    steps.push(scene.each(
        "Wait until etcd is healthy",
        "Every endpoint says that it is healthy. If not: crictl logs \"$(crictl ps -aq --name '^etcd$' | head -n 1)\"",
        |_| vec![until(&etcdctl(scene, "endpoint health"))],
    ));
    steps.push(scene.each(
        "Start the rest of the control plane",
        "The API server first; controllers act only on what it tells them.",
        |_| {
            let ready = format!("{KUBECTL} get --raw=/readyz");
            let [server, others @ ..] = CONTROL_PLANE;
            let mut commands = vec![back(server), until(&ready)];
            commands.extend(others.map(back));
            commands
        },
    ));
    steps.push(scene.first(
        "Validate",
        "All members show the same hash at the same revision, one of them leads, and the nodes \
         are Ready or become so.",
        vec![
            etcdctl(scene, "endpoint status --write-out=table"),
            etcdctl(scene, "endpoint hashkv --write-out=table"),
            format!("{KUBECTL} get nodes"),
        ],
    ));
    steps.push(scene.each(
        "Restart the kubelets",
        "On the workers, too. Controllers and operators that do not notice that their watches \
         ended have to be restarted as well.",
        |_| vec!["systemctl restart kubelet".to_owned()],
    ));
    steps.push(scene.back_up());
    steps
}

pub(super) fn rollback<'a>(scene: &Scene<'a>) -> Vec<Step<'a>> {
    vec![
        stop_control_plane(scene),
        stop_etcd(scene),
        scene.each(
            "Put back what was moved aside",
            "What was restored is moved aside in its turn.",
            |_| scene.undo(),
        ),
        scene.each("Start everything again", "As it was before the restore.", |_| {
            let mut commands = vec![back("etcd")];
            commands.extend(CONTROL_PLANE.map(back));
            commands
        }),
    ]
}

fn stop_control_plane<'a>(scene: &Scene<'a>) -> Step<'a> {
    let names = CONTROL_PLANE.join("|");
    scene.each(
        "Stop the control plane",
        "Nothing may write while etcd is exchanged. Workloads keep running. The kubelet stops each \
         pod when its manifest is gone.",
        |_| {
            let mut commands = vec![format!("mkdir -p -m 700 {ASIDE}")];
            commands.extend(CONTROL_PLANE.map(aside));
            // A list that cannot be had must not look like an empty one.
            commands.push("crictl ps".to_owned());
            commands.push(gone(&format!("^({names})$")));
            commands
        },
    )
}

fn stop_etcd<'a>(scene: &Scene<'a>) -> Step<'a> {
    scene.each(
        "Stop etcd",
        "On every node, before the first is restored: no member of the lost cluster may go on.",
        |_| vec![aside("etcd"), gone("^etcd$")],
    )
}

/// Takes a pod's manifest away; again, where it is away already, it does nothing.
fn aside(pod: &str) -> String {
    format!("[ ! -e {MANIFESTS}/{pod}.yaml ] || mv {MANIFESTS}/{pod}.yaml {ASIDE}/")
}

fn back(pod: &str) -> String {
    format!("[ ! -e {ASIDE}/{pod}.yaml ] || mv {ASIDE}/{pod}.yaml {MANIFESTS}/")
}

fn gone(containers: &str) -> String {
    until(&format!("[ -z \"$(crictl ps --quiet --name '{containers}')\" ]"))
}

fn etcdctl(scene: &Scene<'_>, what: &str) -> String {
    format!(
        "crictl exec \"$(crictl ps --quiet --name '^etcd$')\" etcdctl --endpoints={} {CERTIFICATES} \
         {what}",
        scene.endpoints()
    )
}

//! Keys and values as a Kubernetes API server writes them.
//!
//! Built-in kinds are `k8s\0` and a `runtime.Unknown` (1 type, 2 raw) around an object whose
//! metadata has the field numbers of `k8s.io/apimachinery` and whose spec is of a plausible size
//! and compressibility; custom resources are JSON. Keys follow the storage paths of the real one.
//! Does not: produce specs that an API server would accept.

use super::LoadSpec;
use super::protobuf::Message;
use super::random::Random;
use std::fmt::Write as _;

/// Every object is younger than this: 2026-01-01T00:00:00Z.
const CREATED_FROM_UNIX_SECONDS: u64 = 1_767_225_600;
/// A month.
const CREATED_WITHIN_SECONDS: usize = 30 * 86_400;

type KeyValue = (Vec<u8>, Vec<u8>);

/// The kinds that objects beyond the base are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The most frequent, and the biggest.
    Pod,
    /// Text.
    ConfigMap,
    /// Bytes that do not compress.
    Secret,
    /// Small and often written: the leader elections and node heartbeats, not etcd's leases.
    Lease,
    /// An owner of pods.
    ReplicaSet,
    /// An owner of replica sets.
    Deployment,
    /// Addresses.
    EndpointSlice,
    /// A custom resource, JSON.
    Certificate,
}

/// Out of twenty objects.
const MIX: [(Kind, usize); 8] = [
    (Kind::Pod, 6),
    (Kind::ConfigMap, 3),
    (Kind::Secret, 2),
    (Kind::Lease, 2),
    (Kind::ReplicaSet, 2),
    (Kind::Deployment, 1),
    (Kind::EndpointSlice, 1),
    (Kind::Certificate, 3),
];

impl Kind {
    fn pick(random: &mut Random) -> Self {
        let mut left = random.below(MIX.iter().map(|(_, share)| share).sum()).unwrap_or_default();
        for (kind, share) in MIX {
            if left < share {
                return kind;
            }
            left -= share;
        }
        Kind::Pod
    }

    /// The part of the key, the API version and the name of the kind.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Kind::Pod => ("pods", "v1", "Pod"),
            Kind::ConfigMap => ("configmaps", "v1", "ConfigMap"),
            Kind::Secret => ("secrets", "v1", "Secret"),
            Kind::Lease => ("leases", "coordination.k8s.io/v1", "Lease"),
            Kind::ReplicaSet => ("replicasets", "apps/v1", "ReplicaSet"),
            Kind::Deployment => ("deployments", "apps/v1", "Deployment"),
            Kind::EndpointSlice => ("endpointslices", "discovery.k8s.io/v1", "EndpointSlice"),
            Kind::Certificate => {
                ("cert-manager.io/certificates", "cert-manager.io/v1", "Certificate")
            }
        }
    }
}

/// Object `number` in its `generation`: the key depends on the number only.
pub(super) fn object(
    seed: u64,
    number: usize,
    generation: u32,
    namespaces: usize,
    spec: &LoadSpec,
) -> KeyValue {
    let mut identity = Random::derived(seed, &[1, number as u64]);
    let kind = Kind::pick(&mut identity);
    let (resource, api_version, kind_name) = kind.names();
    let namespace = namespace_name(identity.below(namespaces).unwrap_or_default());
    // The number keeps names unique, whatever the random part is.
    let name = format!("{}-{}-{number}", identity.word(), identity.hex(5));
    let key = format!("/registry/{resource}/{namespace}/{name}").into_bytes();
    let mut content = Random::derived(seed, &[2, number as u64, u64::from(generation)]);
    let meta = Meta::new(&mut identity, &name, &namespace, generation);
    let value = match kind {
        Kind::Certificate => custom_resource(&meta, &mut content),
        Kind::Secret if spec.secrets_encrypted => {
            let mut value = b"k8s:enc:aescbc:v1:key1:".to_vec();
            let bytes = content.in_range(200, 1_600);
            value.extend(content.bytes(bytes));
            value
        }
        _ => envelope(api_version, kind_name, &meta, &body(kind, &mut content)),
    };
    (key, value)
}

/// Event `number`; Kubernetes keeps them on etcd leases.
pub(super) fn event(seed: u64, number: usize, namespaces: usize) -> KeyValue {
    let mut random = Random::derived(seed, &[3, number as u64]);
    let namespace = namespace_name(random.below(namespaces).unwrap_or_default());
    let name = format!("{}-{}.{}-{number}", random.word(), random.hex(5), random.hex(16));
    let key = format!("/registry/events/{namespace}/{name}").into_bytes();
    let meta = Meta::new(&mut random, &name, &namespace, 1);
    let pulled = format!("Successfully pulled image \"registry/{}:{}\"", random.word(), number);
    let body = Message::default().string(3, "Pulled").string(4, &pulled).number(8, 1);
    (key, envelope("v1", "Event", &meta, &body))
}

/// What every cluster has before anybody uses it.
pub(super) fn base_objects(seed: u64, namespaces: usize) -> Vec<KeyValue> {
    let mut random = Random::derived(seed, &[4]);
    let mut objects = Vec::new();
    let mut add = |key: String, api_version: &str, kind: &str, namespace: &str| {
        let name = key.rsplit('/').next().unwrap_or_default().to_owned();
        let meta = Meta::new(&mut random, &name, namespace, 1);
        let body = Message::default().string(1, "active").bytes(2, &random.bytes(24));
        objects.push((key.into_bytes(), envelope(api_version, kind, &meta, &body)));
    };
    let system = ["default", "kube-system", "kube-public", "kube-node-lease"].map(str::to_owned);
    for namespace in system.into_iter().chain((0..namespaces).map(namespace_name)) {
        add(format!("/registry/namespaces/{namespace}"), "v1", "Namespace", "");
        let account = format!("/registry/serviceaccounts/{namespace}/default");
        add(account, "v1", "ServiceAccount", &namespace);
        let roots = format!("/registry/configmaps/{namespace}/kube-root-ca.crt");
        add(roots, "v1", "ConfigMap", &namespace);
    }
    for node in ["node-a", "node-b", "node-c"] {
        add(format!("/registry/minions/{node}"), "v1", "Node", "");
        let heartbeat = format!("/registry/leases/kube-node-lease/{node}");
        add(heartbeat, "coordination.k8s.io/v1", "Lease", "kube-node-lease");
    }
    for range in ["serviceips", "servicenodeports"] {
        add(format!("/registry/ranges/{range}"), "v1", "RangeAllocation", "");
    }
    let service = "/registry/services/specs/default/kubernetes";
    add(service.into(), "v1", "Service", "default");
    let endpoints = "/registry/services/endpoints/default/kubernetes";
    add(endpoints.into(), "v1", "Endpoints", "default");
    let api_service = "/registry/apiregistration.k8s.io/apiservices/v1.apps";
    add(api_service.into(), "apiregistration.k8s.io/v1", "APIService", "");
    objects.push(custom_resource_definition());
    // The API server's own bookkeeping of its compactions, outside the prefix.
    objects.push((b"compact_rev_key".to_vec(), b"1".to_vec()));
    objects
}

fn namespace_name(number: usize) -> String {
    format!("team-{number:03}")
}

/// What the metadata of an object says.
struct Meta {
    name: String,
    namespace: String,
    uid: String,
    created_unix_seconds: u64,
    generation: u32,
}

impl Meta {
    fn new(random: &mut Random, name: &str, namespace: &str, generation: u32) -> Self {
        let age = random.below(CREATED_WITHIN_SECONDS).unwrap_or_default() as u64;
        Meta {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            uid: random.uid(),
            created_unix_seconds: CREATED_FROM_UNIX_SECONDS + age,
            generation,
        }
    }

    /// `ObjectMeta`: 1 name, 3 namespace, 5 uid, 7 generation, 8 creationTimestamp, 11 labels,
    /// 17 managedFields.
    fn message(&self) -> Message {
        let app = self.name.split('-').next().unwrap_or_default();
        let managed = Message::default()
            .string(1, "kube-controller-manager")
            .string(2, "Update")
            .string(3, "v1")
            .message(4, &Message::default().number(1, self.created_unix_seconds))
            .string(6, "FieldsV1")
            .message(7, &Message::default().bytes(1, MANAGED_FIELDS.as_bytes()));
        Message::default()
            .string(1, &self.name)
            .string(3, &self.namespace)
            .string(5, &self.uid)
            .number(7, u64::from(self.generation))
            .message(8, &Message::default().number(1, self.created_unix_seconds))
            .entry(11, "app.kubernetes.io/name", app)
            .entry(11, "app.kubernetes.io/managed-by", "Helm")
            .message(17, &managed)
    }
}

/// Half of a real object is text like this, the same in all of its kind.
const MANAGED_FIELDS: &str = concat!(
    r#"{"f:metadata":{"f:generateName":{},"f:labels":{".":{},"f:app.kubernetes.io/name":{},"#,
    r#""f:app.kubernetes.io/managed-by":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"\"}":{}}},"#,
    r#""f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{".":{},"f:env":{".":{}},"f:image":{},"#,
    r#""f:imagePullPolicy":{},"f:name":{},"f:resources":{},"f:terminationMessagePath":{}}},"#,
    r#""f:dnsPolicy":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{}}}"#,
);

fn envelope(api_version: &str, kind: &str, meta: &Meta, body: &Message) -> Vec<u8> {
    let type_meta = Message::default().string(1, api_version).string(2, kind);
    let raw = Message::default().message(1, &meta.message()).message(2, body);
    let unknown =
        Message::default().message(1, &type_meta).message(2, &raw).string(3, "").string(4, "");
    [b"k8s\0".as_slice(), unknown.as_bytes()].concat()
}

fn body(kind: Kind, random: &mut Random) -> Message {
    match kind {
        Kind::Pod => pod(random),
        Kind::ConfigMap => {
            let lines = random.in_range(5, 60);
            Message::default().entry(2, "settings.conf", &settings(random, lines))
        }
        Kind::Secret => {
            let bytes = random.in_range(200, 1_600);
            Message::default().string(1, "tls.key").bytes(2, &random.bytes(bytes))
        }
        Kind::Lease => Message::default()
            .string(1, &format!("{}_{}", random.word(), random.uid()))
            .number(2, 15)
            .number(4, random.next() >> 40),
        Kind::ReplicaSet | Kind::Deployment => {
            let replicas = random.in_range(1, 20) as u64;
            Message::default().number(1, replicas).message(3, &pod(random))
        }
        Kind::EndpointSlice | Kind::Certificate => {
            let mut message = Message::default();
            for _ in 0..random.in_range(1, 12) {
                message = message.string(1, &address(random)).string(4, &random.uid());
            }
            message
        }
    }
}

fn pod(random: &mut Random) -> Message {
    let mut spec = Message::default().string(3, "Always").string(6, "ClusterFirst");
    for _ in 0..random.in_range(1, 4) {
        let name = random.word();
        let mut container = Message::default()
            .string(1, name)
            .string(2, &format!("registry/{name}@sha256:{}", random.hex(64)))
            .string(13, "/dev/termination-log")
            .string(14, "IfNotPresent");
        for _ in 0..random.in_range(2, 12) {
            let value = format!("{}.{}.svc.cluster.local", random.word(), random.word());
            container = container.entry(7, &random.word().to_uppercase(), &value);
        }
        spec = spec.message(2, &container);
    }
    spec.string(10, "node-a").string(12, &address(random)).string(19, "default-scheduler")
}

fn address(random: &mut Random) -> String {
    let bytes = random.bytes(3);
    format!("10.{}.{}.{}", bytes[0], bytes[1], bytes[2])
}

fn settings(random: &mut Random, lines: usize) -> String {
    let mut text = String::new();
    for _ in 0..lines {
        let (section, name) = (random.word(), random.word());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{section}.{name}.timeout_seconds = {}", random.in_range(1, 900));
    }
    text
}

// Keys are in alphabetical order, so that the bytes do not depend on serde_json's map type.

fn custom_resource(meta: &Meta, random: &mut Random) -> Vec<u8> {
    let host = format!("{}.{}.example.org", random.word(), random.word());
    serde_json::json!({
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {
            "generation": meta.generation,
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "name": meta.name, "namespace": meta.namespace, "uid": meta.uid,
        },
        "spec": {
            "dnsNames": [host],
            "issuerRef": {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "default"},
            "privateKey": {"algorithm": "ECDSA", "rotationPolicy": "Always", "size": 256},
            "secretName": format!("{}-tls", meta.name),
        },
        "status": {
            "conditions": [{"message": "Certificate is up to date and has not expired",
                "reason": "Ready", "status": "True", "type": "Ready"}],
            "revision": meta.generation,
        },
    })
    .to_string()
    .into_bytes()
}

fn custom_resource_definition() -> KeyValue {
    let key = "/registry/apiextensions.k8s.io/customresourcedefinitions/\
               certificates.cert-manager.io";
    let value = serde_json::json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "certificates.cert-manager.io"},
        "spec": {
            "group": "cert-manager.io",
            "names": {"kind": "Certificate", "plural": "certificates"},
            "scope": "Namespaced",
            "versions": [{"name": "v1",
                "schema": {"openAPIV3Schema": {"type": "object",
                    "x-kubernetes-preserve-unknown-fields": true}},
                "served": true, "storage": true}],
        },
    });
    (key.as_bytes().to_vec(), value.to_string().into_bytes())
}

"""Checks the built Kubernetes manifests: schemas, the restricted profile, exit codes, flags, secrets.

Arguments: what kustomize built with cronjob.yaml, with cronjob-isolated.yaml and with
cronjob-scrub.yaml.
"""

import re
import sys
import tempfile

import kubernetes_validate
import tomli as toml
import yaml
from facts import (
    ROOT, check, documented_codes, expect, flags_exist, is_good_configuration, seconds,
)

# The oldest that has everything the manifests use, and the newest that the schemas know.
KUBERNETES_VERSIONS = ["1.31", kubernetes_validate.latest_version()]
USER = 65532
# Which containers hold which secret in the isolated manifest. Everything else holds none.
HOLDERS = {
    "etcd-client": {"check-capture", "capture"},
    "signing": {"check-encrypt", "encrypt"},
    "s3": {"plan", "replicate"},
    "s3-prune": {"prune"},
}
BYTES = {"Mi": 1 << 20, "Gi": 1 << 30}


def size(text):
    """Bytes of a quantity such as `5Gi`."""
    return int(text[:-2]) * BYTES[text[-2:]]


class Manifests:
    """The objects of one build."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.objects = [o for o in yaml.safe_load_all(file) if o]
        self.cronjob = self.one("CronJob")
        self.is_scrub = self.cronjob["metadata"]["name"] == "lifeboat-scrub"
        self.job = self.cronjob["spec"]["jobTemplate"]["spec"]
        self.template = self.job["template"]
        self.pod = self.template["spec"]
        self.first_containers = self.pod.get("initContainers", [])
        self.containers = self.first_containers + self.pod["containers"]
        self.config_text = self.one("ConfigMap")["data"]["pipeline.toml"]
        self.config = toml.loads(self.config_text)

    def one(self, kind):
        found = [o for o in self.objects if o["kind"] == kind]
        expect(len(found), 1, f"number of objects of kind {kind}")
        return found[0]

    def commands(self):
        """Name, and program with arguments, of every container."""
        for container in self.containers:
            command = container.get("command", ["/usr/bin/lifeboat"]) + container["args"]
            yield container["name"], command

    def volume(self, name):
        return next(v for v in self.pod["volumes"] if v["name"] == name)


def fits_the_schemas(m, version):
    for thing in m.objects:
        kubernetes_validate.validate(thing, version, strict=True)


def has_its_limits(m):
    spec, job, pod = m.cronjob["spec"], m.job, m.pod
    expect(spec["concurrencyPolicy"], "Forbid", "concurrencyPolicy")
    expect(pod["restartPolicy"], "Never", "restartPolicy")
    expect(spec["timeZone"], "Etc/UTC", "timeZone")
    for where, key in [
        (spec, "startingDeadlineSeconds"), (spec, "successfulJobsHistoryLimit"),
        (spec, "failedJobsHistoryLimit"), (job, "activeDeadlineSeconds"), (job, "backoffLimit"),
        (pod, "terminationGracePeriodSeconds"),
    ]:
        if where.get(key, 0) < 1:
            raise AssertionError(f"{key} is missing or 0")
    # Hourly or daily, and the last pod is gone before the next Job begins.
    hour, every = (r"\d+", 86400) if m.is_scrub else (r"\*", 3600)
    expect(re.fullmatch(rf"\d+ {hour} \* \* \*", spec["schedule"]) is not None, True, "schedule")
    if job["activeDeadlineSeconds"] + pod["terminationGracePeriodSeconds"] > every:
        raise AssertionError("a Job may still run when the next one begins")


def follows_the_exit_codes(m):
    fatal, retried = documented_codes()
    rules = m.job["podFailurePolicy"]["rules"]
    by_action = {r["action"]: r["onExitCodes"] for r in rules if "onExitCodes" in r}
    expect(set(by_action), {"FailJob", "Count"}, "actions on exit codes")
    expect(by_action["FailJob"], {"operator": "In", "values": fatal}, "FailJob")
    expect(by_action["Count"], {"operator": "In", "values": retried}, "Count")


def is_restricted(m):
    pod = m.pod
    security = pod["securityContext"]
    expect(security["runAsNonRoot"], True, "runAsNonRoot")
    expect((security["runAsUser"], security["runAsGroup"], security["fsGroup"]), (USER,) * 3, "ids")
    expect(security["seccompProfile"], {"type": "RuntimeDefault"}, "seccompProfile")
    expect(pod["automountServiceAccountToken"], False, "automountServiceAccountToken")
    expect(m.one("ServiceAccount")["automountServiceAccountToken"], False, "the account's token")
    for key in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"]:
        expect(pod.get(key, False), False, key)
    for volume in pod["volumes"]:
        kinds = set(volume) - {"name"}
        if not kinds <= {"configMap", "secret", "emptyDir", "projected"}:
            raise AssertionError(f"volume {volume['name']} is {kinds}")
    wanted = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for container in m.containers:
        expect(container["securityContext"], wanted, f"securityContext of {container['name']}")
        resources = container["resources"]
        expect("memory" in resources["limits"], True, f"memory limit of {container['name']}")
        expect("cpu" in resources["requests"], True, f"cpu request of {container['name']}")


def has_the_released_image(m):
    cargo = toml.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    version = cargo["workspace"]["package"]["version"]
    for container in m.containers:
        expect(container["image"], f"lifeboat:{version}", f"image of {container['name']}")


def has_volumes_for_its_mounts(m):
    declared = {v["name"] for v in m.pod["volumes"]}
    mounted = {mount["name"] for c in m.containers for mount in c["volumeMounts"]}
    expect(mounted, declared, "mounted volumes")
    for container in m.containers:
        for mount in container["volumeMounts"]:
            scratch = "emptyDir" in m.volume(mount["name"])
            expect(mount.get("readOnly", False), not scratch, f"readOnly of {mount['name']}")
    configmap = m.one("ConfigMap")["metadata"]["name"]
    expect(m.volume("config")["configMap"]["name"], configmap, "the ConfigMap of the pod")
    # Paths in the configuration must lie where something is mounted.
    places = tuple(mount["mountPath"] + "/" for c in m.containers for mount in c["volumeMounts"])
    # Whoever only reads copies back has no key of etcd, and none that signs.
    others = ("/run/secrets/etcd/", "/run/secrets/signing/") if m.is_scrub else ()
    for path in re.findall(r'"(/[^"]+)"', m.config_text):
        if not path.startswith(places + others):
            raise AssertionError(f"pipeline.toml names {path}, where nothing is mounted")


def has_a_good_configuration(m):
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(m.config_text)
        file.flush()
        is_good_configuration(file.name)
    limit = m.job["activeDeadlineSeconds"]
    if seconds(m.config["run"]["deadline"]) >= limit:
        raise AssertionError(f"run.deadline is not less than activeDeadlineSeconds, {limit}")
    volume = next(v["emptyDir"] for v in m.pod["volumes"] if "emptyDir" in v)
    if m.config["replicate"]["spool_bytes_max"] >= size(volume["sizeLimit"]):
        raise AssertionError("replicate.spool_bytes_max is not less than the volume's sizeLimit")


def knows_its_flags(m):
    for _, command in m.commands():
        flags_exist(command)


def lets_its_traffic_out(m):
    policy = m.one("NetworkPolicy")["spec"]
    expect(policy["policyTypes"], ["Ingress", "Egress"], "policyTypes")
    expect(policy.get("ingress") or [], [], "ingress")
    labels = m.template["metadata"]["labels"]
    for key, value in policy["podSelector"]["matchLabels"].items():
        expect(labels.get(key), value, f"label {key} of the pods")
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    etcd = {int(e.rsplit(":", 1)[1]) for e in m.config["capture"]["endpoints"]}
    expect(ports, {53, 443} | etcd, "ports that are open")
    for rule in policy["egress"]:
        for peer in rule["to"]:
            block = peer.get("ipBlock", {})
            if block.get("cidr") == "0.0.0.0/0":
                expect(block.get("except"), ["169.254.0.0/16"], "what is left out")


def joins_the_stages_in_order(m):
    """The containers are the configured stages, and each reads what the one before writes."""
    commands = dict(m.commands())
    names = [c["name"] for c in m.pod["containers"]]
    expect(names, m.config["stages"], "containers")
    plan = dict(a.split("=", 1) for a in commands["plan"] if "=" in a)
    before = None
    for position, name in enumerate(names):
        expect(commands[name][0], f"/usr/bin/lifeboat-{name}", f"program of {name}")
        options = dict(a.split("=", 1) for a in commands[name] if "=" in a)
        expect(options["--run-dir"], plan["--run-dir"], f"run directory of {name}")
        expect(options.get("--input"), before, f"input of {name}")
        last = position + 1 == len(names)
        before = None if last else f"{plan['--fifos']}/{position:02}-{name}.pipe"
        expect(options.get("--output"), before, f"output of {name}")


def keeps_secrets_apart(m):
    holders = {name: set() for name in HOLDERS}
    for container in m.containers:
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        for volume in mounted & {v["name"] for v in m.pod["volumes"] if "secret" in v}:
            holders[volume].add(container["name"])
        has_store = bool(mounted & {"s3", "s3-prune"})
        variables = {v["name"] for v in container.get("env", []) if v["name"].startswith("AWS_")}
        wanted = {"AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED"} if has_store else set()
        expect(variables, wanted, f"variables of {container['name']}")
    expect(holders, HOLDERS, "who holds which secret")


ALWAYS = [
    has_its_limits, follows_the_exit_codes, is_restricted, has_the_released_image,
    has_volumes_for_its_mounts, has_a_good_configuration, knows_its_flags, lets_its_traffic_out,
]
ISOLATED = [joins_the_stages_in_order, keeps_secrets_apart]


def main():
    names = ["cronjob.yaml", "cronjob-isolated.yaml", "cronjob-scrub.yaml"]
    paths = dict(zip(names, sys.argv[1:]))
    passed = True
    for name, path in paths.items():
        m = Manifests(path)
        for version in KUBERNETES_VERSIONS:
            title = f"{name}: fits the schemas of Kubernetes {version}"
            passed &= check(title, fits_the_schemas, m, version)
        for function in ALWAYS + (ISOLATED if "isolated" in name else []):
            passed &= check(f"{name}: {function.__name__.replace('_', ' ')}", function, m)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

"""Carries out what the pod of a built manifest would do, on this machine, against a real etcd.

Arguments: what kustomize built, and the folder with `etcd` and `etcdctl`. The containers become
processes with the manifest's own arguments and environment; only the places differ: what is mounted
in the pod is a folder below a scratch directory, the stores are directories, etcd is on loopback and
without TLS. It ends well if every container ends with 0 and the destinations then hold one verified
backup each. Containers are started in reverse, because Kubernetes promises no order.
"""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

import yaml
from facts import BINARIES, expect, run

SECONDS_MAX = 60
# In the image, and here.
PLACES = ["/etc/lifeboat", "/run/secrets", "/run/lifeboat", "/var/lib/lifeboat"]


def free_ports(count):
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Etcd:
    """One member on loopback, with a few keys in it."""

    def __init__(self, folder, scratch):
        client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
        self.endpoint, self.folder = client, folder
        with open(scratch / "etcd.log", "wb") as log:
            self.process = subprocess.Popen(
                [f"{folder}/etcd", "--data-dir", scratch / "etcd", "--name", "one",
                 "--listen-client-urls", client, "--advertise-client-urls", client,
                 "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", f"one={peer}"],
                stdout=log, stderr=log,
            )

    def fill(self):
        deadline = time.monotonic() + SECONDS_MAX
        while self.put("/registry/first", "1") != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("etcd did not start")
            time.sleep(0.05)
        for number in range(20):
            expect(self.put(f"/registry/pods/{number}", "x" * 1000), 0, "etcdctl put ends with")

    def put(self, key, value):
        return subprocess.run(
            [f"{self.folder}/etcdctl", "--endpoints", self.endpoint, "put", key, value],
            env={**os.environ, "ETCDCTL_API": "3"}, capture_output=True, check=False,
        ).returncode

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Pod:
    """The containers of the manifest as processes below `scratch`."""

    def __init__(self, manifest, scratch, endpoint):
        with open(manifest, encoding="utf-8") as file:
            objects = {o["kind"]: o for o in yaml.safe_load_all(file) if o}
        self.spec = objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        self.scratch = scratch
        for place in PLACES:
            (scratch / place.lstrip("/")).mkdir(parents=True, mode=0o700)
        self.config = scratch / "etc/lifeboat/pipeline.toml"
        self.config.write_text(self.local(objects["ConfigMap"]["data"]["pipeline.toml"], endpoint))
        answer = run("lifeboat", "keygen", str(scratch / "identity.txt"))
        recipient = re.search(r"age1[a-z0-9]+", answer.stdout + answer.stderr).group()
        (scratch / "etc/lifeboat/recipients.txt").write_text(
            objects["ConfigMap"]["data"]["recipients.txt"] + recipient + "\n"
        )

    def moved(self, text):
        """With the places of the image replaced by those of this machine."""
        return re.sub("|".join(PLACES), lambda place: f"{self.scratch}{place.group()}", text)

    def local(self, config, endpoint):
        """The same pipeline with an etcd and with stores that are here."""
        lines = []
        for line in config.splitlines():
            key = line.split("=")[0].strip()
            if key == "endpoints":
                line = f'endpoints = ["{endpoint}"]'
            elif key == "url":
                bucket = re.search(r"s3://([^/]+)", line).group(1)
                line = f'url = "file:{self.scratch}/stores/{bucket}"'
            elif key in {"ca_file", "cert_file", "key_file", "region"}:
                continue
            lines.append(self.moved(line))
        return "\n".join(lines) + "\n"

    def start(self, container):
        command = container.get("command", ["/usr/bin/lifeboat"])
        program = BINARIES / pathlib.Path(command[0]).name
        variables = {v["name"]: self.moved(v["value"]) for v in container.get("env", [])}
        with open(self.scratch / f"{container['name']}.log", "wb") as log:
            return subprocess.Popen(
                [program, *(self.moved(a) for a in command[1:] + container["args"])],
                # As in the image: nothing but what the manifest says, and Docker's own PATH.
                env={"PATH": f"{BINARIES}:/usr/bin:/bin", **variables},
                cwd=self.moved(container["workingDir"]),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )

    def carry_out(self):
        for container in self.spec.get("initContainers", []):
            self.must_end([(container, self.start(container))])
        running = [(c, self.start(c)) for c in reversed(self.spec["containers"])]
        self.must_end(running)

    def must_end(self, running):
        deadline = time.monotonic() + SECONDS_MAX
        try:
            codes = {
                container["name"]: process.wait(max(0.1, deadline - time.monotonic()))
                for container, process in running
            }
        finally:
            for _, process in running:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        for name, code in codes.items():
            if code != 0:
                raise AssertionError(f"{codes}\n{(self.scratch / f'{name}.log').read_text()}")

    def must_hold_one_backup(self):
        answer = run("lifeboat", "--config", str(self.config), "list", "--json")
        expect(answer.returncode, 0, f"{answer.stderr}lifeboat list ends with")
        found = json.loads(answer.stdout)
        expect(len(found["backups"]), 1, "backups")
        copies = found["backups"][0]["copies"]
        expect(copies, {"region_a": "verified", "region_b": "verified"}, "copies")
        expect((found["orphans"], found["unreadable"]), ([], {}), "orphans and unreadable")


def main():
    with tempfile.TemporaryDirectory(prefix="lifeboat-rehearse-") as name:
        scratch = pathlib.Path(name)
        etcd = Etcd(sys.argv[2], scratch)
        try:
            etcd.fill()
            pod = Pod(sys.argv[1], scratch, etcd.endpoint)
            pod.carry_out()
            pod.must_hold_one_backup()
        finally:
            etcd.stop()


if __name__ == "__main__":
    main()

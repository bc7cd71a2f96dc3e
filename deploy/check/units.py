"""Checks what systemd-analyze does not know of the units: exit codes, flags, keys, deadlines."""

import re
import sys
import tempfile

import tomli as toml
from facts import (
    ROOT, check, documented_codes, expect, flags_exist, is_good_configuration, seconds,
)

UNITS = ROOT / "deploy/systemd"
# Where systemd puts what %d and %S stand for.
SPECIFIERS = {"%d": "/run/credentials/lifeboat.service", "%S": "/var/lib"}


def settings(name):
    """Every `KEY=VALUE` of a unit; a key may stand there many times."""
    found = {}
    for line in (UNITS / name).read_text(encoding="utf-8").splitlines():
        if re.match(r"[A-Za-z]+=", line):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def is_scrub(service):
    return " scrub " in service["ExecStart"][0]


def gives_up_as_documented(service):
    fatal, _ = documented_codes()
    if is_scrub(service):
        # It makes no backup: one that is at work is waited for.
        fatal = [code for code in fatal if code != 12]
    codes = [int(c) for c in service["RestartPreventExitStatus"][0].split()]
    expect(codes, fatal, "RestartPreventExitStatus")
    # A success is 0 and nothing else: 40 in particular must be seen.
    expect("SuccessExitStatus" in service, False, "SuccessExitStatus is set")


def starts_what_exists(service):
    flags_exist(service["ExecStart"][0].split())


def sets_known_keys(service):
    """Lifeboat refuses a variable that names no key. The shipped pipeline is the base."""
    variables = dict(v.split("=", 1) for v in service["Environment"])
    for name, value in variables.items():
        for specifier, path in SPECIFIERS.items():
            value = value.replace(specifier, path)
        variables[name] = value
    credentials = {c.split(":")[0] for c in service["LoadCredential"]}
    directory = SPECIFIERS["%d"] + "/"
    named = {v.removeprefix(directory) for v in variables.values() if v.startswith(directory)}
    expect(named, credentials, "credentials that variables name")
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write((ROOT / "pipeline.toml").read_text(encoding="utf-8"))
        file.flush()
        is_good_configuration(file.name, env={**variables, "TMPDIR": tempfile.gettempdir()})


def leaves_time_to_end(service):
    deadline = toml.loads((ROOT / "pipeline.toml").read_text(encoding="utf-8"))["run"]["deadline"]
    if is_scrub(service):
        deadline = re.search(r"--budget=(\S+)", service["ExecStart"][0]).group(1)
    if seconds(service["TimeoutStartSec"][0]) <= seconds(deadline):
        raise AssertionError(f"TimeoutStartSec is not more than {deadline}")
    expect(service["TimeoutStopSec"], ["45"], "TimeoutStopSec")
    expect(service["KillMode"], ["mixed"], "KillMode")


def makes_up_for_missed_runs(timer):
    expect(timer["Persistent"], ["true"], "Persistent")
    expect("RandomizedDelaySec" in timer, True, "RandomizedDelaySec is set")


def main():
    passed = True
    for unit in ["lifeboat", "lifeboat-scrub"]:
        service, timer = settings(f"{unit}.service"), settings(f"{unit}.timer")
        for function in [
            gives_up_as_documented, starts_what_exists, sets_known_keys, leaves_time_to_end,
        ]:
            title = f"{unit}.service: {function.__name__.replace('_', ' ')}"
            passed &= check(title, function, service)
        passed &= check(f"{unit}.timer: makes up for missed runs", makes_up_for_missed_runs, timer)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

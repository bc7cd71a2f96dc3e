"""What the checks of manifests and units share: the documented exit codes, flags, durations.

Prints one line for each check: `ok NAME`, or `not ok NAME` with the reason indented below it.
"""

import os
import pathlib
import re
import subprocess
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ["LIFEBOAT_BIN_DIR"])
# Enough for any help text and any dry run; a program that hangs fails its check.
SECONDS_MAX = 20


def check(name, function, *arguments):
    """Runs one check; it fails by an exception. Returns whether it passed."""
    try:
        function(*arguments)
    except Exception as error:  # any exception is the reason of a failed check
        reason = str(error) or traceback.format_exc()
        print(f"not ok {name}\n    " + reason.replace("\n", "\n    "))
        return False
    print(f"ok {name}")
    return True


def expect(found, wanted, what):
    """Fails unless both are equal."""
    if found != wanted:
        raise AssertionError(f"{what}: expected {wanted!r}, found {found!r}")


def documented_codes():
    """The exit codes on which a scheduler gives up, and those that it retries."""
    page = " ".join((ROOT / "docs/exit-codes.md").read_text(encoding="utf-8").split())
    sentence = re.search(r"gives up at once on ([^(]+)\(.*?\), and lets (.+?) count as retries", page)
    if not sentence:
        raise AssertionError("docs/exit-codes.md no longer says on what a scheduler gives up")
    fatal, retried = ([int(n) for n in re.findall(r"\d+", part)] for part in sentence.groups())
    table = [int(n) for n in re.findall(r"\| (\d+) \|", page)]
    missing = set(table) - set(fatal) - set(retried) - {0, 41}  # 41 is of `status`, not of a run
    if missing:
        raise AssertionError(f"docs/exit-codes.md does not say what a scheduler does on {missing}")
    return fatal, retried


def run(program, *arguments, env=None):
    """Runs one of Lifeboat's programs with nothing in its environment but `env`."""
    return subprocess.run(
        [BINARIES / program, *arguments],
        env={"PATH": os.environ["PATH"], **(env or {})},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


def flags_exist(command):
    """Fails if the program does not know one of the long options, or its verb."""
    program, arguments = pathlib.Path(command[0]).name, command[1:]
    verbs = [a for a in arguments if not a.startswith("-")]
    answer = run(program, *verbs, "--help")
    expect(answer.returncode, 0, f"{program} {' '.join(verbs)} --help ends with")
    known = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", answer.stdout))
    for argument in arguments:
        flag = argument.split("=")[0]
        if argument.startswith("-") and flag not in known:
            raise AssertionError(f"{program} {' '.join(verbs)} has no option {flag}")


def seconds(text):
    """Of a duration such as `40m`, `2h` or `135min`."""
    number, unit = re.fullmatch(r"(\d+)(s|sec|m|min|h)", text).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit[0]]


def is_good_configuration(path, env=None):
    """Fails if Lifeboat does not accept the configuration, which is strict about every key."""
    answer = run("lifeboat", "--config", str(path), "run", "--dry-run", env=env)
    if answer.returncode != 0:
        raise AssertionError(f"exit code {answer.returncode}: {answer.stderr.strip()}")

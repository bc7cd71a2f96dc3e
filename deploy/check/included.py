"""Fails if a source names a file, to be included at compile time, that is not there.

Reads the names of Rust sources from standard input. What stands behind `#[cfg(test)]` does not
count: the image is built without tests. The argument is the folder that the names begin with; it is
left out of the messages.
"""

import pathlib
import re
import sys

INCLUDED = re.compile(r'include_(?:str|bytes)!\("([^"]+)"\)')


def main() -> int:
    root = pathlib.Path(sys.argv[1])
    missing = []
    for name in sys.stdin.read().split("\n"):
        if not name or name.endswith("/tests.rs"):
            continue
        source = pathlib.Path(name)
        text = source.read_text(encoding="utf-8").split("#[cfg(test)]")[0]
        for included in INCLUDED.findall(text):
            if not (source.parent / included).is_file():
                missing.append(f"{source.relative_to(root)} includes {included}")
    print("\n".join(missing))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())

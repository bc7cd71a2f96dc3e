#!/usr/bin/env bash
# Builds every program as one static file that runs on any Linux of its architecture, into
# target/static. No root, no container, no C toolchain for musl: Zig brings one, from PyPI.
#
#   deploy/static.sh                                     for this machine's architecture
#   TARGET=aarch64-unknown-linux-musl deploy/static.sh   for another one
#
# The tools go into the user's cache (LIFEBOAT_CACHE moves it), what is compiled into
# target/static-build, so that the other builds stay warm. The first time takes minutes.

set -euo pipefail
cd "$(dirname "$0")/.."

ZIGBUILD=0.24.0
ZIG=0.17.0
TARGET=${TARGET:-$(uname -m)-unknown-linux-musl}
CACHE="${LIFEBOAT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lifeboat}/tools"
OUT=target/static

fail() { echo "deploy/static.sh: $*" >&2; exit 1; }

case $TARGET in
  *-linux-musl) ;;
  *) fail "TARGET=$TARGET is not static; use x86_64-unknown-linux-musl or aarch64-unknown-linux-musl" ;;
esac

# Complete in its own folder or absent: made elsewhere, then renamed.
get_zig() {
  local folder=$CACHE/zig-$ZIG-$ZIGBUILD scratch
  if [ ! -d "$folder" ]; then
    command -v python3 >/dev/null || fail "python3 is not installed (needed to fetch Zig from PyPI)"
    mkdir -p "$CACHE"
    scratch=$(mktemp -d "$CACHE/.making-XXXXXX")
    echo "fetching Zig $ZIG ..." >&2
    if python3 -m venv "$scratch" && "$scratch/bin/python" -m pip install --quiet --no-input \
      --timeout 60 --retries 2 "cargo-zigbuild==$ZIGBUILD" "ziglang==$ZIG"; then
      mv -T "$scratch" "$folder" 2>/dev/null || rm -rf "$scratch"
    else
      rm -rf "$scratch"
      fail "pip cannot install cargo-zigbuild $ZIGBUILD and ziglang $ZIG"
    fi
  fi >&2
  echo "$folder"
}

get_target() {
  if command -v rustup >/dev/null; then
    rustup target list --installed | grep -qx "$TARGET" || rustup target add "$TARGET"
  elif [ ! -d "$(rustc --print sysroot)/lib/rustlib/$TARGET" ]; then
    fail "this Rust has no standard library for $TARGET (rustup could add it)"
  fi
}

# Neither a loader nor a library: it must start where there is nothing else.
assert_static() { # PROGRAM
  local headers
  headers=$(LC_ALL=C readelf --wide --program-headers --dynamic "$1") || fail "$1 is not an ELF file"
  if grep -E 'INTERP|NEEDED' <<<"$headers"; then fail "$1 is not static"; fi
}

assert_runs() { # PROGRAM
  # Another architecture cannot be tried here.
  [ "${TARGET%%-*}" = "$(uname -m)" ] || return 0
  env -i "$1" --version || fail "$1 does not run"
  env -i "$1" --help >/dev/null || fail "$1 --help does not run"
}

zig=$(get_zig)
get_target
make --no-print-directory --silent target/tools/protoc
# cargo-zigbuild finds the `ziglang` package by the python3 that comes first in the PATH.
PATH="$zig/bin:$PATH" CARGO_TARGET_DIR=target/static-build cargo zigbuild --release --locked \
  --target "$TARGET" --workspace --exclude lifeboat-tests --exclude lifeboat-bench --bins

rm -rf "$OUT"
mkdir -p "$OUT"
for name in lifeboat $(cd stages && printf 'lifeboat-%s\n' *); do
  program="target/static-build/$TARGET/release/$name"
  assert_static "$program"
  assert_runs "$program"
  cp "$program" "$OUT/"
done
# Their papers, which a program of another architecture cannot print here.
if [ "${TARGET%%-*}" = "$(uname -m)" ]; then
  mkdir "$OUT/completions"
  for shell in bash zsh fish; do "$OUT/lifeboat" completions "$shell" >"$OUT/completions/lifeboat.$shell"; done
  "$OUT/lifeboat" man "$OUT/man"
  chmod 755 "$OUT/man" && chmod 644 "$OUT"/man/*
fi
echo "static: $(find "$OUT" -maxdepth 1 -type f | wc -l) programs in $OUT, $(du -sh "$OUT" | cut -f1) for $TARGET"

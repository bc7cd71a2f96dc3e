#!/usr/bin/env bash
# The whole main job, on this machine alone: a real etcd is filled, backed up with the shipped
# pipeline.toml into two directories that play two regions, brought back, and started again.
# Everything lies under target/demo; what was started is ended; it can be run again.

set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=$PWD
DEMO=$ROOT/target/demo
BIN=${LIFEBOAT_BIN_DIR:-$ROOT/target/debug}
OBJECTS=${LIFEBOAT_DEMO_OBJECTS:-3000}
export PATH="$BIN:$PATH"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }
fail() { printf '\ndemo failed: %s\n' "$*" >&2; exit 1; }

STARTED=()
end_what_was_started() {
  for pid in "${STARTED[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${STARTED[@]}"; do wait "$pid" 2>/dev/null || true; done
}
trap end_what_was_started EXIT

# A port that nobody listens on now.
free_port() { python3 - <<'PY' 2>/dev/null || echo $((20000 + RANDOM % 20000))
import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])
PY
}

start_etcd() { # NAME DATA_DIR CLIENT_PORT PEER_PORT
  "$ETCD/etcd" --name "$1" --data-dir "$2" --logger zap \
    --listen-client-urls "http://127.0.0.1:$3" --advertise-client-urls "http://127.0.0.1:$3" \
    --listen-peer-urls "http://127.0.0.1:$4" --initial-advertise-peer-urls "http://127.0.0.1:$4" \
    --initial-cluster "$1=http://127.0.0.1:$4" >"$DEMO/$1.log" 2>&1 &
  STARTED+=($!)
  for _ in $(seq 100); do
    if etcdctl "$3" endpoint health >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  tail -n 5 "$DEMO/$1.log" >&2
  fail "etcd $1 did not become healthy; its log is $DEMO/$1.log"
}
etcdctl() { # PORT ARGS…
  local port=$1; shift
  ETCDCTL_API=3 "$ETCD/etcdctl" --endpoints "http://127.0.0.1:$port" "$@"
}
# Everything that clients can see, without what each answer says of the server.
everything() { # PORT
  etcdctl "$1" get "" --prefix --write-out fields |
    grep -Ev '^"(ClusterID|MemberID|Revision|RaftTerm|More|Count)" :' | sha256sum | cut -c -16
}
keys() { # PORT
  etcdctl "$1" get "" --prefix --count-only --write-out fields | sed -n 's/^"Count" : //p'
}

say "1. An etcd to protect, with $OBJECTS Kubernetes objects under /registry"
ETCD=$(tests/servers/get.sh etcd | tail -n 1)
rm -rf "$DEMO"
mkdir -p "$DEMO/keys"
chmod 700 "$DEMO"
PORT=$(free_port) PEER=$(free_port)
start_etcd live "$DEMO/live" "$PORT" "$PEER"
"$ETCD/etcd" --version | head -n 1
lifeboat-load "http://127.0.0.1:$PORT" --count "$OBJECTS" --batch 10 --updates $((OBJECTS / 10)) \
  --deletes $((OBJECTS / 50)) --leases 20 --keep-revisions 10

say "2. A key of our own. Its public half is all that the machine making backups ever sees"
cd "$DEMO"
echo '$ lifeboat keygen keys/identity.txt > keys/recipients.txt'
lifeboat keygen keys/identity.txt --log human > keys/recipients.txt
cat keys/recipients.txt

say "3. One run of the shipped pipeline: capture, verify, compress, encrypt, replicate, prune"
export LIFEBOAT_CONFIG=$ROOT/pipeline.toml
export LIFEBOAT__CAPTURE__ENDPOINTS="http://127.0.0.1:$PORT"
show lifeboat run --log human

say "4. What there is now, and whether that is enough"
show lifeboat list
show lifeboat show latest
show lifeboat status

say "5. The way back: the newest backup becomes a data directory that etcd starts from"
PORT2=$(free_port) PEER2=$(free_port)
show lifeboat restore latest --member restored --data-dir restored --log human \
  --initial-cluster "restored=http://127.0.0.1:$PEER2" \
  --initial-advertise-peer-urls "http://127.0.0.1:$PEER2"
start_etcd restored "$DEMO/restored" "$PORT2" "$PEER2"

say "6. Do both hold the same data? Every key with its revisions, version, lease and value"
LIVE=$(everything "$PORT")
RESTORED=$(everything "$PORT2")
printf 'SHA-256 of all %s keys: live %s, restored %s\n' "$(keys "$PORT2")" "$LIVE" "$RESTORED"
[ "$(keys "$PORT")" -gt 0 ] && [ "$LIVE" = "$RESTORED" ] || fail "the two differ"

say "7. A drill does that by itself, on a schedule: a backup that passes is proven"
show lifeboat drill --etcd "$ETCD/etcd" --log human
show lifeboat list

say "8. No lock-in: back to a file, which etcd's own tools read"
show lifeboat fetch latest --output snapshot.db --log human
if [ -x "$ETCD/etcdutl" ]; then TOOL=$ETCD/etcdutl; else TOOL=$ETCD/etcdctl; fi
ETCDCTL_API=3 show "$TOOL" snapshot status snapshot.db --write-out table 2>/dev/null

say "The backup is good: etcd came back from it with the same data."
echo "Everything is under target/demo: backups/, keys/, snapshot.db, and the two etcds."

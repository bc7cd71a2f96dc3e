#!/bin/sh
# The way back of the same script: decrypt, decompress, and etcd's own tool. Decryption and
# decompression are joined by a pipe.
# AGE, ZSTD, ETCDUTL: programs. IDENTITY: the key that opens it. It works in TMPDIR.
# It is called with the artifact and the data directory to make.
set -eu
"$AGE" -d -i "$IDENTITY" "$1" | "$ZSTD" -q -d -c >"$TMPDIR/snapshot.db"
# What clients of Kubernetes need after a restore; `lifeboat restore` does it by itself.
"$ETCDUTL" snapshot restore "$TMPDIR/snapshot.db" --data-dir "$2" \
  --bump-revision 1000000000 --mark-compacted
rm "$TMPDIR/snapshot.db"

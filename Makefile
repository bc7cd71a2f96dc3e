# The commands of a working day. Each does its own set-up; `make help` lists them.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PROTOC := target/tools/protoc
SERVERS := tests/servers/get.sh
SKIPPED := target/skipped.txt
BENCH_SERVERS := etcd-3.7 age zstd s3s-fs minio rclone azurite fake-gcs-server

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: build ## back up a real etcd into two places, restore it, compare, drill
	@demo/demo.sh

.PHONY: test
test: build ## every test, against real servers; names what it had to skip
	@rm -f $(SKIPPED)
	@$(SERVERS) --all
	cargo test --workspace --quiet --no-fail-fast
	@deploy/check.sh
	@if [ -s $(SKIPPED) ]; then echo "SKIPPED:"; sort -u $(SKIPPED); else echo "nothing was skipped"; fi

.PHONY: soak
soak: build ## a death at every point, and SOAK_RUNS (1000) random runs with faults from one SOAK_SEED
	@$(SERVERS) --all
	KILL_POINTS=all cargo test -p lifeboat-tests --test kill_points --test restore_kill \
	  --test sync --test scrub --quiet
	SOAK_SEED=$${SOAK_SEED:-$$(date +%s)} SOAK_RUNS=$${SOAK_RUNS:-1000} \
	  cargo test -p lifeboat-tests --test soak -- --nocapture

.PHONY: build
build: $(PROTOC) ## all programs, into target/debug
	cargo build --workspace --quiet

.PHONY: lint
lint: $(PROTOC) ## formatting and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings

.PHONY: release
release: $(PROTOC) ## optimised programs, into target/release
	cargo build --release --workspace --bins --exclude lifeboat-tests --exclude lifeboat-bench

.PHONY: bench
bench: release ## measured beside etcdctl and the scripts of today (BENCH_MB, BENCH_ROUNDS)
	@$(SERVERS) $(BENCH_SERVERS) >/dev/null || $(SERVERS) etcd >/dev/null
	cargo build --release --quiet --package lifeboat-bench
	@target/release/lifeboat-bench $(SCENES)

.PHONY: bench-docs
bench-docs: ## the last results of `make bench`, into docs/benchmarks.md
	@target/release/lifeboat-bench --docs docs/benchmarks.md

.PHONY: static
static: $(PROTOC) ## static programs for any Linux (musl), into target/static
	deploy/static.sh

.PHONY: man
man: build ## the man pages of all programs, into target/man
	@rm -rf target/man
	@target/debug/lifeboat man target/man
	@chmod 755 target/man && chmod 644 target/man/*

# cargo-fuzz needs a nightly toolchain; the same targets run with a bound in `make test`.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(notdir $(basename $(wildcard fuzz/fuzz_targets/*.rs)))

.PHONY: fuzz
fuzz: $(PROTOC) ## fuzz every reader of outside bytes, FUZZ_SECONDS each (needs cargo-fuzz and nightly)
	@if cargo +nightly fuzz --version >/dev/null 2>&1; then \
	  for target in $(FUZZ_TARGETS); do \
	    case $$target in s3_answers) seeds=tests/vectors/s3;; *) seeds=tests/vectors/$$target;; esac; \
	    [ -d $$seeds ] || seeds=; \
	    mkdir -p target/fuzz/corpus/$$target target/fuzz/artifacts/$$target; \
	    printf '\377' > target/fuzz/corpus/$$target/sound; \
	    echo "fuzzing $$target for $(FUZZ_SECONDS) s"; \
	    CARGO_TARGET_DIR="$(CURDIR)/target/fuzz-build" cargo +nightly fuzz run --sanitizer none $$target \
	      target/fuzz/corpus/$$target $$seeds -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=20 \
	      -rss_limit_mb=2048 -artifact_prefix=target/fuzz/artifacts/$$target/ -verbosity=0 -print_final_stats=1; \
	  done; \
	else \
	  echo "cargo-fuzz or the nightly toolchain is missing: the bounded form runs instead"; \
	  PROPTEST_CASES=2000 cargo test --quiet --package lifeboat-fuzz-targets; \
	fi

.PHONY: deny
deny: ## licences, advisories and duplicates of the dependencies (needs cargo-deny)
	cargo deny check

.PHONY: clean
clean: ## everything that was built; the servers' cache stays
	cargo clean

# etcd-client compiles etcd's .proto files. A protoc of the system will do; otherwise one comes
# from a crate that carries the binary, so that a Rust toolchain is all one needs.
$(PROTOC):
	@mkdir -p target/tools
	@if command -v protoc >/dev/null; then ln -sf "$$(command -v protoc)" $@; else \
	  CARGO_TARGET_DIR=target/tools/build cargo run --quiet --manifest-path tools/protoc/Cargo.toml -- "$(CURDIR)/$@"; fi

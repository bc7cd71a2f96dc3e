# The commands of a working day. Each does its own set-up; `make help` lists them.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PROTOC := target/tools/protoc
SERVERS := tests/servers/get.sh
SKIPPED := target/skipped.txt
BENCH_SERVERS := etcd-3.7 age zstd s3s-fs

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: build ## back up a real etcd into two places, bring it back, and prove it
	@demo/demo.sh

.PHONY: test
test: build ## every test, against real servers; names what it had to skip
	@rm -f $(SKIPPED)
	@$(SERVERS) --all
	cargo test --workspace --quiet --no-fail-fast
	@deploy/check.sh
	@if [ -s $(SKIPPED) ]; then echo "SKIPPED:"; sort -u $(SKIPPED); else echo "nothing was skipped"; fi

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
	@$(SERVERS) $(BENCH_SERVERS) >/dev/null
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

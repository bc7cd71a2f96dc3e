# The image: every program of Lifeboat, certificate authorities, and nothing else. No shell, no
# libc, no package manager; a non-root user. Needs BuildKit (the default since Docker 23).
#
#   docker build -t lifeboat:0.1.0 .
#
# For a release, pin the builder by digest: --build-arg RUST_IMAGE=rust@sha256:<digest>.
# For another architecture, build on it or under emulation: --platform linux/arm64.

ARG RUST_IMAGE=rust:1.95-alpine

FROM ${RUST_IMAGE} AS build

# Alpine's own target is musl, so that what is built here is static without any flag.
# A C compiler builds libzstd and aws-lc; protoc reads etcd's .proto files.
# hadolint ignore=DL3018
RUN apk add --no-cache binutils ca-certificates gcc make musl-dev protobuf-dev
# Goes before the path in .cargo/config.toml.
ENV PROTOC=/usr/bin/protoc

WORKDIR /src
COPY . .

# The caches survive a change of the sources: only what changed is compiled again. They are part
# of no layer, hence the copy to /image within the same step. A target directory for each
# platform, because cargo calls all of them the same. The names come from stages/: a program that
# is missing fails the build, and one that an older source left in the cache is not copied.
ARG TARGETPLATFORM
RUN --mount=type=cache,id=lifeboat-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=lifeboat-target-${TARGETPLATFORM},target=/src/target,sharing=locked \
    cargo build --release --locked --workspace --exclude lifeboat-tests --exclude lifeboat-bench --bins \
    && install -d /image/usr/bin /image/etc/ssl/certs /image/var/lib \
    && install -m 0644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && install -m 0755 target/release/lifeboat /image/usr/bin/ \
    && for stage in stages/*/; do \
         install -m 0755 "target/release/lifeboat-$(basename "$stage")" /image/usr/bin/ || exit 1; \
       done

# A program that needs a library would fail in the empty image; better here.
RUN for program in /image/usr/bin/*; do \
      readelf -ld "$program" > /tmp/elf || exit 1; \
      if grep -E 'INTERP|NEEDED' /tmp/elf; then echo "$program is not static"; exit 1; fi; \
      "$program" --version || exit 1; \
    done

# State and scratch. A volume goes here; with a read-only root nothing else is written.
RUN install -d -m 0700 /state/lifeboat

FROM scratch

LABEL org.opencontainers.image.title="lifeboat" \
      org.opencontainers.image.description="Backs up etcd and brings it back." \
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=build /image /
# Onto /var/lib, which is there already and stays root's.
COPY --from=build --chown=65532:65532 /state/lifeboat /var/lib/lifeboat

# By number: the image has no /etc/passwd, and Kubernetes can prove only a number to be non-root.
USER 65532:65532
WORKDIR /var/lib/lifeboat
# There is no /tmp.
ENV TMPDIR=/var/lib/lifeboat
ENTRYPOINT ["/usr/bin/lifeboat"]
CMD ["--help"]

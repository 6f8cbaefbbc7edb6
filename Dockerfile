# All images of Postrider: programs are built once, each image takes one of them.
#
#   docker compose build                                         all five
#   docker build --target receiver -t postrider/receiver:0.1.0 .  one; also director, distributor, executor, postrider
#
# Needs BuildKit (Docker 23 has it by default; before, DOCKER_BUILDKIT=1). Dependencies are kept in cache mounts, not in a
# layer of their own: that takes no other tool and no stubs of our crates, and after a change of Cargo.lock only what
# changed is compiled again. A builder that keeps nothing between builds compiles everything.

ARG RUST=rust:1.95.0-bookworm
ARG DEBIAN=debian:bookworm-slim

FROM ${RUST} AS build
# A profile of Cargo: `release`, or `dev` for trying things out.
ARG PROFILE=release
WORKDIR /src
COPY . .
# A registry mirror can be named without leaving a trace: docker build --secret id=cargo-config,src=config.toml
RUN --mount=type=cache,id=postrider-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=postrider-target,target=/src/target,sharing=locked \
    --mount=type=secret,id=cargo-config,target=/usr/local/cargo/config.toml \
    set -eu; \
    cargo build --locked --workspace --bins --profile "$PROFILE"; \
    case "$PROFILE" in dev) built=debug ;; *) built=$PROFILE ;; esac; \
    mkdir -p /out/bin; \
    install -d -m 0700 /out/cache; \
    # Names of functions stay: a backtrace without them helps nobody.
    for program in postrider postrider-receiver postrider-director postrider-distributor postrider-executor; do \
        strip --strip-debug -o "/out/bin/$program" "target/$built/$program"; \
    done; \
    # The programs bring everything but the C library; whatever else they asked for would be missing at the first start.
    if ldd /out/bin/* | grep -Ev '^/|linux-vdso|libc\.so|libm\.so|libgcc_s\.so|ld-linux'; then exit 1; fi

FROM ${DEBIAN} AS runtime
ARG VERSION=0.1.0
LABEL org.opencontainers.image.vendor="Postrider" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# A number, so that an orchestrator can see that it is not root.
USER 10001:10001
WORKDIR /
STOPSIGNAL SIGTERM

FROM runtime AS receiver
LABEL org.opencontainers.image.title="postrider-receiver" \
      org.opencontainers.image.description="Takes notifications from producers"
COPY --from=build /out/bin/postrider-receiver /usr/local/bin/
ENTRYPOINT ["postrider-receiver"]

FROM runtime AS director
LABEL org.opencontainers.image.title="postrider-director" \
      org.opencontainers.image.description="Routes notifications to whoever holds the recipient's connection"
COPY --from=build /out/bin/postrider-director /usr/local/bin/
ENTRYPOINT ["postrider-director"]

FROM runtime AS distributor
LABEL org.opencontainers.image.title="postrider-distributor" \
      org.opencontainers.image.description="Holds the connections of clients"
COPY --from=build /out/bin/postrider-distributor /usr/local/bin/
ENTRYPOINT ["postrider-distributor"]

FROM runtime AS executor
LABEL org.opencontainers.image.title="postrider-executor" \
      org.opencontainers.image.description="Runs tasks in a sandbox"
# The one place it may write: compiled modules, `executor.sandbox.modules.directory` below it.
COPY --from=build --chown=10001:10001 /out/cache /var/lib/postrider
COPY --from=build /out/bin/postrider-executor /usr/local/bin/
ENTRYPOINT ["postrider-executor"]

FROM runtime AS postrider
LABEL org.opencontainers.image.title="postrider" \
      org.opencontainers.image.description="The command line: migrations, topics, keys, tokens, tasks"
COPY --from=build /out/bin/postrider /usr/local/bin/
ENTRYPOINT ["postrider"]

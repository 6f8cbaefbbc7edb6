# What one does with this repository. `just` alone lists it.

[private]
default:
    @just --list

# The whole pipeline in one process; needs nothing installed
run *flags:
    cargo run --locked -p postrider -- standalone {{flags}}

# Sends a notification to a recipient of `just run`: just send alice 'hello'
send *arguments:
    cargo run --locked -p postrider -- send {{arguments}}

# Shows a recipient's notifications as they come: just listen alice
listen *arguments:
    cargo run --locked -p postrider -- listen {{arguments}}

# All tests, on embedded and real engines and in a browser
test *arguments:
    scripts/test {{arguments}}

# Chart, compose, Pulumi, rules and dashboards; --long adds a cluster's control plane and a Docker engine: just deploy-test --long
deploy-test *arguments:
    scripts/deploy-test {{arguments}}

# Kafka, PostgreSQL, Valkey and the four services in Docker: docs/COMPOSE.md
up:
    [ -e .env ] || cp .env.example .env
    docker compose up --detach --build

down:
    docker compose down

# The pipeline's own code in simulated time, under every trouble a seed can draw: just simulate 1000000
simulate *arguments:
    scripts/simulate {{arguments}}

# What the sandbox costs beside wasmtime itself, as two medians; then rates, memory, and good guests beside bad ones
bench-sandbox:
    cargo bench --locked --workspace --bench attempt --bench beside

# What one record, frame, lane and session costs: time and allocations of each
bench-micro *filters:
    cargo bench --locked --workspace --bench records --bench lanes --bench sessions -- {{filters}}

# What a unit of our work costs Kafka, Redis and PostgreSQL: CPU of their processes, memory and disk
bench-engines:
    dir=$(scripts/engines start measured) && trap 'scripts/engines stop "$dir"' EXIT && . "$dir/env" && cargo bench --locked --workspace --bench engines

# Builds the built-in modules and the examples of tasks, from source to the bytes that are committed
modules:
    scripts/modules

# Builds them again somewhere else, and fails unless the bytes are the same
modules-check:
    scripts/modules --check

# Breaks the code on purpose, patch by patch of mutants/, and demands that a test notices each
mutants *names:
    scripts/mutants {{names}}

# Everything that must pass before a merge
ci:
    .ci/run

# Starts Kafka, Redis and PostgreSQL for tests; prints the directory to source `env` from and to stop them by.
# `just engines measured`: as they run in production, for who measures
engines *how:
    scripts/engines start {{how}}

# Stops what `just engines` started
engines-stop dir:
    scripts/engines stop {{dir}}

# Measures a pipeline on this machine, docs/BENCH.md: just bench run --start embedded --rate 2000
bench *arguments:
    cargo build --release --locked --workspace --bins
    target/release/postrider bench {{arguments}}

# Postrider and other push servers under the same work (bench/peers/install fetches them): just bench-peers --only nats,postrider
bench-peers *arguments:
    bench/peers/run {{arguments}}

# Every fault at its full length (ten minutes each), with its report: just chaos --side-by-side 4 postgres
chaos *arguments:
    scripts/chaos {{arguments}}

lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

fmt:
    cargo fmt --all

# Licences, duplicates, sources and known vulnerabilities of the dependencies
audit:
    [ -x .tools/bin/cargo-deny ] || cargo install --quiet --locked cargo-deny@0.20.2 --root .tools
    .tools/bin/cargo-deny --workspace check

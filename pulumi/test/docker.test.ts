import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import { parse } from "yaml";

import { readImages, reference } from "../src/images";
import { type Any, one, open, PASSWORDS, password, type Stack, stack, stackFile } from "./harness";

const CONTAINER = "docker:index/container:Container";
const VOLUME = "docker:index/volume:Volume";
const IMAGE = "docker:index/remoteImage:RemoteImage";

const images = readImages();

describe("local", () => {
    let local: Stack;
    before(async () => {
        local = await stack(stackFile("local"));
    });

    test("every image is of deploy/images.json", () => {
        const names = local.made.filter((made) => made.type === IMAGE).map((made) => made.inputs.name);
        assert.deepEqual(names.sort(), [images.kafka, images.postgres, images.valkey].map(reference).sort());
    });

    test("nothing is published but at the loopback address, and everything is waited for", () => {
        const containers = local.made.filter((made) => made.type === CONTAINER);
        assert.equal(containers.length, 3);
        for (const { inputs } of containers) {
            assert.deepEqual(
                inputs.ports.map((port: Any) => port.ip),
                ["127.0.0.1"],
            );
            assert.equal(inputs.wait, true);
            // As Docker gives them back, or each refresh would plan the container anew.
            assert.match(inputs.cpus, /^[0-9]+\.[0-9]+$/);
            assert.equal(inputs.memorySwap, inputs.memory);
            assert.equal(inputs.healthcheck.startPeriod, "1m0s");
            assert.ok(inputs.healthcheck.tests.length > 0);
            assert.equal(inputs.networksAdvanced[0].name, "postrider");
        }
    });

    test("the one broker is told what it needs", () => {
        const env = environment(one(local, CONTAINER, "postrider-kafka-1"));
        // The identifier did begin with a dash.
        assert.equal(env.CLUSTER_ID, "Abcdefghijklmnopqrstuw");
        assert.equal(env.KAFKA_CONTROLLER_QUORUM_VOTERS, "1@postrider-kafka-1:9093");
        assert.equal(env.KAFKA_ADVERTISED_LISTENERS, "INSIDE://postrider-kafka-1:19092,MACHINE://127.0.0.1:9092");
        assert.equal(env.KAFKA_AUTO_CREATE_TOPICS_ENABLE, "false");
        assert.equal(env.KAFKA_MIN_INSYNC_REPLICAS, "1");
    });

    test("Valkey without persistence has no volume; the log and the store have theirs", () => {
        const volumes = local.made.filter((made) => made.type === VOLUME).map((made) => made.name);
        assert.deepEqual(volumes.sort(), ["postrider-kafka-1", "postrider-postgres"]);
    });

    test("the settings say where everything is, for programs of this machine and for containers", () => {
        const link = password("postrider-link");
        const expected = (kafka: string, redis: string, postgres: string) => ({
            POSTRIDER_KAFKA__BROKERS: kafka,
            POSTRIDER_REDIS__URL: `redis://:${password("postrider-valkey")}@${redis}`,
            POSTRIDER_POSTGRES__URL: `postgres://postrider:${password("postrider-postgres")}@${postgres}/postrider`,
            POSTRIDER_LOG__PARTITIONS: "12",
            POSTRIDER_LOG__REPLICATION: "1",
            POSTRIDER_LOG__MAX_RECORD_BYTES: "1048576",
            POSTRIDER_AUTH__SECRET: password("postrider-auth"),
            POSTRIDER_DISTRIBUTOR__LINK__SECRET: link,
            POSTRIDER_DIRECTOR__LINK_SECRET: link,
        });
        const machine = expected("127.0.0.1:9092", "127.0.0.1:6379", "127.0.0.1:5432");
        assert.deepEqual(lines(local.outputs.env), machine);
        const inside = expected("postrider-kafka-1:19092", "postrider-valkey:6379", "postrider-postgres:5432");
        assert.deepEqual(lines(local.outputs.networkEnv), inside);
    });

    test("no secret is told in the open", () => {
        assert.deepEqual(local.secret, ["env", "networkEnv"]);
        for (const { type, name, raw } of local.made) {
            const told = open(raw).filter((text) => PASSWORDS.some((secret) => text.includes(secret)));
            assert.deepEqual(told, [], `${type} ${name}`);
        }
    });

    test("the password of Valkey is in a file and on no command line", () => {
        const { command, uploads } = one(local, CONTAINER, "postrider-valkey");
        assert.deepEqual(command, ["valkey-server", "/etc/valkey/valkey.conf"]);
        const secret = uploads.find((upload: Any) => upload.file === "/etc/valkey-password/password.conf");
        assert.equal(secret.content, `requirepass ${password("postrider-valkey")}\n`);
    });
});

test("three brokers are one cluster, with three copies", async () => {
    const three = await stack({ target: "docker", name: "big", kafka: { brokers: 3, prefix: "eu." } });
    const brokers = [1, 2, 3].map((id) => environment(one(three, CONTAINER, `big-kafka-${id}`)));
    const voters = "1@big-kafka-1:9093,2@big-kafka-2:9093,3@big-kafka-3:9093";
    for (const [at, env] of brokers.entries()) {
        assert.equal(env.KAFKA_NODE_ID, `${at + 1}`);
        assert.equal(env.KAFKA_CONTROLLER_QUORUM_VOTERS, voters);
        assert.equal(env.KAFKA_DEFAULT_REPLICATION_FACTOR, "3");
        assert.equal(env.KAFKA_MIN_INSYNC_REPLICAS, "2");
    }
    const env = lines(three.outputs.env);
    assert.equal(env.POSTRIDER_KAFKA__BROKERS, "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094");
    assert.equal(env.POSTRIDER_LOG__REPLICATION, "3");
    assert.equal(env.POSTRIDER_LOG__PREFIX, "eu.");
});

test("Prometheus scrapes what is named, by the names that rules know", async () => {
    const targets = { receiver: ["host.docker.internal:9101"], executor: ["host.docker.internal:9104", "other:9104"] };
    const monitored = await stack({ target: "docker", monitoring: { enabled: true, targets } });
    const { uploads } = one(monitored, CONTAINER, "postrider-prometheus");
    const config = parse(uploads[0].content);
    assert.deepEqual(
        config.scrape_configs.map((job: Any) => [job.job_name, job.static_configs[0].targets]),
        [
            ["postrider-receiver", targets.receiver],
            ["postrider-executor", targets.executor],
        ],
    );
    const rules = uploads.slice(1).map((upload: Any) => upload.file);
    assert.deepEqual(rules, ["/etc/prometheus/rules/recording.yaml", "/etc/prometheus/rules/alerts.yaml"]);
    assert.equal(monitored.outputs.prometheus, "http://127.0.0.1:9090");
});

test("what holds data is protected when asked; Valkey, which may lose it, is not", async () => {
    const { kept } = await stack({ target: "docker", protect: true });
    const expected = [
        "RandomId postrider-kafka",
        "Secrets postrider",
        "Volume postrider-kafka-1",
        "Volume postrider-postgres",
    ];
    assert.deepEqual(kept.filter((name) => !name.startsWith("RandomPassword")).sort(), expected);
    assert.deepEqual((await stack({ target: "docker" })).kept, []);
});

function environment(container: Any): Record<string, string> {
    return lines(container.envs.join("\n"));
}

function lines(text: string | undefined): Record<string, string> {
    const found = (text ?? "").split("\n").filter((line) => line !== "");
    return Object.fromEntries(found.map((line) => line.split(/=(.*)/s).slice(0, 2)));
}

import assert from "node:assert/strict";
import { test } from "node:test";

import { ownConfiguration } from "../src/configuration";
import { readSettings } from "../src/settings";
import { stackFile } from "./harness";

function mistakes(raw: Record<string, unknown>): string[] {
    try {
        readSettings(raw);
    } catch (error) {
        const [first, ...found] = (error as Error).message.split("\n  ");
        assert.equal(first, `the settings have ${found.length} mistake(s):`);
        return found;
    }
    return [];
}

const kubernetes = (rest: object) => ({ target: "kubernetes", ...rest });
const docker = (rest: object) => ({ target: "docker", ...rest });
const backup = (rest: object) => kubernetes({ postgres: { backup: { destination: "s3://some-bucket/x", ...rest } } });

test("a target is all that must be said", () => {
    for (const target of ["kubernetes", "docker"]) {
        assert.equal(readSettings({ target }).target, target);
    }
});

test("the stacks that come with it can be used", () => {
    assert.equal(readSettings(stackFile("local")).target, "docker");
    assert.equal(readSettings(stackFile("production")).target, "kubernetes");
});

test("all mistakes are told at once, each with its name", () => {
    const found = mistakes({
        target: "nomad",
        nmae: "x",
        protect: "yes",
        kafka: { brokers: 2, controllers: 4, replicas: 3 },
        postgres: "large",
        valkey: { maxMemoryMiB: 0.5 },
    });
    assert.deepEqual(found, [
        'target: is "nomad", must be kubernetes or docker',
        'protect: is "yes", must be true or false',
        'postgres: is "large", must be a mapping',
        "valkey.maxMemoryMiB: is 0.5, must be a whole number from 16 to 1048576",
        "nmae: no such setting; there are target, name, protect, kafka, postgres, valkey, monitoring, kubernetes, docker",
        "kafka.replicas: no such setting; there are brokers, controllers, partitions, prefix, maxRecordBytes, storageGiB, storageClass, memoryMiB, cpus",
        "kafka.brokers: is 2, must be 1 or at least 3: two can lose a record, or stop when one is away",
        "kafka.controllers: is 4, must be 0, 3 or 5: a majority decides",
    ]);
});

const REFUSED: [Record<string, unknown>, string][] = [
    [{}, "target: is not set, must be kubernetes or docker"],
    [kubernetes({ name: "Postrider" }), 'name: is "Postrider", must be up to 15 small letters'],
    [kubernetes({ kafka: { brokers: 16 } }), "kafka.brokers: is 16, must be a whole number from 1 to 15"],
    [kubernetes({ kafka: { brokers: "3" } }), 'kafka.brokers: is "3", must be a whole number from 1 to 15'],
    [kubernetes({ kafka: { brokers: 5 } }), "kafka.controllers: is 0, must be 3 or 5 with more than 3 brokers"],
    [kubernetes({ kafka: { partitions: 0 } }), "kafka.partitions: is 0, must be a whole number from 1 to 10000"],
    [kubernetes({ kafka: { prefix: "a b" } }), 'kafka.prefix: is "a b", must be up to 100 letters'],
    [
        kubernetes({ kafka: { maxRecordBytes: 278_527 } }),
        "kafka.maxRecordBytes: is 278527, must be a whole number from 278528",
    ],
    [kubernetes({ kafka: { cpus: 0 } }), "kafka.cpus: is 0, must be a number from 0.1 to 256"],
    [kubernetes({ kafka: [1] }), "kafka: is [1], must be a mapping"],
    [kubernetes({ postgres: { instances: 2 } }), "postgres.instances: is 2, must be 1 or at least 3"],
    [
        kubernetes({ postgres: { storageClass: "Fast SSD" } }),
        'postgres.storageClass: is "Fast SSD", must be the name of a Kubernetes',
    ],
    [kubernetes({ postgres: { backup: {} } }), "postgres.backup.destination: is not set, must be s3://bucket/path"],
    [backup({ destination: "gs://x" }), 'postgres.backup.destination: is "gs://x", must be s3://bucket/path'],
    [backup({ schedule: "0 3 * * *" }), 'postgres.backup.schedule: is "0 3 * * *", must be six fields, seconds first'],
    [
        backup({ retention: "a month" }),
        'postgres.backup.retention: is "a month", must be a number of days, weeks or months',
    ],
    [backup({ endpoint: "minio:9000" }), 'postgres.backup.endpoint: is "minio:9000", must be http(s)://host[:port]'],
    [
        backup({ credentialsSecret: "" }),
        'postgres.backup.credentialsSecret: is "", must be the name of a Kubernetes object',
    ],
    [kubernetes({ valkey: { persistence: 1 } }), "valkey.persistence: is 1, must be true or false"],
    [kubernetes({ kubernetes: { spread: "never" } }), 'kubernetes.spread: is "never", must be required or preferred'],
    [kubernetes({ monitoring: { targets: { router: [] } } }), "monitoring.targets.router: no such setting"],
    [docker({ kafka: { controllers: 3 } }), "kafka.controllers: must be 0 with target docker"],
    [docker({ postgres: { instances: 3 } }), "postgres.instances: is 3, must be 1 with target docker"],
    [
        docker({ postgres: { backup: { destination: "s3://some-bucket" } } }),
        "postgres.backup: cannot be made with target docker",
    ],
    [docker({ monitoring: { enabled: true } }), "monitoring.targets: is empty"],
    [
        docker({ monitoring: { targets: { receiver: "localhost:1" } } }),
        'monitoring.targets.receiver: is "localhost:1", must be a list',
    ],
    [
        docker({ monitoring: { targets: { receiver: ["9090"] } } }),
        'monitoring.targets.receiver[0]: is "9090", must be host:port',
    ],
    [docker({ docker: { address: "localhost" } }), 'docker.address: is "localhost", must be an IPv4 address'],
    [
        docker({ docker: { kafkaPort: 5432 } }),
        "docker.postgresPort: needs port 5432, which is taken by docker.kafkaPort",
    ],
    [
        docker({ docker: { kafkaPort: 65_534 }, kafka: { brokers: 3 } }),
        "docker.kafkaPort: needs port 65536, must be at most 65535",
    ],
];

for (const [raw, expected] of REFUSED) {
    test(`refused: ${expected}`, () => {
        const found = mistakes(raw);
        assert.equal(found.length, 1, found.join("\n"));
        assert.ok(found[0]?.startsWith(expected), found[0]);
    });
}

test("a stack's configuration is read as it is written", () => {
    const all = {
        "postrider:target": "docker",
        "postrider:protect": "true",
        "postrider:kafka": '{"brokers":3}',
        "other:x": "1",
    };
    assert.deepEqual(ownConfiguration(all, "postrider"), { target: "docker", protect: true, kafka: { brokers: 3 } });
});

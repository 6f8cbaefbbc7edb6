import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";

import Ajv from "ajv";
import { parse } from "yaml";

import { ROOT, readImages, reference } from "../src/images";
import { type Any, one, open, PASSWORDS, type Stack, stack, stackFile } from "./harness";

const POOL = "kubernetes:kafka.strimzi.io/v1:KafkaNodePool";
const KAFKA = "kubernetes:kafka.strimzi.io/v1:Kafka";
const CLUSTER = "kubernetes:postgresql.cnpg.io/v1:Cluster";
const BACKUP = "kubernetes:postgresql.cnpg.io/v1:ScheduledBackup";
const OBJECT_STORE = "kubernetes:barmancloud.cnpg.io/v1:ObjectStore";
const STATEFUL_SET = "kubernetes:apps/v1:StatefulSet";
const SECRET = "kubernetes:core/v1:Secret";
const POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy";
const RELEASE = "kubernetes:helm.sh/v3:Release";

const images = readImages();

describe("production", () => {
    let production: Stack;
    before(async () => {
        production = await stack(stackFile("production"));
    });

    test("three brokers keep three copies, and two must have a record before it is acknowledged", () => {
        const brokers = one(production, POOL, "postrider-broker");
        assert.equal(brokers.spec.replicas, 3);
        assert.deepEqual(brokers.spec.roles, ["broker"]);
        assert.equal(brokers.metadata.labels["strimzi.io/cluster"], "postrider");
        assert.equal(brokers.spec.storage.volumes[0].deleteClaim, false);
        assert.deepEqual(one(production, POOL, "postrider-controller").spec.roles, ["controller"]);
        const { kafka } = one(production, KAFKA).spec;
        assert.equal(kafka.version, images.kafka.tag);
        assert.equal(kafka.config["default.replication.factor"], 3);
        assert.equal(kafka.config["min.insync.replicas"], 2);
        assert.equal(kafka.config["unclean.leader.election.enable"], false);
        assert.equal(kafka.config["auto.create.topics.enable"], false);
        assert.equal(kafka.config["message.max.bytes"], 1024 * 1024 + 20 * 1024);
    });

    test("only the namespace of Postrider gets to what has no TLS", () => {
        assert.deepEqual(one(production, KAFKA).spec.kafka.listeners[0].networkPolicyPeers, [{ podSelector: {} }]);
        assert.deepEqual(one(production, POLICY).spec.ingress[0].from, [{ podSelector: {} }]);
    });

    test("a row is on two instances of Postgres before it is acknowledged, and all of it in the backup", () => {
        const { spec } = one(production, CLUSTER);
        assert.equal(spec.instances, 3);
        assert.equal(spec.imageName, reference(images.postgres));
        assert.deepEqual(spec.postgresql.synchronous, { method: "any", number: 1, dataDurability: "required" });
        assert.equal(spec.plugins[0].isWALArchiver, true);
        const store = one(production, OBJECT_STORE);
        assert.equal(spec.plugins[0].parameters.barmanObjectName, store.metadata.name);
        assert.equal(store.spec.configuration.destinationPath, "s3://postrider-backup/production");
        assert.equal(store.spec.retentionPolicy, "30d");
        const backup = one(production, BACKUP).spec;
        assert.deepEqual([backup.method, backup.cluster.name], ["plugin", "postrider-postgres"]);
    });

    test("Valkey keeps its data and evicts nothing", () => {
        const set = one(production, STATEFUL_SET).spec;
        assert.equal(set.template.spec.containers[0].image, reference(images.valkey));
        assert.equal(set.volumeClaimTemplates[0].spec.resources.requests.storage, "20Gi");
        const conf = one(production, "kubernetes:core/v1:ConfigMap").data["valkey.conf"];
        assert.match(conf, /^maxmemory-policy noeviction$/m);
        assert.match(conf, /^appendonly yes$/m);
    });

    test("operators and monitoring come as releases of fixed versions", () => {
        const names = production.made.filter((made) => made.type === RELEASE).map((made) => made.name);
        const expected = [
            "cloudnative-pg",
            "plugin-barman-cloud",
            "postrider-adapter",
            "postrider-monitoring",
            "strimzi",
        ];
        assert.deepEqual(names.sort(), expected);
        for (const name of names) {
            assert.match(one(production, RELEASE, name).version, /^[0-9]+\.[0-9]+\.[0-9]+$/);
        }
        const image = one(production, RELEASE, "postrider-monitoring").values.prometheus.prometheusSpec.image;
        assert.deepEqual([image.repository, image.tag], [images.prometheus.repository, images.prometheus.tag]);
    });

    test("the adapter has the rules that the chart ships, and finds Prometheus", () => {
        const { values } = one(production, RELEASE, "postrider-adapter");
        const shipped = parse(readFileSync(join(ROOT, "charts/postrider/files/prometheus-adapter.yaml"), "utf8"));
        assert.deepEqual(values.rules, shipped.rules);
        assert.equal(values.prometheus.url, "http://postrider-monitoring-prometheus.monitoring.svc");
        assert.equal(production.outputs.prometheus, "http://postrider-monitoring-prometheus.monitoring.svc:9090");
    });

    test("the values are what the chart takes, and name the Secret", () => {
        const values = parse(production.outputs.chartValues ?? "");
        valid(values);
        assert.equal(values.config.kafka.brokers, "postrider-kafka-bootstrap.postrider.svc:9092");
        const expected = { prefix: "", partitions: 48, replication: 3, max_record_bytes: 1_048_576 };
        assert.deepEqual(values.config.log, expected);
        const secret = one(production, SECRET, "postrider-settings");
        assert.equal(values.secrets.existingSecret, secret.metadata.name);
        assert.deepEqual(Object.keys(secret.stringData).sort(), Object.values(values.secrets.keys).sort());
        assert.match(
            secret.stringData["postgres-url"],
            /^postgres:\/\/postrider:\w+@postrider-postgres-rw\.postrider\.svc:5432\/postrider\?sslmode=require$/,
        );
        assert.match(secret.stringData["redis-url"], /^redis:\/\/:\w+@postrider-valkey\.postrider\.svc:6379$/);
    });

    test("what holds data is protected", () => {
        const expected = [
            "Cluster postrider-postgres",
            "Kafka postrider",
            "KafkaNodePool postrider-broker",
            "KafkaNodePool postrider-controller",
            "Namespace postrider",
            "ObjectStore postrider-postgres-backup",
            "Secret postrider-postgres-owner",
            "StatefulSet postrider-valkey",
        ];
        const kept = production.kept.filter((name) => !/^(RandomPassword|Secrets) /.test(name));
        assert.deepEqual(kept.sort(), expected);
    });

    test("no secret is told in the open", () => {
        hidden(production);
    });
});

test("one of each, without operators and monitoring", async () => {
    const small = await stack({
        target: "kubernetes",
        name: "small",
        kubernetes: { namespace: "dev", operators: false },
    });
    assert.equal(small.made.filter((made) => made.type === RELEASE).length, 0);
    const pool = one(small, POOL).spec;
    assert.deepEqual([pool.replicas, pool.roles], [1, ["controller", "broker"]]);
    const { config } = one(small, KAFKA).spec.kafka;
    assert.deepEqual([config["default.replication.factor"], config["min.insync.replicas"]], [1, 1]);
    const { spec } = one(small, CLUSTER);
    assert.equal(spec.postgresql.synchronous, undefined);
    assert.equal(spec.plugins, undefined);
    const values = parse(small.outputs.chartValues ?? "");
    valid(values);
    assert.equal(values.config.log.replication, 1);
    assert.equal(values.autoscaling, undefined);
    const others = small.made.filter((made) => made.inputs.metadata?.namespace ?? false);
    assert.deepEqual([...new Set(others.map((made) => made.inputs.metadata.namespace))], ["dev"]);
});

test("a namespace that is there is left alone", async () => {
    const own = await stack({ target: "kubernetes", kubernetes: { createNamespace: false } });
    assert.equal(own.made.filter((made) => made.type === "kubernetes:core/v1:Namespace").length, 0);
});

test("Valkey without persistence has no volume, and writes nothing", async () => {
    const forgetful = await stack({ target: "kubernetes", valkey: { persistence: false } });
    const { spec } = one(forgetful, STATEFUL_SET);
    assert.equal(spec.volumeClaimTemplates, undefined);
    assert.deepEqual(spec.template.spec.volumes.at(-1), { name: "data", emptyDir: {} });
    const conf = one(forgetful, "kubernetes:core/v1:ConfigMap").data["valkey.conf"];
    assert.match(conf, /^appendonly no$/m);
    assert.match(conf, /^maxmemory-policy noeviction$/m);
});

/** Against the schema of the chart itself. */
function valid(values: Any): void {
    const schema = JSON.parse(readFileSync(join(ROOT, "charts/postrider/values.schema.json"), "utf8"));
    const check = new Ajv({ strict: false, allErrors: true }).compile(schema);
    assert.ok(check(values), JSON.stringify(check.errors));
    assert.ok(!check({ ...(values as object), secret: {} }), "the schema refuses what it does not know");
}

function hidden(made: Stack): void {
    for (const { type, name, raw } of made.made) {
        const told = open(raw).filter((text) => PASSWORDS.some((password) => text.includes(password)));
        assert.deepEqual(told, [], `${type} ${name}`);
    }
    for (const [name, text] of Object.entries(made.outputs)) {
        const tells = PASSWORDS.some((password) => text?.includes(password));
        assert.ok(!tells || made.secret.includes(name), name);
    }
}

// What can be set, with limits and defaults. docs/PULUMI.md lists it; a test compares.

import { Mistakes, Section } from "./reader";

export type Target = "kubernetes" | "docker";

export interface KafkaSettings {
    /** One, or at least three: with two, either a lost broker stops appends or an acknowledged record can be lost. */
    brokers: number;
    /** Nodes that do nothing but keep the cluster's metadata; 0: the brokers do it too. */
    controllers: number;
    /** Partitions of each topic when `postrider topics` makes them. */
    partitions: number;
    /** Put before every topic's name. */
    prefix: string;
    /** Largest record that may be published (`log.max_record_bytes`). */
    maxRecordBytes: number;
    storageGiB: number;
    storageClass?: string;
    memoryMiB: number;
    cpus: number;
}

export interface BackupSettings {
    /** Bucket and path: `s3://bucket/path`. */
    destination: string;
    /** Where the bucket is, when it is not Amazon's. */
    endpoint?: string;
    /** A Secret with `ACCESS_KEY_ID` and `ACCESS_SECRET_KEY`; without one the pods' own role is used. */
    credentialsSecret?: string;
    /** Six fields, seconds first. */
    schedule: string;
    retention: string;
}

export interface PostgresSettings {
    instances: number;
    maxConnections: number;
    storageGiB: number;
    storageClass?: string;
    memoryMiB: number;
    cpus: number;
    backup?: BackupSettings;
}

export interface ValkeySettings {
    /** Whether it keeps its data on disk. It may lose all of it: see docs/PULUMI.md. */
    persistence: boolean;
    /** What it may fill; it refuses writes then, and never evicts. */
    maxMemoryMiB: number;
    storageGiB: number;
    storageClass?: string;
    cpus: number;
}

export interface MonitoringSettings {
    enabled: boolean;
    /** prometheus-adapter beside Prometheus (Kubernetes). */
    adapter: boolean;
    /** Namespace of both (Kubernetes). */
    namespace: string;
    retentionDays: number;
    storageGiB: number;
    storageClass?: string;
    /** What Prometheus scrapes (Docker): `host:port` of each process's operators' port, by service. */
    targets: Record<Service, string[]>;
}

export const SERVICES = ["receiver", "director", "distributor", "executor"] as const;
export type Service = (typeof SERVICES)[number];

export interface KubernetesSettings {
    namespace: string;
    createNamespace: boolean;
    /** Whether to install the operators, too. */
    operators: boolean;
    /** Whether pods of one engine must be on different nodes, or only should be. */
    spread: "required" | "preferred";
}

export interface DockerSettings {
    /** Address of this machine that the ports are published at. The engines trust who reaches them there. */
    address: string;
    /** Port of the first broker; the others have the next ones. */
    kafkaPort: number;
    postgresPort: number;
    valkeyPort: number;
    prometheusPort: number;
}

export interface Settings {
    target: Target;
    /** Begins the name of everything. */
    name: string;
    /** Whether `pulumi destroy` refuses to take away what holds data. */
    protect: boolean;
    kafka: KafkaSettings;
    postgres: PostgresSettings;
    valkey: ValkeySettings;
    monitoring: MonitoringSettings;
    kubernetes: KubernetesSettings;
    docker: DockerSettings;
}

/** Charts cut longer names, and then it is not where it was said to be. */
const NAME = /^[a-z]([-a-z0-9]{0,13}[a-z0-9])?$/;
const NAME_IS = "up to 15 small letters, digits and dashes, a letter first";
const LABEL = /^[a-z]([-a-z0-9]{0,28}[a-z0-9])?$/;
const LABEL_IS = "up to 30 small letters, digits and dashes, a letter first";
const OBJECT = /^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/;
const OBJECT_IS = "the name of a Kubernetes object";
const ENDPOINT = /^[A-Za-z0-9][-.A-Za-z0-9]*:[0-9]{1,5}$/;
const CRON = /^([0-9*/,-]+ ){5}[0-9*/,A-Za-z-]+$/;

/** A record of the largest content that a receiver takes by default, with all that goes with it. */
const LEAST_RECORD_BYTES = (256 + 4 + 12) * 1024;

/** Reads the settings; throws all mistakes at once. `raw` is a stack's configuration without the project's name. */
export function readSettings(raw: Record<string, unknown>): Settings {
    const mistakes = new Mistakes();
    const root = new Section("", raw, mistakes);
    const target = root.choice("target", ["kubernetes", "docker"] as const);
    const settings: Settings = {
        target: target ?? "kubernetes",
        name: root.text("name", "postrider", NAME, NAME_IS),
        protect: root.flag("protect", false),
        kafka: kafka(root.section("kafka")),
        postgres: postgres(root.section("postgres")),
        valkey: valkey(root.section("valkey")),
        monitoring: monitoring(root.section("monitoring")),
        kubernetes: kubernetes(root.section("kubernetes")),
        docker: docker(root.section("docker")),
    };
    root.finish();
    relations(settings, target, mistakes);
    mistakes.finish();
    return settings;
}

function kafka(section: Section): KafkaSettings {
    return {
        brokers: section.integer("brokers", 1, 1, 15),
        controllers: section.integer("controllers", 0, 0, 5),
        partitions: section.integer("partitions", 12, 1, 10_000),
        prefix: section.text(
            "prefix",
            "",
            /^[A-Za-z0-9._-]{0,100}$/,
            "up to 100 letters, digits, dots, dashes and underscores",
        ),
        maxRecordBytes: section.integer("maxRecordBytes", 1024 * 1024, LEAST_RECORD_BYTES, 16 * 1024 * 1024),
        storageGiB: section.integer("storageGiB", 10, 1, 65_536),
        storageClass: section.optionalText("storageClass", OBJECT, OBJECT_IS),
        memoryMiB: section.integer("memoryMiB", 1024, 512, 1_048_576),
        cpus: section.decimal("cpus", 1, 0.1, 256),
    };
}

function postgres(section: Section): PostgresSettings {
    return {
        instances: section.integer("instances", 1, 1, 9),
        maxConnections: section.integer("maxConnections", 100, 20, 5000),
        storageGiB: section.integer("storageGiB", 10, 1, 65_536),
        storageClass: section.optionalText("storageClass", OBJECT, OBJECT_IS),
        memoryMiB: section.integer("memoryMiB", 1024, 256, 1_048_576),
        cpus: section.decimal("cpus", 1, 0.1, 256),
        backup: backup(section.section("backup")),
    };
}

function backup(section: Section): BackupSettings | undefined {
    if (!section.present) {
        return undefined;
    }
    return {
        destination: section.neededText("destination", /^s3:\/\/[a-z0-9][-.a-z0-9]{2,62}(\/\S*)?$/, "s3://bucket/path"),
        endpoint: section.optionalText("endpoint", /^https?:\/\/[^\s/]+$/, "http(s)://host[:port]"),
        credentialsSecret: section.optionalText("credentialsSecret", OBJECT, OBJECT_IS),
        schedule: section.text("schedule", "0 0 3 * * *", CRON, "six fields, seconds first, such as 0 0 3 * * *"),
        retention: section.text(
            "retention",
            "30d",
            /^[1-9][0-9]*[dwm]$/,
            "a number of days, weeks or months, such as 30d",
        ),
    };
}

function valkey(section: Section): ValkeySettings {
    return {
        persistence: section.flag("persistence", true),
        maxMemoryMiB: section.integer("maxMemoryMiB", 256, 16, 1_048_576),
        storageGiB: section.integer("storageGiB", 2, 1, 65_536),
        storageClass: section.optionalText("storageClass", OBJECT, OBJECT_IS),
        cpus: section.decimal("cpus", 0.5, 0.1, 256),
    };
}

function monitoring(section: Section): MonitoringSettings {
    const targets = section.section("targets");
    const of = (service: Service) => targets.texts(service, ENDPOINT, "host:port");
    return {
        enabled: section.flag("enabled", false),
        adapter: section.flag("adapter", true),
        namespace: section.text("namespace", "monitoring", LABEL, LABEL_IS),
        retentionDays: section.integer("retentionDays", 15, 1, 3650),
        storageGiB: section.integer("storageGiB", 20, 1, 65_536),
        storageClass: section.optionalText("storageClass", OBJECT, OBJECT_IS),
        targets: {
            receiver: of("receiver"),
            director: of("director"),
            distributor: of("distributor"),
            executor: of("executor"),
        },
    };
}

function kubernetes(section: Section): KubernetesSettings {
    return {
        namespace: section.text("namespace", "postrider", LABEL, LABEL_IS),
        createNamespace: section.flag("createNamespace", true),
        operators: section.flag("operators", true),
        spread: section.choice("spread", ["required", "preferred"] as const, "preferred") ?? "preferred",
    };
}

function docker(section: Section): DockerSettings {
    const port = (key: string, fallback: number) => section.integer(key, fallback, 1, 65_535);
    return {
        address: section.text(
            "address",
            "127.0.0.1",
            /^[0-9]{1,3}(\.[0-9]{1,3}){3}$/,
            "an IPv4 address of this machine",
        ),
        kafkaPort: port("kafkaPort", 9092),
        postgresPort: port("postgresPort", 5432),
        valkeyPort: port("valkeyPort", 6379),
        prometheusPort: port("prometheusPort", 9090),
    };
}

/** What does not fit together. */
function relations(settings: Settings, target: Target | undefined, mistakes: Mistakes): void {
    const { kafka, postgres, monitoring, docker } = settings;
    if (kafka.brokers === 2) {
        mistakes.report(
            "kafka.brokers",
            "is 2, must be 1 or at least 3: two can lose a record, or stop when one is away",
        );
    }
    if (![0, 3, 5].includes(kafka.controllers)) {
        mistakes.report("kafka.controllers", `is ${kafka.controllers}, must be 0, 3 or 5: a majority decides`);
    }
    if (kafka.controllers === 0 && kafka.brokers > 3) {
        mistakes.report("kafka.controllers", "is 0, must be 3 or 5 with more than 3 brokers");
    }
    if (target === "docker") {
        if (kafka.controllers !== 0) {
            mistakes.report("kafka.controllers", "must be 0 with target docker");
        }
        if (postgres.instances !== 1) {
            mistakes.report("postgres.instances", `is ${postgres.instances}, must be 1 with target docker`);
        }
        if (postgres.backup) {
            mistakes.report("postgres.backup", "cannot be made with target docker");
        }
        if (monitoring.enabled && SERVICES.every((service) => monitoring.targets[service].length === 0)) {
            mistakes.report("monitoring.targets", "is empty: with target docker, Prometheus finds nothing by itself");
        }
        ports(kafka.brokers, docker, mistakes);
    }
    if (target === "kubernetes" && postgres.instances === 2) {
        const why = "appends wait for the only standby, so either of the two stops the store when it is away";
        mistakes.report("postgres.instances", `is 2, must be 1 or at least 3: ${why}`);
    }
}

function ports(brokers: number, docker: DockerSettings, mistakes: Mistakes): void {
    const taken = new Map<number, string>();
    const take = (port: number, name: string) => {
        const other = taken.get(port);
        if (other !== undefined) {
            mistakes.report(name, `needs port ${port}, which is taken by ${other}`);
        }
        if (port > 65_535) {
            mistakes.report(name, `needs port ${port}, must be at most 65535`);
        }
        taken.set(port, name);
    };
    for (let broker = 0; broker < brokers; broker += 1) {
        take(docker.kafkaPort + broker, "docker.kafkaPort");
    }
    take(docker.postgresPort, "docker.postgresPort");
    take(docker.valkeyPort, "docker.valkeyPort");
    take(docker.prometheusPort, "docker.prometheusPort");
}

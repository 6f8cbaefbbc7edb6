// One component for each thing that Postrider needs, wherever it is put.

import * as pulumi from "@pulumi/pulumi";

import { kafkaInDocker } from "./docker/kafka";
import { monitoringInDocker } from "./docker/monitoring";
import { postgresInDocker } from "./docker/postgres";
import { valkeyInDocker } from "./docker/valkey";
import { kafkaInKubernetes } from "./kubernetes/kafka";
import { monitoringInKubernetes } from "./kubernetes/monitoring";
import { postgresInKubernetes } from "./kubernetes/postgres";
import { valkeyInKubernetes } from "./kubernetes/valkey";
import type { Address, Plan } from "./place";

abstract class Engine extends pulumi.ComponentResource {
    /** Where it is. An URL with a password is a secret. */
    readonly address: Address;

    constructor(type: string, plan: Plan, make: (parent: pulumi.Resource) => Address) {
        super(`postrider:infrastructure:${type}`, `${plan.settings.name}-${type.toLowerCase()}`);
        this.address = make(this);
        this.registerOutputs({});
    }
}

/** The log: brokers, as `kafka.brokers` wants them. */
export class Kafka extends Engine {
    constructor(plan: Plan) {
        const { place } = plan;
        super("Kafka", plan, (parent) =>
            place.target === "docker"
                ? kafkaInDocker(plan, place, parent)
                : { inside: kafkaInKubernetes(plan, place, parent) },
        );
    }
}

/** The store: a `postgres.url`. */
export class Postgres extends Engine {
    constructor(plan: Plan) {
        const { place } = plan;
        super("Postgres", plan, (parent) =>
            place.target === "docker"
                ? postgresInDocker(plan, place, parent)
                : { inside: postgresInKubernetes(plan, place, parent) },
        );
    }
}

/** The registry: a `redis.url`. */
export class Valkey extends Engine {
    constructor(plan: Plan) {
        const { place } = plan;
        super("Valkey", plan, (parent) =>
            place.target === "docker"
                ? valkeyInDocker(plan, place, parent)
                : { inside: valkeyInKubernetes(plan, place, parent) },
        );
    }
}

/** Prometheus, and in Kubernetes its operator and the adapter: where Prometheus is. */
export class Monitoring extends Engine {
    constructor(plan: Plan) {
        const { place } = plan;
        super("Monitoring", plan, (parent) =>
            place.target === "docker"
                ? { inside: monitoringInDocker(plan, place, parent) }
                : { inside: monitoringInKubernetes(plan, parent) },
        );
    }
}

// What Postrider is told: values for its chart, or an .env file.

import * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";

import type { Secrets } from "./secrets";
import type { Settings } from "./settings";
import { replication } from "./topics";

/** Where things are in the Secret, as the chart's `secrets.keys` has them by default. */
export const SECRET_KEYS = {
    postgresUrl: "postgres-url",
    redisUrl: "redis-url",
    linkSecret: "link-secret",
    authSecret: "auth-secret",
} as const;

/** `[log]`: what `postrider topics` must know to make topics that this Kafka takes. */
function log(settings: Settings) {
    const { kafka } = settings;
    return {
        prefix: kafka.prefix,
        partitions: kafka.partitions,
        replication: replication(kafka.brokers),
        max_record_bytes: kafka.maxRecordBytes,
    };
}

/** Values for charts/postrider. Nothing in them is secret: that is in the Secret they name. */
export function chartValues(
    settings: Settings,
    brokers: pulumi.Input<string>,
    secret: pulumi.Input<string>,
): pulumi.Output<string> {
    const { monitoring } = settings;
    return pulumi.all([brokers, secret]).apply(([brokers, existingSecret]) =>
        stringify({
            secrets: { existingSecret, keys: SECRET_KEYS },
            config: { kafka: { brokers }, log: log(settings) },
            // Without monitoring of this stack, what is there is for the operator to say.
            ...(monitoring.enabled && {
                autoscaling: { provider: monitoring.adapter ? "prometheus-adapter" : "resource" },
                monitoring: { serviceMonitor: { enabled: true }, prometheusRule: { enabled: true } },
            }),
        }),
    );
}

export interface Addresses {
    brokers: pulumi.Input<string>;
    redis: pulumi.Input<string>;
    postgres: pulumi.Input<string>;
}

/** The settings as an environment file, secrets and all. */
export function envFile(settings: Settings, at: Addresses, secrets: Secrets): pulumi.Output<string> {
    const { prefix, partitions, replication: copies, max_record_bytes } = log(settings);
    const text = pulumi
        .all([at.brokers, at.redis, at.postgres, secrets.auth, secrets.link])
        .apply(([brokers, redis, postgres, auth, link]) => {
            const values: Record<string, string | number> = {
                POSTRIDER_KAFKA__BROKERS: brokers,
                POSTRIDER_REDIS__URL: redis,
                POSTRIDER_POSTGRES__URL: postgres,
                ...(prefix !== "" && { POSTRIDER_LOG__PREFIX: prefix }),
                POSTRIDER_LOG__PARTITIONS: partitions,
                POSTRIDER_LOG__REPLICATION: copies,
                POSTRIDER_LOG__MAX_RECORD_BYTES: max_record_bytes,
                POSTRIDER_AUTH__SECRET: auth,
                POSTRIDER_DISTRIBUTOR__LINK__SECRET: link,
                POSTRIDER_DIRECTOR__LINK_SECRET: link,
            };
            const lines = Object.entries(values).map(([key, value]) => `${key}=${value}\n`);
            return lines.join("");
        });
    return pulumi.secret(text);
}

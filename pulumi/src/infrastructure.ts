// The whole stack: settings in, what Postrider is told out.

import * as kubernetes from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

import { Kafka, Monitoring, Postgres, Valkey } from "./engines";
import { readImages } from "./images";
import { chartValues, envFile, SECRET_KEYS } from "./outputs";
import { type KubernetesPlace, makePlace, type Plan } from "./place";
import { RandomSecrets } from "./secrets";
import { readSettings } from "./settings";

export interface Outputs {
    target: string;
    brokers: pulumi.Output<string>;
    /** Where Prometheus is. */
    prometheus?: pulumi.Output<string>;
    /** Values for charts/postrider (Kubernetes). */
    chartValues?: pulumi.Output<string>;
    /** For programs of this machine (Docker). A secret. */
    env?: pulumi.Output<string>;
    /** For containers in the stack's network (Docker). A secret. */
    networkEnv?: pulumi.Output<string>;
}

/** Plans everything. `raw` is a stack's configuration without the project's name. */
export function infrastructure(raw: Record<string, unknown>): Outputs {
    const settings = readSettings(raw);
    const images = readImages();
    const secrets = new RandomSecrets(settings.name, { protect: settings.protect });
    const plan: Plan = { settings, images, secrets, place: makePlace(settings) };
    const kafka = new Kafka(plan).address;
    const postgres = new Postgres(plan).address;
    const valkey = new Valkey(plan).address;
    const monitoring = settings.monitoring.enabled && { prometheus: new Monitoring(plan).address.inside };

    const { place } = plan;
    if (place.target === "kubernetes") {
        const secret = settingsSecret(plan, place, { postgres: postgres.inside, redis: valkey.inside });
        return {
            target: settings.target,
            brokers: kafka.inside,
            ...monitoring,
            chartValues: chartValues(settings, kafka.inside, secret),
        };
    }
    const of = (where: "inside" | "machine") => {
        const at = (address: typeof kafka) => address[where] ?? address.inside;
        return envFile(settings, { brokers: at(kafka), redis: at(valkey), postgres: at(postgres) }, secrets);
    };
    return {
        target: settings.target,
        brokers: kafka.machine ?? kafka.inside,
        ...monitoring,
        env: of("machine"),
        networkEnv: of("inside"),
    };
}

/** The Secret that the chart's `secrets.existingSecret` names. */
function settingsSecret(
    plan: Plan,
    place: KubernetesPlace,
    urls: { postgres: pulumi.Output<string>; redis: pulumi.Output<string> },
): pulumi.Output<string> {
    const name = `${plan.settings.name}-settings`;
    const made = new kubernetes.core.v1.Secret(name, {
        metadata: { name, namespace: place.namespace },
        stringData: {
            [SECRET_KEYS.postgresUrl]: urls.postgres,
            [SECRET_KEYS.redisUrl]: urls.redis,
            [SECRET_KEYS.linkSecret]: plan.secrets.link,
            [SECRET_KEYS.authSecret]: plan.secrets.auth,
        },
    });
    return made.metadata.name;
}

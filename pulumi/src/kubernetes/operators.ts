// The operators that make Kafka and Postgres of their custom resources. A cluster has each once: a second stack in the same
// cluster, or one where somebody else keeps them, sets `kubernetes.operators: false`.

import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { BARMAN, type Chart, CLOUDNATIVE, STRIMZI } from "../charts";
import type { Settings } from "../settings";

export class Operators extends pulumi.ComponentResource {
    readonly kafka: pulumi.Resource[] = [];
    readonly postgres: pulumi.Resource[] = [];

    constructor(
        name: string,
        args: { install: boolean; settings: Settings; after: pulumi.Resource[] },
        options?: pulumi.ComponentResourceOptions,
    ) {
        super("postrider:infrastructure:Operators", name, {}, options);
        if (args.install) {
            const watched = { watchNamespaces: [args.settings.kubernetes.namespace] };
            this.kafka.push(
                release("strimzi", STRIMZI, "strimzi-system", watched, { parent: this, dependsOn: args.after }),
            );
            const cloudnative = release("cloudnative-pg", CLOUDNATIVE, "cnpg-system", {}, { parent: this });
            this.postgres.push(cloudnative);
            if (args.settings.postgres.backup) {
                // The operator finds the plugin in its own namespace.
                const after = { parent: this, dependsOn: [cloudnative] };
                this.postgres.push(release("plugin-barman-cloud", BARMAN, "cnpg-system", {}, after));
            }
        }
        this.registerOutputs({});
    }
}

export function release(
    name: string,
    chart: Chart,
    namespace: string,
    values: pulumi.Inputs,
    options: pulumi.CustomResourceOptions,
): kubernetes.helm.v3.Release {
    return new kubernetes.helm.v3.Release(
        name,
        {
            name,
            chart: chart.chart,
            version: chart.version,
            repositoryOpts: chart.repository === undefined ? undefined : { repo: chart.repository },
            namespace,
            createNamespace: true,
            values,
            timeout: 600,
        },
        options,
    );
}

// What the chart's ServiceMonitors, rules and autoscalers need: the Prometheus operator with a Prometheus that takes those
// of every namespace, and prometheus-adapter with the rules that the chart ships.

import { readFileSync } from "node:fs";
import { join } from "node:path";

import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";

import { ADAPTER, PROMETHEUS } from "../charts";
import { ROOT } from "../images";
import type { Plan } from "../place";
import { release } from "./operators";

export function monitoringInKubernetes(plan: Plan, parent: pulumi.Resource): pulumi.Output<string> {
    const { settings, images } = plan;
    const { monitoring, name } = settings;
    const fullname = `${name}-monitoring`;
    const prometheus = release(
        fullname,
        PROMETHEUS,
        monitoring.namespace,
        {
            fullnameOverride: fullname,
            // Prometheus and its operator. What else the chart can bring is for whoever looks after the cluster.
            grafana: { enabled: false },
            nodeExporter: { enabled: false },
            kubeStateMetrics: { enabled: false },
            defaultRules: { create: false },
            prometheus: {
                prometheusSpec: {
                    image: {
                        registry: "docker.io",
                        repository: images.prometheus.repository,
                        tag: images.prometheus.tag,
                    },
                    retention: `${monitoring.retentionDays}d`,
                    // Those of Postrider's chart too, and not only those of this release.
                    serviceMonitorSelectorNilUsesHelmValues: false,
                    podMonitorSelectorNilUsesHelmValues: false,
                    ruleSelectorNilUsesHelmValues: false,
                    storageSpec: {
                        volumeClaimTemplate: {
                            spec: {
                                storageClassName: monitoring.storageClass,
                                accessModes: ["ReadWriteOnce"],
                                resources: { requests: { storage: `${monitoring.storageGiB}Gi` } },
                            },
                        },
                    },
                },
            },
        },
        { parent },
    );
    const url = `http://${fullname}-prometheus.${monitoring.namespace}.svc`;
    if (monitoring.adapter) {
        release(
            `${name}-adapter`,
            ADAPTER,
            monitoring.namespace,
            { prometheus: { url, port: 9090 }, ...adapterRules() },
            { parent, dependsOn: [prometheus] },
        );
    }
    return pulumi.output(`${url}:9090`);
}

/** The chart's rules, as values of prometheus-adapter's chart. */
export function adapterRules(): { rules: object } {
    const file = join(ROOT, "charts", "postrider", "files", "prometheus-adapter.yaml");
    const { rules } = parse(readFileSync(file, "utf8"));
    return { rules };
}

// Kafka by Strimzi: KRaft, node pools, no ZooKeeper. No topic operator: `postrider topics` makes the topics and knows their
// generations.

import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import type { KubernetesPlace, Plan } from "../place";
import { brokerSettings } from "../topics";
import { apart, overZones } from "./spread";

const API = "kafka.strimzi.io/v1";
/** Kafka's memory beside its heap is the page cache, which consumers live from. */
const MOST_HEAP_MIB = 6 * 1024;

export function kafkaInKubernetes(plan: Plan, place: KubernetesPlace, parent: pulumi.Resource): pulumi.Output<string> {
    const { settings, images } = plan;
    const { kafka, name } = settings;
    const metadata = { namespace: place.namespace, labels: { "strimzi.io/cluster": name } };
    const options = { parent, protect: settings.protect, dependsOn: place.operators.kafka };
    const combined = kafka.controllers === 0;
    const pools = [pool("broker", kafka.brokers, combined ? ["controller", "broker"] : ["broker"])];
    if (!combined) {
        pools.push(pool("controller", kafka.controllers, ["controller"]));
    }

    function pool(role: string, replicas: number, roles: string[]) {
        const selector = { "strimzi.io/cluster": name, "strimzi.io/pool-name": role };
        const isBroker = roles.includes("broker");
        const memoryMiB = isBroker ? kafka.memoryMiB : Math.min(kafka.memoryMiB, 2048);
        const heap = `${Math.min(Math.floor(memoryMiB / 2), MOST_HEAP_MIB)}m`;
        const spec = {
            replicas,
            roles,
            storage: {
                type: "jbod",
                volumes: [
                    {
                        id: 0,
                        type: "persistent-claim",
                        size: `${isBroker ? kafka.storageGiB : Math.min(kafka.storageGiB, 20)}Gi`,
                        class: kafka.storageClass,
                        // Whoever deletes the pool by mistake still has the records.
                        deleteClaim: false,
                        kraftMetadata: "shared",
                    },
                ],
            },
            resources: {
                requests: { memory: `${memoryMiB}Mi`, cpu: `${Math.round(kafka.cpus * 1000)}m` },
                limits: { memory: `${memoryMiB}Mi` },
            },
            jvmOptions: { "-Xms": heap, "-Xmx": heap },
            template: {
                pod: {
                    affinity: apart(selector, settings.kubernetes.spread),
                    topologySpreadConstraints: overZones(selector),
                },
            },
        };
        const kind = { apiVersion: API, kind: "KafkaNodePool" };
        return new kubernetes.apiextensions.CustomResource(
            `${name}-${role}`,
            { ...kind, metadata: { ...metadata, name: role }, spec },
            options,
        );
    }

    new kubernetes.apiextensions.CustomResource(
        name,
        {
            apiVersion: API,
            kind: "Kafka",
            metadata: {
                name,
                namespace: place.namespace,
                annotations: { "pulumi.com/waitFor": "condition=Ready", "pulumi.com/timeoutSeconds": "1200" },
            },
            spec: {
                kafka: {
                    version: images.kafka.tag,
                    // Postrider's Kafka client speaks no TLS. Only its own namespace gets to this port.
                    listeners: [
                        {
                            name: "plain",
                            port: 9092,
                            type: "internal",
                            tls: false,
                            networkPolicyPeers: [{ podSelector: {} }],
                        },
                    ],
                    config: brokerSettings(kafka),
                },
            },
        },
        { ...options, dependsOn: [...place.operators.kafka, ...pools] },
    );
    return pulumi.interpolate`${name}-kafka-bootstrap.${place.namespace}.svc:9092`;
}

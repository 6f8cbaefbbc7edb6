// Kafka as one container, or three that are brokers and controllers at once.

import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

import type { Address, DockerPlace, Plan } from "../place";
import { brokerSettings } from "../topics";
import { container } from "./container";

/** For what is in the network, for programs of this machine, and for the nodes among themselves. */
const INSIDE = 19_092;
const MACHINE = 9092;
const CONTROLLER = 9093;

/** An ApiVersions request, which a broker answers once it serves. Kafka's own tools would start a JVM each time. */
const CHECK = [
    `exec 3<>/dev/tcp/127.0.0.1/${INSIDE} &&`,
    "printf '\\0\\0\\0\\012\\0\\022\\0\\0\\0\\0\\0\\001\\377\\377' >&3 &&",
    "[[ $(head -c 4 <&3 | wc -c) -eq 4 ]]",
].join(" ");

export function kafkaInDocker(plan: Plan, place: DockerPlace, parent: pulumi.Resource): Address {
    const { settings, images } = plan;
    const { kafka, docker } = settings;
    const id = new random.RandomId(`${settings.name}-kafka`, { byteLength: 16 }, { parent, protect: settings.protect });
    // 16 bytes in this alphabet are what Kafka takes; a dash first would look like an option to its tools.
    const clusterId = id.b64Url.apply((text) => text.replace(/^-/, "A"));
    const nodes = Array.from({ length: kafka.brokers }, (_, at) => ({
        id: at + 1,
        name: `${settings.name}-kafka-${at + 1}`,
        port: docker.kafkaPort + at,
    }));
    const voters = nodes.map((node) => `${node.id}@${node.name}:${CONTROLLER}`).join(",");
    const heapMiB = Math.floor(kafka.memoryMiB / 2);

    const containers = nodes.map((node) => {
        const given: Record<string, string | number | boolean> = {
            "node.id": node.id,
            "process.roles": "broker,controller",
            listeners: `INSIDE://:${INSIDE},MACHINE://:${MACHINE},CONTROLLER://:${CONTROLLER}`,
            "advertised.listeners": `INSIDE://${node.name}:${INSIDE},MACHINE://${docker.address}:${node.port}`,
            "listener.security.protocol.map": "INSIDE:PLAINTEXT,MACHINE:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "INSIDE",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": voters,
            "log.dirs": "/var/lib/kafka/data",
            ...brokerSettings(kafka),
        };
        const envs = Object.entries(given).map(([key, value]) => `${variable(key)}=${value}`);
        envs.push(`KAFKA_HEAP_OPTS=-Xms${heapMiB}m -Xmx${heapMiB}m`);
        const args = {
            image: images.kafka,
            envs: clusterId.apply((text) => [`CLUSTER_ID=${text}`, ...envs]),
            ports: [{ inside: MACHINE, outside: node.port, address: docker.address }],
            data: "/var/lib/kafka/data",
            check: ["CMD", "bash", "-c", CHECK],
            memoryMiB: kafka.memoryMiB,
            cpus: kafka.cpus,
            stopSeconds: 60,
            protect: settings.protect,
        };
        return container(node.name, place, args, parent);
    });
    // Told only when all of them are healthy.
    const healthy = pulumi.all(containers.map((made) => made.id));
    const join = (each: (node: (typeof nodes)[number]) => string) => healthy.apply(() => nodes.map(each).join(","));
    return {
        inside: join((node) => `${node.name}:${INSIDE}`),
        machine: join((node) => `${docker.address}:${node.port}`),
    };
}

/** How the image wants a setting of Kafka's. */
function variable(key: string): string {
    return `KAFKA_${key.toUpperCase().replaceAll(".", "_")}`;
}

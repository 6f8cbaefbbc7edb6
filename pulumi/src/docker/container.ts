// What all containers here have in common.

import * as docker from "@pulumi/docker";
import type * as pulumi from "@pulumi/pulumi";

import { type Image, reference } from "../images";
import type { DockerPlace } from "../place";

export interface ContainerArgs {
    image: Image;
    command?: string[];
    envs?: pulumi.Input<pulumi.Input<string>[]>;
    /** By the port inside, the one of this machine. */
    ports: { inside: number; outside: number; address: string }[];
    /** Where its volume is mounted; without it, it has none. */
    data?: string;
    uploads?: { file: string; content: pulumi.Input<string> }[];
    check: string[];
    memoryMiB: number;
    cpus: number;
    stopSeconds: number;
    protect: boolean;
    hosts?: { host: string; ip: string }[];
}

/** Starts a container and waits until it is healthy. */
export function container(
    name: string,
    place: DockerPlace,
    args: ContainerArgs,
    parent: pulumi.Resource,
): docker.Container {
    const image = new docker.RemoteImage(name, { name: reference(args.image), keepLocally: true }, { parent });
    const volumes = args.data === undefined ? [] : [volume(name, args.data, args.protect, parent)];
    return new docker.Container(
        name,
        {
            name,
            hostname: name,
            image: image.imageId,
            command: args.command,
            envs: args.envs,
            networksAdvanced: [{ name: place.network.name, aliases: [name] }],
            ports: args.ports.map(({ inside, outside, address }) => ({
                internal: inside,
                external: outside,
                ip: address,
            })),
            volumes,
            uploads: args.uploads,
            hosts: args.hosts,
            memory: args.memoryMiB,
            // No swap: an engine in it is slower than none. Said, because Docker would fill in something else.
            memorySwap: args.memoryMiB,
            // Written as Docker gives it back: else it would be made anew after each refresh. So is startPeriod.
            cpus: Number.isInteger(args.cpus) ? args.cpus.toFixed(1) : `${args.cpus}`,
            securityOpts: ["no-new-privileges:true"],
            restart: "unless-stopped",
            destroyGraceSeconds: args.stopSeconds,
            stopTimeout: args.stopSeconds,
            logDriver: "json-file",
            logOpts: { "max-size": "10m", "max-file": "3" },
            healthcheck: { tests: args.check, interval: "5s", timeout: "3s", retries: 6, startPeriod: "1m0s" },
            wait: true,
            waitTimeout: 180,
        },
        { parent, deleteBeforeReplace: true },
    );
}

function volume(name: string, containerPath: string, protect: boolean, parent: pulumi.Resource) {
    const made = new docker.Volume(name, { name }, { parent, protect });
    return { volumeName: made.name, containerPath };
}

// Valkey as one container.

import * as pulumi from "@pulumi/pulumi";

import type { Address, DockerPlace, Plan } from "../place";
import { DATA, PASSWORD_FILE, passwordConf, valkeyConf, valkeyMemoryMiB } from "../valkey-settings";
import { container } from "./container";

export function valkeyInDocker(plan: Plan, place: DockerPlace, parent: pulumi.Resource): Address {
    const { settings, images, secrets } = plan;
    const { valkey, docker } = settings;
    const made = container(
        `${settings.name}-valkey`,
        place,
        {
            image: images.valkey,
            command: ["valkey-server", "/etc/valkey/valkey.conf"],
            envs: [pulumi.secret(pulumi.interpolate`REDISCLI_AUTH=${secrets.valkey}`)],
            ports: [{ inside: 6379, outside: docker.valkeyPort, address: docker.address }],
            data: valkey.persistence ? DATA : undefined,
            uploads: [
                { file: "/etc/valkey/valkey.conf", content: valkeyConf(valkey) },
                { file: PASSWORD_FILE, content: pulumi.secret(secrets.valkey.apply(passwordConf)) },
            ],
            check: ["CMD-SHELL", "valkey-cli ping | grep -q PONG"],
            memoryMiB: valkeyMemoryMiB(valkey),
            cpus: valkey.cpus,
            stopSeconds: 30,
            // It may lose everything, see docs/PULUMI.md.
            protect: false,
        },
        parent,
    );
    const at = (address: pulumi.Input<string>) =>
        pulumi.secret(pulumi.interpolate`redis://:${secrets.valkey}@${address}`);
    return {
        inside: at(pulumi.interpolate`${made.name}:6379`),
        machine: at(made.name.apply(() => `${docker.address}:${docker.valkeyPort}`)),
    };
}

// Where the engines are put, and how they are reached there.

import * as docker from "@pulumi/docker";
import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import type { Images } from "./images";
import { Operators } from "./kubernetes/operators";
import type { Secrets } from "./secrets";
import type { Settings } from "./settings";

export interface KubernetesPlace {
    target: "kubernetes";
    /** Where the engines and Postrider live. */
    namespace: pulumi.Output<string>;
    operators: Operators;
}

export interface DockerPlace {
    target: "docker";
    network: docker.Network;
}

/** What every engine is given. */
export interface Plan {
    settings: Settings;
    images: Images;
    secrets: Secrets;
    place: KubernetesPlace | DockerPlace;
}

/** How an engine is reached: by what runs beside it, and, in Docker, by programs of this machine. */
export interface Address {
    inside: pulumi.Output<string>;
    machine?: pulumi.Output<string>;
}

export function makePlace(settings: Settings): KubernetesPlace | DockerPlace {
    if (settings.target === "docker") {
        return { target: "docker", network: new docker.Network(settings.name, { name: settings.name }) };
    }
    const { namespace, createNamespace, operators } = settings.kubernetes;
    // Taking a namespace away takes all of it away, volumes too.
    const options = { protect: settings.protect };
    const made = createNamespace
        ? new kubernetes.core.v1.Namespace(namespace, { metadata: { name: namespace } }, options)
        : undefined;
    return {
        target: "kubernetes",
        namespace: made ? made.metadata.name : pulumi.output(namespace),
        // Strimzi's chart writes roles into the namespace that it watches.
        operators: new Operators(`${settings.name}-operators`, {
            install: operators,
            settings,
            after: made ? [made] : [],
        }),
    };
}

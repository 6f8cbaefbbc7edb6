// Pods of one engine on different nodes, and in different zones where there are some.

import type { KubernetesSettings } from "../settings";

type Labels = Record<string, string>;

const NODE = "kubernetes.io/hostname";
const ZONE = "topology.kubernetes.io/zone";

export function apart(labels: Labels, spread: KubernetesSettings["spread"]) {
    const term = { labelSelector: { matchLabels: labels }, topologyKey: NODE };
    return {
        podAntiAffinity:
            spread === "required"
                ? { requiredDuringSchedulingIgnoredDuringExecution: [term] }
                : { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: term }] },
    };
}

export function overZones(labels: Labels) {
    return [
        {
            maxSkew: 1,
            topologyKey: ZONE,
            whenUnsatisfiable: "ScheduleAnyway",
            labelSelector: { matchLabels: labels },
        },
    ];
}

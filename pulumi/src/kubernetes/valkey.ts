// Valkey as one pod. Postrider speaks to one server, neither to sentinels nor to a cluster, and may lose all that is in it;
// a second one would protect nothing.

import { createHash } from "node:crypto";

import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { reference } from "../images";
import type { KubernetesPlace, Plan } from "../place";
import { DATA, PASSWORD_FILE, passwordConf, valkeyConf, valkeyMemoryMiB } from "../valkey-settings";

/** `valkey` in the image of that name. */
const VALKEY_USER = 999;

export function valkeyInKubernetes(plan: Plan, place: KubernetesPlace, parent: pulumi.Resource): pulumi.Output<string> {
    const { settings, secrets } = plan;
    const name = `${settings.name}-valkey`;
    const labels = { "app.kubernetes.io/name": "valkey", "app.kubernetes.io/instance": name };
    const metadata = { name, namespace: place.namespace, labels };
    const options = { parent };

    const conf = valkeyConf(settings.valkey);
    const configMap = new kubernetes.core.v1.ConfigMap(name, { metadata, data: { "valkey.conf": conf } }, options);
    const password = new kubernetes.core.v1.Secret(
        name,
        {
            metadata,
            stringData: { password: secrets.valkey, "password.conf": secrets.valkey.apply(passwordConf) },
        },
        options,
    );
    const service = new kubernetes.core.v1.Service(
        name,
        { metadata, spec: { selector: labels, ports: [{ name: "valkey", port: 6379, targetPort: "valkey" }] } },
        options,
    );
    // Postrider's client speaks no TLS. Only its own namespace gets in.
    new kubernetes.networking.v1.NetworkPolicy(
        name,
        {
            metadata,
            spec: {
                podSelector: { matchLabels: labels },
                policyTypes: ["Ingress", "Egress"],
                ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 6379 }] }],
                egress: [],
            },
        },
        options,
    );
    new kubernetes.apps.v1.StatefulSet(
        name,
        {
            metadata,
            spec: {
                serviceName: service.metadata.name,
                replicas: 1,
                selector: { matchLabels: labels },
                template: {
                    metadata: {
                        labels,
                        annotations: { "postrider.dev/settings": createHash("sha256").update(conf).digest("hex") },
                    },
                    spec: pod(plan, configMap.metadata.name, password.metadata.name),
                },
                volumeClaimTemplates: settings.valkey.persistence ? [claim(plan)] : undefined,
            },
        },
        { parent, protect: settings.protect && settings.valkey.persistence },
    );
    const host = pulumi.interpolate`${service.metadata.name}.${place.namespace}.svc`;
    return pulumi.secret(pulumi.interpolate`redis://:${secrets.valkey}@${host}:6379`);
}

function pod(plan: Plan, configMap: pulumi.Output<string>, password: pulumi.Output<string>) {
    const { valkey } = plan.settings;
    const memory = `${valkeyMemoryMiB(valkey)}Mi`;
    // Loading its data it answers, but not PONG.
    const probe = { exec: { command: ["sh", "-c", "valkey-cli ping | grep -q PONG"] }, timeoutSeconds: 3 };
    return {
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        securityContext: {
            runAsNonRoot: true,
            runAsUser: VALKEY_USER,
            runAsGroup: VALKEY_USER,
            fsGroup: VALKEY_USER,
            seccompProfile: { type: "RuntimeDefault" },
        },
        containers: [
            {
                name: "valkey",
                image: reference(plan.images.valkey),
                command: ["valkey-server", "/etc/valkey/valkey.conf"],
                env: [
                    {
                        name: "REDISCLI_AUTH",
                        valueFrom: { secretKeyRef: { name: password, key: "password" } },
                    },
                ],
                ports: [{ name: "valkey", containerPort: 6379 }],
                resources: {
                    requests: { memory, cpu: `${Math.round(valkey.cpus * 1000)}m` },
                    limits: { memory },
                },
                securityContext: {
                    allowPrivilegeEscalation: false,
                    readOnlyRootFilesystem: true,
                    capabilities: { drop: ["ALL"] },
                },
                startupProbe: { ...probe, periodSeconds: 2, failureThreshold: 150 },
                readinessProbe: { ...probe, periodSeconds: 5 },
                livenessProbe: { tcpSocket: { port: "valkey" }, periodSeconds: 10, failureThreshold: 6 },
                volumeMounts: [
                    { name: "settings", mountPath: "/etc/valkey", readOnly: true },
                    { name: "password", mountPath: PASSWORD_FILE.replace(/\/[^/]*$/, ""), readOnly: true },
                    { name: "data", mountPath: DATA },
                ],
            },
        ],
        volumes: [
            { name: "settings", configMap: { name: configMap } },
            {
                name: "password",
                secret: { secretName: password, items: [{ key: "password.conf", path: "password.conf" }] },
            },
            ...(valkey.persistence ? [] : [{ name: "data", emptyDir: {} }]),
        ],
    };
}

function claim(plan: Plan) {
    const { storageGiB, storageClass } = plan.settings.valkey;
    return {
        metadata: { name: "data" },
        spec: {
            accessModes: ["ReadWriteOnce"],
            storageClassName: storageClass,
            resources: { requests: { storage: `${storageGiB}Gi` } },
        },
    };
}

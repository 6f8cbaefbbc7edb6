// Postgres by CloudNativePG.

import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { reference } from "../images";
import type { KubernetesPlace, Plan } from "../place";
import type { BackupSettings } from "../settings";

const API = "postgresql.cnpg.io/v1";
const BARMAN_PLUGIN = "barman-cloud.cloudnative-pg.io";
/** `postgres` in the image of that name. */
const POSTGRES_USER = 999;

export function postgresInKubernetes(
    plan: Plan,
    place: KubernetesPlace,
    parent: pulumi.Resource,
): pulumi.Output<string> {
    const { settings, images, secrets } = plan;
    const { postgres } = settings;
    const name = `${settings.name}-postgres`;
    const { namespace } = place;
    const options = { parent, protect: settings.protect };

    const owner = new kubernetes.core.v1.Secret(
        `${name}-owner`,
        {
            metadata: {
                name: `${name}-owner`,
                namespace,
                // The operator sets the role's password anew when this changes.
                labels: { "cnpg.io/reload": "true" },
            },
            type: "kubernetes.io/basic-auth",
            stringData: { username: "postrider", password: secrets.postgres },
        },
        options,
    );
    const store = postgres.backup && objectStore(name, namespace, postgres.backup, options, place);
    const cluster = new kubernetes.apiextensions.CustomResource(
        name,
        {
            apiVersion: API,
            kind: "Cluster",
            metadata: {
                name,
                namespace,
                annotations: { "pulumi.com/waitFor": "condition=Ready", "pulumi.com/timeoutSeconds": "1200" },
            },
            spec: {
                instances: postgres.instances,
                imageName: reference(images.postgres),
                postgresUID: POSTGRES_USER,
                postgresGID: POSTGRES_USER,
                bootstrap: {
                    initdb: { database: "postrider", owner: "postrider", secret: { name: owner.metadata.name } },
                },
                storage: { size: `${postgres.storageGiB}Gi`, storageClass: postgres.storageClass },
                resources: {
                    requests: { memory: `${postgres.memoryMiB}Mi`, cpu: `${Math.round(postgres.cpus * 1000)}m` },
                    limits: { memory: `${postgres.memoryMiB}Mi` },
                },
                postgresql: {
                    parameters: {
                        max_connections: `${postgres.maxConnections}`,
                        shared_buffers: `${Math.floor(postgres.memoryMiB / 4)}MB`,
                    },
                    ...(postgres.instances > 1 && { synchronous: SYNCHRONOUS }),
                },
                affinity: {
                    enablePodAntiAffinity: true,
                    podAntiAffinityType: settings.kubernetes.spread,
                    topologyKey: "kubernetes.io/hostname",
                },
                ...(store && {
                    plugins: [
                        {
                            name: BARMAN_PLUGIN,
                            isWALArchiver: true,
                            parameters: { barmanObjectName: store.metadata.name },
                        },
                    ],
                }),
            },
        },
        { ...options, dependsOn: place.operators.postgres },
    );
    if (postgres.backup) {
        scheduled(name, namespace, postgres.backup, cluster, { parent });
    }
    const host = pulumi.interpolate`${name}-rw.${namespace}.svc`;
    return pulumi.secret(
        pulumi.interpolate`postgres://postrider:${secrets.postgres}@${host}:5432/postrider?sslmode=require`,
    );
}

/**
 * A row is acknowledged when a standby has it, too. The archiver commits its offset then, and reads the record never again:
 * a failover to a standby without the row would lose what was accepted.
 */
const SYNCHRONOUS = { method: "any", number: 1, dataDurability: "required" };

function objectStore(
    name: string,
    namespace: pulumi.Output<string>,
    backup: BackupSettings,
    options: pulumi.CustomResourceOptions,
    place: KubernetesPlace,
): kubernetes.apiextensions.CustomResource {
    const key = (key: string) => ({ name: backup.credentialsSecret, key });
    return new kubernetes.apiextensions.CustomResource(
        `${name}-backup`,
        {
            apiVersion: "barmancloud.cnpg.io/v1",
            kind: "ObjectStore",
            metadata: { name: `${name}-backup`, namespace },
            spec: {
                retentionPolicy: backup.retention,
                configuration: {
                    destinationPath: backup.destination,
                    endpointURL: backup.endpoint,
                    s3Credentials: backup.credentialsSecret
                        ? { accessKeyId: key("ACCESS_KEY_ID"), secretAccessKey: key("ACCESS_SECRET_KEY") }
                        : { inheritFromIAMRole: true },
                    wal: { compression: "gzip" },
                    data: { compression: "gzip" },
                },
            },
        },
        { ...options, dependsOn: place.operators.postgres },
    );
}

function scheduled(
    name: string,
    namespace: pulumi.Output<string>,
    backup: BackupSettings,
    cluster: kubernetes.apiextensions.CustomResource,
    options: pulumi.CustomResourceOptions,
): void {
    new kubernetes.apiextensions.CustomResource(
        `${name}-scheduled`,
        {
            apiVersion: API,
            kind: "ScheduledBackup",
            metadata: { name: `${name}-scheduled`, namespace },
            spec: {
                schedule: backup.schedule,
                // The first at once: one that fails is known today and not tomorrow.
                immediate: true,
                backupOwnerReference: "self",
                cluster: { name: cluster.metadata.name },
                method: "plugin",
                pluginConfiguration: { name: BARMAN_PLUGIN },
            },
        },
        options,
    );
}

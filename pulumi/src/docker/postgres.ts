// Postgres as one container.

import * as pulumi from "@pulumi/pulumi";

import type { Address, DockerPlace, Plan } from "../place";
import { container } from "./container";

export function postgresInDocker(plan: Plan, place: DockerPlace, parent: pulumi.Resource): Address {
    const { settings, images, secrets } = plan;
    const { postgres, docker } = settings;
    const name = `${settings.name}-postgres`;
    const parameters = [
        `max_connections=${postgres.maxConnections}`,
        `shared_buffers=${Math.floor(postgres.memoryMiB / 4)}MB`,
    ];
    const made = container(
        name,
        place,
        {
            image: images.postgres,
            command: ["postgres", ...parameters.flatMap((parameter) => ["-c", parameter])],
            envs: [
                "POSTGRES_USER=postrider",
                "POSTGRES_DB=postrider",
                pulumi.secret(pulumi.interpolate`POSTGRES_PASSWORD=${secrets.postgres}`),
            ],
            ports: [{ inside: 5432, outside: docker.postgresPort, address: docker.address }],
            data: "/var/lib/postgresql/data",
            // By TCP: while the database is being made, the server listens at its socket only.
            check: ["CMD", "pg_isready", "--quiet", "--host=127.0.0.1", "--username=postrider", "--dbname=postrider"],
            memoryMiB: postgres.memoryMiB,
            cpus: postgres.cpus,
            stopSeconds: 60,
            protect: settings.protect,
        },
        parent,
    );
    const at = (address: pulumi.Input<string>) =>
        pulumi.secret(pulumi.interpolate`postgres://postrider:${secrets.postgres}@${address}/postrider`);
    return {
        inside: at(pulumi.interpolate`${made.name}:5432`),
        machine: at(made.name.apply(() => `${docker.address}:${docker.postgresPort}`)),
    };
}

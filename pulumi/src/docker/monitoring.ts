// Prometheus as one container, with the rules that the chart ships. It scrapes what the settings name: processes of this
// machine are `host.docker.internal`.

import { readFileSync } from "node:fs";
import { join } from "node:path";

import type * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";

import { ROOT } from "../images";
import type { DockerPlace, Plan } from "../place";
import { type MonitoringSettings, SERVICES } from "../settings";
import { container } from "./container";

const RULES = ["recording.yaml", "alerts.yaml"];

export function monitoringInDocker(plan: Plan, place: DockerPlace, parent: pulumi.Resource): pulumi.Output<string> {
    const { settings, images } = plan;
    const { monitoring, docker } = settings;
    const made = container(
        `${settings.name}-prometheus`,
        place,
        {
            image: images.prometheus,
            command: [
                "--config.file=/etc/prometheus/prometheus.yml",
                "--storage.tsdb.path=/prometheus",
                `--storage.tsdb.retention.time=${monitoring.retentionDays}d`,
                `--storage.tsdb.retention.size=${monitoring.storageGiB}GB`,
            ],
            ports: [{ inside: 9090, outside: docker.prometheusPort, address: docker.address }],
            data: "/prometheus",
            uploads: [
                { file: "/etc/prometheus/prometheus.yml", content: prometheusYml(monitoring) },
                ...rules().map(({ name, content }) => ({ file: `/etc/prometheus/rules/${name}`, content })),
            ],
            hosts: [{ host: "host.docker.internal", ip: "host-gateway" }],
            check: ["CMD", "wget", "--quiet", "--output-document=/dev/null", "http://127.0.0.1:9090/-/ready"],
            memoryMiB: 1024,
            cpus: 1,
            stopSeconds: 30,
            protect: false,
        },
        parent,
    );
    return made.name.apply(() => `http://${docker.address}:${docker.prometheusPort}`);
}

/** Jobs have the names that rules and dashboards know. */
export function prometheusYml(monitoring: MonitoringSettings): string {
    const named = SERVICES.filter((service) => monitoring.targets[service].length > 0);
    return stringify({
        global: { scrape_interval: "15s", evaluation_interval: "15s" },
        rule_files: ["/etc/prometheus/rules/*.yaml"],
        scrape_configs: named.map((service) => ({
            job_name: `postrider-${service}`,
            static_configs: [{ targets: monitoring.targets[service] }],
        })),
    });
}

function rules(): { name: string; content: string }[] {
    const folder = join(ROOT, "charts", "postrider", "files");
    return RULES.map((name) => ({ name, content: readFileSync(join(folder, name), "utf8") }));
}

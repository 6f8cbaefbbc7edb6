// Charts of what Postrider's engines need in a cluster and do not bring themselves: their operators, and monitoring.
// They carry their own images.

export interface Chart {
    chart: string;
    repository?: string;
    version: string;
}

const COMMUNITY = "https://prometheus-community.github.io/helm-charts";
const CLOUDNATIVE_PG = "https://cloudnative-pg.github.io/charts";

/** Serves `kafka.strimzi.io/v1` and runs the Kafka of deploy/images.json: see kafka-versions.yaml of its release. */
export const STRIMZI: Chart = { chart: "oci://quay.io/strimzi-helm/strimzi-kafka-operator", version: "1.0.1" };

/** Operator 1.30.0. */
export const CLOUDNATIVE: Chart = { chart: "cloudnative-pg", repository: CLOUDNATIVE_PG, version: "0.29.0" };

/** Takes backups to an object store. Needs cert-manager. */
export const BARMAN: Chart = { chart: "plugin-barman-cloud", repository: CLOUDNATIVE_PG, version: "0.7.0" };

export const PROMETHEUS: Chart = { chart: "kube-prometheus-stack", repository: COMMUNITY, version: "88.5.3" };

export const ADAPTER: Chart = { chart: "prometheus-adapter", repository: COMMUNITY, version: "5.3.0" };

// What Kafka must be so that `postrider topics` can make its topics there, and no record is lost.

import type { KafkaSettings } from "./settings";

/** How much larger than a record its copy on another topic may be. */
const COPY_BYTES = 4 * 1024;
/** What Kafka's format adds to a record at most. */
const FORMAT_BYTES = 16 * 1024;
/** For how long a record stands: a notification lives for up to 28 days, and a day is for noticing a backlog. */
const RETENTION_DAYS = 29;

/** Copies of each partition: three survive the loss of one broker, and so does appending. */
export function replication(brokers: number): number {
    return brokers >= 3 ? 3 : 1;
}

/** How many copies must have a record before it is acknowledged. */
export function inSync(brokers: number): number {
    return brokers >= 3 ? 2 : 1;
}

/** The largest record of any topic, as Kafka counts. */
export function mostBytes(maxRecordBytes: number): number {
    return maxRecordBytes + COPY_BYTES + FORMAT_BYTES;
}

/** What is set on every broker, in Kafka's names. Topics that `postrider topics` makes say the same for themselves. */
export function brokerSettings(kafka: KafkaSettings): Record<string, string | number | boolean> {
    const copies = replication(kafka.brokers);
    const most = mostBytes(kafka.maxRecordBytes);
    return {
        // A topic that nobody made on purpose would have other settings than Postrider's.
        "auto.create.topics.enable": false,
        "default.replication.factor": copies,
        "min.insync.replicas": inSync(kafka.brokers),
        "unclean.leader.election.enable": false,
        "num.partitions": kafka.partitions,
        "message.max.bytes": most,
        "replica.fetch.max.bytes": Math.max(most, 1024 * 1024),
        "log.retention.hours": RETENTION_DAYS * 24,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": inSync(kafka.brokers),
        // A group that was away may come back for as long as its records stand, and goes on where it was.
        "offsets.retention.minutes": RETENTION_DAYS * 24 * 60,
    };
}

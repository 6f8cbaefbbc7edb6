// How Valkey runs, whatever it runs in.

import type { ValkeySettings } from "./settings";

/** Where its password stands, as a file that its settings include: a command line can be read by everybody. */
export const PASSWORD_FILE = "/etc/valkey-password/password.conf";
export const DATA = "/data";

/** `valkey.conf`. */
export function valkeyConf(valkey: ValkeySettings): string {
    const lines = [
        "port 6379",
        `dir ${DATA}`,
        `maxmemory ${valkey.maxMemoryMiB}mb`,
        // What were evicted would be routes that nobody announces again: it refuses writes instead.
        "maxmemory-policy noeviction",
        'save ""',
        ...(valkey.persistence ? ["appendonly yes", "appendfsync everysec"] : ["appendonly no"]),
        `include ${PASSWORD_FILE}`,
    ];
    return `${lines.join("\n")}\n`;
}

/** What the file with the password says. */
export function passwordConf(password: string): string {
    return `requirepass ${password}\n`;
}

/** Most memory that it takes: rewriting its log copies, at worst, everything. */
export function valkeyMemoryMiB(valkey: ValkeySettings): number {
    const factor = valkey.persistence ? 2 : 1.25;
    return Math.ceil(valkey.maxMemoryMiB * factor) + 64;
}

// Images, as deploy/images.json names them for compose, the chart and here.

import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface Image {
    repository: string;
    tag: string;
}

const NEEDED = ["kafka", "postgres", "valkey", "prometheus"] as const;
export type Images = Record<(typeof NEEDED)[number], Image>;

/** The folder of the repository, which is the one above this project. */
export const ROOT = join(__dirname, "..", "..");

export function readImages(file = join(ROOT, "deploy", "images.json")): Images {
    const read = JSON.parse(readFileSync(file, "utf8")) as Record<string, Partial<Image> | undefined>;
    const missing = NEEDED.filter((name) => !read[name]?.repository || !read[name]?.tag);
    if (missing.length > 0) {
        throw new Error(`${file} does not say repository and tag of ${missing.join(", ")}`);
    }
    return read as Images;
}

export function reference(image: Image): string {
    return `${image.repository}:${image.tag}`;
}

// A stack without an engine: what would be made is written down instead.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";

import { ownConfiguration } from "../src/configuration";
import { infrastructure, type Outputs } from "../src/infrastructure";

export type Any = any;

export interface Made {
    type: string;
    name: string;
    /** With secrets marked, as the engine is told. */
    raw: Any;
    /** Plain. */
    inputs: Any;
}

export interface Stack {
    made: Made[];
    outputs: Record<keyof Outputs, string | undefined>;
    /** Names of the outputs that are shown only when asked for. */
    secret: string[];
    /** Types and names of what cannot be destroyed. */
    kept: string[];
}

/** Makes a stack of these settings. */
export async function stack(raw: Record<string, unknown>): Promise<Stack> {
    const made: Made[] = [];
    await pulumi.runtime.setMocks(
        {
            newResource: (args) => {
                made.push({ type: args.type, name: args.name, raw: args.inputs, inputs: plain(args.inputs) });
                return { id: `${args.name}-id`, state: { ...args.inputs, ...answers(args) } };
            },
            call: (args) => args.inputs,
        },
        "postrider",
        "test",
        false,
    );
    const kept: string[] = [];
    let outputs = {} as Outputs;
    await pulumi.runtime.runInPulumiStack(async () => {
        pulumi.runtime.registerStackTransformation(({ type, name, opts }) => {
            if (opts.protect) {
                kept.push(`${type.split(":").at(-1)} ${name}`);
            }
            return undefined;
        });
        outputs = infrastructure(raw);
        return {};
    });
    const read: Record<string, string | undefined> = {};
    const secret: string[] = [];
    for (const [name, output] of Object.entries(outputs)) {
        const held = pulumi.output(output as pulumi.Input<string> | undefined);
        read[name] = await new Promise((done) => held.apply((value) => done(value)));
        if (await pulumi.isSecret(held)) {
            secret.push(name);
        }
    }
    // What no output waits for is registered, too, before anybody looks.
    await pulumi.runtime.disconnect();
    return { made, outputs: read as Stack["outputs"], secret, kept };
}

/** What a provider would add. */
function answers(args: pulumi.runtime.MockResourceArgs): Record<string, unknown> {
    switch (args.type) {
        case "random:index/randomPassword:RandomPassword":
            return { result: password(args.name) };
        case "random:index/randomId:RandomId":
            return { b64Url: "-bcdefghijklmnopqrstuw" };
        case "docker:index/remoteImage:RemoteImage":
            return { imageId: `sha256:${args.inputs.name}` };
        default:
            return {};
    }
}

/** The password that the random resource of this name is given. */
export function password(name: string): string {
    return createHash("sha256").update(name).digest("hex").slice(0, 48);
}

export const PASSWORDS = ["postgres", "valkey", "auth", "link"].map((part) => password(`postrider-${part}`));

const SIGNATURE = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";

function plain(value: Any): Any {
    if (Array.isArray(value)) {
        return value.map(plain);
    }
    if (value === null || typeof value !== "object") {
        return value;
    }
    if (value[SIGNATURE] === SECRET) {
        return plain(value.value);
    }
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

/** Every text that is told to the engine without being marked as a secret. */
export function open(value: Any): string[] {
    if (typeof value === "string") {
        return [value];
    }
    if (value === null || typeof value !== "object" || value[SIGNATURE] === SECRET) {
        return [];
    }
    return Object.values(value).flatMap(open);
}

/** The settings of a stack's file, as the program would find them. */
export function stackFile(name: string): Record<string, unknown> {
    const { config } = parse(readFileSync(join(__dirname, "..", `Pulumi.${name}.yaml`), "utf8"));
    const texts = Object.entries(config as Record<string, unknown>).map(([key, value]) => [
        key,
        typeof value === "object" ? JSON.stringify(value) : String(value),
    ]);
    return ownConfiguration(Object.fromEntries(texts), "postrider");
}

/** The one that has this type, and this name where there are several. */
export function one(stack: Stack, type: string, name?: string): Any {
    const found = stack.made.filter((made) => made.type === type && (name === undefined || made.name === name));
    if (found.length !== 1) {
        const there = stack.made.map((made) => `${made.type} ${made.name}`).join("\n");
        throw new Error(`${found.length} of ${type} ${name ?? ""} among\n${there}`);
    }
    return found[0]?.inputs;
}

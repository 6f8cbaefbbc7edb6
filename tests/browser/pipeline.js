// Starts `postrider standalone` in a temporary directory on free ports, and produces to it.
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PROGRAM = process.env.POSTRIDER_BIN ?? new URL("../../target/debug/postrider", import.meta.url).pathname;
const PATIENCE_MS = 30_000;

/** Waits for a value, asking again until there is one. */
export async function until(what, ask) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await ask();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${PATIENCE_MS} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function startPipeline(origin) {
  const dir = await mkdtemp(join(tmpdir(), "postrider-browser-"));
  const data = join(dir, "data");
  const addressFile = join(dir, "addresses.json");
  const settings = ["receiver.listen", "distributor.listen", "admin.listen"].map((key) => `${key}=127.0.0.1:0`);
  settings.push(`auth.allowed_origins=["${origin}"]`);
  const child = spawn(
    PROGRAM,
    ["standalone", "--data-dir", data, "--address-file", addressFile, ...settings.flatMap((one) => ["--set", one])],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  const ended = once(child, "exit");
  const addresses = await until("the addresses", async () => {
    if (child.exitCode !== null) throw new Error(`postrider ended with ${child.exitCode}`);
    return readFile(addressFile, "utf8").then(JSON.parse, () => null);
  });
  const credentials = await readFile(join(data, "credentials.toml"), "utf8");
  const word = (name) => new RegExp(`^${name} = "(.*)"`, "m").exec(credentials)[1];
  return {
    receiver: `http://${addresses.receiver}`,
    distributor: `http://${addresses.distributor}`,
    token: (recipient) => signToken(recipient, word("token_secret")),
    async send(recipient, content) {
      const answer = await fetch(`http://${addresses.receiver}/v1/to/${recipient}`, {
        method: "POST",
        headers: { authorization: `Bearer ${word("api_key")}`, "content-type": "text/plain" },
        body: content,
      });
      if (answer.status !== 202) throw new Error(`${answer.status} ${await answer.text()}`);
      return (await answer.json()).id;
    },
    async stop() {
      child.kill("SIGTERM");
      await ended;
      await rm(dir, { recursive: true });
    },
  };
}

function signToken(recipient, secret) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sub: recipient, tenant: "default", exp: Math.floor(Date.now() / 1000) + 3600 };
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

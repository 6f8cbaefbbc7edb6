// The pipeline under test: `postrider/tests/guarantees/in_the_browser.rs` starts it, on either engine column, and says in the
// environment where it is.
import { createHmac } from "node:crypto";

const PATIENCE_MS = 30_000;

function told(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: cargo test -p postrider --test guarantees in_the_browser`);
  return value;
}

export const origin = told("POSTRIDER_TEST_ORIGIN");
export const distributor = told("POSTRIDER_TEST_DISTRIBUTOR");
const receiver = told("POSTRIDER_TEST_RECEIVER");
const apiKey = told("POSTRIDER_TEST_API_KEY");
const secret = told("POSTRIDER_TEST_TOKEN_SECRET");

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

/** Sends a notification to `recipient`, once it is accepted. */
export async function send(recipient, content) {
  const answer = await fetch(`${receiver}/v1/to/${recipient}`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "text/plain" },
    body: content,
  });
  if (answer.status !== 202) throw new Error(`${answer.status} ${await answer.text()}`);
}

/** A client token for `recipient`, good for an hour. */
export function token(recipient) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sub: recipient, tenant: "default", exp: Math.floor(Date.now() / 1000) + 3600 };
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

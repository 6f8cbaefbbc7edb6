// Alice is offline, is sent three notifications, connects with the browser's own WebSocket or EventSource from a page of
// another origin, gets the three in order and then a fourth as it is sent; and comes back with her cursor.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { createParser } from "eventsource-parser";
import { chromium } from "playwright-core";

import { distributor, origin, send, token, until } from "./pipeline.js";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

let browser, profile;

before(async () => {
  assert.ok(CHROMIUM, "Chromium is not installed: run scripts/prerequisites");
  profile = await mkdtemp(join(tmpdir(), "postrider-chromium-"));
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
});

after(async () => {
  await browser?.close();
  if (profile) await rm(profile, { recursive: true, force: true });
});

async function openPage() {
  const page = await browser.newPage();
  await page.goto(origin);
  return page;
}

const contents = (page) => page.evaluate(() => window.received.map((frame) => frame.content));

async function receives(page, count) {
  await until(`${count} notifications`, async () => (await contents(page)).length >= count);
  return contents(page);
}

test("the browser's WebSocket gets the stored, then the new", async () => {
  for (const content of ["one", "two", "three"]) await send("alice", content);
  const page = await openPage();
  const connect = ({ url, token, cursor }) => {
    window.received ??= [];
    window.socket = new WebSocket(url, ["postrider.v1.json", `bearer.${token}`]);
    window.socket.onopen = () => window.socket.send(JSON.stringify({ frame: "hello", cursor }));
    window.socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.frame !== "notification") return;
      window.received.push(frame);
      window.socket.send(JSON.stringify({ frame: "ack", seq: frame.seq }));
    };
  };
  const url = `${distributor.replace("http", "ws")}/v1/ws`;
  await page.evaluate(connect, { url, token: token("alice") });
  assert.deepEqual(await receives(page, 3), ["one", "two", "three"]);
  assert.equal(await page.evaluate(() => window.socket.protocol), "postrider.v1.json");
  await send("alice", "four");
  assert.deepEqual(await receives(page, 4), ["one", "two", "three", "four"]);

  const cursor = await page.evaluate(() => (window.socket.close(), window.received.at(-1).cursor));
  await send("alice", "five");
  await page.evaluate(connect, { url, token: token("alice"), cursor });
  assert.deepEqual(await receives(page, 5), ["one", "two", "three", "four", "five"]);
});

test("the browser's EventSource gets the stored, then the new, and comes back where it was", async () => {
  for (const content of ["one", "two", "three"]) await send("bob", content);
  const page = await openPage();
  const connect = async ({ url, token, cursor }) => {
    window.received ??= [];
    const answer = await fetch(`${url}/v1/tickets`, { method: "POST", headers: { authorization: `Bearer ${token}` } });
    const { ticket } = await answer.json();
    const query = new URLSearchParams({ ticket, ...(cursor && { last_event_id: cursor }) });
    window.source = new EventSource(`${url}/v1/sse?${query}`);
    window.source.addEventListener("notification", ({ data, lastEventId }) => {
      window.received.push({ ...JSON.parse(data), lastEventId });
    });
  };
  const url = distributor;
  await page.evaluate(connect, { url, token: token("bob") });
  assert.deepEqual(await receives(page, 3), ["one", "two", "three"]);
  await send("bob", "four");
  assert.deepEqual(await receives(page, 4), ["one", "two", "three", "four"]);

  const cursor = await page.evaluate(() => (window.source.close(), window.received.at(-1).lastEventId));
  await send("bob", "five");
  await page.evaluate(connect, { url, token: token("bob"), cursor });
  assert.deepEqual(await receives(page, 5), ["one", "two", "three", "four", "five"]);
  await page.evaluate(() => window.source.close());
});

test("a page of a strange origin gets no WebSocket", async () => {
  const stranger = createServer((_request, answer) => answer.end("<!doctype html>"));
  await new Promise((resolve) => stranger.listen(0, "127.0.0.1", resolve));
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${stranger.address().port}`);
  const url = `${distributor.replace("http", "ws")}/v1/ws`;
  const opened = await page.evaluate(
    ({ url, token }) =>
      new Promise((resolve) => {
        const socket = new WebSocket(url, ["postrider.v1.json", `bearer.${token}`]);
        socket.onopen = () => resolve("opened");
        socket.onerror = () => resolve("refused");
      }),
    { url, token: token("alice") },
  );
  stranger.close();
  assert.equal(opened, "refused");
});

test("a standard parser reads the SSE stream", async () => {
  await send("carol", "line one\nline two: {\"x\":1}\r\n\nid: forged");
  const stop = new AbortController();
  const answer = await fetch(`${distributor}/v1/sse`, {
    headers: { authorization: `Bearer ${token("carol")}` },
    signal: stop.signal,
  });
  assert.equal(answer.headers.get("content-type"), "text/event-stream");
  const frames = [];
  const parser = createParser({ onEvent: (frame) => frames.push(frame), onError: (error) => assert.fail(error) });
  const decoder = new TextDecoder();
  for await (const chunk of answer.body) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    if (frames.some((frame) => frame.event === "notification")) break;
  }
  stop.abort();
  const frame = frames.find((frame) => frame.event === "notification");
  assert.equal(JSON.parse(frame.data).content, "line one\nline two: {\"x\":1}\r\n\nid: forged");
  assert.match(frame.id, /^[A-Za-z0-9_-]+$/);
});

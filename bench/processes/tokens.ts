/**
 * Readers of a model's tokens, many at once: straight from the model, through Troupe as AG-UI's server-sent events,
 * and through Troupe's WebSocket. Each token says when it was sent.
 */
import { once } from "node:events";
import { request } from "node:http";
import WebSocket from "ws";
import { serve } from "../process.ts";
import { type Percentiles, percentiles } from "../statistics.ts";

export interface Reading {
  readonly port: number;
  readonly streams: number;
  readonly agent: string;
  /** Tells the answers of one round from others. */
  readonly round: string;
}

export interface Read {
  readonly tokens: number;
  readonly latencyMs: Percentiles;
}

export const handlers = { direct, sse, ws };
if (process.send !== undefined) serve(handlers);

/** A token in any of the three forms. */
const token = /"(?:content|delta|text)":"(\d+) "/g;

async function all(streams: number, one: (i: number, take: (text: string) => void) => Promise<void>): Promise<Read> {
  const latencies: number[] = [];
  const take = (text: string): void => {
    const now = process.hrtime.bigint();
    for (const [, sent] of text.matchAll(token)) latencies.push(Number(now - BigInt(sent as string)) / 1e6);
  };
  await Promise.all(Array.from({ length: streams }, (_, i) => one(i, take)));
  return { tokens: latencies.length, latencyMs: percentiles(latencies) };
}

/** What the model sends, read by its own protocol. */
function direct({ port, streams }: Reading): Promise<Read> {
  return all(streams, (_, take) => stream(port, "/v1/chat/completions", { model: "bench", stream: true }, take));
}

function sse({ port, streams, agent, round }: Reading): Promise<Read> {
  return all(streams, (i, take) => {
    const id = `${round}-${i}`;
    const messages = [{ id: "m1", role: "user", content: "go on" }];
    const input = { threadId: id, runId: id, messages, tools: [], context: [], state: {}, forwardedProps: {} };
    return stream(port, `/ag-ui/agents/${agent}`, input, take);
  });
}

/** Posts, and hands over whole lines of the answer as they come. */
function stream(port: number, path: string, body: unknown, take: (text: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const text = JSON.stringify(body);
    const headers = {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(text),
      accept: "text/event-stream",
    };
    const sent = request({ port, host: "127.0.0.1", method: "POST", path, headers, agent: false }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`POST ${path}: ${response.statusCode}`));
      let rest = "";
      response.on("data", (chunk: Buffer) => {
        rest += chunk.toString("latin1");
        const end = rest.lastIndexOf("\n") + 1;
        take(rest.slice(0, end));
        rest = rest.slice(end);
      });
      response.once("end", resolve);
      response.once("error", reject);
    });
    sent.once("error", reject);
    sent.end(text);
  });
}

/** A task of its own for each socket, which hears what is told live of it, and its end. */
function ws({ port, streams, agent, round }: Reading): Promise<Read> {
  return all(streams, async (i, take) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/ws`, { perMessageDeflate: false });
    await once(socket, "open");
    const task = `task_${round}-${i}`;
    const messages = [{ id: "m1", role: "user", content: "go on" }];
    const say = (message: object) => socket.send(JSON.stringify(message));
    await new Promise<void>((resolve, reject) => {
      let subscribed = 0;
      socket.on("message", (bytes: Buffer) => {
        const text = bytes.toString("latin1");
        if (text.startsWith('{"type":"live"')) take(text);
        else if (text.startsWith('{"type":"subscribed"') && ++subscribed === 2) {
          const input = { task_id: task, task_type: agent, input: { threadId: task, runId: task, messages } };
          say({ type: "request", id: "go", operation: "tasks.create", input });
        } else if (text.startsWith('{"type":"event"')) resolve();
        else if (text.startsWith('{"type":"error"')) reject(new Error(text));
      });
      say({ type: "subscribe", id: "l", pattern: `live.${task}.>` });
      say({ type: "subscribe", id: "e", pattern: `event.${task}.task.*.*.completed` });
    });
    socket.terminate();
  });
}

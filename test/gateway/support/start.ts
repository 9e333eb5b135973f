/**
 * Starts a gateway on a free port over a runtime (the fake one unless another is given) and
 * gives small HTTP helpers.
 */

import type { Runtime } from "../../../src/actors/client.ts";
import {
  type ApiKey,
  createGateway,
  type Gateway,
  type GatewayConfig,
  type GatewayLimits,
} from "../../../src/gateway/index.ts";
import { echoWorkflow, FakeRuntime } from "./fake-runtime.ts";

export interface Started<R extends Runtime = FakeRuntime> {
  readonly runtime: R;
  readonly gateway: Gateway;
  readonly base: string;
  readonly logs: { level: string; fields: Record<string, unknown>; message: string }[];
  get(path: string, headers?: Record<string, string>): Promise<Reply>;
  send(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
  readonly body: any;
}

export const realClock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms: number, fn: () => void) {
    const timer = setTimeout(fn, ms);
    return { cancel: () => clearTimeout(timer) };
  },
};

export interface StartOptions {
  readonly apiKeys?: readonly ApiKey[];
  readonly auth?: GatewayConfig["auth"];
  readonly limits?: Partial<GatewayLimits>;
  readonly publicUrl?: string;
  readonly server?: "native" | "javascript";
}

/** Runs a whole suite over the JavaScript server. */
const server = process.env.TROUPE_SERVER === "javascript" ? "javascript" : "native";

export async function start(options: StartOptions = {}): Promise<Started> {
  const runtime = new FakeRuntime();
  runtime.putWorkflow(echoWorkflow);
  return startOver(runtime, options);
}

export async function startOver<R extends Runtime>(runtime: R, options: StartOptions = {}): Promise<Started<R>> {
  const logs: Started["logs"] = [];
  const log = (level: string) => (fields: object, message: string) =>
    void logs.push({ level, fields: fields as Record<string, unknown>, message });
  const logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
  const config = { host: "127.0.0.1", port: 0, version: "0.1.0", server, ...options } as GatewayConfig;
  const gateway = createGateway({ runtime, config, clock: realClock, logger });
  const port = await gateway.listen();
  const base = `http://127.0.0.1:${port}`;
  const send: Started["send"] = async (method, path, body, headers = {}) => {
    const raw = typeof body === "string" || body instanceof Uint8Array;
    const payload = body === undefined ? null : raw ? (body as string) : JSON.stringify(body);
    const type: Record<string, string> = body === undefined ? {} : { "content-type": "application/json" };
    const response = await fetch(base + path, { method, headers: { ...type, ...headers }, body: payload });
    const text = await response.text();
    const json = response.headers.get("content-type")?.startsWith("application/json") === true && text !== "";
    return { status: response.status, headers: response.headers, text, body: json ? JSON.parse(text) : undefined };
  };
  return { runtime, gateway, base, logs, send, get: (path, headers) => send("GET", path, undefined, headers) };
}

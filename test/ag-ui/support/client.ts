/** The real AG-UI client, with all that it shows and all that it warns of. */
import { HttpAgent } from "@ag-ui/client";
import type { BaseEvent, Message, RunAgentInput } from "@ag-ui/core";
import { afterEach, beforeEach, expect, vi } from "vitest";

export type AnyEvent = BaseEvent & Record<string, unknown>;

export interface Seen {
  readonly events: AnyEvent[];
  readonly types: string[];
  /** Of each message, what came of it. */
  readonly texts: Map<string, string>;
  /** All text of it together. */
  text: string;
}

/** The two encodings, for `describe.each`. */
export const encodings: [string, Record<string, string>][] = [
  ["server-sent events", {}],
  ["protobuf", { Accept: "application/vnd.ag-ui.event+proto" }],
];

export const newSeen = (): Seen => ({ events: [], types: [], texts: new Map(), text: "" });

type Parameters_ = Parameters<HttpAgent["runAgent"]>[0];

/** One run to its end; `onEvent` hears each event as it comes. */
export async function run(
  agent: HttpAgent,
  parameters: Parameters_ = {},
  onEvent: (event: AnyEvent) => void = () => {},
  seen: Seen = newSeen(),
): Promise<Seen> {
  await agent.runAgent(parameters, {
    onEvent: ({ event }) => {
      const any = event as AnyEvent;
      seen.events.push(any);
      seen.types.push(any.type);
      if (any.type === "TEXT_MESSAGE_CONTENT") {
        const id = String(any.messageId);
        seen.texts.set(id, (seen.texts.get(id) ?? "") + String(any.delta));
        seen.text += String(any.delta);
      }
      onEvent(any);
    },
  });
  return seen;
}

export const say = (agent: HttpAgent, content: string): void =>
  agent.addMessage({ id: crypto.randomUUID(), role: "user", content });

export const last = (seen: Seen): AnyEvent => seen.events.at(-1) as AnyEvent;

export const agentAt = (url: string, headers: Record<string, string> = {}, threadId?: string): HttpAgent =>
  new HttpAgent({ url, headers, ...(threadId === undefined ? {} : { threadId }) });

const warnings: string[] = [];

/** No test of the file may bring one warning to the console; `expected` are taken out by the test that means them. */
export function refuseWarnings(): { take(): string[] } {
  beforeEach(() => {
    warnings.length = 0;
    for (const level of ["warn", "error"] as const) {
      vi.spyOn(console, level).mockImplementation((...args) => void warnings.push(args.map(String).join(" ")));
    }
  });
  afterEach(() => {
    vi.restoreAllMocks();
    expect(warnings.splice(0)).toEqual([]);
  });
  return { take: () => warnings.splice(0) };
}

/** A run as plain events, for clients that are not ours to choose (an older one sends no protocolVersion). */
export async function rawRun(
  url: string,
  input: Partial<RunAgentInput> & { messages: Message[] },
): Promise<AnyEvent[]> {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify({ threadId: "t", runId: "r", tools: [], context: [], ...input }),
  });
  expect(answer.status).toBe(200);
  return parseEvents(await answer.text());
}

/** Strict: one JSON object a `data:` line, LF, nothing else but ids. */
export function parseEvents(text: string): AnyEvent[] {
  expect(text.endsWith("\n\n")).toBe(true);
  expect(text).not.toContain("\r");
  return text
    .slice(0, -2)
    .split("\n\n")
    .map((block) => {
      const lines = block.split("\n");
      const data = lines.filter((line) => line.startsWith("data: "));
      expect(data).toHaveLength(1);
      expect(lines.every((line) => line.startsWith("data: ") || line.startsWith("id: "))).toBe(true);
      const event = JSON.parse((data[0] as string).slice("data: ".length)) as AnyEvent;
      expect(nullsIn(event)).toEqual([]);
      return event;
    });
}

/** Paths of nulls, but for those inside of free values. */
export function nullsIn(value: unknown, path = ""): string[] {
  if (value === null) return [path];
  if (typeof value !== "object") return [];
  return Object.entries(value as Record<string, unknown>).flatMap(([key, inner]) =>
    ["snapshot", "result", "value", "delta", "event"].includes(key) && path === ""
      ? []
      : nullsIn(inner, `${path}/${key}`),
  );
}

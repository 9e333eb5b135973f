/**
 * What must hold at the end of a simulated world, from what was sent and what is there: nothing acknowledged lost,
 * nothing doubled; reminders once, not early, not after they were forgotten; mail of a pair in order; events
 * numbered without holes, and seen by the follower just so.
 */
import type { StoredEvent } from "../../src/actors/client.ts";

export type Act = "hear" | "tell" | "relay" | "remind" | "forget";

export interface Sent {
  readonly text: string;
  readonly act: Act;
  /** Whom it is for in the end. */
  readonly actor: string;
  /** Whom the client asks. */
  readonly asked: string;
  readonly inMs: number;
  readonly askedAt: number;
  readonly forgets?: string;
  outcome: "acknowledged" | "unknown" | "refused" | "open";
  code?: string;
  answeredAt?: number;
}

/** What an actor heard, as the text that its sender gave it. */
function textOf(heard: string): string {
  return heard.replace(/^(early )?reminder /, "").split("|")[0] as string;
}

export function checkActor(key: string, heard: readonly string[], sent: readonly Sent[]): string[] {
  const problems: string[] = [];
  const times = new Map<string, number>();
  for (const text of heard) times.set(textOf(text), (times.get(textOf(text)) ?? 0) + 1);
  for (const [text, n] of times) if (n > 1) problems.push(`${key} heard ${text} ${n} times`);
  const own = sent.filter((s) => s.actor === key);
  const known = new Set(own.map((s) => s.text));
  for (const s of own) {
    if (s.act === "forget") continue;
    const n = times.get(s.text) ?? 0;
    const ends = own.filter((f) => f.forgets === s.text && f.outcome !== "refused");
    if (s.outcome === "acknowledged" && n === 0 && ends.length === 0) problems.push(`${key} lost ${s.act} ${s.text}`);
    if (s.outcome === "refused" && n > 0) problems.push(`${key} heard ${s.text} that was refused (${s.code})`);
    // Due no earlier than this after it was asked for: forgotten before, it must not have fired.
    const inTime = ends.some((f) => f.outcome === "acknowledged" && (f.answeredAt ?? 0) < s.askedAt + s.inMs);
    if (inTime && n > 0) problems.push(`${key} heard ${s.text} after it was forgotten`);
  }
  for (const text of heard) {
    if (!known.has(textOf(text))) problems.push(`${key} heard ${text} from nobody`);
    if (text.startsWith("early ")) problems.push(`${key} heard ${text}`);
  }
  return [...problems, ...checkPairs(key, heard)];
}

/** Each relay numbers what it sends: what one actor hears of it must come in that order. */
function checkPairs(key: string, heard: readonly string[]): string[] {
  const problems: string[] = [];
  const last = new Map<string, number>();
  for (const text of heard) {
    const [, relay, number] = text.split("|");
    if (relay === undefined) continue;
    const before = last.get(relay) ?? 0;
    if (Number(number) <= before) problems.push(`${key} heard letter ${number} of ${relay} after ${before}`);
    last.set(relay, Number(number));
  }
  return problems;
}

export function checkEvents(
  key: string,
  events: readonly StoredEvent[],
  followed: readonly StoredEvent[],
  heard: readonly string[],
): string[] {
  const problems: string[] = [];
  events.forEach((e, i) => {
    if (e.no !== i + 1) problems.push(`${key} has event ${e.no} at place ${i + 1}`);
  });
  const told = new Set(events.map((e) => e.data.text as string));
  if (told.size !== events.length) problems.push(`${key} has ${events.length} events of ${told.size} commands`);
  for (const text of told) if (!heard.includes(text)) problems.push(`${key} has an event of ${text}, never heard`);
  const [a, b] = [events, followed].map((list) => JSON.stringify(list.map((e) => [e.no, e.name, e.data])));
  if (a !== b) problems.push(`the follower saw of ${key} ${followed.length} events, not the ${events.length} stored`);
  return problems;
}

/** Subjects and subscriptions of the memory driver: who gets a message. Delivers nothing itself. */
import type { Random } from "../clock.ts";
import type { Link } from "./link.ts";

export interface Subscriber {
  readonly link: Link;
  readonly tokens: readonly string[];
  readonly queue: string | undefined;
  readonly deliver: (subject: string, bytes: Uint8Array, respond: ((bytes: Uint8Array) => void) | undefined) => void;
}

export class MemoryBroker {
  private readonly subscribers = new Set<Subscriber>();

  add(subscriber: Subscriber): void {
    this.subscribers.add(subscriber);
  }

  delete(subscriber: Subscriber): void {
    this.subscribers.delete(subscriber);
  }

  /** Who gets a message on this subject: all plain subscribers and one of each queue group. */
  match(subject: string, random: Random): Subscriber[] {
    const tokens = subject.split(".");
    const chosen: Subscriber[] = [];
    const groups = new Map<string, Subscriber[]>();
    for (const s of this.subscribers) {
      // The server knows that a cut or dead connection is gone, not that a silent one is.
      if (s.link.state === "cut" || s.link.state === "dead" || !subjectMatches(s.tokens, tokens)) continue;
      if (s.queue === undefined) {
        chosen.push(s);
        continue;
      }
      const group = groups.get(s.queue);
      if (group) group.push(s);
      else groups.set(s.queue, [s]);
    }
    for (const group of groups.values()) {
      const one = group[Math.floor(random.float() * group.length)];
      if (one) chosen.push(one);
    }
    return chosen;
  }
}

/** NATS wildcards: `*` is one token, a last `>` one or more. */
export function subjectMatches(pattern: readonly string[], subject: readonly string[]): boolean {
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] === ">") return subject.length > i;
    if (i >= subject.length || (pattern[i] !== "*" && pattern[i] !== subject[i])) return false;
  }
  return pattern.length === subject.length;
}

/**
 * Topics: the names under which subscribers know what happens (`task.code_generation.completed`,
 * `agent.status_changed`), made from stored events; and the NATS-style patterns that choose among them.
 * Pure. Owns the names; following is subscriber.ts's, attributes are attributes.ts's.
 */
import { type FeedEvent, type StoredEvent, subjectToken } from "../actors/client.ts";
import type { JsonObject } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";
import { isObject } from "../machines/json.ts";

export interface TopicMessage {
  /** The same each time that the event is given. */
  readonly id: string;
  /** `task.code_generation.completed`; a publication's own topic. */
  readonly topic: string;
  /** The topic without the kind: `task.completed`, `agent.registered`; so too of what is published to such a topic. */
  readonly event: string;
  readonly at: number;
  /** The agent (or publisher) behind it. */
  readonly source: string | null;
  /** A publication's data; of other events, theirs. Large parts may be references until loaded. */
  readonly data: JsonObject[string];
  /** `data` holds references until it is loaded (subscriber.ts does). */
  readonly large: boolean;
  /** What is known of it without looking anything up. */
  readonly attributes: JsonObject;
  readonly stored: FeedEvent;
}

interface Named {
  readonly topic: string;
  readonly event: string;
  /** Every name that a pattern may match, in tokens; a kind with dots is one token of the first, several of another. */
  readonly names: readonly (readonly string[])[];
}

/** What subscribers call the events of a task; absent: by their own name. */
const taskWords: Readonly<Record<string, string>> = { progressed: "progress" };
const agentWords: Readonly<Record<string, string>> = { unavailable: "status_changed", available: "status_changed" };
const runWords: Readonly<Record<string, string>> = { canceled: "cancelled" };

/** Under which names an event is known; null: none, it is private to its actor. */
export function topicOf(event: StoredEvent): Named | null {
  if (event.name === "dead_lettered") return named("system", null, "alert", [["system", "alerts"]]);
  switch (event.type) {
    case "task": {
      const word = taskWords[event.name] ?? event.name;
      // A task whose time ran out has failed, for those who know only that word.
      const also = word === "timed_out" ? kinds("task", event.kind, "failed") : [];
      return named("task", event.kind, word, also, word === "timed_out" ? "failed" : word);
    }
    case "agent":
      return named("agent", event.kind, agentWords[event.name] ?? event.name);
    case "run":
      return named("workflow", event.kind, runWords[event.name] ?? event.name);
    case "conflict":
      return named("conflict", event.kind, event.name);
    case "topic":
      return event.name === "published" ? published(event.key) : null;
    default:
      return null;
  }
}

function published(topic: string): Named {
  const tokens = topic.split(".");
  // `system.alert` and `system.alerts` are one topic: contract 001 writes both, and has one type of event.
  const twin = topic === "system.alert" ? "alerts" : topic === "system.alerts" ? "alert" : null;
  if (twin !== null) return { topic, event: "system.alert", names: [tokens, ["system", twin]] };
  const last = tokens.at(-1);
  const event = tokens[0] === "task" && tokens.length > 2 ? `task.${last}` : topic;
  return { topic, event, names: [tokens] };
}

/** A task's topics carry its type; those of agents and workflows do not, but may be asked for with it. */
function named(
  family: string,
  kind: string | null,
  word: string,
  also: readonly (readonly string[])[] = [],
  eventWord = word,
): Named {
  const own = kind === null ? [] : kinds(family, kind, word);
  const topic = family === "task" ? `${family}.${kind}.${word}` : `${family}.${word}`;
  return { topic, event: `${family}.${eventWord}`, names: [...own, [family, word], ...also] };
}

function kinds(family: string, kind: string, word: string): string[][] {
  const whole = [family, kind, word];
  return kind.includes(".") ? [whole, [family, ...kind.split("."), word]] : [whole];
}

const messages = new WeakMap<FeedEvent, TopicMessage | null>();

/** The message of an event, made once for all who get it; null for events without a topic. */
export function topicMessage(event: FeedEvent): TopicMessage | null {
  const known = messages.get(event);
  if (known !== undefined) return known;
  const name = topicOf(event);
  const message = name === null ? null : makeMessage(event, name);
  messages.set(event, message);
  return message;
}

function makeMessage(stored: FeedEvent, { topic, event }: Named): TopicMessage {
  const id = `${stored.root}:${stored.no}`;
  const { at, data } = stored;
  if (stored.type === "topic") {
    const attributes = { ...scalars(data.data), ...(data.attributes as JsonObject), topic, source: data.source };
    const common = { topic, event, at, stored, attributes, source: String(data.source) };
    return { ...common, id: String(data.id), data: data.data ?? null, large: data.large === true };
  }
  const source = stored.type === "agent" ? stored.key : typeof data.agent === "string" ? data.agent : null;
  const attributes = { ...scalars(data), ...ownAttributes(stored), topic };
  return { id, topic, event, at, source, data, large: false, attributes, stored };
}

function ownAttributes({ type, key, kind, data }: StoredEvent): JsonObject {
  switch (type) {
    case "task":
      return { task_id: key, task_type: kind, ...(typeof data.agent === "string" && { agent_id: data.agent }) };
    case "agent":
      return { agent_id: key, agent_type: kind };
    case "run":
      return { workflow_id: key, workflow: kind };
    case "conflict":
      return { conflict_id: key, conflict_type: kind, agent_id: data.agentId, task_id: data.taskId };
    default:
      return {};
  }
}

/** The members that a filter can compare: text, numbers, booleans, and lists of them. */
export function scalars(value: unknown): JsonObject {
  if (!isObject(value)) return {};
  const simple = (v: unknown): boolean => ["string", "number", "boolean"].includes(typeof v);
  return Object.fromEntries(
    Object.entries(value).filter(([, v]) => simple(v) || (Array.isArray(v) && v.length <= 64 && v.every(simple))),
  );
}

const tokensMax = 16;
const charsMax = 512;

export type TopicPattern = readonly string[];

/** Throws `invalid_input` for an empty token, white space, a `>` that is not last, or more than 16 tokens. */
export function parseTopicPattern(pattern: string): TopicPattern {
  const bad = (what: string) =>
    new TroupeError("invalid_input", `topic '${pattern.slice(0, 100)}': ${what}`, {
      problems: [{ path: "topics", message: what }],
    });
  if (pattern.length > charsMax) throw bad(`longer than ${charsMax} characters`);
  const tokens = pattern.split(".");
  if (tokens.length > tokensMax) throw bad(`more than ${tokensMax} tokens`);
  for (const [i, token] of tokens.entries()) {
    if (token === "") throw bad("has an empty token");
    if (/[\s\p{Cc}\p{Cs}]/u.test(token)) throw bad("holds white space or control characters");
    if (token === ">" && i < tokens.length - 1) throw bad("'>' may only stand last");
    if (token.length > 1 && /[*>]/.test(token)) throw bad(`'${token}' mixes a wildcard with text`);
  }
  return tokens;
}

/** True when one of the event's names matches one of the patterns. */
export function matchesTopics(patterns: readonly TopicPattern[], event: StoredEvent): boolean {
  const name = topicOf(event);
  return name !== null && patterns.some((pattern) => name.names.some((tokens) => matchesTokens(pattern, tokens)));
}

function matchesTokens(pattern: TopicPattern, tokens: readonly string[]): boolean {
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] === ">") return tokens.length > i;
    if (i >= tokens.length || (pattern[i] !== "*" && pattern[i] !== tokens[i])) return false;
  }
  return pattern.length === tokens.length;
}

const families: Readonly<Record<string, string>> = {
  task: "task",
  agent: "agent",
  workflow: "run",
  conflict: "conflict",
};

/** Patterns over event subjects that together let through at least what the topic pattern chooses. */
export function subjectsOf(pattern: TopicPattern): string[] {
  const [first = ">", second] = pattern;
  if (first === "*" || first === ">") return ["event.>"];
  const publications = `event.*.topic.${subjectToken(first)}.>`;
  if (first === "system") return [publications, "event.*.*.*.*.dead_lettered"];
  const type = families[first];
  if (type === undefined) return [publications];
  const plain = pattern.length === 3 && second !== undefined && second !== "*";
  return [publications, plain ? `event.*.${type}.${subjectToken(second)}.>` : `event.*.${type}.>`];
}

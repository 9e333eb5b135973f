/**
 * What subscribers filter by: the attributes of the task or workflow behind an event, which the event itself need not
 * repeat. Looked up once and kept (they do not change after creation); and the comparison itself.
 */
import { LRUCache } from "lru-cache";
import { address } from "../machines/address.ts";
import type { Json, JsonObject } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";
import { isObject } from "../machines/json.ts";
import { type AfterEvent, readAfterEvent } from "./after-event.ts";
import { priorityWord } from "./priority.ts";
import { scalars, type TopicMessage } from "./topics.ts";

/** Attribute → the value wanted, or a list of which any will do. */
export type Filters = Readonly<Record<string, Json>>;

const keptMax = 20_000;
export const filtersMax = 32;
const filterValuesMax = 64;
const filterCharsMax = 256;

/** Throws `invalid_input` unless each filter is text, a number, a boolean, or a list of them. */
export function checkFilters(filters: unknown): Filters {
  const bad = (path: string, message: string) =>
    new TroupeError("invalid_input", `${path}: ${message}`, { problems: [{ path, message }] });
  if (!isObject(filters)) throw bad("filters", "must be an object");
  const entries = Object.entries(filters);
  if (entries.length > filtersMax) throw bad("filters", `at most ${filtersMax} are taken`);
  for (const [name, wanted] of entries) {
    const list: readonly unknown[] = Array.isArray(wanted) ? wanted : [wanted];
    if (list.length > filterValuesMax) throw bad(`filters.${name}`, `at most ${filterValuesMax} values`);
    if (name.length > filterCharsMax || list.some((v) => typeof v === "string" && v.length > filterCharsMax))
      throw bad("filters", `names and values have at most ${filterCharsMax} characters`);
    if (!list.every((v) => ["string", "number", "boolean"].includes(typeof v)))
      throw bad(`filters.${name}`, "must be text, a number, a boolean or a list of them");
  }
  return filters as Filters;
}

/** True when every filter finds its value, or one of its values, in the attributes. */
export function passes(filters: Filters, attributes: JsonObject): boolean {
  return Object.entries(filters).every(([name, wanted]) => {
    const found = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
    if (found === undefined) return false;
    const any = Array.isArray(wanted) ? wanted : [wanted];
    const actual: readonly Json[] = Array.isArray(found) ? found : [found];
    return any.some((w) => actual.some((a) => same(name, w, a)));
  });
}

/** Text as people write it: 5 is "5". A priority is also its word. */
function same(name: string, wanted: Json | undefined, actual: Json): boolean {
  if (wanted === undefined) return false;
  if (String(wanted) === String(actual)) return true;
  return name === "priority" && typeof actual === "number" && String(wanted) === priorityWord(actual);
}

export class Attributes {
  private readonly parts: AfterEvent;
  private readonly kept = new LRUCache<string, Promise<JsonObject>>({ max: keptMax });

  constructor(parts: AfterEvent) {
    this.parts = parts;
  }

  /** True when the message's own attributes are all that the filters name. */
  covers(filters: Filters, message: TopicMessage): boolean {
    const { type } = message.stored;
    if (type !== "task" && type !== "run") return true;
    return Object.keys(filters).every((name) => Object.hasOwn(message.attributes, name));
  }

  /** The message's attributes with those of the task or workflow behind it. Throws what the runtime does. */
  async of(message: TopicMessage): Promise<JsonObject> {
    const { type, key } = message.stored;
    if (type !== "task" && type !== "run") return message.attributes;
    return { ...(await this.lookUp(type, key)), ...message.attributes };
  }

  private lookUp(type: string, key: string): Promise<JsonObject> {
    const name = `${type}/${key}`;
    const known = this.kept.get(name);
    if (known !== undefined) return known;
    const looking = this.read(type, key).catch((error: unknown) => {
      this.kept.delete(name);
      if (error instanceof TroupeError && error.code === "not_found") return {};
      throw error;
    });
    this.kept.set(name, looking);
    return looking;
  }

  private async read(type: string, key: string): Promise<JsonObject> {
    const v = (await readAfterEvent(this.parts, address(type, key))) as JsonObject;
    const free = { ...scalars(v.metadata), ...scalars(v.labels), ...scalars(v.context), ...scalars(v.attributes) };
    if (type === "run") return { ...free, workflow_id: key };
    const run = typeof v.runId === "string" ? v.runId : null;
    const inherited = run === null ? {} : await this.lookUp("run", run);
    const { priority, capabilities, parentWorkflow } = v;
    const workflow = run ?? (typeof parentWorkflow === "string" ? parentWorkflow : null);
    return {
      ...inherited,
      ...free,
      ...scalars({ priority, capabilities }),
      ...(workflow !== null && { workflow_id: workflow }),
    };
  }
}

/**
 * Reading from a partition: an actor's view, rows of its index, a root's history. Always the committed
 * state; never from an owner whose lease has run out.
 */
import type { Address } from "../machines/address.ts";
import type { Json } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";
import type { Answer, HistoryPage, StoredEvent } from "./client.ts";
import type { Entry } from "./entry.ts";
import { pageEvents } from "./histories.ts";
import type { Loader } from "./loader.ts";
import type { PartitionState } from "./state.ts";

export interface ReadsEnvironment {
  readonly state: PartitionState;
  readonly loader: Loader;
  activate(address: Address): Promise<Entry | undefined>;
  holdsLease(): boolean;
}

export async function readActor(env: ReadsEnvironment, address: Address): Promise<Answer> {
  if (!env.holdsLease())
    throw new TroupeError("unavailable", "This node's lease has run out; another may own the partition.");
  const entry = env.loader.resident(address) ?? (await env.activate(address));
  if (entry?.snapshot === undefined || entry.snapshot === null) {
    throw new TroupeError("not_found", `There is no ${address.type} ${address.key}.`);
  }
  entry.usedAt = env.state.number;
  return { reply: null, view: viewOf(entry), step: entry.step };
}

export async function readHistory(
  env: ReadsEnvironment,
  root: string,
  after: number,
  limit: number,
): Promise<HistoryPage> {
  const history = await env.loader.loadHistory(root);
  const { last } = history;
  const events: StoredEvent[] = [];
  for (let no = after + 1; no <= last && events.length < limit; ) {
    // While a page is read, memory may let go of the rest: it is looked at anew each time.
    if (no > history.pages * pageEvents && !history.whole) await env.loader.recall(history);
    const first = history.recent[0]?.no ?? history.last + 1;
    if (no < first && no > history.pages * pageEvents) continue;
    const from =
      no >= first
        ? history.recent.slice(no - first)
        : (await env.loader.page(root, Math.floor((no - 1) / pageEvents))).slice((no - 1) % pageEvents);
    if (from.length === 0) break;
    for (const event of from) if (events.length < limit && event.no <= last) events.push(event);
    no = (events.at(-1)?.no ?? last) + 1;
  }
  return { events, last };
}

/** What an asker or reader sees of an actor; null when it does not exist. */
export function viewOf(entry: Entry): Json {
  const { snapshot, stepper } = entry;
  if (snapshot === null) return null;
  const { view } = stepper.definition;
  return view === undefined ? (snapshot.context as Json) : view(snapshot as never);
}

/**
 * What comes to an agent that is connected: requests that wait for it (those from before first), and what becomes of
 * the requests that it made. At least once; the protocol shows the ids. What waits in the store is the truth, events
 * only say when to look.
 */
import { type FeedEvent, type Runtime, subjectToken } from "../actors/client.ts";
import { address } from "../machines/address.ts";
import type { Json } from "../machines/effects.ts";
import { requestType } from "../machines/request/machine.ts";
import { readAfterEvent } from "./after-event.ts";
import type { GatewayClock } from "./config.ts";
import type { Hub } from "./hub.ts";

export interface Waiting {
  readonly id: string;
  /** As the request's actor shows it; large values may be references. */
  readonly view: Json;
}

const pageMax = 200;
/** What waits beyond this is given when some of it is answered and the agent connects again. */
const pagesMax = 20;

/** Subjects of the events that tell of new requests to an agent. */
export function requestSubjects(agentId: string): string[] {
  return [`event.*.${requestType}.${subjectToken(agentId)}.*.requested`];
}

/** Oldest first, `limit` at most of the newest 4,000. */
export async function pendingFor(runtime: Runtime, agentId: string, limit: number): Promise<Waiting[]> {
  const where = { target: agentId, status: "pending" };
  const found: Waiting[] = [];
  let cursor: string | null = null;
  for (let pages = 0; pages < pagesMax; pages++) {
    const page = await runtime.list({ type: requestType, where, limit: pageMax, ...(cursor !== null && { cursor }) });
    found.push(...page.items.map(({ address: at, view }) => ({ id: at.key, view })));
    cursor = page.nextCursor;
    if (cursor === null) break;
  }
  return found.reverse().slice(0, limit);
}

export interface InboxOptions {
  readonly runtime: Runtime;
  readonly hub: Hub;
  readonly clock: GatewayClock;
  readonly agentId: string;
  /** A request that waits for this agent. */
  onRequest(request: Waiting): void;
  /** One of this agent's own requests has ended: responded, timed out, cancelled. */
  onEnded(request: Waiting & { readonly status: string }): void;
  onError(error: unknown): void;
}

const statusOf = (view: Json): string => (view as unknown as { status: string }).status;

/** Follows until it is stopped. Resolves when nothing that comes from now on is missed. */
export async function followInbox(options: InboxOptions): Promise<{ stop(): void }> {
  const { runtime, hub, agentId, onError } = options;
  const given = new Set<string>();
  let stopped = false;
  const give = (request: Waiting): void => {
    if (stopped || given.has(request.id)) return;
    given.add(request.id);
    options.onRequest(request);
  };
  const look = (event: FeedEvent): void => {
    if (stopped) return;
    const at = address(requestType, event.key);
    if (event.name === "requested") {
      if (event.data.target !== agentId) return;
      readAfterEvent(options, at).then((view) => give({ id: event.key, view }), onError);
      return;
    }
    given.delete(event.key);
    if (event.data.source !== agentId) return;
    readAfterEvent(options, at, (view) => statusOf(view) === event.name).then((view) => {
      if (!stopped) options.onEnded({ id: event.key, view, status: statusOf(view) });
    }, onError);
  };
  const leaves = [
    await hub.subscribe(requestSubjects(agentId)[0] as string, ({ event }) => look(event)),
    await hub.subscribe(`event.*.${requestType}.>`, ({ event }) => {
      if (event.name !== "requested") look(event);
    }),
  ];
  const stop = (): void => {
    stopped = true;
    for (const leave of leaves) leave();
  };
  try {
    for (const request of await pendingFor(runtime, agentId, pageMax * pagesMax)) give(request);
  } catch (error) {
    stop();
    throw error;
  }
  return { stop };
}

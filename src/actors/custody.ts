/**
 * Custody of work: a partition may move while work that it gave out goes on in another process. That
 * process keeps it and reports to the new owner; the owner asks here, again and again, whether it is still kept,
 * and tells when it is settled. Owns the form of these messages; what is done about lost work is Activation's.
 */
import { pack, unpack } from "../bus/codec.ts";
import type { Wire, WireSubscription } from "../bus/wire.ts";
import type { Address } from "../machines/address.ts";
import type { Executor } from "./work.ts";

export interface WorkName {
  readonly address: Address;
  readonly id: string;
}

type PackedName = readonly [type: string, key: string, id: string];

type Message =
  | { readonly do: "keep"; readonly work: readonly PackedName[] }
  | { readonly do: "abort"; readonly work: readonly PackedName[] };

/** Names in one question. */
export const namesPerQuestion = 500;
const answerMs = 2000;

export interface Custodian {
  readonly boot: string;
  executors(): readonly Executor[];
  /** True when this process owns the actor's partition itself: then the asker is behind, and nothing is given away. */
  owns(address: Address): boolean;
}

/** The side of the process that runs the work. */
export function serveCustody(wire: Wire, custodian: Custodian): WireSubscription {
  return wire.subscribe(subjectOf(custodian.boot), (message) => {
    const { do: what, work } = unpack(message.bytes) as Message;
    const names = work.map(([type, key, id]) => ({ address: { type, key }, id }));
    if (what === "abort") for (const name of names) abort(custodian, name, "settled");
    else message.respond(pack(names.flatMap((name, i) => (keeps(custodian, name) ? [] : [i]))));
  });
}

/** Work that has not begun is given back: the new owner finds it a place. */
function keeps(custodian: Custodian, name: WorkName): boolean {
  if (custodian.owns(name.address)) return true;
  const held = holding(custodian.executors(), name);
  if (held === "waiting") abort(custodian, name, "given back to the partition's new owner");
  return held === "running";
}

function abort(custodian: Custodian, { address, id }: WorkName, reason: string): void {
  for (const executor of custodian.executors()) executor.abort(address, id, reason);
}

/** Whether the work is in this process. */
export function holding(executors: readonly Executor[], { address, id }: WorkName): "running" | "waiting" | undefined {
  for (const executor of executors) {
    const held = executor.holds(address, id);
    if (held !== undefined) return held;
  }
  return undefined;
}

/** The owner's side: which of these the process of that boot does not keep; null when it gave no answer. */
export async function askCustody(
  wire: Wire,
  boot: string,
  names: readonly WorkName[],
): Promise<readonly WorkName[] | null> {
  const reply = await wire.request(subjectOf(boot), pack({ do: "keep", work: names.map(packed) }), answerMs);
  if (reply.kind !== "reply") return null;
  const dropped = unpack(reply.bytes) as readonly number[];
  return dropped.flatMap((i) => names[i] ?? []);
}

/** Tells the process of that boot that the work is settled. At most once: its next report would be refused anyway. */
export function abortElsewhere(wire: Wire, boot: string, name: WorkName): void {
  wire.publish(subjectOf(boot), pack({ do: "abort", work: [packed(name)] }));
}

function packed({ address, id }: WorkName): PackedName {
  return [address.type, address.key, id];
}

function subjectOf(boot: string): string {
  return `work.${boot}`;
}

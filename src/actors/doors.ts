/**
 * A partition's doors over NATS: asks, reads, lists and histories on `ask.<partition>`, mail on
 * `mail.<partition>`. Owns the form of these messages on both sides; only the owner listens.
 */
import { pack, unpack } from "../bus/codec.ts";
import type { WireMessage } from "../bus/wire.ts";
import type { Address } from "../machines/address.ts";
import type { Command } from "../machines/effects.ts";
import { isErrorCode, TroupeError } from "../machines/errors.ts";
import type { AskId } from "./askers.ts";
import type { NumberedLetter } from "./channels.ts";
import type { Answer, HistoryPage, PartitionStatus } from "./client.ts";
import type { Letter } from "./group.ts";
import type { Knocks } from "./knocks.ts";
import type { Place, Row } from "./listing.ts";
import type { Partition } from "./partition.ts";
import type { PartitionTally } from "./tallies.ts";

/** What can be asked of a partition. */
export type DoorRequest =
  | {
      readonly do: "ask";
      readonly id: AskId;
      readonly until: number;
      readonly address: Address;
      readonly command: Command;
    }
  | { readonly do: "read"; readonly address: Address }
  | {
      readonly do: "list";
      readonly type: string;
      readonly where: Record<string, string | number>;
      readonly after: Place | null;
      readonly limit: number;
    }
  | { readonly do: "history"; readonly root: string; readonly after: number; readonly limit: number }
  | { readonly do: "status" }
  | { readonly do: "tally"; readonly since: number | null };

export type DoorAnswer = Answer | readonly Row[] | HistoryPage | PartitionStatus | PartitionTally;

/** Through the door within this process. */
export function knock(partition: Partition, request: DoorRequest): Promise<DoorAnswer> {
  switch (request.do) {
    case "ask":
      return new Promise((answer, fail) => {
        const { id, until, address, command } = request;
        partition.ask({ kind: "ask", id, address, command, until, answer, fail });
      });
    case "read":
      return partition.read(request.address);
    case "list":
      return partition.list(request.type, request.where, request.after, request.limit);
    case "status":
      return Promise.resolve(partition.status());
    case "tally":
      return partition.tally(request.since);
    case "history":
      return partition.history(request.root, request.after, request.limit);
  }
}

const refusalsKept = 4096;

/**
 * Asks over NATS that have no answer yet, and the latest refused ones: a second copy of a message gets the first
 * one's answer. (What was done is remembered in the journal; a refusal leaves no trace there.)
 */
class Copies {
  readonly #open = new Map<string, Promise<DoorAnswer>>();
  readonly #refused = new Map<string, Promise<DoorAnswer>>();

  once(id: AskId, knockNow: () => Promise<DoorAnswer>): Promise<DoorAnswer> {
    const key = `${id.boot}/${id.number}`;
    const known = this.#open.get(key) ?? this.#refused.get(key);
    if (known !== undefined) return known;
    const answer = knockNow();
    this.#open.set(key, answer);
    answer.then(
      () => this.#open.delete(key),
      (error) => this.#refuse(key, answer, error),
    );
    return answer;
  }

  #refuse(key: string, answer: Promise<DoorAnswer>, error: unknown): void {
    this.#open.delete(key);
    if (error instanceof TroupeError && error.code === "moved") return;
    this.#refused.set(key, answer);
    if (this.#refused.size > refusalsKept) this.#refused.delete(this.#refused.keys().next().value as string);
  }
}

const copies = new WeakMap<Partition, Copies>();

function knockOnce(partition: Partition, request: DoorRequest): Promise<DoorAnswer> {
  if (request.do !== "ask") return knock(partition, request);
  let own = copies.get(partition);
  if (own === undefined) {
    own = new Copies();
    copies.set(partition, own);
  }
  return own.once(request.id, () => knock(partition, request));
}

/** The owner's side. */
export async function answerDoor(partition: Partition, message: WireMessage): Promise<void> {
  try {
    const answer = await knockOnce(partition, unpack(message.bytes) as DoorRequest);
    message.respond(pack({ answer }));
  } catch (error) {
    const known = error instanceof TroupeError ? error : new TroupeError("internal", "The owner failed to answer.");
    message.respond(pack({ error: { code: known.code, message: known.message, details: known.details } }));
  }
}

/** In the details of `unavailable`: nobody listened. */
export const noOwner = "no_owner";

/** The asker's side over NATS. Throws TroupeError; `unavailable` when nobody serves the partition now. */
export async function knockOverWire(
  knocks: Knocks,
  partition: number,
  request: DoorRequest,
  timeoutMs: number,
): Promise<DoorAnswer> {
  const reply = await knocks.request(partition, `ask.${partition}`, pack(request), timeoutMs);
  if (reply.kind === "no_responders")
    throw new TroupeError("unavailable", `Nobody serves partition ${partition} now.`, { reason: noOwner });
  if (reply.kind === "left") throw new TroupeError("moved", `The owner of partition ${partition} changed.`);
  if (reply.kind === "timed_out") throw new TroupeError("timed_out", `Partition ${partition} did not answer in time.`);
  const { answer, error } = unpack(reply.bytes) as {
    answer?: DoorAnswer;
    error?: { code: string; message: string; details?: Record<string, unknown> };
  };
  if (error !== undefined)
    throw new TroupeError(isErrorCode(error.code) ? error.code : "internal", error.message, error.details);
  return answer as DoorAnswer;
}

type PackedLetter = [number: number, type: string, key: string, command: Command];

export async function deliverOverWire(
  knocks: Knocks,
  to: number,
  from: number,
  letters: readonly NumberedLetter[],
): Promise<number> {
  const packed: PackedLetter[] = letters.map(({ number, letter }) => [
    number,
    letter.to.type,
    letter.to.key,
    letter.command,
  ]);
  const reply = await knocks.request(to, `mail.${to}`, pack([from, packed]), 5000);
  if (reply.kind !== "reply") throw new TroupeError("unavailable", `Mail to partition ${to}: ${reply.kind}.`);
  return unpack(reply.bytes) as number;
}

export async function serveMail(partition: Partition, message: WireMessage): Promise<void> {
  const [from, packed] = unpack(message.bytes) as [number, PackedLetter[]];
  const letters = packed.map(([number, type, key, command]) => ({
    number,
    letter: { to: { type, key }, command } satisfies Letter,
  }));
  try {
    message.respond(pack(await partition.receive(from, letters)));
  } catch {
    // Moved: no answer; the sender keeps the letters and tries the new owner.
  }
}

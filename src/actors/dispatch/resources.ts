/**
 * A dispatcher's view of the registered resources, and reserving of them for an attempt: in the order of their
 * addresses, all or none. An estimate: each resource's actor alone grants, and refuses when this was wrong.
 */
import type { Address } from "../../machines/address.ts";
import type { JsonObject } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { supplyOf } from "../../machines/resource/room.ts";
import type { ResourceContext } from "../../machines/resource/schema.ts";
import type { Amounts } from "../../machines/schema.ts";
import type { Runtime } from "../client.ts";
import type { ExecutorPort } from "../executors/port.ts";

interface Supply {
  readonly capacity: Amounts;
  room: Amounts;
  readonly exclusive: boolean;
}

type Share = readonly [resource: string, amounts: Amounts];

export class Resources {
  readonly #port: ExecutorPort;
  readonly #supplies = new Map<string, Supply>();
  /** `<task>|<resource>` that were told to contend. */
  readonly #contended = new Set<string>();
  #live: { stop(): void } | undefined;

  constructor(port: ExecutorPort) {
    this.#port = port;
  }

  /** `onFree`: some resource has more than before. */
  start(runtime: Pick<Runtime, "live">, onFree: () => void): void {
    this.#live = runtime.live("live.*.resource.*.*.free", ({ key, data }) => {
      const supply = supplyFrom(data);
      if (supply === undefined) return;
      this.#supplies.set(key, supply);
      onFree();
    });
  }

  stop(): void {
    this.#live?.stop();
  }

  /** Reads the list anew. */
  async refresh(runtime: Pick<Runtime, "list">): Promise<void> {
    const found = new Map<string, Supply>();
    let cursor: string | undefined;
    do {
      const page = await runtime.list({ type: "resource", limit: 200, ...(cursor !== undefined && { cursor }) });
      for (const { address, view } of page.items) {
        const context = view as unknown as ResourceContext & { readonly status: string };
        if (context.status !== "offline") found.set(address.key, supplyOf(context) as unknown as Supply);
      }
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    this.#supplies.clear();
    for (const [id, supply] of found) this.#supplies.set(id, supply);
  }

  /** Whether there is room for these amounts now, as far as known. */
  fits(amounts: Amounts): boolean {
    return this.#plan(amounts) !== undefined;
  }

  /** Reserves all of it for the attempt, or nothing. Never throws. */
  async reserve(task: Address, attempt: number, amounts: Amounts): Promise<readonly string[] | undefined> {
    const plan = this.#plan(amounts);
    if (plan === undefined) return undefined;
    const got: string[] = [];
    for (const [resource, share] of plan) {
      if (!(await this.#ask(resource, task, attempt, share))) {
        await this.release(task, attempt, got);
        return undefined;
      }
      got.push(resource);
    }
    return got;
  }

  /** The task does the same at its attempt's end; here because the attempt goes on to wait. Never throws. */
  async release(task: Address, attempt: number, resources: readonly string[]): Promise<void> {
    const command = { type: "resource.release", task: task.key, attempt };
    await Promise.all(
      resources.map((key) =>
        this.#port.ask({ type: "resource", key }, command).catch((error: unknown) => {
          this.#port.logger.debug({ resource: key, task: task.key, err: error }, "a release was not taken yet");
        }),
      ),
    );
  }

  /** Tells exclusive resources that the task waits for them, once for each. */
  contend(task: Address, priority: number, amounts: Amounts): void {
    for (const [key, supply] of this.#supplies) {
      const wanted = Object.entries(amounts).some(
        ([unit, amount]) => Object.hasOwn(supply.capacity, unit) && amount > (supply.room[unit] ?? 0),
      );
      const name = `${task.key}|${key}`;
      if (!supply.exclusive || !wanted || this.#contended.has(name)) continue;
      if (this.#contended.size >= contendedMax) this.#contended.clear();
      this.#contended.add(name);
      const command = { type: "resource.contend", task: task.key, priority };
      this.#port.ask({ type: "resource", key }, command).catch((error: unknown) => {
        this.#port.logger.debug({ resource: key, task: task.key, err: error }, "a contention was not taken");
      });
    }
  }

  /** Which resource gives what: first those that have most of the units, an exclusive one only as a whole. */
  #plan(amounts: Amounts): readonly Share[] | undefined {
    const left = new Map(Object.entries(amounts));
    const shares: [string, Record<string, number>][] = [];
    while (left.size > 0) {
      let best: string | undefined;
      let most: string[] = [];
      for (const [key, { room, capacity, exclusive }] of this.#supplies) {
        const whole = Object.entries(capacity).every(([unit, amount]) => (room[unit] ?? 0) >= amount);
        if ((exclusive && !whole) || shares.some(([taken]) => taken === key)) continue;
        const units = [...left].filter(([unit, amount]) => Object.hasOwn(room, unit) && amount <= (room[unit] ?? 0));
        if (
          units.length > most.length ||
          (units.length === most.length && best !== undefined && units.length > 0 && key < best)
        ) {
          best = key;
          most = units.map(([unit]) => unit);
        }
      }
      if (best === undefined) return undefined;
      const { exclusive, capacity } = this.#supplies.get(best) as Supply;
      const share = Object.fromEntries(most.map((unit) => [unit, left.get(unit) as number]));
      // One that a task has to itself is held as a whole.
      shares.push([best, exclusive ? { ...capacity } : share]);
      for (const unit of most) left.delete(unit);
    }
    return shares.sort(([a], [b]) => (a < b ? -1 : 1));
  }

  async #ask(resource: string, task: Address, attempt: number, amounts: Amounts): Promise<boolean> {
    const supply = this.#supplies.get(resource);
    const command = { type: "resource.reserve", task: task.key, attempt, amounts };
    try {
      const { reply } = await this.#port.ask({ type: "resource", key: resource }, command);
      const { room } = (reply ?? {}) as { room?: Amounts };
      if (supply !== undefined && room !== undefined) supply.room = room;
      return true;
    } catch (error) {
      if (error instanceof TroupeError) {
        const { room } = (error.details ?? {}) as { room?: Amounts };
        if (room !== undefined && supply !== undefined) supply.room = room;
        else this.#supplies.delete(resource);
      } else {
        this.#port.logger.error({ resource, task: task.key, err: error }, "a reservation failed unexpectedly");
      }
      return false;
    }
  }
}

/** What was announced, when it has that form. */
function supplyFrom(data: JsonObject): Supply | undefined {
  const { capacity, room, exclusive } = data;
  if (typeof capacity !== "object" || capacity === null || typeof room !== "object" || room === null) return undefined;
  return { capacity: capacity as Amounts, room: room as Amounts, exclusive: exclusive === true };
}

const contendedMax = 10_000;

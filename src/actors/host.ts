/**
 * Puts the runtime's parts together for one process: node, executors, feed, values. The front door and
 * the tests start this; it owns the order of starting and stopping.
 */
import type { Bus } from "../bus/bus.ts";
import { FORMAT_VERSION, loadCodecWriting } from "../bus/codec.ts";
import type { ActorDefinition } from "../machines/definition.ts";
import { requireRestored } from "./backup/restore-mark.ts";
import type { RuntimeStatus } from "./client.ts";
import { JournalFeed } from "./feed.ts";
import type { Logger, RuntimeSettings } from "./limits.ts";
import type { Role } from "./membership.ts";
import { Node } from "./node.ts";
import { subjectOf } from "./pattern.ts";
import { TroupeRuntime } from "./runtime.ts";
import { BlobValues } from "./values.ts";
import type { Executor } from "./work.ts";

export interface HostOptions {
  readonly bus: Bus;
  readonly definitions: readonly ActorDefinition[];
  readonly settings: RuntimeSettings;
  readonly logger: Logger;
  /** A name for people, in logs and lists. */
  readonly name: string;
  /** Default `all`. */
  readonly role?: Role;
  readonly serverVersion?: string;
  /** Newest format of journal and records that it reads. Default: this code's; tests of upgrades choose another. */
  readonly format?: number;
  /** Makes the executors once the runtime can be asked; before partitions are taken. */
  executors?(runtime: TroupeRuntime, boot: string): readonly Executor[];
  hosted?(): RuntimeStatus["hosted"];
}

export interface Host {
  readonly runtime: TroupeRuntime;
  readonly node: Node;
  /** Drains and hands over. */
  stop(drainMs?: number): Promise<void>;
}

export async function startHost(options: HostOptions): Promise<Host> {
  const { bus, logger, format = FORMAT_VERSION } = options;
  const codec = await loadCodecWriting(() => node.membership.written, format);
  await requireRestored(bus);
  const text = new TextEncoder();
  const node: Node = new Node({
    bus,
    codec,
    format,
    definitions: options.definitions,
    settings: options.settings,
    logger,
    name: options.name,
    role: options.role ?? "all",
    announce: (events) => {
      for (const event of events) bus.wire.publish(subjectOf(event), text.encode(JSON.stringify(event)));
    },
  });
  const feed = new JournalFeed(bus, codec, logger);
  const runtime = new TroupeRuntime({
    bus,
    node,
    feed,
    values: new BlobValues(bus.blobs),
    serverVersion: options.serverVersion ?? "",
    hosted: () => options.hosted?.() ?? [],
  });
  for (const executor of options.executors?.(runtime, node.boot) ?? []) node.addExecutor(executor);
  // Nobody subscribes at a mere node: it need not read what all others write.
  if (options.role !== "node") await feed.start();
  await node.start();
  return {
    runtime,
    node,
    async stop(drainMs = 0) {
      await node.stop(drainMs);
      await feed.stop();
    },
  };
}

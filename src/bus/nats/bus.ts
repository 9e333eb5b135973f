/**
 * The NATS driver: connects, checks, sets up the streams at the first start, and puts the ports
 * together. Reconnects for ever; what was under way meanwhile ends as unknown.
 */
import { type Bus, BusError, type Layout } from "../bus.ts";
import { JetStreamApi } from "./api.ts";
import { NatsBlobs } from "./blobs.ts";
import { NatsClock } from "./clock.ts";
import { openConnection, requireJetStream } from "./connect.ts";
import { NatsJournal } from "./journal.ts";
import { requireLayout, settleLayout } from "./layout.ts";
import { journalStream, REGISTRY_STREAM, stateStream } from "./names.ts";
import { type NatsOptions, silentLogger } from "./options.ts";
import { NatsRandom } from "./random.ts";
import { NatsRecords } from "./records.ts";
import { NatsRegistry } from "./registry.ts";
import { Requests } from "./requests.ts";
import { ensureBlobs, ensureRegistry, ensureStream, journalConfig, requireStream, stateConfig } from "./streams.ts";
import { requireServerVersion } from "./version.ts";
import { NatsWire } from "./wire.ts";

export interface NatsBus extends Bus {
  readonly layout: Layout;
  /** Of the server connected to at the moment (or last). */
  readonly serverVersion: string;
}

const TRY_MS = 2_000;
const DRAIN_MS = 3_000;

/** Throws BusError: unreachable, server_too_old, layout_mismatch, failed (with what to do). */
export async function connectNats(options: NatsOptions): Promise<NatsBus> {
  const logger = options.logger ?? silentLogger;
  const startTimeoutMs = options.startTimeoutMs ?? 20_000;
  const writeTimeoutMs = options.writeTimeoutMs ?? 2_000;
  const readTimeoutMs = options.readTimeoutMs ?? 10_000;
  const clock = new NatsClock();
  const deadline = clock.monotonic() + startTimeoutMs;
  const nc = await openConnection(options, clock, deadline);
  const requests = new Requests(nc, clock, options.inboxPrefix);
  const api = new JetStreamApi(requests, clock, TRY_MS, readTimeoutMs);
  let version = nc.info?.version ?? "";
  let closing = false;
  requests.onConnection((connected) => {
    if (closing) return;
    version = nc.info?.version ?? version;
    logger.info({ connected, server: nc.getServer() }, connected ? "NATS reconnected" : "NATS connection lost");
  });
  void nc.closed().then((err) => {
    if (!closing) logger.error({ err }, "NATS connection ended for good; restart this node");
  });
  const close = async () => {
    closing = true;
    clock.stop();
    const drained = requests.connected ? Promise.race([nc.drain(), clock.sleep(DRAIN_MS)]) : Promise.resolve();
    await drained.catch(() => {});
    requests.stop();
    await nc.close();
  };
  try {
    requireServerVersion(version, options.layout?.replicas ?? 1);
    await requireJetStream(api, Math.max(TRY_MS, deadline - clock.monotonic()));
    if (options.existing === true) await requireStream(api, REGISTRY_STREAM);
    await ensureRegistry(api, options.layout?.replicas ?? 1);
    const registry = new NatsRegistry(api, logger, writeTimeoutMs);
    if (options.existing === true) await requireLayout(registry);
    const layout = await settleLayout(registry, options.layout);
    requireServerVersion(version, layout.replicas);
    for (let k = 0; k < layout.streams; k++) {
      if (options.existing === true) {
        await requireStream(api, journalStream(k));
        await requireStream(api, stateStream(k));
      }
      await ensureStream(api, journalConfig(k, layout.replicas));
      await ensureStream(api, stateConfig(k, layout.replicas));
    }
    await ensureBlobs(api, layout);
    await clock.follow(() => serverTime(api));
    return {
      layout,
      get serverVersion() {
        return version;
      },
      clock,
      random: new NatsRandom(clock),
      journal: new NatsJournal(api, logger, layout.partitions, layout.streams, writeTimeoutMs),
      records: new NatsRecords(api, logger, layout.streams, layout.replicas, writeTimeoutMs, readTimeoutMs),
      registry,
      blobs: new NatsBlobs(api, logger, writeTimeoutMs),
      wire: new NatsWire(requests, logger),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The leader of the registry stamps its answers with its own time. */
async function serverTime(api: JetStreamApi): Promise<number> {
  const { ts } = await api.must(`STREAM.INFO.${REGISTRY_STREAM}`, undefined);
  const time = Date.parse(String(ts));
  if (Number.isNaN(time)) throw new BusError("failed", "The NATS server does not stamp its answers with a time.");
  // Date.parse cuts at whole milliseconds; the stamp has nanoseconds.
  return time + Number(`0.${/\.\d{3}(\d+)/.exec(String(ts))?.[1] ?? "0"}`);
}

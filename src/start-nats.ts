/** How the configuration becomes the NATS driver's options. Reads the files that it names. */
import { readFileSync } from "node:fs";
import { BusError } from "./bus/bus.ts";
import type { BusLogger, NatsOptions } from "./bus/nats/options.ts";
import type { NatsServer } from "./bus/server/options.ts";
import type { Config } from "./config.ts";

export function natsOptions(config: Config, server: NatsServer, logger: BusLogger): NatsOptions {
  const { natsTlsCa, natsTlsCert, natsTlsKey } = config;
  const options: Record<string, unknown> = {
    servers: server.urls,
    name: "troupe",
    ...(server.user !== undefined && !server.pass
      ? // `nats://token@host`, as NATS tools write it.
        { token: config.natsToken ?? server.user }
      : { user: server.user, pass: server.pass, token: config.natsToken }),
    creds: read(config.natsCreds),
    nkey: read(config.natsNkey)?.trim(),
    tls: natsTlsCa || natsTlsCert ? { ca: read(natsTlsCa), cert: read(natsTlsCert), key: read(natsTlsKey) } : undefined,
    layout: { partitions: config.partitions, streams: config.streams, replicas: config.replicas },
    logger,
  };
  for (const [name, value] of Object.entries(options)) if (value === undefined) delete options[name];
  return options as unknown as NatsOptions;
}

function read(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new BusError("failed", `${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

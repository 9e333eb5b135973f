/**
 * The composition root of the tools that work on the store itself, beside running nodes or without any:
 * `troupe audit`, `troupe backup`, `troupe restore`. They see the bus, not the HTTP API.
 */
import { audit } from "./actors/audit/audit.ts";
import { describeReport } from "./actors/audit/report.ts";
import { backup } from "./actors/backup/backup.ts";
import { BackupError } from "./actors/backup/file.ts";
import { restore } from "./actors/backup/restore.ts";
import { BusError } from "./bus/bus.ts";
import { loadCodec } from "./bus/codec.ts";
import { connectNats, type NatsBus } from "./bus/nats/bus.ts";
import type { NatsOptions } from "./bus/nats/options.ts";
import { attachServer, holdsStore } from "./bus/server/attach.ts";
import { ensureServer } from "./bus/server/ensure.ts";
import { ServerError, type ServerLog } from "./bus/server/options.ts";
import { ConfigError, type Environment, type Flags, loadConfig } from "./config.ts";
import { natsOptions } from "./start-nats.ts";

export interface ToolCall {
  readonly name: "audit" | "backup" | "restore";
  readonly file?: string;
  readonly deep?: boolean;
  readonly json?: boolean;
}

export interface ToolOutput {
  print(line: string): void;
  complain(line: string): void;
}

const silent: ServerLog = { debug() {}, info() {}, warn() {}, error() {} };

/** Runs one tool; gives the exit code: 0 done and sound, 1 not, 2 the settings are wrong. */
export async function runTool(call: ToolCall, flags: Flags, env: Environment, output: ToolOutput): Promise<number> {
  try {
    const config = loadConfig(flags, env);
    const embedded = config.natsUrls.length === 0;
    const running = embedded ? attachServer(config.dataDir) : null;
    if (embedded && running === null && call.name !== "restore" && !holdsStore(config.dataDir))
      throw new ServerError("not_found", `There is no store in ${config.dataDir}. Set TROUPE_DATA or NATS_URL.`);
    const server = running ?? (await ensureServer(config, silent));
    try {
      // The layout is the store's, or the backup's: never this command line's.
      const { layout: _, ...options } = natsOptions(config, server, silent);
      return await tools[call.name](call, options, output);
    } finally {
      await server.stop();
    }
  } catch (error) {
    if (error instanceof ConfigError) {
      output.complain(error.message);
      return error.exitCode;
    }
    if (!(error instanceof ServerError || error instanceof BusError || error instanceof BackupError)) throw error;
    output.complain(`error: ${error.message}`);
    return 1;
  }
}

type Tool = (call: ToolCall, options: NatsOptions, output: ToolOutput) => Promise<number>;

const tools: Readonly<Record<ToolCall["name"], Tool>> = {
  audit: (call, options, output) =>
    withBus({ ...options, existing: true }, async (bus) => {
      const report = await audit({ bus, codec: await loadCodec(), deep: call.deep === true });
      if (call.json === true) output.print(JSON.stringify(report, null, 2));
      else for (const line of describeReport(report)) output.print(line);
      return report.sound ? 0 : 1;
    }),
  backup: (call, options, output) =>
    withBus({ ...options, existing: true }, async (bus) => {
      const summary = await backup({ bus, codec: await loadCodec(), replicas: bus.layout.replicas }, call.file ?? "");
      output.print(
        call.json === true
          ? JSON.stringify(summary)
          : `${call.file}: ${summary.records} records, ${summary.groups} groups, ${summary.blobs} large values, ${summary.fileBytes} bytes`,
      );
      return 0;
    }),
  restore: async (call, options, output) => {
    const summary = await restore(call.file ?? "", await loadCodec(), async (layout) =>
      connectNats({ ...options, layout }),
    );
    output.print(
      call.json === true
        ? JSON.stringify(summary)
        : `restored ${summary.records} records, ${summary.groups} groups, ${summary.blobs} large values; nodes may start`,
    );
    return 0;
  },
};

async function withBus(options: NatsOptions, work: (bus: NatsBus) => Promise<number>): Promise<number> {
  const bus = await connectNats(options);
  try {
    return await work(bus);
  } finally {
    await bus.close();
  }
}

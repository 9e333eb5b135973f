/** Which agents and tools a node runs: those that come along, those of files, those of the file of tools. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { ToolDefinition } from "./actors/agent.ts";
import { type AnyAgent, builtInAgents, loadTools, type ModelSettings } from "./builtin/index.ts";
import type { Clock } from "./bus/clock.ts";
import type { Config, Environment } from "./config.ts";
import { TroupeError } from "./machines/errors.ts";

interface Parts {
  readonly config: Config;
  readonly env: Environment;
  readonly version: string;
  readonly log: { warn(fields: object, message: string): void };
}

export interface Agents {
  readonly agents: readonly AnyAgent[];
  /** Ends the connections of tools. */
  close(): Promise<void>;
}

/** Throws `invalid_input` for a file that cannot be used. */
export async function agentsOf({ config, env, version, log }: Parts, bus: { readonly clock: Clock }): Promise<Agents> {
  const loaded = await loadFiles(config.agents);
  const described =
    config.toolsFile === undefined
      ? undefined
      : await loadTools(config.toolsFile, env, version, bus.clock, (server, err) =>
          log.warn({ server, err }, "an MCP server cannot be reached; its tools are left out"),
        );
  const settings = modelSettings(config);
  const builtIn = builtInAgents({
    ...(settings === undefined ? {} : { model: { settings, timers: bus.clock } }),
    tools: [...loaded.tools, ...(described?.tools ?? [])],
  });
  return { agents: [...builtIn, ...loaded.agents], close: async () => described?.close() };
}

function modelSettings(config: Config): ModelSettings | undefined {
  const { modelBaseUrl, modelName, modelApiKey, modelTimeoutMs, modelPromptUsd, modelCompletionUsd } = config;
  if (modelBaseUrl === undefined || modelName === undefined) return undefined;
  return {
    baseUrl: modelBaseUrl,
    model: modelName,
    ...(modelApiKey === undefined ? {} : { apiKey: modelApiKey }),
    totalTimeoutMs: modelTimeoutMs,
    ...(modelPromptUsd === undefined ? {} : { promptUsdPerMillion: modelPromptUsd }),
    ...(modelCompletionUsd === undefined ? {} : { completionUsdPerMillion: modelCompletionUsd }),
  };
}

/** Everything that a file exports and that looks like an agent or a tool. */
async function loadFiles(files: readonly string[]) {
  const agents: AnyAgent[] = [];
  const tools: ToolDefinition<never>[] = [];
  for (const file of files) {
    let module: Record<string, unknown>;
    try {
      module = (await import(pathToFileURL(resolve(file)).href)) as Record<string, unknown>;
    } catch (cause) {
      throw new TroupeError(
        "invalid_input",
        `${file} cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`,
      );
    }
    const values = [...new Set(Object.values(module).flat())];
    const found = { agents: values.filter(isAgent), tools: values.filter(isTool) };
    if (found.agents.length + found.tools.length === 0) {
      throw new TroupeError("invalid_input", `${file} exports no agent; export what defineAgent() gives.`);
    }
    agents.push(...found.agents);
    tools.push(...found.tools);
  }
  return { agents, tools };
}

function isTool(value: unknown): value is ToolDefinition<never> {
  if (typeof value !== "object" || value === null) return false;
  const { name, parameters, run } = value as { name?: unknown; parameters?: unknown; run?: unknown };
  return typeof name === "string" && typeof parameters === "object" && typeof run === "function";
}

function isAgent(value: unknown): value is AnyAgent {
  if (typeof value !== "object" || value === null) return false;
  const { type, run } = value as { type?: unknown; run?: unknown };
  return typeof type === "string" && typeof run === "function";
}

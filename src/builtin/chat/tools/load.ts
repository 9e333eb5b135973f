/**
 * Reads the file that TROUPE_TOOLS names: HTTP tools and MCP servers for the model agent. A server that cannot be
 * reached at the start is left out, with a line in the log; the others serve.
 */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import type { ToolDefinition } from "../../../actors/agent.ts";
import { TroupeError } from "../../../machines/errors.ts";
import { httpTool, httpToolSchema, type ToolTimers } from "./http-tool.ts";
import { McpConnection, mcpServerSchema } from "./mcp.ts";

const fileSchema = z.strictObject({
  http: z.array(httpToolSchema).max(256).default([]),
  mcp: z.record(z.string().regex(/^[A-Za-z0-9_-]{1,32}$/), mcpServerSchema).default({}),
});

export interface LoadedTools {
  readonly tools: readonly ToolDefinition<never>[];
  close(): Promise<void>;
}

/** `env`: for `${NAME}` in headers and arguments. Throws `invalid_input` naming the file and the place. */
export async function loadTools(
  file: string,
  env: Readonly<Record<string, string | undefined>>,
  version: string,
  timers: ToolTimers,
  onUnreachable: (server: string, error: unknown) => void,
): Promise<LoadedTools> {
  const described = parse(file, await read(file), env);
  const tools: ToolDefinition<never>[] = described.http.map((tool) => httpTool(tool, timers) as ToolDefinition<never>);
  const connections: McpConnection[] = [];
  for (const [name, server] of Object.entries(described.mcp)) {
    const connection = new McpConnection(name, server, version);
    connections.push(connection);
    try {
      tools.push(...((await connection.tools()) as ToolDefinition<never>[]));
    } catch (error) {
      onUnreachable(name, error);
    }
  }
  return { tools, close: async () => void (await Promise.allSettled(connections.map((c) => c.close()))) };
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new TroupeError("invalid_input", `${file} cannot be read: ${(cause as Error).message}`);
  }
}

function parse(file: string, text: string, env: Readonly<Record<string, string | undefined>>) {
  let value: unknown;
  try {
    value = JSON.parse(text, (_, inner) =>
      typeof inner === "string" ? inner.replace(/\$\{([A-Z_][A-Z0-9_]*)\}/g, (_whole, name) => env[name] ?? "") : inner,
    );
  } catch (cause) {
    throw new TroupeError("invalid_input", `${file} is no JSON: ${(cause as Error).message}`);
  }
  const parsed = fileSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new TroupeError("invalid_input", `${file}: ${issue?.path.map(String).join(".")}: ${issue?.message}`);
}

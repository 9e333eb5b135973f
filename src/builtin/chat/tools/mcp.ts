/**
 * Tools of MCP servers, through the official client: connected when they are first needed, and again after a
 * break. Described in the file that TROUPE_TOOLS names.
 */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { z } from "zod";
import { TaskError, type ToolDefinition } from "../../../actors/agent.ts";
import type { Json, JsonObject } from "../../../machines/effects.ts";

const common = { needs_approval: z.boolean().default(false), timeout_ms: z.int().min(1).max(600_000).default(60_000) };
export const mcpServerSchema = z.union([
  z.strictObject({
    ...common,
    url: z.url({ protocol: /^https?$/ }),
    headers: z.record(z.string(), z.string()).default({}),
  }),
  z.strictObject({
    ...common,
    command: z.string().min(1),
    args: z.array(z.string()).default([]),
    env: z.record(z.string(), z.string()).default({}),
  }),
]);
export type McpServer = z.infer<typeof mcpServerSchema>;

export class McpConnection {
  readonly #name: string;
  readonly #server: McpServer;
  readonly #version: string;
  #client: Promise<Client> | undefined;

  constructor(name: string, server: McpServer, version: string) {
    this.#name = name;
    this.#server = server;
    this.#version = version;
  }

  /** The server's tools, named `<server>_<tool>` where the name alone is no model's. Throws when it cannot be reached. */
  async tools(): Promise<ToolDefinition<JsonObject>[]> {
    const client = await this.#connected();
    const tools: ToolDefinition<JsonObject>[] = [];
    let cursor: string | undefined;
    do {
      const page = await client.listTools(cursor === undefined ? {} : { cursor });
      for (const { name, description, inputSchema } of page.tools) {
        tools.push({
          name: `${this.#name}_${name}`.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 64),
          ...(description === undefined ? {} : { description }),
          parameters: inputSchema as JsonObject,
          needsApproval: this.#server.needs_approval,
          run: (ctx, args) => this.#call(name, args, ctx.signal),
        });
      }
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    return tools;
  }

  async close(): Promise<void> {
    const client = await this.#client?.catch(() => undefined);
    this.#client = undefined;
    await client?.close();
  }

  async #call(name: string, args: JsonObject, signal: AbortSignal): Promise<Json> {
    const client = await this.#connected();
    const options = { signal, timeout: this.#server.timeout_ms };
    const result = await client.callTool({ name, arguments: args as Record<string, unknown> }, undefined, options);
    const content = (result.content ?? []) as { type: string; text?: string }[];
    const text = content.map((part) => (part.type === "text" ? (part.text ?? "") : JSON.stringify(part))).join("\n");
    if (result.isError === true) throw new TaskError(text === "" ? `${name} failed` : text);
    return text === "" && result.structuredContent !== undefined ? (result.structuredContent as Json) : text;
  }

  #connected(): Promise<Client> {
    this.#client ??= this.#connect().catch((error: unknown) => {
      this.#client = undefined;
      throw new TaskError(`the MCP server ${this.#name} cannot be reached`, { code: "tool_unavailable", cause: error });
    });
    return this.#client;
  }

  async #connect(): Promise<Client> {
    // Loaded where there is such a server: it costs a start some tenths of a second.
    const sdk = await import("@modelcontextprotocol/sdk/client/index.js");
    const client = new sdk.Client({ name: "troupe", version: this.#version });
    client.onclose = () => {
      this.#client = undefined;
    };
    await client.connect((await transportOf(this.#server)) as Parameters<Client["connect"]>[0]);
    return client;
  }
}

async function transportOf(server: McpServer) {
  if ("url" in server) {
    const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
    return new StreamableHTTPClientTransport(new URL(server.url), { requestInit: { headers: server.headers } });
  }
  const { command, args, env } = server;
  const { StdioClientTransport } = await import("@modelcontextprotocol/sdk/client/stdio.js");
  return new StdioClientTransport({ command, args, env, stderr: "ignore" });
}

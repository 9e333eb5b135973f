/** Tools outside of the node's process: an HTTP endpoint and MCP servers, and the file that describes them. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { adder } from "./mcp-server.ts";

export interface OutsideTools {
  /** For TROUPE_TOOLS. */
  readonly file: string;
  /** What the HTTP tool was asked, with its headers. */
  readonly asked: { readonly body: unknown; readonly headers: IncomingMessage["headers"] }[];
  stop(): Promise<void>;
}

export async function startTools(): Promise<OutsideTools> {
  const asked: OutsideTools["asked"] = [];
  const server = createServer((request, response) => void answer(request, response, asked));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const folder = await mkdtemp(join(tmpdir(), "troupe-tools-"));
  const file = join(folder, "tools.json");
  const parameters = { type: "object", properties: { word: { type: "string" } }, required: ["word"] };
  const described = {
    http: [
      {
        name: "translate",
        description: "Translates a word.",
        parameters,
        url: `${base}/translate`,
        headers: { authorization: "Bearer ${TRANSLATOR_KEY}" },
      },
    ],
    mcp: {
      local: {
        command: process.execPath,
        args: ["--import", import.meta.resolve("tsx"), join(import.meta.dirname, "mcp-server.ts")],
      },
      remote: { url: `${base}/mcp`, needs_approval: true },
      gone: { url: "http://127.0.0.1:9/mcp" },
    },
  };
  await writeFile(file, JSON.stringify(described));
  return {
    file,
    asked,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, asked: OutsideTools["asked"]): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = chunks.length === 0 ? undefined : (JSON.parse(Buffer.concat(chunks).toString()) as { word?: string });
  if (request.url === "/mcp") {
    const transport = new StreamableHTTPServerTransport({});
    const mcp = adder();
    response.on("close", () => void mcp.close());
    await mcp.connect(transport as Parameters<typeof mcp.connect>[0]);
    await transport.handleRequest(request, response, body);
    return;
  }
  asked.push({ body, headers: request.headers });
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ translated: body?.word === "bee" ? "Biene" : "?" }));
}

/**
 * A tool behind an HTTP endpoint: its arguments are posted as JSON, its answer is the body. Described in the file
 * that TROUPE_TOOLS names.
 */
import { z } from "zod";
import { TaskError, type ToolDefinition } from "../../../actors/agent.ts";
import type { Json, JsonObject } from "../../../machines/effects.ts";

export const httpToolSchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "must match [A-Za-z0-9_-]{1,64}"),
  description: z.string().max(4_096).optional(),
  /** JSON Schema of the arguments. */
  parameters: z.record(z.string(), z.unknown()).default({ type: "object" }),
  url: z.url({ protocol: /^https?$/ }),
  method: z.enum(["POST", "PUT"]).default("POST"),
  /** Sent as they are; `${NAME}` stands for an environment variable. */
  headers: z.record(z.string(), z.string()).default({}),
  timeout_ms: z.int().min(1).max(600_000).default(30_000),
  needs_approval: z.boolean().default(false),
});
export type HttpTool = z.infer<typeof httpToolSchema>;

const answerBytesMax = 1_000_000;

/** The part of the bus's clock that is used here. */
export interface ToolTimers {
  after(ms: number, fn: () => void): { cancel(): void };
}

export function httpTool(tool: HttpTool, timers: ToolTimers): ToolDefinition<JsonObject> {
  return {
    name: tool.name,
    ...(tool.description === undefined ? {} : { description: tool.description }),
    parameters: tool.parameters as JsonObject,
    needsApproval: tool.needs_approval,
    async run(ctx, args) {
      const late = new AbortController();
      const timer = timers.after(tool.timeout_ms, () => late.abort(new TaskError(`${tool.name} took too long`)));
      try {
        const response = await fetch(tool.url, {
          method: tool.method,
          headers: {
            "content-type": "application/json",
            "idempotency-key": ctx.idempotencyKey,
            ...tool.headers,
          },
          body: JSON.stringify(args),
          signal: AbortSignal.any([ctx.signal, late.signal]),
          redirect: "error",
        });
        const text = await boundedText(response);
        if (!response.ok) throw new TaskError(`${tool.name} answered ${response.status}: ${text.slice(0, 500)}`);
        return parsedOr(text);
      } finally {
        timer.cancel();
      }
    },
  };
}

async function boundedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > answerBytesMax) throw new TaskError(`the answer is over ${answerBytesMax} bytes`, { retryable: false });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parsedOr(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

/**
 * The tools that a node has for its model agent, wherever they come from: TypeScript, HTTP, MCP servers. Owns
 * their names and the check of arguments; how a kind of tool is called is its own file's.
 */
import { z } from "zod";
import type { ToolContext, ToolDefinition } from "../../../actors/agent.ts";
import { TaskError } from "../../../actors/agent.ts";
import { plain, type ToolOffer } from "../schema.ts";

/** What the model may be told of one result. */
const resultCharsMax = 60_000;

type AnyTool = ToolDefinition<never>;

export class Toolbox {
  readonly #tools = new Map<string, AnyTool>();

  constructor(tools: readonly AnyTool[] = []) {
    for (const tool of tools) this.add(tool);
  }

  /** Throws for a name that is taken or that no model could use. */
  add(tool: AnyTool): void {
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(tool.name)) throw new Error(`"${tool.name}" is no tool name; use [A-Za-z0-9_-]`);
    if (this.#tools.has(tool.name)) throw new Error(`there are two tools named ${tool.name}`);
    this.#tools.set(tool.name, tool);
  }

  get names(): readonly string[] {
    return [...this.#tools.keys()];
  }

  has(name: string): boolean {
    return this.#tools.has(name);
  }

  needsApproval(name: string): boolean {
    return this.#tools.get(name)?.needsApproval === true;
  }

  /** What the model is offered: the node's tools, and the front end's where their names are free. */
  offers(frontend: readonly ToolOffer[]): { name: string; description?: string; parameters?: unknown }[] {
    const own = [...this.#tools.values()].map(({ name, description, parameters }) => ({
      name,
      ...(description === undefined ? {} : { description }),
      parameters: isZod(parameters) ? z.toJSONSchema(parameters) : parameters,
    }));
    const theirs = frontend
      .filter(({ name }) => !this.#tools.has(name))
      .map(({ name, description, parameters }) => ({
        name,
        ...(description === undefined ? {} : { description }),
        ...(parameters === undefined ? {} : { parameters }),
      }));
    return [...own, ...theirs];
  }

  /** The result as the model reads it. Throws what the tool throws, and `invalid_input` for bad arguments. */
  async call(name: string, text: string, ctx: ToolContext): Promise<string> {
    const tool = this.#tools.get(name);
    if (tool === undefined) throw new TaskError(`there is no tool ${name}`, { code: "not_found", retryable: false });
    const result = await tool.run(ctx, argumentsOf(tool, text) as never);
    const said = typeof result === "string" ? result : JSON.stringify(plain(result ?? null));
    return said.length <= resultCharsMax
      ? said
      : `${said.slice(0, resultCharsMax)}… (${said.length} characters in all)`;
  }
}

function argumentsOf(tool: AnyTool, text: string): unknown {
  let given: unknown;
  try {
    given = text.trim() === "" ? {} : JSON.parse(text);
  } catch {
    throw invalid("the arguments are no JSON");
  }
  if (!isZod(tool.parameters)) return given;
  const parsed = tool.parameters.safeParse(given);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues
    .slice(0, 5)
    .map(({ path, message }) => `${path.map(String).join(".")}: ${message}`);
  throw invalid(`the arguments do not fit: ${problems.join("; ")}`);
}

const invalid = (message: string) => new TaskError(message, { code: "invalid_input", retryable: false });

function isZod(value: unknown): value is z.ZodType {
  return typeof value === "object" && value !== null && "safeParse" in value;
}

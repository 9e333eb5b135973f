/**
 * Who stands behind an AG-UI address: a chat agent, any other agent, or a workflow; and the workflow that its run
 * executes. Knows no protocol.
 */
import { LRUCache } from "lru-cache";
import type { AgentContext } from "../../machines/agent/schema.ts";
import type { Json, JsonObject } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { isObject } from "../../machines/json.ts";
import { agentTypePattern } from "../../machines/schema.ts";
import { chatWorkflow } from "../../machines/session/chat-workflow.ts";
import { describeIssues, parseWorkflow } from "../../machines/workflow/check.ts";
import type { WorkflowDefinition } from "../../machines/workflow/schema.ts";
import { hashJson } from "../json.ts";
import type { Services } from "../operation.ts";
import type { WorkflowVersion } from "../workflows.ts";

export interface Target {
  /** As the client named it. */
  readonly agent: string;
  /** `chat`: the conversation is its input; `other`: what the client sends as input, or the last message. */
  readonly kind: "chat" | "other";
  readonly workflow: WorkflowVersion;
}

/** Short names of the agents that come along. */
const builtIn: ReadonlyMap<string, string> = new Map([
  ["model", "model-chat"],
  ["echo", "echo-chat"],
]);
const modelType = "model-chat";
/** Answers a prompt with what the node has, and says plainly when that is no model. */
const promptType = "prompt";

const made = new LRUCache<string, WorkflowVersion>({ max: 256 });

/** Without a name: the model agent where one is, otherwise the one for plain prompts. Throws `not_found`. */
export async function findTarget(services: Services, name: string | undefined): Promise<Target> {
  if (name === undefined) {
    const chat = (await capabilitiesOf(services, modelType)) !== undefined;
    return chat ? chatTarget("model", modelType) : agentTarget("assistant", promptType);
  }
  const type = builtIn.get(name) ?? name;
  if (agentTypePattern.test(type)) {
    const capabilities = builtIn.has(name) ? ["chat"] : await capabilitiesOf(services, type);
    if (capabilities?.includes("chat") === true) return chatTarget(name, type);
    if (capabilities !== undefined) return agentTarget(name, type);
  }
  const workflow = await services.workflows.find(name, undefined).catch((error: unknown) => {
    if (!(error instanceof TroupeError) || error.code !== "not_found") throw error;
    throw new TroupeError("not_found", `There is no agent and no workflow '${name.slice(0, 200)}'`, { agent: name });
  });
  return { agent: name, kind: "other", workflow };
}

/** What agents of this type offer; undefined when none is registered. */
async function capabilitiesOf(services: Services, type: string): Promise<readonly string[] | undefined> {
  const { items } = await services.runtime.list({ type: "agent", where: { agentType: type }, limit: 20 });
  const views = items.map(({ view }) => view as unknown as AgentContext & { readonly status: string });
  return views.find(({ status }) => status !== "gone")?.capabilities;
}

function chatTarget(agent: string, type: string): Target {
  return { agent, kind: "chat", workflow: versionOf(chatWorkflow(type)) };
}

function agentTarget(agent: string, type: string): Target {
  const definition: WorkflowDefinition = {
    name: `agent-${type}`.slice(0, 64),
    version: "1.0.0",
    description: `One answer of ${type}.`,
    stages: [{ name: "answer", agent_type: type, input: "${input}" }],
    output: "${stages.answer.output}",
  };
  return { agent, kind: "other", workflow: versionOf(definition) };
}

/** As registered workflows are: the parsed form, with defaults, and its hash. */
function versionOf(raw: WorkflowDefinition): WorkflowVersion {
  const known = made.get(raw.name);
  if (known !== undefined) return known;
  const parsed = parseWorkflow(raw);
  if (!parsed.ok) throw new TroupeError("internal", describeIssues(parsed.issues));
  const { definition } = parsed;
  const { name, version } = definition;
  const found = { name, version, hash: hashJson(definition as unknown as Json), definition };
  made.set(raw.name, found);
  return found;
}

/** The input of a run that is no chat: what the client sends as input, an object in the last message, or its text. */
export function inputOf(
  messages: readonly JsonObject[],
  forwarded: Json | undefined,
  state: Json | undefined,
  threadId: string,
): Json {
  if (isObject(forwarded) && forwarded.input !== undefined) return forwarded.input;
  const last = messages.findLast(({ role }) => role === "user")?.content;
  const text = typeof last === "string" ? last : "";
  const given = parsedObject(text);
  if (given !== undefined) return given;
  return { prompt: text, messages, thread_id: threadId, ...(state === undefined ? {} : { state }) };
}

function parsedObject(text: string): Json | undefined {
  if (!text.trimStart().startsWith("{")) return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

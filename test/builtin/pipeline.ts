/**
 * Runs the agents of `document-brief` one after the other as their workflow does, with contexts
 * that collect what is left. No runtime.
 */
import type { AgentContext, AgentDefinition, ArtifactInput } from "../../src/actors/agent.ts";
import { sectionAnalyst } from "../../src/builtin/brief/analyst.ts";
import { briefMerger } from "../../src/builtin/brief/merger.ts";
import { briefPublisher } from "../../src/builtin/brief/publisher.ts";
import { documentSplitter } from "../../src/builtin/brief/splitter.ts";
import type { Json, JsonObject } from "../../src/machines/effects.ts";

export interface Kept {
  readonly artifacts: ArtifactInput[];
  readonly events: { name: string; data: JsonObject }[];
  readonly cost: { promptTokens: number; completionTokens: number; usd: number };
}

export function collectingContext(signal: AbortSignal = new AbortController().signal): AgentContext & { kept: Kept } {
  const kept: Kept = { artifacts: [], events: [], cost: { promptTokens: 0, completionTokens: 0, usd: 0 } };
  return {
    kept,
    signal,
    attempt: 1,
    idempotencyKey: "r~s",
    taskId: "r~s",
    runId: "r",
    progress() {},
    log() {},
    async artifact(artifact) {
      kept.artifacts.push(artifact);
      return { artifactId: `r~a~s~${kept.artifacts.length}` };
    },
    event(name, data) {
      kept.events.push({ name, data });
    },
    cost(cost) {
      kept.cost.promptTokens += cost.promptTokens ?? 0;
      kept.cost.completionTokens += cost.completionTokens ?? 0;
      kept.cost.usd += cost.usd ?? 0;
    },
    async sleep() {},
    saved: null,
    async save(_value, event) {
      if (event !== undefined) kept.events.push(event);
    },
    live() {},
  };
}

/** Checks input and output as the executor does, and passes both through JSON. */
export async function runAgent<I, O>(agent: AgentDefinition<I, O>, input: unknown, ctx = collectingContext()) {
  const json = JSON.parse(JSON.stringify(input)) as Json;
  const parsed = agent.input === undefined ? (json as I) : agent.input.parse(json);
  const output = await agent.run(ctx, parsed);
  const checked = agent.output === undefined ? output : agent.output.parse(output);
  return { output: JSON.parse(JSON.stringify(checked)) as O, kept: ctx.kept };
}

export async function brief(
  input: { title?: string; text: string },
  review: Json = null,
  analyst: AgentDefinition<never, never> = sectionAnalyst as unknown as AgentDefinition<never, never>,
) {
  const split = (await runAgent(documentSplitter, input)).output;
  const analyses: Json[] = [];
  for (const section of split.sections) {
    analyses.push((await runAgent(analyst, { section, language: split.language })).output as Json);
  }
  const { title, language, characters } = split;
  const merged = (await runAgent(briefMerger, { title, language, characters, analyses })).output;
  const published = await runAgent(briefPublisher, { ...merged, review });
  const [file, record] = published.kept.artifacts;
  const report = file?.type === "file" ? Buffer.from(file.bytes).toString() : "";
  return { split, analyses, merged, output: published.output, report, file, record };
}

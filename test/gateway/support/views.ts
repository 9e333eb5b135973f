/** Views of runs as the core gives them, for tests: whole, with what a test wants to differ. */
import type { Json, JsonObject } from "../../../src/machines/effects.ts";

export const stageDefinition = { name: "echo", agent_type: "echo" };

export function runView(fields: Record<string, Json | undefined> = {}): JsonObject {
  return {
    workflow: { name: "echo", version: "0.1.0", hash: "0".repeat(64) },
    definition: { name: "echo", version: "0.1.0", stages: [stageDefinition] },
    status: "queued",
    input: null,
    runContext: null,
    metadata: {},
    labels: {},
    traceId: "0af7651916cd43dd8448eb211c80319c",
    requestHash: {},
    timing: { createdAt: 1_700_000_000_000, startedAt: 1_700_000_000_010, finishedAt: null },
    stages: { length: 1, pages: [[{ status: "pending", unmet: 0 }]] },
    checkpoints: [],
    artifacts: { length: 0, pages: [] },
    output: null,
    error: null,
    cost: { promptTokens: 0, completionTokens: 0, usd: 0 },
    ...fields,
  };
}

export function checkpointView(fields: Record<string, Json | undefined> = {}): JsonObject {
  return {
    checkpointId: "review",
    stage: "review",
    status: "required",
    createdAt: 1_700_000_000_000,
    expiresAt: null,
    title: "Review",
    instructions: null,
    requiredSchema: null,
    providedInput: null,
    decision: null,
    ...fields,
  };
}

export function taskView(fields: Record<string, Json | undefined> = {}): JsonObject {
  return {
    status: "ready",
    taskType: "echo",
    capabilities: [],
    input: null,
    priority: 5,
    parent: null,
    runId: null,
    stage: null,
    index: null,
    dependencies: [],
    unmet: [],
    timeoutMs: null,
    deadlineAt: null,
    title: null,
    description: null,
    metadata: {},
    attempt: 0,
    lost: 0,
    agent: null,
    node: null,
    progress: null,
    attempts: [],
    createdAt: 1_700_000_000_000,
    readyAt: null,
    startedAt: null,
    finishedAt: null,
    output: null,
    error: null,
    artifacts: [],
    cost: { promptTokens: 0, completionTokens: 0, usd: 0 },
    ...fields,
  };
}

export function agentView(fields: Record<string, Json | undefined> = {}): JsonObject {
  return {
    status: "idle",
    agentType: "echo",
    name: "Echo",
    version: null,
    capabilities: ["text"],
    concurrency: 2,
    hosted: { node: "n1" },
    heartbeatMs: 30_000,
    configuration: {},
    resources: {},
    metadata: {},
    healthCheckUrl: null,
    registeredAt: 1_700_000_000_000,
    heartbeatAt: 1_700_000_000_000,
    reported: { status: null, currentTasks: null, metrics: null },
    slots: { "run_a~x": 1 },
    ...fields,
  };
}

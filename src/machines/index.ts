/**
 * The domain's front door: the actors there are, their schemas, and the pure functions that the
 * other houses use.
 */
import { agentDefinition } from "./agent/definition.ts";
import { deliveryDefinition } from "./callback/delivery.ts";
import { callbackDefinition } from "./callback/machine.ts";
import { conflictDefinition } from "./conflict/machine.ts";
import { credentialDefinition } from "./credential/machine.ts";
import { deadLetterDefinition } from "./dead-letter/machine.ts";
import type { ActorDefinition } from "./definition.ts";
import { idempotencyDefinition } from "./idempotency/machine.ts";
import { topicDefinition } from "./publication/topic.ts";
import { rateDefinition } from "./rate/machine.ts";
import { requestDefinition } from "./request/machine.ts";
import { resourceDefinition } from "./resource/machine.ts";
import { runDefinition } from "./run/definition.ts";
import { sessionDefinition } from "./session/machine.ts";
import { sharedStateDefinition } from "./shared-state/machine.ts";
import { subscriptionDefinition } from "./subscription/machine.ts";
import { taskDefinition } from "./task/machine.ts";
import { templateDefinition } from "./task-template/machine.ts";
import { workflowDefinition, workflowVersionDefinition } from "./workflow/machine.ts";

/** All types of actors. */
export const definitions: readonly ActorDefinition[] = [
  runDefinition,
  taskDefinition,
  agentDefinition,
  resourceDefinition,
  workflowDefinition,
  workflowVersionDefinition,
  deadLetterDefinition,
  conflictDefinition,
  requestDefinition,
  callbackDefinition,
  deliveryDefinition,
  topicDefinition,
  subscriptionDefinition,
  templateDefinition,
  sharedStateDefinition,
  credentialDefinition,
  rateDefinition,
  idempotencyDefinition,
  sessionDefinition,
];

export * from "./address.ts";
export type { AgentCommand, AgentContext } from "./agent/schema.ts";
export { agentCommandSchema, agentRegisterSchema } from "./agent/schema.ts";
export type { ActorDefinition, IndexFields, Snapshot } from "./definition.ts";
export type { Command, Effect, Json, JsonObject, StepMeta } from "./effects.ts";
export * from "./errors.ts";
export { checkExpression, evaluate } from "./expression.ts";
export { type BlobRef, canonicalJson, inlineBytesMax, isBlobRef, jsonSize, refAt } from "./json.ts";
export { type RunView, runView, type StageView } from "./run/definition.ts";
export { type Resolution, resolveStage } from "./run/resolve.ts";
export type { Checkpoint, RunCommand, RunContext, RunStatus } from "./run/schema.ts";
export { outputStage, runCommandSchema, runCreateSchema, runDecideSchema, taskAddress } from "./run/schema.ts";
export { scopeOf } from "./run/scope.ts";
export type { ArtifactEntry, Cost, Failure, Retry } from "./schema.ts";
export { type Issue, issuesOf } from "./schema.ts";
export { chatWorkflow, chatWorkflowName } from "./session/chat-workflow.ts";
export type { SessionView } from "./session/machine.ts";
export { flattened } from "./session/messages.ts";
export type { Outcome, TaskCommand, TaskContext } from "./task/schema.ts";
export { outcomeSchema, taskCommandSchema, taskCreateSchema } from "./task/schema.ts";
export { describeIssues, type ParsedWorkflow, parseWorkflow } from "./workflow/check.ts";
export type { WorkflowContext, WorkflowVersionContext } from "./workflow/machine.ts";
export { versionAddress } from "./workflow/machine.ts";
export type { Stage, WorkflowDefinition } from "./workflow/schema.ts";
export { workflowNameSchema, workflowRegisterSchema, workflowSchema } from "./workflow/schema.ts";

/**
 * The workflow of a chat: a turn of the chat agent, and, where a turn asks for a human's word, a checkpoint and
 * the next turn. So an interrupt of a conversation is a checkpoint of its run, like any other.
 */
import type { Stage, WorkflowDefinition } from "../workflow/schema.ts";

/** Questions to a human in one run. */
export const questionsMax = 8;

export const chatWorkflowName = (agentType: string) => `chat-${agentType}`.slice(0, 64);

export function chatWorkflow(agentType: string): WorkflowDefinition {
  const stages: Stage[] = [{ name: "turn_1", agent_type: agentType, input: "${input}", retry: retry(5) }];
  for (let n = 1; n <= questionsMax; n++) {
    const output = `stages.turn_${n}.output`;
    // An agent that never asks has no such member.
    const asked = `${output} != null && has(${output}.interrupt) && ${output}.interrupt != null`;
    stages.push(
      {
        kind: "checkpoint",
        name: `ask_${n}`,
        dependencies: [`turn_${n}`],
        when: asked,
        title: "The agent asks for approval",
        instructions: `\${stages.turn_${n}.output.interrupt.message}`,
        on_reject: "continue",
      },
      {
        name: `turn_${n + 1}`,
        agent_type: agentType,
        dependencies: [`ask_${n}`],
        when: asked,
        input: {
          threadId: "${input.threadId}",
          runId: "${input.runId}",
          messages: "${input.messages}",
          state: "${input.state}",
          tools: "${input.tools}",
          context: "${input.context}",
          before: `\${stages.turn_${n}.output}`,
          answer: `\${stages.ask_${n}.output}`,
        },
        retry: retry(5),
      },
    );
  }
  return {
    name: chatWorkflowName(agentType),
    version: "1.0.0",
    description: `A conversation with ${agentType}.`,
    tags: ["built-in", "chat"],
    stages,
    output: `\${${lastTurn(questionsMax + 1)}}`,
  };
}

function retry(attempts: number) {
  return { max_attempts: attempts, backoff: "exponential" as const, initial_ms: 500, max_ms: 30_000, jitter: 0.2 };
}

/** The output of the last turn that there was. */
function lastTurn(n: number): string {
  if (n === 1) return "stages.turn_1.output";
  return `stages.turn_${n}.output != null ? stages.turn_${n}.output : ${lastTurn(n - 1)}`;
}

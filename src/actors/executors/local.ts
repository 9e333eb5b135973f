/**
 * A hosted agent as a worker beside the queues: its definition and how many of its functions run. It grants
 * nothing; the process's own counter is its bound (ADR 40).
 */
import type { AgentDefinition } from "../agent.ts";
import type { Worker } from "../dispatch/pools.ts";

type Definition = AgentDefinition<unknown, unknown>;

export class Host implements Worker {
  readonly id: string;
  readonly type: string;
  readonly capabilities: readonly string[];
  readonly definition: Definition;
  readonly concurrency: number;
  readonly distance = 0;
  readonly fallback: boolean;
  running = 0;
  /** Slots kept for work whose resources are being reserved. */
  kept = 0;

  constructor(id: string, definition: Definition) {
    this.id = id;
    this.type = definition.type;
    this.capabilities = definition.capabilities ?? [];
    this.definition = definition;
    this.fallback = definition.fallback === true;
    this.concurrency = Math.max(1, Math.floor(definition.concurrency ?? 1));
  }

  get free(): number {
    return this.concurrency - this.running - this.kept;
  }

  load(): number {
    return this.running / this.concurrency;
  }

  /** What its work holds comes from resources. */
  hasRoom(): boolean {
    return true;
  }

  declares(): boolean {
    return false;
  }
}

/**
 * From a run's stored events and its agents' live pieces to the AG-UI events of one client's run. Several AG-UI
 * runs may share a run actor: one ends where the run waits for a human, the next begins with the answer. Owns
 * that cut; pure and repeatable: the same history gives the same events.
 */
import type { StoredEvent } from "../../actors/client.ts";
import type { JsonObject } from "../../machines/effects.ts";
import type { Checkpoint } from "../../machines/run/schema.ts";
import {
  type AgUiEvent,
  EventType,
  type Interrupt,
  type Reader,
  readable,
  runError,
  runFinished,
  type TokenUsage,
} from "./events.ts";
import type { Known } from "./known.ts";
import { OpenItems } from "./open-items.ts";
import { type MadeMessage, TaskEvents } from "./task-events.ts";
import type { Piece } from "./text-track.ts";

export interface TranslatorOptions {
  readonly threadId: string;
  readonly runId: string;
  /** The session's short name of this run: decisions that resume it carry it. */
  readonly id: string;
  /** Key of the run actor. */
  readonly run: string;
  readonly resumed: boolean;
  /** Checkpoints that this run answered when it began. */
  readonly answers: readonly string[];
  /** Stages that are a chat's own turns are no steps. */
  readonly chat: boolean;
  readonly reader: Reader;
  readonly protocolVersion?: string;
  readonly parentRunId?: string;
  /** What the client has of the conversation; absent: nobody knows. */
  readonly known?: Known | undefined;
}

/** How the run actor ended; what the client hears besides needs the run's view. */
export type End =
  | { readonly kind: "completed" }
  | { readonly kind: "failed"; readonly code: string; readonly message: string }
  | { readonly kind: "canceled" }
  | { readonly kind: "interrupted"; readonly interrupts: Interrupt[] };

export interface Step {
  readonly events: AgUiEvent[];
  /** The conversation as stored is to be sent (what was shown of a message was something else). */
  readonly replace: boolean;
  readonly end: End | undefined;
}

export class Translator {
  readonly #options: TranslatorOptions;
  #open: OpenItems;
  #tasks: TaskEvents;
  /** Whether this client's own part of the run is under way. */
  #mine = false;
  #kept: AgUiEvent[] = [];
  #replace = false;
  readonly #interrupts = new Map<string, Interrupt>();
  /** Stages at work that are no checkpoints. */
  readonly #busy = new Set<string>();

  constructor(options: TranslatorOptions) {
    this.#options = options;
    this.#open = new OpenItems(options.known);
    this.#tasks = new TaskEvents(this.#open, options.known, !options.resumed);
  }

  /** A stored event of the run's root, in order, from the first. */
  stored(event: StoredEvent): Step {
    const before = this.#mine;
    const { events, replace, end } = this.#translate(event);
    this.#replace ||= replace;
    if (this.#mine) {
      const begun = before ? [] : [this.#started(), ...this.#kept.splice(0)];
      const wanted = this.#replace;
      this.#replace = false;
      return this.#given([...begun, ...events], wanted, end);
    }
    this.#kept.push(...events);
    if (end?.kind === "interrupted") this.#forget();
    return { events: [], replace: false, end: end?.kind === "interrupted" ? undefined : end };
  }

  /** The messages that the run has finished so far, in this client's part of it. */
  made(): readonly MadeMessage[] {
    return [...this.#tasks.made.values()];
  }

  /** The run has been told to begin: from then on its pieces can be told. */
  get begun(): boolean {
    return this.#mine;
  }

  /** A live piece of a message. */
  live(data: JsonObject): AgUiEvent[] {
    if (!this.#mine) return [];
    const { kind, messageId } = data;
    if (typeof messageId !== "string" || (kind !== "text" && kind !== "reasoning")) return [];
    const events = this.#open.piece(kind, messageId, data as unknown as Piece);
    return this.#given(events, false, undefined).events;
  }

  /** The last events: what is open is closed, then the terminal one. */
  finish(end: End, more: { result?: unknown; usage: readonly TokenUsage[]; pending?: string[] }): AgUiEvent[] {
    const { reader } = this.#options;
    const { events } = this.#open.closeAll();
    const { usage, result, pending = [] } = more;
    const begun = this.#mine ? [] : [this.#started()];
    this.#mine = true;
    const last = (): AgUiEvent => {
      if (end.kind === "failed") return runError(end.message, end.code, usage, reader);
      if (end.kind === "canceled" && !reader.modern)
        return runError("the run was cancelled", "cancelled", usage, reader);
      if (end.kind === "canceled") return runFinished(this.#options, reader, { type: "cancelled" }, { usage });
      if (end.kind === "interrupted") {
        return runFinished(this.#options, reader, { type: "interrupt", interrupts: end.interrupts }, { usage });
      }
      const waiting = pending.length > 0 ? { pendingToolCallIds: pending } : {};
      return runFinished(this.#options, reader, { type: "success", ...waiting }, { result, usage });
    };
    return this.#given([...begun, ...events, last()], false, undefined).events;
  }

  #started(): AgUiEvent {
    const { threadId, runId, reader, protocolVersion, parentRunId } = this.#options;
    return {
      type: EventType.RUN_STARTED,
      threadId,
      runId,
      ...(reader.modern && protocolVersion !== undefined ? { protocolVersion } : {}),
      ...(parentRunId === undefined ? {} : { parentRunId }),
    };
  }

  #given(events: readonly AgUiEvent[], replace: boolean, end: End | undefined): Step {
    const given = events.flatMap((event) => readable(event, this.#options.reader) ?? []);
    return { events: given, replace, end };
  }

  /** Another client's part has ended; what comes now may be this one's. */
  #forget(): void {
    this.#kept = [];
    this.#replace = false;
    this.refresh(this.#options.known);
  }

  /** From here on the client has this. Only where nothing is open. */
  refresh(known: Known | undefined): void {
    this.#open = new OpenItems(known);
    this.#tasks = new TaskEvents(this.#open, known, !this.#options.resumed);
  }

  #translate(event: StoredEvent): Step {
    if (event.type === "task") {
      const { events, replace = false } = this.#tasks.tell(event);
      return { events: [...events], replace, end: undefined };
    }
    if (event.type !== "run") return { events: [], replace: false, end: undefined };
    const end = this.#runEvent(event);
    const steps = this.#stepEvents(event);
    return { events: steps, replace: false, end: end ?? this.#waiting() };
  }

  #runEvent({ name, data }: StoredEvent): End | undefined {
    const checkpoint = data.checkpoint as unknown as Checkpoint | undefined;
    if (name === "started" && !this.#options.resumed) this.#mine = true;
    else if (name === "checkpoint_required" && checkpoint !== undefined) {
      this.#interrupts.set(checkpoint.checkpointId, interruptOf(this.#options.run, checkpoint));
    } else if (name === "checkpoint_resolved" && checkpoint !== undefined) {
      this.#interrupts.delete(checkpoint.checkpointId);
      const { ref } = checkpoint.decision ?? {};
      if (ref === this.#options.id) this.#mine = true;
      else if (ref !== undefined && !this.#mine) this.#forget();
    } else if (name === "completed") return { kind: "completed" };
    else if (name === "canceled") return { kind: "canceled" };
    else if (name === "failed") {
      const { code, message } = (data.error ?? {}) as { code?: string; message?: string };
      return { kind: "failed", code: code ?? "failed", message: message ?? "the run failed" };
    }
    return undefined;
  }

  #stepEvents({ name, data }: StoredEvent): AgUiEvent[] {
    const stage = typeof data.stage === "string" ? data.stage : undefined;
    if (stage === undefined) return [];
    if (name === "stage_started") {
      this.#busy.add(stage);
      return this.#options.chat ? [] : this.#open.startStep(stage);
    }
    if (name === "checkpoint_required") {
      this.#busy.delete(stage);
      return [];
    }
    if (name !== "stage_completed" && name !== "stage_failed") return [];
    this.#busy.delete(stage);
    return this.#open.finishStep(stage);
  }

  /** The run waits for a human and nothing else is under way. */
  #waiting(): End | undefined {
    if (this.#interrupts.size === 0 || this.#busy.size > 0) return undefined;
    // Its own answers arrive one after the other.
    if (this.#mine && this.#options.answers.some((id) => this.#interrupts.has(id))) return undefined;
    return { kind: "interrupted", interrupts: [...this.#interrupts.values()] };
  }
}

const approvalSchema = {
  type: "object",
  properties: { approved: { type: "boolean" }, note: { type: "string" } },
  required: ["approved"],
};

/** A checkpoint as AG-UI has it: `<run>:<checkpoint>` is what a resume names. */
export function interruptOf(run: string, checkpoint: Checkpoint): Interrupt {
  const { checkpointId, title, instructions, requiredSchema, expiresAt } = checkpoint;
  return {
    id: `${run}:${checkpointId}`,
    reason: title,
    ...(instructions === null ? {} : { message: instructions }),
    responseSchema: (requiredSchema ?? approvalSchema) as Record<string, unknown>,
    ...(expiresAt === null ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
  };
}

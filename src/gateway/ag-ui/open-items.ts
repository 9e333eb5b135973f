/**
 * What is open in a client's eyes: messages, reasoning, steps, subagents. Owns the rule that nothing ends twice
 * and that all is closed before a run ends (the client's verifier refuses anything else). Pure.
 */
import {
  type AgUiEvent,
  EventType,
  reasoningContent,
  reasoningEnd,
  reasoningStart,
  stepFinished,
  stepStarted,
  textContent,
  textEnd,
  textStart,
} from "./events.ts";
import { Known } from "./known.ts";
import { type Piece, TextTrack } from "./text-track.ts";

type Kind = "text" | "reasoning";

interface Open {
  readonly kind: Kind;
  readonly track: TextTrack;
  /** The client has been told of its start. */
  begun: boolean;
}

export class OpenItems {
  readonly #messages = new Map<string, Open>();
  /** Messages that have ended: late pieces of them are dropped. */
  readonly #ended = new Set<string>();
  readonly #steps = new Set<string>();
  readonly #subagents = new Map<string, string>();
  readonly #known: Known;

  /** `known`: what the client was shown before, by an earlier stream. */
  constructor(known: Known = new Known()) {
    this.#known = known;
  }

  /** A live piece of a message. */
  piece(kind: Kind, messageId: string, piece: Piece): AgUiEvent[] {
    if (this.#ended.has(messageId)) return [];
    const open = this.#messages.get(messageId) ?? (piece.at === 0 ? this.#fresh(kind, messageId) : undefined);
    if (open === undefined) return [];
    this.#messages.set(messageId, open);
    const text = open.track.push(piece);
    return text === "" ? [] : [...begun(open, messageId), contentOf(kind, messageId, text)];
  }

  /** The committed whole of a message. `replace`: what was shown is not its beginning. */
  commit(kind: Kind, messageId: string, whole: string): { events: AgUiEvent[]; replace: boolean } {
    if (this.#ended.has(messageId)) return { events: [], replace: false };
    this.#ended.add(messageId);
    const open = this.#messages.get(messageId) ?? this.#fresh(kind, messageId);
    this.#messages.delete(messageId);
    const rest = open.track.finish(whole);
    const events: AgUiEvent[] = [];
    if (rest !== null && rest !== "") events.push(...begun(open, messageId), contentOf(kind, messageId, rest));
    if (open.begun) events.push(...endOf(kind, messageId));
    return { events, replace: rest === null };
  }

  #fresh(kind: Kind, messageId: string): Open {
    return { kind, track: new TextTrack(this.#known.text(messageId)), begun: false };
  }

  startStep(name: string): AgUiEvent[] {
    if (this.#steps.has(name)) return [];
    this.#steps.add(name);
    return [stepStarted(name)];
  }

  finishStep(name: string): AgUiEvent[] {
    return this.#steps.delete(name) ? [stepFinished(name)] : [];
  }

  startSubagent(subagentRunId: string, name: string): AgUiEvent[] {
    if (this.#subagents.has(subagentRunId)) return [];
    this.#subagents.set(subagentRunId, name);
    return [{ type: EventType.SUBAGENT_STARTED, subagentRunId, name }];
  }

  finishSubagent(subagentRunId: string, error?: string): AgUiEvent[] {
    if (!this.#subagents.delete(subagentRunId)) return [];
    return error === undefined
      ? [{ type: EventType.SUBAGENT_FINISHED, subagentRunId }]
      : [{ type: EventType.SUBAGENT_ERROR, subagentRunId, message: error }];
  }

  /** Ends all that is open; true when a message was cut. */
  closeAll(): { events: AgUiEvent[]; cut: boolean } {
    const cut = [...this.#messages.values()].some(({ kind }) => kind === "text");
    const events: AgUiEvent[] = [];
    for (const [id, open] of this.#messages) {
      if (open.begun) events.push(...endOf(open.kind, id));
      this.#ended.add(id);
    }
    this.#messages.clear();
    for (const id of [...this.#subagents.keys()]) events.push(...this.finishSubagent(id));
    for (const name of [...this.#steps]) events.push(...this.finishStep(name));
    return { events, cut };
  }
}

/** Its start, where that was not told yet. */
function begun(open: Open, messageId: string): AgUiEvent[] {
  if (open.begun) return [];
  open.begun = true;
  return startOf(open.kind, messageId);
}

const startOf = (kind: Kind, id: string): AgUiEvent[] => (kind === "text" ? [textStart(id)] : reasoningStart(id));
const contentOf = (kind: Kind, id: string, text: string): AgUiEvent =>
  kind === "text" ? textContent(id, text) : reasoningContent(id, text);
const endOf = (kind: Kind, id: string): AgUiEvent[] => (kind === "text" ? [textEnd(id)] : reasoningEnd(id));

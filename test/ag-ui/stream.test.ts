/**
 * What a client is shown of a message, whatever breaks: text tracks, what it had before, the translator. Pure.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { LiveMessage, StoredEvent } from "../../src/actors/client.ts";
import { type AgUiEvent, EventType } from "../../src/gateway/ag-ui/events.ts";
import { Known } from "../../src/gateway/ag-ui/known.ts";
import { OpenItems } from "../../src/gateway/ag-ui/open-items.ts";
import { Pieces } from "../../src/gateway/ag-ui/pieces.ts";
import { TextTrack } from "../../src/gateway/ag-ui/text-track.ts";
import { Translator } from "../../src/gateway/ag-ui/translator.ts";
import type { JsonObject } from "../../src/machines/effects.ts";

const text = (events: readonly AgUiEvent[]): string => events.map(({ delta }) => (delta as string) ?? "").join("");

/** A message's requests: each says the whole of it anew, in pieces, cut somewhere; some pieces get lost. */
const requests = fc.record({
  whole: fc.string({ maxLength: 40 }),
  tries: fc.array(fc.record({ cut: fc.nat(40), step: fc.integer({ min: 1, max: 9 }), lost: fc.nat(12) }), {
    maxLength: 5,
  }),
  shown: fc.nat(40),
});

describe("a message that breaks and begins again", () => {
  it("is shown once, whole, whatever is cut or lost", { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(requests, ({ whole, tries, shown }) => {
        const open = new OpenItems(new Known([{ id: "m", content: whole.slice(0, shown) }]));
        const events: AgUiEvent[] = [];
        tries.forEach(({ cut, step, lost }, i) => {
          const said = whole.slice(0, cut);
          for (let at = 0, n = 1; at < said.length; at += step, n++) {
            const piece = { attempt: 1 + (i >> 1), request: 1 + i, at, text: said.slice(at, at + step) };
            if (n !== lost) events.push(...open.piece("text", "m", piece));
          }
        });
        const { events: end, replace } = open.commit("text", "m", whole);
        events.push(...end);
        expect(replace).toBe(false);
        expect(whole.slice(0, shown) + text(events)).toBe(whole);
        const types = events.map(({ type }) => type);
        const starts = types.filter((type) => type === EventType.TEXT_MESSAGE_START).length;
        expect(starts).toBe(text(events) === "" ? 0 : 1);
        expect(types.filter((type) => type === EventType.TEXT_MESSAGE_END)).toHaveLength(starts);
        expect(open.piece("text", "m", { attempt: 9, request: 9, at: 0, text: "late" })).toEqual([]);
        expect(open.closeAll().events).toEqual([]);
      }),
    );
  });

  it("is replaced where what was shown is something else", () => {
    const open = new OpenItems();
    open.piece("text", "m", { attempt: 1, request: 1, at: 0, text: "red" });
    expect(open.piece("text", "m", { attempt: 1, request: 2, at: 0, text: "blue" })).toEqual([]);
    expect(open.commit("text", "m", "blue")).toMatchObject({ events: [{ type: "TEXT_MESSAGE_END" }], replace: true });
  });

  it("a piece of an earlier try says nothing any more", () => {
    const track = new TextTrack();
    expect(track.push({ attempt: 2, request: 1, at: 0, text: "one" })).toBe("one");
    expect(track.push({ attempt: 1, request: 7, at: 3, text: "two" })).toBe("");
    expect(track.push({ attempt: 2, request: 1, at: 3, text: "three" })).toBe("three");
  });
});

describe("live pieces", () => {
  it("that come before there is somebody to tell are told then, in order; after the end none is heard", () => {
    let told: (name: string, n: number) => void = () => undefined;
    let listening = 0;
    const live = (pattern: string, onMessage: (message: LiveMessage) => void) => {
      expect(pattern).toBe("live.run_a.>");
      listening++;
      told = (name, n) => onMessage({ name, data: { n } } as unknown as LiveMessage);
      return { stop: () => void listening-- };
    };
    const gone = new AbortController();
    const pieces = new Pieces({ live }, "run_a", gone.signal);
    const seen: JsonObject[] = [];
    told("delta", 1);
    told("progress", 9);
    pieces.tellTo((data) => seen.push(data));
    told("delta", 2);
    expect(seen).toEqual([]);
    pieces.release();
    told("delta", 3);
    pieces.hold();
    told("delta", 4);
    expect(seen).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    pieces.release();
    expect(seen.at(-1)).toEqual({ n: 4 });
    gone.abort();
    expect(listening).toBe(0);
  });
});

describe("what a client has", () => {
  const conversation = [
    { id: "u", role: "user", content: "hello" },
    { id: "a", role: "assistant", content: "hello you" },
  ];

  it("it is behind when it lacks a message, or has a part of what an agent said", () => {
    expect(new Known(conversation).behind(conversation)).toBe(false);
    expect(new Known(conversation.slice(0, 1)).behind(conversation)).toBe(true);
    expect(new Known([conversation[0] as JsonObject, { id: "a", content: "hello" }]).behind(conversation)).toBe(true);
    expect(new Known([{ id: "u", content: "edited" }, conversation[1] as JsonObject]).behind(conversation)).toBe(false);
  });

  it("it is scattered when it has what comes after something that it lacks", () => {
    expect(new Known(conversation.slice(1)).scattered(conversation)).toBe(true);
    expect(new Known(conversation.slice(0, 1)).scattered(conversation)).toBe(false);
    expect(new Known().scattered(conversation)).toBe(false);
  });

  it("of a call's arguments it is given what it lacks, of a whole call nothing", () => {
    const call = (text: string) => ({ id: "m", toolCalls: [{ id: "c", function: { name: "f", arguments: text } }] });
    expect(new Known([call('{"a":1}')]).lacks("c", '{"a":1}')).toBeUndefined();
    expect(new Known([call('{"a"')]).lacks("c", '{"a":1}')).toBe(":1}");
    expect(new Known().lacks("c", "{}")).toBe("{}");
  });
});

describe("a run's events", () => {
  let no = 0;
  const stored = (type: string, name: string, data: JsonObject = {}): StoredEvent =>
    ({ no: ++no, type, key: type === "run" ? "run_1" : "run_1~turn_1", name, data, at: 0 }) as unknown as StoredEvent;
  const options = {
    threadId: "t",
    runId: "r",
    id: "1",
    run: "run_1",
    resumed: false,
    answers: [],
    chat: true,
    reader: { modern: true },
  };

  it("what is told in parts comes whole: a call's arguments, a result, a text", () => {
    const translator = new Translator(options);
    const events = [
      stored("run", "started"),
      stored("task", "tool_called", {
        toolCallId: "c",
        tool: "f",
        messageId: "m",
        arguments: '{"a"',
        part: 1,
        parts: 2,
      }),
      stored("task", "tool_called", {
        toolCallId: "c",
        tool: "f",
        messageId: "m",
        arguments: ":1}",
        part: 2,
        parts: 2,
      }),
      stored("task", "tool_returned", { toolCallId: "c", messageId: "n", content: "fo", part: 1, parts: 2 }),
      stored("task", "tool_returned", { toolCallId: "c", messageId: "n", content: "ur", part: 2, parts: 2 }),
    ].flatMap((event) => translator.stored(event).events);
    expect(events.find(({ type }) => type === "TOOL_CALL_ARGS")).toMatchObject({ delta: '{"a":1}' });
    expect(events.filter(({ type }) => type === "TOOL_CALL_START")).toHaveLength(1);
    expect(events.find(({ type }) => type === "TOOL_CALL_RESULT")).toMatchObject({ content: "four", role: "tool" });
  });

  it("an attempt that was cut off between parts is told from its first part again", () => {
    const translator = new Translator(options);
    const part = (n: number, said: string) =>
      stored("task", "message_completed", { messageId: "m", text: said, part: n, parts: 2 });
    const events = [stored("run", "started"), part(1, "one "), part(1, "one "), part(2, "two")].flatMap(
      (event) => translator.stored(event).events,
    );
    expect(text(events)).toBe("one two");
  });

  it("all that is open is closed before the end, whatever the end is", () => {
    for (const kind of ["completed", "canceled"] as const) {
      const translator = new Translator({ ...options, chat: false });
      translator.stored(stored("run", "started"));
      translator.stored(stored("run", "stage_started", { stage: "s" }));
      translator.stored(stored("task", "subagent_started", { subagentRunId: "x", name: "helper" }));
      translator.live({ kind: "text", messageId: "m", attempt: 1, request: 1, at: 0, text: "half" });
      const types = translator.finish({ kind }, { usage: [] }).map(({ type }) => type);
      expect(types).toEqual(["TEXT_MESSAGE_END", "SUBAGENT_FINISHED", "STEP_FINISHED", "RUN_FINISHED"]);
    }
  });
});

/**
 * A run's events in contract 002's shape: JSON pages and, when asked for, a live stream. The
 * stream itself (history, then live, no gap) is in `../sse.ts`.
 */
import { z } from "zod";
import { badCursor, decodeCursor, encodeCursor } from "../cursors.ts";
import { eventNumber, isTerminal, toRunEvent } from "../dialects/002/events.ts";
import { event, pageOf, type RunEvent } from "../dialects/002/schema.ts";
import { invalid } from "../errors.ts";
import { defineOperation, type OperationContext, pageFields } from "../operation.ts";
import { acceptsEventStream, eventFrame, rootStream } from "../sse.ts";
import { readRun, runId } from "./runs.ts";

const historyPage = 500;
/** Events looked at for one page; most of a large run's events may be of no contract type. */
const scannedMax = 20_000;

/** A page's cursor, or an event's id: both name an event's number in its root. */
function positionOf(run: string, cursor: string | undefined): number {
  if (cursor === undefined) return 0;
  const fromId = eventNumber(run, cursor);
  if (fromId !== null) return fromId;
  const no = decodeCursor(`events:${run}`, cursor);
  if (typeof no !== "number" || !Number.isSafeInteger(no) || no < 0) throw badCursor();
  return no;
}

async function page(ctx: OperationContext, run: string, traceId: string, after: number, limit: number) {
  const data: RunEvent[] = [];
  let no = after;
  for (let scanned = 0; scanned < scannedMax; ) {
    const { events, last } = await ctx.runtime.history(run, no, historyPage);
    scanned += events.length;
    for (const stored of events) {
      if (data.length === limit) return { data, next_cursor: encodeCursor(`events:${run}`, no) };
      no = stored.no;
      const mapped = toRunEvent(stored, traceId);
      if (mapped !== null) data.push(mapped);
    }
    if (events.length === 0 || no >= last) return { data, next_cursor: null };
  }
  return { data, next_cursor: encodeCursor(`events:${run}`, no) };
}

const ended = ["succeeded", "failed", "canceled", "timed_out"];

export const runEventOperations = [
  defineOperation({
    name: "runs.events",
    summary: "A run's events, as pages or live",
    description:
      "With `Accept: text/event-stream` a stream: the events so far, then live ones, ending after run.completed, run.failed or run.canceled. Resume with Last-Event-ID (or `cursor`), which may be an event's id.",
    method: "GET",
    path: "/v1/runs/{run_id}/events",
    scope: "events:read",
    tags: ["runs"],
    errors: ["invalid_input", "not_found"],
    streams: "text/event-stream",
    input: z.strictObject({ run_id: runId, ...pageFields }),
    output: pageOf(event),
    async handle(ctx, input) {
      const view = await readRun(ctx, input.run_id);
      return page(ctx, input.run_id, view.traceId, positionOf(input.run_id, input.cursor), input.limit);
    },
    async stream(ctx, input, request) {
      if (!acceptsEventStream(request.accept)) return null;
      const view = await readRun(ctx, input.run_id);
      const resumed = request.lastEventId === "" ? null : eventNumber(input.run_id, request.lastEventId);
      if (request.lastEventId !== "" && resumed === null) {
        throw invalid("The stream cannot resume", [{ path: "Last-Event-ID", message: "not an event id of this run" }]);
      }
      const { traceId } = view;
      return {
        headers: [
          ["content-type", "text/event-stream; charset=utf-8"],
          ["cache-control", "no-cache, no-transform"],
          ["x-accel-buffering", "no"],
        ],
        chunks: rootStream(ctx, {
          root: input.run_id,
          after: resumed ?? positionOf(input.run_id, input.cursor),
          ended: ended.includes(view.status),
          signal: request.signal,
          frame(stored) {
            const mapped = toRunEvent(stored, traceId);
            if (mapped === null) return null;
            return { text: eventFrame(mapped.type, mapped.event_id, mapped), last: isTerminal(mapped.type) };
          },
        }),
      };
    },
  }),
];

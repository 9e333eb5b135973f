/**
 * The page's life: a thread that is named in the address, an agent, and runs on both. Owns what happens on a
 * click; how things look is view.ts's.
 */
import { HttpAgent, type RunAgentParameters } from "@ag-ui/client";
import type { Message } from "@ag-ui/core";
import * as view from "./view.ts";

interface StoredRun {
  readonly run_id: string;
  readonly agent: string;
  readonly status: string;
}

/** `#agent/thread`: a reload finds its conversation again. */
function fromAddress(): { name: string; threadId: string } {
  const [name = "", threadId = ""] = location.hash.slice(1).split("/").map(decodeURIComponent);
  return { name: name || "model", threadId: threadId || crypto.randomUUID() };
}

let { name, threadId } = fromAddress();
let agent = newAgent();

function newAgent(messages: Message[] = [], state: unknown = {}): HttpAgent {
  history.replaceState(null, "", `#${encodeURIComponent(name)}/${encodeURIComponent(threadId)}`);
  const url = `/ag-ui/agents/${encodeURIComponent(name)}`;
  return new HttpAgent({ url, threadId, initialMessages: messages, initialState: state });
}

/** One run to its end; what it tells is shown as it comes. */
async function run(parameters: RunAgentParameters = {}): Promise<void> {
  const mine = agent;
  const shown = (fn: () => void) => () => {
    if (mine === agent) fn();
  };
  view.began();
  try {
    await mine.runAgent(parameters, {
      onMessagesChanged: shown(() => view.showMessages(mine.messages)),
      onStateChanged: shown(() => view.showState(mine.state)),
      onStepStartedEvent: ({ event }) => view.stepStarted(event.stepName),
      onStepFinishedEvent: ({ event }) => view.stepFinished(event.stepName),
      onRunErrorEvent: ({ event }) => view.problem(event.message),
      onRunFinishedEvent: ({ event }) => view.showUsage(event.usage ?? []),
    });
    if (mine !== agent) return;
    view.ended(mine.pendingInterrupts.length > 0 ? "waits for you" : "idle");
    view.showInterrupts(mine.pendingInterrupts, (interruptId, payload) => {
      void run({ resume: [{ interruptId, status: "resolved", payload }] });
    });
  } catch (error) {
    if (mine === agent) view.ended("idle", error instanceof Error ? error.message : String(error));
  }
}

async function send(text: string): Promise<void> {
  agent.addMessage({ id: crypto.randomUUID(), role: "user", content: text });
  view.showMessages(agent.messages);
  await run(name === "document-brief" ? { forwardedProps: { input: { title: "Note", text } } } : {});
}

/** Finds the thread as Troupe has it; a run that is under way, or waits for an answer, is joined. */
async function join(): Promise<void> {
  const path = `/v1/sessions/${encodeURIComponent(threadId)}`;
  const answer = await fetch(path);
  if (!answer.ok) return view.ended("idle");
  const session = (await answer.json()) as { state: unknown; runs: StoredRun[] };
  const { data } = (await (await fetch(`${path}/messages`)).json()) as { data: Message[] };
  agent = newAgent(data, session.state ?? {});
  view.showMessages(data);
  view.showState(session.state ?? {});
  const open = session.runs.findLast(({ status }) => ["queued", "running", "interrupted"].includes(status));
  if (open === undefined) view.ended("idle");
  else await run({ runId: open.run_id });
}

view.bind({
  agent: name,
  onSend: (text) => void send(text),
  onStop: () => agent.abortRun(),
  onAgent(chosen) {
    name = chosen;
    agent = newAgent([...agent.messages], agent.state);
  },
  onFresh() {
    threadId = crypto.randomUUID();
    agent = newAgent();
    view.clear();
  },
});
window.addEventListener("hashchange", () => location.reload());
void join();

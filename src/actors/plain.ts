/**
 * Requests of plain NATS clients on `agents.…`: bytes in, bytes out, one process of all answers each. Owns the
 * subjects and the queue; what is asked for is the gateway's.
 */
import { fromToken } from "../bus/token.ts";
import type { Wire } from "../bus/wire.ts";

/** Answers with bytes; must not throw. `tokens`: of the subject behind `agents.`, as they were before escaping. */
export type PlainAnswer = (tokens: readonly string[], body: Uint8Array) => Promise<Uint8Array>;

const queue = "troupe-agents";

/** Subject `agents.<agent id>.<what>`. A message that wants no answer is carried out all the same. */
export function answerPlain(wire: Wire, answer: PlainAnswer): { stop(): void } {
  const onMessage: Parameters<Wire["subscribe"]>[1] = (message) => {
    const tokens = message.subject.split(".").slice(1).map(readToken);
    void answer(tokens, message.bytes.slice()).then((bytes) => message.respond(bytes));
  };
  const subscription = wire.subscribe("agents.*.*", onMessage, queue);
  return { stop: () => subscription.unsubscribe() };
}

/** What is not escaped as Troupe does is taken as it stands, and names what has that name. */
function readToken(token: string): string {
  try {
    return fromToken(token);
  } catch {
    return token;
  }
}

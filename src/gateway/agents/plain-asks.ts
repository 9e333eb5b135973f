/**
 * Agents that ask over NATS: `agents.<agent id>.<what>` with a JSON object, answered with what HTTP would answer. Who
 * may send there is the NATS server's to say; here a subject speaks for its agent alone.
 */
import type { JsonObject } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { isObject } from "../../machines/json.ts";
import { agentScopes, type Credential } from "../auth/credential.ts";
import { asTroupeError, errorBody } from "../errors.ts";
import { parseJson } from "../json.ts";
import type { Operation, Services } from "../operation.ts";

/** What may be asked, and the operation that it is. */
const whats: Readonly<Record<string, string>> = {
  register: "agents.register",
  heartbeat: "agents.heartbeat",
  next: "agents.next",
  report: "tasks.update",
  deregister: "agents.deregister",
  get: "agents.get",
};

/** Asks that may wait at once (`next` does). */
const waitingMax = 10_000;
const nothing: JsonObject = {};

/** Answers until it is stopped. */
export function answerPlainAsks(services: Services, operations: readonly Operation[]): { stop(): void } {
  const byName = new Map(operations.map((one) => [one.name, one]));
  let waiting = 0;
  return services.runtime.answerPlain(async ([agentId = "", what = ""], body) => {
    const correlationId = services.runtime.newId();
    waiting++;
    try {
      if (waiting > waitingMax) throw new TroupeError("overloaded", `${waitingMax} asks are waiting already`);
      const operation = Object.hasOwn(whats, what) ? byName.get(whats[what] as string) : undefined;
      if (operation === undefined) {
        throw new TroupeError("not_found", `An agent may ask for ${Object.keys(whats).join(", ")}`);
      }
      const given = body.length === 0 ? nothing : parseJson(body, services.limits.jsonDepthMax);
      if (!isObject(given)) throw new TroupeError("invalid_input", "The body must be a JSON object");
      const ctx = { ...services, credential: credentialOf(agentId), correlationId, baseUrl: "" };
      return encode(await operation.run(ctx, { ...given, agent_id: agentId }));
    } catch (thrown) {
      return encode(errorBody(asTroupeError(thrown, correlationId, services.logger), correlationId));
    } finally {
      waiting--;
    }
  });
}

/** The agent itself; it may also register. */
function credentialOf(agentId: string): Credential {
  const scopes = [...agentScopes, "agents:write"];
  return { name: agentId, id: `agent:${agentId}`, scopes, kind: "agent", agentId, rateLimit: null };
}

const encode = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value ?? null));

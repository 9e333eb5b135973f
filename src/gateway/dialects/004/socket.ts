/**
 * Contract 004's socket `/api/v1/ws/{client_id}`: channels are subscribed to, and told what happens there.
 * Owns which channels a client hears; the words are in map.ts.
 */
import { z } from "zod";
import { requireScope } from "../../auth/credential.ts";
import { invalid, zodProblems } from "../../errors.ts";
import { type Conversation, type Link, sharedMessage } from "../../ws/dialect-session.ts";
import { rfc3339 } from "../002/map.ts";
import { type Channel, channelPatterns, channels, messageOf, metricsOf } from "./map.ts";

const incoming = z.object({
  type: z.enum(["subscribe", "unsubscribe"]),
  subscriptions: z.array(z.enum(channels)).min(1).max(64),
});

const told = sharedMessage(messageOf);

export function platformSocket(link: Link): Conversation {
  const heard = new Map<Channel, () => void>();
  const listenToMetrics = (): (() => void) => {
    requireScope(link.credential, "system:read");
    const { pulse, runtime } = link.services;
    const end = pulse.listen((state) => link.tell(metricsOf(state, runtime.now())));
    link.onEnd(end);
    return end;
  };
  const listen = async (channel: Channel): Promise<() => void> => {
    const pattern = channelPatterns[channel];
    if (pattern === null) return listenToMetrics();
    return link.subscribe(pattern, ({ event }) => {
      const bytes = told(event);
      if (bytes !== null) link.push(bytes);
    });
  };
  return {
    async receive(message) {
      const parsed = incoming.safeParse(message);
      if (!parsed.success) throw invalid("The message is not valid", zodProblems(parsed.error));
      const { type, subscriptions } = parsed.data;
      for (const channel of new Set(subscriptions)) {
        if (type === "subscribe" && !heard.has(channel)) heard.set(channel, await listen(channel));
        if (type === "unsubscribe") {
          heard.get(channel)?.();
          heard.delete(channel);
        }
      }
      const answer = type === "subscribe" ? "subscription_confirmed" : "unsubscription_confirmed";
      link.tell({ type: answer, subscriptions });
    },
    fault: (error) => ({
      type: "error",
      message: error.message,
      data: { code: error.code, message: error.message },
      timestamp: rfc3339(link.services.runtime.now()),
    }),
  };
}

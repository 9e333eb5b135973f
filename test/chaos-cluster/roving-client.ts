/** The chaos tests' client for two gateways: each try goes to the next one. Counts what was acknowledged, and impatience. */
import { Client, type Json, type Reply } from "../chaos/client.ts";
import type { Ledger } from "./ledger.ts";
import type { Routes } from "./routes.ts";
import { patienceMs } from "./settings.ts";

export class RovingClient extends Client {
  /** Commands, not reads. */
  acknowledged = 0;

  constructor(
    routes: Routes,
    private readonly ledger: Ledger,
  ) {
    super(() => routes.next());
  }

  override async send(method: string, path: string, body?: Json, key?: string): Promise<Reply> {
    const sent = this.ledger.now();
    const gaveUp = (): void => {
      const now = this.ledger.now();
      if (now - sent > patienceMs) this.ledger.write(["gave_up", `${method} ${path}`, sent, now]);
    };
    const reply = await super.send(method, path, body, key).finally(gaveUp);
    if (method !== "GET" && reply.status < 300) this.acknowledged++;
    return reply;
  }
}

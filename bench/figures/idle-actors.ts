/** Memory of an actor that nobody asks: in memory after a command, and known only by its index entry. */
import { type Figure, withAll } from "../figure.ts";
import { sized } from "../options.ts";
import { start } from "../process.ts";
import type { handlers as actorHandlers } from "../processes/actors.ts";
import { spread } from "../statistics.ts";
import { startStore } from "../store.ts";

const relaxedMs = 2000;

export const idleActors: Figure = {
  name: "idle-actors",
  text: "Counters that nobody asks: heap (after a collection) and resident memory each, activated, flushed and idle for a minute; then passivated, as after a start, with the index entry that lists need. The store does not sync each commit; memory is what counts here.",
  measure: (options) =>
    withAll(async (own) => {
      const count = sized(options, 20_000, 100_000, 200_000);
      const store = own(await startStore(relaxedMs));
      const args = { store: { url: store.url, user: store.user, pass: store.pass }, count };
      const first = own(start<typeof actorHandlers>("actors"));
      const activated = await first.call("activated", args);
      const second = own(start<typeof actorHandlers>("actors"));
      const none = own(await startStore(relaxedMs));
      const empty = { url: none.url, user: none.user, pass: none.pass };
      const passivated = await second.call("passivated", { ...args, empty });
      const row = (what: string, value: number) => ({
        what: `${count} actors, ${what}`,
        unit: "B",
        value: spread([value]),
      });
      return [
        row("activated: heap each", activated.heap),
        row("activated: resident memory each", activated.resident),
        row("passivated, with its index entry: heap each", passivated.heap),
        row("passivated, with its index entry: resident memory each", passivated.resident),
      ];
    }),
};

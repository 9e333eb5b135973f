/** Issue 2, section 5, the same for the nats-server child: Troupe starts it again and goes on. */
import { expect, test } from "vitest";
import { pause, type Troupe } from "./harness.ts";
import { seeded } from "./random.ts";
import { maybeBurst, weather } from "./storm.ts";
import type { World } from "./world.ts";

const kills = Number(process.env.TROUPE_KILLS ?? 12);

test("the nats-server is killed again and again", { timeout: 420_000 }, async ({ signal }) => {
  const random = seeded("kill -9 of the nats-server");
  const strike = async (troupe: Troupe, world: World): Promise<void> => {
    await troupe.ready();
    await pause(random.between(200, 1_500));
    await maybeBurst(world);
    await troupe.killNats();
  };
  const { wrong, summary } = await weather({ random, signal, kills, clients: 8, strike });
  console.log(summary);
  expect(wrong).toEqual([]);
});

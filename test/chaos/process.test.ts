/** kill -9 of the troupe process at any moment loses nothing and repeats nothing. */
import { expect, test } from "vitest";
import { pause, type Troupe } from "./harness.ts";
import { seeded } from "./random.ts";
import { maybeBurst, weather } from "./storm.ts";
import type { World } from "./world.ts";

const kills = Number(process.env.TROUPE_KILLS ?? 55);

test("the troupe process is killed again and again", { timeout: 420_000 }, async ({ signal }) => {
  const random = seeded("kill -9 of troupe");
  const strike = async (troupe: Troupe, world: World): Promise<void> => {
    // Mostly when it serves, sometimes while it starts and takes over.
    if (random.chance(0.2)) await pause(random.between(300, 1_200));
    else {
      await troupe.ready();
      await pause(random.between(100, 800));
      await maybeBurst(world);
    }
    await troupe.kill();
    if (random.chance(0.1)) await troupe.killNats();
    troupe.spawn();
  };
  const { wrong, summary } = await weather({ random, signal, kills, clients: 8, strike });
  console.log(summary);
  expect(wrong).toEqual([]);
});

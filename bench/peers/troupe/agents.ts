/** The agent of the workflows here; `troupe start --agents` loads it. */
import { defineAgent } from "../../../src/index.ts";
import { workersMax } from "../peer.ts";
import { increment, type Passed } from "../step.ts";

export const incrementAgent = defineAgent<Passed, Passed>({
  type: "increment",
  concurrency: workersMax,
  run: (_ctx, input) => increment(input),
});

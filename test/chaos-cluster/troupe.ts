/** A Troupe process of the chaos rig: `troupe start` with its environment as it is, and tallies besides. */
import { readEnvironment } from "../../src/config.ts";
import { start } from "../../src/start.ts";
import { tally } from "./tally.ts";
import { tallyOperations } from "./tally-operations.ts";

// The rig is gone, however it ended.
process.stdin.on("end", () => process.exit(1)).resume();

const code = await start({}, readEnvironment(), "0.0.0-chaos", { definitions: [tally], operations: tallyOperations });
process.exit(code);

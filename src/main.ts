/**
 * The command line's entry: hands `start` to the composition root and everything else to the client.
 * Runs on import; owns the exit code.
 */
import { readFileSync } from "node:fs";
import { systemClock, systemRandom } from "./bus/system-clock.ts";
import { processIo, runCli } from "./cli/index.ts";
import { addFlags, clientEnvironment, environmentHelp, flagsFrom, readEnvironment, storeSettings } from "./config.ts";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};
const environment = readEnvironment();

process.exitCode = await runCli(process.argv.slice(2), processIo(systemClock, systemRandom), {
  environment: clientEnvironment(environment),
  version,
  start: async (flags) => {
    const { start } = await import("./start.ts");
    const code = await start(flagsFrom(flags), environment, version);
    // All is stopped; timers that only wait for time-outs need not hold the process.
    process.stdout.write("", () => process.exit(code));
    return code;
  },
  tools: {
    configure: (command) => addFlags(command, storeSettings),
    run: async (call, flags) => {
      const { runTool } = await import("./tools.ts");
      return runTool(call, flagsFrom(flags), environment, {
        print: (line) => process.stdout.write(`${line}\n`),
        complain: (line) => process.stderr.write(`${line}\n`),
      });
    },
  },
  configureStart: (command) => {
    addFlags(command);
    command.addHelpText("after", `\n${environmentHelp()}`);
  },
});

/** What the bench is asked for on the command line. Owns its flags; knows no figure. */
import { parseArgs } from "node:util";

export interface Options {
  /** Names of figures; empty: all. */
  readonly only: readonly string[];
  readonly quick: boolean;
  /** The sizes of the aims, also where they take minutes. */
  readonly full: boolean;
  /** As TROUPE_SYNC: `always` or milliseconds. */
  readonly sync: "always" | number;
  /** Rounds of A B. */
  readonly rounds: number;
  /** One measurement, ms. */
  readonly roundMs: number;
  /** Directory for V8 CPU profiles of the processes under test. */
  readonly profile: string | undefined;
}

export const help = `npm run bench -- [--only NAME[,NAME]] [--quick | --full] [--sync always|MS] [--rounds N] [--round-ms MS] [--profile DIR]`;

/** Throws on an unknown flag or a value that cannot be. */
export function readOptions(args: readonly string[], names: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", multiple: true, default: [] },
      quick: { type: "boolean", default: false },
      full: { type: "boolean", default: false },
      sync: { type: "string", default: "always" },
      rounds: { type: "string" },
      "round-ms": { type: "string" },
      profile: { type: "string" },
    },
  });
  const only = values.only.flatMap((text) => text.split(",")).filter((name) => name !== "");
  const unknown = only.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`No figure ${unknown.join(", ")}; there are ${names.join(", ")}.`);
  const sync = values.sync === "always" ? "always" : whole("--sync", values.sync);
  const rounds = values.rounds === undefined ? (values.quick ? 2 : 3) : whole("--rounds", values.rounds);
  const { quick, full, profile } = values;
  const ms = values["round-ms"];
  const roundMs = ms === undefined ? (quick ? 700 : 2000) : whole("--round-ms", ms);
  return { only, quick, full, sync, rounds, roundMs, profile };
}

/** The size that fits what was asked for: rough, usual, or that of the aims. */
export function sized<T>({ quick, full }: Options, rough: T, usual: T, aim: T): T {
  if (full) return aim;
  return quick ? rough : usual;
}

function whole(flag: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new Error(`${flag} takes a whole number above 0, not ${text}.`);
  return number;
}

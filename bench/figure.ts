/** What a figure is: a name, how it is measured, and the rows it gives. The figures stand in figures/. */
import type { Options } from "./options.ts";
import type { Curve } from "./plot.ts";
import type { Spread } from "./statistics.ts";
import type { Costs } from "./usage.ts";

export interface Row {
  readonly what: string;
  readonly unit: string;
  readonly value: Spread;
  /** The raw limit measured in the same rounds, in the same unit. */
  readonly limit?: { readonly what: string; readonly value: Spread };
  /** Value by limit, round by round. */
  readonly ratio?: Spread;
  /** What the processes used while the value was measured, and while the limit was. */
  readonly costs?: Costs;
  readonly limitCosts?: Costs;
  readonly note?: string;
  /** What the value sums up, drawn as SVG beside the JSON. */
  readonly curve?: Curve;
}

export interface Figure {
  readonly name: string;
  /** One sentence: what is measured, and against what. */
  readonly text: string;
  measure(options: Options): Promise<readonly Row[]>;
}

/** Ends what was begun, newest first, also when measuring fails. */
export async function withAll<T>(work: (own: <R extends { stop(): Promise<unknown> }>(one: R) => R) => Promise<T>) {
  const begun: { stop(): Promise<unknown> }[] = [];
  try {
    return await work((one) => {
      begun.push(one);
      return one;
    });
  } finally {
    for (const one of begun.reverse()) await one.stop();
  }
}

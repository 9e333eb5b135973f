/** The load: so many callers, each with one call in flight, and what they saw. */
import { type Percentiles, percentiles } from "../statistics.ts";

export interface Loaded extends Percentiles {
  readonly perSecond: number;
}

/** Callers call until the time is over; the last calls are awaited and counted. Times in ms. */
export async function closedLoop(callers: number, ms: number, call: () => Promise<void>): Promise<Loaded> {
  const latencies: number[] = [];
  const begin = performance.now();
  const caller = async (): Promise<void> => {
    for (let at = performance.now(); at - begin < ms; at = performance.now()) {
      await call();
      latencies.push(performance.now() - at);
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  const seconds = (performance.now() - begin) / 1000;
  return { ...percentiles(latencies), perSecond: latencies.length / seconds };
}

/** Small helpers that the halves of the bus contract and the drivers' tests share. */
import type { AppendOutcome } from "../../src/bus/journal.ts";
import type { RecordWrite } from "../../src/bus/records.ts";

export const text = (value: string) => new TextEncoder().encode(value);
export const read = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

export function seqOf(outcome: AppendOutcome | RecordWrite): number {
  if (outcome.kind !== "stored") throw new Error(`Not stored: ${JSON.stringify(outcome)}`);
  return outcome.seq;
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

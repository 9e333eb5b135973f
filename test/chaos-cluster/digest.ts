/** A running digest of a root's events: two that told the same in the same order are equal. */
import { createHash } from "node:crypto";

/** Keys in order, so that the way a value took does not show. */
function canonical(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(canonical);
  const fields = value as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    Object.keys(fields)
      .sort()
      .map((key) => [key, canonical(fields[key])]),
  );
}

export class Digest {
  #value = "";

  add(no: number, name: string, data: unknown): void {
    const text = `${this.#value}|${no}|${name}|${JSON.stringify(canonical(data))}`;
    this.#value = createHash("sha1").update(text).digest("base64");
  }

  get value(): string {
    return this.#value;
  }
}

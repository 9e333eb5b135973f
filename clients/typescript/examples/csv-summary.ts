/**
 * A worker that does real work: tasks of type `csv-summary` hold a CSV text; what comes out is each
 * column's kind, its range or its most frequent values.
 *
 *   npx tsx clients/typescript/examples/csv-summary.ts http://127.0.0.1:8000
 *   curl -s http://127.0.0.1:8000/v1/tasks -H 'Content-Type: application/json' \
 *     -d '{"task_type":"csv-summary","input":{"csv":"city,people\nBern,134\nBasel,171\n"}}'
 *
 * TROUPE_API_KEY is its key, where the server wants one.
 */
import { type Task, TaskFailure, Worker } from "../src/index.ts";

interface Column {
  readonly name: string;
  readonly kind: "number" | "text";
  readonly empty: number;
  readonly distinct: number;
  readonly min?: number;
  readonly max?: number;
  readonly mean?: number;
  readonly frequent?: readonly { readonly value: string; readonly count: number }[];
}

/** RFC 4180: quoted fields may hold commas, quotes (doubled) and line ends. */
function* records(csv: string): Generator<string[]> {
  const pattern = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/gy;
  let record: string[] = [];
  while (pattern.lastIndex < csv.length) {
    const at = pattern.lastIndex;
    const match = pattern.exec(csv);
    if (match === null) throw new TaskFailure("bad_csv", `not CSV at character ${at}`, { retryable: false });
    record.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? "");
    if (match[3] === ",") continue;
    yield record;
    record = [];
  }
  if (record.length > 0) yield [...record, ""];
}

function summary(name: string, values: readonly string[]): Column {
  const given = values.filter((value) => value !== "");
  const counts = new Map<string, number>();
  for (const value of given) counts.set(value, (counts.get(value) ?? 0) + 1);
  const common = { name, empty: values.length - given.length, distinct: counts.size };
  const numbers = given.map(Number);
  if (given.length > 0 && numbers.every(Number.isFinite)) {
    const sum = numbers.reduce((a, b) => a + b, 0);
    const [min, max] = numbers.reduce(([a, b], n) => [Math.min(a, n), Math.max(b, n)], [numbers[0]!, numbers[0]!]);
    return { ...common, kind: "number", min, max, mean: sum / numbers.length };
  }
  const frequent = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 5);
  return { ...common, kind: "text", frequent: frequent.map(([value, count]) => ({ value, count })) };
}

export async function summarize(task: Task<{ csv?: unknown }>): Promise<{ rows: number; columns: Column[] }> {
  const csv = task.input?.csv;
  if (typeof csv !== "string" || csv === "") {
    throw new TaskFailure("bad_input", "the input needs a field csv with text", { retryable: false });
  }
  const [header, ...rows] = records(csv);
  const wrong = rows.findIndex((row) => row.length !== header?.length);
  if (wrong >= 0) {
    const what = `row ${wrong + 2} has ${rows[wrong]?.length} fields, the header ${header?.length}`;
    throw new TaskFailure("bad_csv", what, { retryable: false });
  }
  const columns: Column[] = [];
  for (const [i, name] of (header ?? []).entries()) {
    // Throws when the task is not wanted any more.
    await task.progress(i / (header?.length ?? 1), { message: `column ${name}` });
    columns.push(
      summary(
        name,
        rows.map((row) => row[i] ?? ""),
      ),
    );
  }
  return { rows: rows.length, columns };
}

if (import.meta.filename === process.argv[1]) {
  const apiKey = process.env.TROUPE_API_KEY;
  const worker = new Worker({
    url: process.argv[2] ?? "http://127.0.0.1:8000",
    ...(apiKey !== undefined && { credentials: { apiKey } }),
    agentType: "csv-summary",
    capabilities: ["csv"],
    concurrency: 4,
    run: summarize,
    onProblem: (error, doing) => console.error(`${doing}: ${error instanceof Error ? error.message : error}`),
  });
  await worker.start();
  console.log(`${worker.agentId} takes tasks; Ctrl-C ends`);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void worker.stop());
}

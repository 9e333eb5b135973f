/**
 * From method and path to an operation. Built once from the table; knows for each path which
 * methods exist, so that a wrong one is told apart from an unknown path.
 */
import { TroupeError } from "../../machines/errors.ts";
import { type Operation, pathParameters } from "../operation.ts";

interface Node {
  readonly children: Map<string, Node>;
  parameter: Node | undefined;
  readonly operations: Map<string, Operation>;
}

export interface Match {
  /** By method. Empty: unknown path. */
  readonly operations: ReadonlyMap<string, Operation>;
  /** Decoded values in the order of the path's parameters. */
  readonly values: readonly string[];
}

const newNode = (): Node => ({ children: new Map(), parameter: undefined, operations: new Map() });
const nothing: Match = { operations: new Map(), values: [] };

export class Router {
  private readonly root = newNode();

  constructor(operations: readonly Operation[]) {
    for (const operation of operations) this.add(operation);
  }

  private add(operation: Operation): void {
    let node = this.root;
    for (const segment of segmentsOf(operation.path)) {
      const known = segment.startsWith("{") ? node.parameter : node.children.get(segment);
      const next = known ?? newNode();
      if (segment.startsWith("{")) node.parameter = next;
      else node.children.set(segment, next);
      node = next;
    }
    if (node.operations.has(operation.method))
      throw new Error(`two operations at ${operation.method} ${operation.path}`);
    node.operations.set(operation.method, operation);
  }

  /** Throws `invalid_input` for a path whose escapes are broken. */
  match(path: string): Match {
    const segments = segmentsOf(path);
    const values: string[] = [];
    let node = this.root;
    for (const segment of segments) {
      const exact = node.children.get(segment);
      if (exact !== undefined) node = exact;
      else if (node.parameter !== undefined && segment !== "") {
        values.push(decode(segment));
        node = node.parameter;
      } else return nothing;
    }
    return { operations: node.operations, values };
  }
}

/** `/v1/runs` → `["v1", "runs"]`; a trailing slash gives an empty last segment, which matches nothing. */
function segmentsOf(path: string): string[] {
  return path === "/" ? [] : path.slice(1).split("/");
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new TroupeError("invalid_input", `The path has a broken escape in '${segment.slice(0, 100)}'`);
  }
}

/** The Allow header's value: HEAD comes with GET, OPTIONS always. */
export function allowed(operations: ReadonlyMap<string, Operation>): string {
  const methods = [...operations.keys()];
  if (operations.has("GET")) methods.push("HEAD");
  return [...methods, "OPTIONS"].join(", ");
}

/** Path parameters as input fields. */
export function pathFields(operation: Operation, values: readonly string[]): Record<string, string> {
  return Object.fromEntries(pathParameters(operation.path).map((name, i) => [name, values[i] as string]));
}

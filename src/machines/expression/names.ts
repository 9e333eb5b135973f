/**
 * Reads from a parsed expression which names it uses, so that a scope holds no more than that,
 * and that stages are only named by their names. Owns no evaluation.
 */
import type { ASTNode } from "@marcbachmann/cel-js";

export interface Names {
  /** Of the scope's names, those that occur. */
  readonly variables: readonly string[];
  /** Names behind `stages.`. */
  readonly stages: readonly string[];
  /** True when a comparison or `type()` occurs whose outcome may hang on an outside value without an error. */
  readonly compares: boolean;
}

interface Found {
  readonly variables: Set<string>;
  readonly stages: Set<string>;
  compares: boolean;
  error?: string;
}

export function readNames(ast: ASTNode): Names | { readonly error: string } {
  const found: Found = { variables: new Set(), stages: new Set(), compares: false };
  visit(ast, found);
  if (found.error !== undefined) return { error: found.error };
  return { variables: [...found.variables], stages: [...found.stages], compares: found.compares };
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === "object" && value !== null && "op" in value && "args" in value;
}

function visit(value: unknown, found: Found): void {
  if (Array.isArray(value)) {
    for (const v of value) visit(v, found);
    return;
  }
  if (!isNode(value)) return;
  const node = value;
  if (node.op === "id") {
    found.variables.add(node.args);
    if (node.args === "stages") found.error ??= `write stages.<name>, at character ${node.start + 1}`;
    return;
  }
  const stage = stageNamed(node);
  if (stage !== undefined) {
    found.variables.add("stages");
    found.stages.add(stage);
    return;
  }
  if (mayHang(node)) found.compares = true;
  if (node.op === "rcall" && node.args[0] === "matches" && !node.args[2].every(isScalarLiteral)) {
    // A pattern from data could take exponential time.
    found.error ??= `matches() needs a literal pattern, at character ${node.start + 1}`;
  }
  visit(node.args, found);
}

/** The name in `stages.name`, `stages.?name`, `stages["name"]`. */
function stageNamed(node: ASTNode): string | undefined {
  if (node.op !== "." && node.op !== ".?" && node.op !== "[]" && node.op !== "[?]") return undefined;
  const [left, right] = node.args;
  if (left.op !== "id" || left.args !== "stages") return undefined;
  if (typeof right === "string") return right;
  return right.op === "value" && typeof right.args === "string" ? right.args : undefined;
}

/** Longer texts may be kept outside; then equality with one is not safely false. */
const literalCharsMax = 256;

/**
 * Comparing with a scalar literal is safe: what is kept outside is large, hence never equal to
 * it. Any other comparison may be wrong without an error.
 */
function mayHang(node: ASTNode): boolean {
  if (node.op === "call") return node.args[0] === "type";
  if (node.op === "==" || node.op === "!=") return !node.args.some(isScalarLiteral);
  if (node.op === "in") return !(node.args[1].op === "list" && node.args[1].args.every(isScalarLiteral));
  return false;
}

function isScalarLiteral(node: ASTNode): boolean {
  return node.op === "value" && !(typeof node.args === "string" && node.args.length > literalCharsMax);
}

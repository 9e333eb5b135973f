/**
 * Bounds what one evaluation may cost: a step must not hold up its partition. Loops and
 * membership tests pay for the lists that they go through. Hooks into the library's checked tree,
 * since CEL itself has no such bound there; a test holds that it works.
 */
export class TooCostly extends Error {
  override readonly name = "TooCostly";
}

/** List items that one evaluation may go through. */
export const iterationsMax = 1_000_000;

export class Budget {
  #left = iterationsMax;

  renew(): void {
    this.#left = iterationsMax;
  }

  spend(items: unknown): void {
    if (Array.isArray(items)) this.#left -= items.length + 1;
    if (this.#left < 0) throw new TooCostly(`goes through more than ${iterationsMax} list items`);
  }
}

interface Evaluable {
  evaluate(evaluator: unknown, node: unknown, context: unknown): unknown;
}

interface Node extends Evaluable {
  readonly op: string;
  readonly args: unknown;
  right?: Evaluable;
  readonly meta?: { readonly alternate?: unknown; readonly macro?: unknown };
}

/** Makes every loop and every `in` of a checked tree pay. */
export function meter(tree: unknown, budget: Budget): void {
  const seen = new Set<unknown>();
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null || seen.has(value)) return;
    seen.add(value);
    if (Array.isArray(value)) for (const v of value) visit(v);
    else if (isNode(value)) {
      visit(value.args);
      visit(value.meta?.alternate);
      visit(value.meta?.macro);
      if (value.op === "comprehension") meterField(value.args as Record<string, Evaluable>, "iterable", budget);
      if (value.op === "in" && value.right !== undefined) meterField(value as { right: Evaluable }, "right", budget);
    } else {
      const plain = Object.getPrototypeOf(value) === Object.prototype;
      if (plain) for (const v of Object.values(value)) visit(v);
    }
  };
  visit(tree);
}

function isNode(value: object): value is Node {
  return "op" in value && "args" in value && "evaluate" in value;
}

function meterField<K extends string>(holder: Record<K, Evaluable>, field: K, budget: Budget): void {
  const original = holder[field];
  holder[field] = Object.assign(Object.create(original as object) as Evaluable, {
    evaluate(evaluator: unknown, _node: unknown, context: unknown): unknown {
      const items = original.evaluate(evaluator, original, context);
      budget.spend(items);
      return items;
    },
  });
}

/**
 * JSON Schemas at the edge: what `json-schema.ts` finds, as errors of the catalogue with places.
 */
import { newJsonSchemas, UnusableSchema } from "../json-schema.ts";
import type { Json } from "../machines/effects.ts";
import { invalid } from "./errors.ts";

export interface SchemaChecker {
  /** Throws `invalid_input` with `place` when this is no usable schema. */
  check(schema: Json, place: string): void;
  /** Throws `invalid_input` with the places (below `root`) where the value departs from the schema. */
  validate(schema: Json, value: unknown, root: string): void;
}

export function newSchemaChecker(): SchemaChecker {
  const schemas = newJsonSchemas();
  return {
    check: (schema, place) => usable(place, () => schemas.check(schema)),
    validate(schema, value, root) {
      const problems = usable(`${root} schema`, () => schemas.problems(schema, value, root));
      if (problems.length > 0) throw invalid(`${root} does not match its schema`, problems);
    },
  };
}

function usable<T>(place: string, use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (!(error instanceof UnusableSchema)) throw error;
    throw invalid("A schema is not usable", [{ path: place, message: error.message }]);
  }
}

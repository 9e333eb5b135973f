/**
 * What the agents of `document-brief` hand to each other. The schemas are checked at both ends
 * of every agent.
 */
import { z } from "zod";
import { countsSchema, readingLevelSchema } from "../text/readability.ts";

export const briefInputSchema = z.object({
  title: z.string().max(512).optional(),
  text: z.string(),
  auto_approve: z.boolean().optional(),
});

export const sectionSchema = z.object({
  index: z.int().min(0),
  title: z.string(),
  level: z.int().min(0).max(6),
  text: z.string(),
});
export type Section = z.infer<typeof sectionSchema>;

export const splitSchema = z.object({
  title: z.string(),
  /** ISO 639-3. */
  language: z.string(),
  characters: z.int(),
  sections: z.array(sectionSchema),
});

export const analyseInputSchema = z.object({ language: z.string(), section: sectionSchema });

const linkSchema = z.object({ url: z.string(), text: z.string() });
const todoSchema = z.object({ text: z.string(), kind: z.enum(["task", "mark", "action"]) });
const termSchema = z.object({ term: z.string(), count: z.number() });

export const analysisSchema = z.object({
  index: z.int().min(0),
  title: z.string(),
  level: z.int(),
  method: z.enum(["extractive", "model"]),
  counts: countsSchema,
  unspaced: z.boolean(),
  readingLevel: readingLevelSchema.nullable(),
  /** Best first by `score` (0–1), at most `sentencesPerSection`. */
  sentences: z.array(z.object({ text: z.string(), position: z.number(), score: z.number() })),
  terms: z.array(termSchema),
  links: z.array(linkSchema),
  todos: z.array(todoSchema),
  /** What the section says in a sentence or two; models only. */
  point: z.string().optional(),
});
export type Analysis = z.infer<typeof analysisSchema>;

export const mergeInputSchema = z.object({
  title: z.string(),
  language: z.string(),
  characters: z.int(),
  analyses: z.array(analysisSchema),
});

export const briefSchema = z.object({
  title: z.string(),
  language: z.string(),
  statistics: countsSchema.extend({ sections: z.int(), readingMinutes: z.int() }),
  readingLevel: readingLevelSchema.nullable(),
  method: z.enum(["extractive", "model"]),
  keySentences: z.array(z.object({ text: z.string(), section: z.int() })),
  terms: z.array(termSchema.extend({ sections: z.int() })),
  sections: z.array(z.object({ title: z.string(), level: z.int(), words: z.int(), point: z.string().nullable() })),
  todos: z.array(todoSchema.extend({ section: z.int() })),
  links: z.array(linkSchema),
  /** How many there were before the lists were cut. */
  totals: z.object({ todos: z.int(), links: z.int() }),
});
export type Brief = z.infer<typeof briefSchema>;

/** `summary` stands apart and small, so that a checkpoint can show it without loading the rest. */
export const mergedSchema = z.object({ summary: z.string(), brief: briefSchema });

export const publishInputSchema = z.object({
  summary: z.string(),
  brief: briefSchema,
  /** The checkpoint's output; null when it was skipped. */
  review: z
    .object({
      status: z.string(),
      approved: z.boolean(),
      note: z.string().nullish(),
      input: z.unknown().optional(),
    })
    .nullable(),
});

const artifactSchema = z.object({ artifactId: z.string(), name: z.string() });
export const publishedSchema = z.object({
  title: z.string(),
  summary: z.string(),
  report: artifactSchema,
  record: artifactSchema,
});

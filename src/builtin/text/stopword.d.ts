/** Types of the `stopword` package, which brings none: lists of common words by ISO 639-3 code. */
declare module "stopword" {
  const lists: Record<string, readonly string[]>;
  export = lists;
}

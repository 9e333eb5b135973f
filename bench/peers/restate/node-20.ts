/**
 * Restate's SDK calls `Promise.withResolvers`, which Node has from 22 on. On Node 20 this gives it; import it first.
 * Nothing else of the SDK is touched.
 */
type Resolvers = { promise: Promise<unknown>; resolve(value: unknown): void; reject(error: unknown): void };
const known = Promise as unknown as { withResolvers?: () => Resolvers };

known.withResolvers ??= () => {
  const made = {} as Resolvers;
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

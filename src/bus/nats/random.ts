/** Randomness and ids of the NATS driver: the operating system's, with the server's time in ids. */
export { RealRandom as NatsRandom } from "../clock-real.ts";

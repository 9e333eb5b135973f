/** What a chaos run is told, and the bounds by which it judges. */

export interface ChaosSettings {
  readonly seed: number;
  /** How long faults go on. */
  readonly ms: number;
  /** Lanes over WebSocket and over HTTP: so many commands are in flight at most. */
  readonly socketLanes: number;
  readonly httpLanes: number;
  /** Numbered commands begun per second at most. */
  readonly perSecond: number;
  /** Clients that create runs and tasks, one after the other. */
  readonly workers: number;
  /** Those that follow events over WebSocket. */
  readonly watchers: number;
  /** Mean pause between two light faults, and between two heavy ones after all is whole again. */
  readonly lightMs: number;
  readonly heavyMs: number;
  /** Faults of everything at once, spread over the time. */
  readonly blackouts: number;
  readonly replayBytes: number;
}

/** A client tries again for so long: until then it should not have noticed. */
export const patienceMs = 30_000;
/** So long it goes on afterwards, so that the outcome is known. */
export const stubbornMs = 120_000;
/** So late a reminder may be: as long as a client waits for anything. */
export const lateMsMax = 30_000;

export const tallies: readonly string[] = Array.from({ length: 48 }, (_, i) => `t${i}`);

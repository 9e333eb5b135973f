/**
 * What the gateway has answered, counted by method, path template and status, and who is connected.
 * Made to cost little on each request: one look-up by operation, then additions. Owns no names of
 * metrics (exposition.ts).
 */
import { type Distributed, Distribution, merged } from "../../distribution.ts";

/** Seconds. Long polls and waiting calls are in the last ranges. */
const bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** A method and a path's template. Nothing that a client may choose freely: labels must stay few. */
export interface RouteTraffic {
  readonly method: string;
  readonly path: string;
  readonly byStatus: ReadonlyMap<number, number>;
  readonly seconds: Distributed;
}

class Route implements RouteTraffic {
  readonly method: string;
  readonly path: string;
  readonly byStatus = new Map<number, number>();
  readonly seconds = new Distribution(bounds);

  constructor(method: string, path: string) {
    this.method = method;
    this.path = path;
  }
}

const methods: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

export class Traffic {
  readonly #routes = new Map<string, Map<string, Route>>();
  readonly #sockets = new Map<string, number>();
  #streams = 0;

  /** An answer is out. `path`: the operation's template; undefined where none is at that path. */
  answered(method: string, path: string | undefined, status: number, ms: number): void {
    const route = this.#route(methods.has(method) ? method : "other", path ?? "unknown");
    route.byStatus.set(status, (route.byStatus.get(status) ?? 0) + 1);
    route.seconds.observe(ms / 1000);
  }

  #route(method: string, path: string): Route {
    let byMethod = this.#routes.get(path);
    if (byMethod === undefined) {
      byMethod = new Map();
      this.#routes.set(path, byMethod);
    }
    let route = byMethod.get(method);
    if (route === undefined) {
      route = new Route(method, path);
      byMethod.set(method, route);
    }
    return route;
  }

  /** A WebSocket of this endpoint (its path's template) is connected. */
  socketOpened(endpoint: string): void {
    this.#sockets.set(endpoint, (this.#sockets.get(endpoint) ?? 0) + 1);
  }

  socketClosed(endpoint: string): void {
    this.#sockets.set(endpoint, Math.max(0, (this.#sockets.get(endpoint) ?? 0) - 1));
  }

  /** An event stream (SSE) begins; the returned function ends it. */
  streamOpened(): () => void {
    this.#streams++;
    let open = true;
    return () => {
      if (open) this.#streams--;
      open = false;
    };
  }

  /** Connected now, by endpoint. */
  get sockets(): ReadonlyMap<string, number> {
    return this.#sockets;
  }

  get socketsTotal(): number {
    let total = 0;
    for (const n of this.#sockets.values()) total += n;
    return total;
  }

  get streams(): number {
    return this.#streams;
  }

  *routes(): Iterable<RouteTraffic> {
    for (const byMethod of this.#routes.values()) yield* byMethod.values();
  }

  /** All answers as one: how many, how many of them 5xx, and their times. */
  summary(): { readonly requests: number; readonly errors: number; readonly seconds: Distributed } {
    let errors = 0;
    const parts: Distributed[] = [];
    for (const { byStatus, seconds } of this.routes()) {
      parts.push(seconds);
      for (const [status, n] of byStatus) if (status >= 500) errors += n;
    }
    const seconds = merged(bounds, parts);
    return { requests: seconds.count, errors, seconds };
  }
}

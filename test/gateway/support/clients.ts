/**
 * Very many WebSocket clients in a process of its own, told what to do over IPC. Each counts what it gets and
 * checks it at once: every run's events once and in order. Owns no judgement beyond that; the test has the rest.
 */
import WebSocket from "ws";

export interface Open {
  readonly base: string;
  readonly count: number;
  /** The pattern of all. */
  readonly pattern: string;
  /** Names of a run's events of that pattern, in order. */
  readonly names: readonly string[];
  /** Client i also has the i-th of these, from which it gets one event. */
  readonly own: readonly string[];
  /** The common pattern from this cursor on. */
  readonly since?: string;
}

export interface Counted {
  /** Events of the common pattern, over all clients. */
  readonly events: number;
  /** Runs seen whole, by client: the fewest and the most. */
  readonly runsMin: number;
  readonly runsMax: number;
  /** Own patterns that got exactly one event. */
  readonly own: number;
  /** The first things that were wrong, in words. */
  readonly wrong: readonly string[];
}

export interface Slow {
  readonly code: number;
  readonly events: number;
  /** The error's code in its last message. */
  readonly told: string | undefined;
}

const openingMax = 50;
const clients: Client[] = [];
const wrong: string[] = [];
let slow: WebSocket | undefined;

class Client {
  readonly runs = new Map<string, number>();
  whole = 0;
  events = 0;
  own = 0;
  socket!: WebSocket;

  constructor(
    private readonly at: number,
    private readonly names: readonly string[],
  ) {}

  /** Resolves with the cursor of the first subscription. */
  async open(
    url: string,
    subscriptions: readonly { id: string; pattern: string; since?: string | undefined }[],
  ): Promise<string> {
    this.socket = new WebSocket(url, { perMessageDeflate: false });
    await opened(this.socket);
    let waiting = subscriptions.length;
    let cursor = "";
    const confirmed = new Promise<void>((resolve, reject) => {
      this.socket.on("message", (data: Buffer) => {
        const message = JSON.parse(data.toString());
        if (message.type === "event") this.take(message.id, message.event);
        else if (message.type !== "subscribed") reject(new Error(data.toString()));
        else {
          if (message.id === "all") cursor = message.cursor;
          if (--waiting === 0) resolve();
        }
      });
    });
    this.socket.on("close", (code) => this.fault(`closed with ${code}`));
    for (const one of subscriptions) this.socket.send(JSON.stringify({ type: "subscribe", ...one }));
    await confirmed;
    return cursor;
  }

  private take(id: string, event: { root: string; name: string }): void {
    if (id === "own") {
      this.own++;
      return;
    }
    this.events++;
    const n = this.runs.get(event.root) ?? 0;
    if (event.name !== this.names[n]) this.fault(`${event.root}: ${event.name} instead of ${this.names[n]}`);
    this.runs.set(event.root, n + 1);
    if (n + 1 === this.names.length) this.whole++;
  }

  fault(what: string): void {
    if (wrong.length < 20 && !closing) wrong.push(`client ${this.at}: ${what}`);
  }
}

let closing = false;

const opened = (socket: WebSocket): Promise<unknown> =>
  new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });

const handlers = {
  async open({ base, count, pattern, names, own, since }: Open): Promise<{ cursor: string }> {
    const url = `${base.replace("http", "ws")}/v1/ws`;
    let cursor = "";
    closing = false;
    clients.length = 0;
    for (let i = 0; i < count; i += openingMax) {
      const some = Array.from({ length: Math.min(openingMax, count - i) }, (_, j) => i + j);
      const cursors = await Promise.all(
        some.map((at) => {
          const client = new Client(at, names);
          clients[at] = client;
          const mine = own[at];
          const common = { id: "all", pattern, since };
          return client.open(url, mine === undefined ? [common] : [common, { id: "own", pattern: mine }]);
        }),
      );
      cursor ||= cursors[0] as string;
    }
    return { cursor };
  },

  /** One that asks for much, and then reads nothing. */
  async openSlow({ base, subscriptions }: { base: string; subscriptions: number }): Promise<null> {
    slow = new WebSocket(`${base.replace("http", "ws")}/v1/ws`, { perMessageDeflate: false });
    await opened(slow);
    for (let i = 0; i < subscriptions; i++)
      slow.send(JSON.stringify({ type: "subscribe", id: String(i), pattern: "event.>" }));
    let confirmed = 0;
    await new Promise<void>((resolve) => slow?.on("message", () => ++confirmed === subscriptions && resolve()));
    slow.removeAllListeners("message");
    slow.pause();
    return null;
  },

  /** Lets the slow one read what is left, and tells how it ended. */
  resumeSlow(): Promise<Slow> {
    const socket = slow as WebSocket;
    let last: Buffer | undefined;
    let events = 0;
    return new Promise((resolve) => {
      socket.on("message", (data: Buffer) => {
        last = data;
        events++;
      });
      socket.on("close", (code) =>
        resolve({
          code,
          events,
          told: last && (JSON.parse(last.toString()) as { error?: { code: string } }).error?.code,
        }),
      );
      socket.resume();
    });
  },

  /** When every client has seen so many runs whole (and its own event), or after the deadline. */
  async seen({ runs, waitMs }: { runs: number; waitMs: number }): Promise<Counted> {
    const deadline = performance.now() + waitMs;
    const all = (): boolean => clients.every((client) => client.whole >= runs);
    while (!all() && wrong.length === 0 && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 25));
    const whole = clients.map((client) => client.whole);
    return {
      events: clients.reduce((sum, client) => sum + client.events, 0),
      runsMin: Math.min(...whole),
      runsMax: Math.max(...whole),
      own: clients.filter((client) => client.own === 1).length,
      wrong,
    };
  },

  close(): Promise<null> {
    closing = true;
    for (const client of clients) client.socket.terminate();
    return Promise.resolve(null);
  },
};

export type Handlers = typeof handlers;

process.on("message", ({ call, input }: { call: keyof Handlers; input: never }) => {
  handlers[call](input).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));

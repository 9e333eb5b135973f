/** A socket's side of a golden transcript: what is sent and what is heard, in the order in which the test looks. */
import { Client, type Message } from "../gateway/support/socket.ts";
import type { Transcript } from "./transcript.ts";

const hearMs = 30_000;

export class Told {
  private readonly transcript: Transcript;
  private readonly client: Client;
  private readonly heard = new Set<Message>();

  private constructor(transcript: Transcript, client: Client) {
    this.transcript = transcript;
    this.client = client;
  }

  static async at(transcript: Transcript, base: string, path: string): Promise<Told> {
    const client = await Client.at(base, path);
    transcript.socket(`connect to ${path}`, "sent", null);
    return new Told(transcript, client);
  }

  say(what: string, message: unknown): void {
    this.transcript.socket(what, "sent", message);
    this.client.send(message);
  }

  /** The first message that matches and was not told yet; waits for it. */
  async hear(what: string, match: (message: Message) => boolean = () => true): Promise<Message> {
    let deadline: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const fail = () =>
        reject(new Error(`${what}: not heard among ${JSON.stringify(this.client.messages.slice(-5))}`));
      deadline = setTimeout(fail, hearMs);
    });
    const heard = this.client.next((m) => !this.heard.has(m) && match(m));
    const message = await Promise.race([heard, late]).finally(() => clearTimeout(deadline));
    this.heard.add(message);
    this.transcript.socket(what, "got", message);
    return message;
  }

  close(): void {
    this.client.close();
  }
}

/**
 * Asks a nats-server whether JetStream answers. One short connection per question.
 */
import { connect } from "@nats-io/transport-node";
import { z } from "zod";
import type { Credential } from "./conf.ts";

const answerMs = 2_000;
const infoShape = z.object({ error: z.object({ description: z.string() }).optional() });

/** The server's version once JetStream answers this credential; throws while it does not. */
export async function probe(port: number, credential: Credential): Promise<string> {
  const connection = await connect({
    servers: `127.0.0.1:${port}`,
    user: credential.user,
    pass: credential.pass,
    timeout: answerMs,
    reconnect: false,
    name: "troupe-probe",
  });
  try {
    const reply = await connection.request("$JS.API.INFO", "", { timeout: answerMs });
    const { error } = infoShape.parse(reply.json());
    if (error) throw new Error(`JetStream answers: ${error.description}`);
    return connection.info?.version ?? "";
  } finally {
    await connection.close();
  }
}

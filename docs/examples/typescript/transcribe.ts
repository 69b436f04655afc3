// Transcribes a file, is told of the end by a signed webhook, prints the transcript and removes what it made:
//
//   GATEWAY_URL=https://gateway.example GATEWAY_KEY=ggw_… node --import tsx transcribe.ts FILE

import { randomUUID } from "node:crypto";
import { EventEmitter, on, once } from "node:events";
import { openAsBlob } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const { GATEWAY_URL, GATEWAY_KEY } = process.env;
const [file] = process.argv.slice(2);
if (!GATEWAY_URL || !GATEWAY_KEY || !file) throw new Error("GATEWAY_URL, GATEWAY_KEY and a file are needed");

const LARGEST_WEBHOOK_BYTES = 1_000_000;

interface TranscriptionEvent {
  id: string;
  type: "transcription.done" | "transcription.error";
  data: { transcription_id: string; error?: { type: string; code: number | null } };
}

// ----------------------------------------------------------------------------------------------------- the receiver

const told = new EventEmitter<{ event: [TranscriptionEvent] }>();
const seen = new Set<string>();
let webhook: Webhook | undefined;

async function receive(request: IncomingMessage, response: ServerResponse) {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LARGEST_WEBHOOK_BYTES) return response.writeHead(413, { connection: "close" }).end();
    chunks.push(chunk);
  }
  // What comes before the secret is known comes again.
  if (!webhook) return response.writeHead(503).end();

  // The signature first, over the bytes as they came: until it has been checked, they are anybody's.
  let event: TranscriptionEvent;
  try {
    const headers = request.headers as Record<string, string>;
    event = webhook.verify(Buffer.concat(chunks), headers) as TranscriptionEvent;
  } catch (error) {
    return response.writeHead(error instanceof WebhookVerificationError ? 401 : 400).end();
  }

  // Answer, then work: the gateway waits 15 seconds, and sends again what was not answered by 2xx.
  response.writeHead(204).end();
  // Told at least once: what comes again has the same id. A service keeps the ids in its database.
  if (seen.has(event.id)) return;
  seen.add(event.id);
  told.emit("event", event);
}

// ------------------------------------------------------------------------------------------------------ the gateway

function gateway(path: string, init: RequestInit = {}) {
  const headers = { ...init.headers, authorization: `Bearer ${GATEWAY_KEY}` };
  return fetch(GATEWAY_URL!.replace(/\/$/, "") + path, { ...init, headers });
}

// A refusal is a problem (RFC 9457), which says what to do about it.
async function checked(response: Response) {
  if (!response.ok) throw new Error(await response.text());
  return response;
}

// With the key, a request that got no answer may be repeated and makes one transcription all the same.
async function submit(file: string): Promise<string> {
  const form = new FormData();
  form.set("options", JSON.stringify({ diarization: true }));
  form.set("audio", await openAsBlob(file), basename(file));
  // A service takes the id of a record of its own, which survives a crash.
  const headers = { "idempotency-key": randomUUID() };
  for (const pause of [1, 2, 4, 8, 16, 32, 0]) {
    const answer = await gateway("/v1/transcriptions/upload", { method: "POST", headers, body: form }).catch(
      (error: Error) => error,
    );
    const isAnswer = answer instanceof Response;
    // 409: the first request is still under way.
    const isTransient = !isAnswer || answer.status === 409 || answer.status >= 500;
    if (!isTransient) return ((await (await checked(answer)).json()) as { id: string }).id;
    if (pause === 0) throw isAnswer ? new Error(await answer.text()) : answer;
    await sleep(1000 * Number((isAnswer && answer.headers.get("retry-after")) || pause));
  }
  throw new Error("unreachable");
}

// From before the upload on: what is told may come before its answer.
const stop = AbortSignal.any([AbortSignal.timeout(900_000), interrupted()]);
const events = on(told, "event", { signal: stop }) as AsyncIterableIterator<[TranscriptionEvent]>;

function interrupted() {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => controller.abort());
  return controller.signal;
}

const receiver = createServer((request, response) => void receive(request, response).catch(() => response.destroy()));
receiver.listen(0, "127.0.0.1");
await once(receiver, "listening");

// A service makes its endpoint once, and keeps the secret with its other secrets.
const made = await gateway("/v1/webhook-endpoints", {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({
    url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`,
    description: "TypeScript example",
    event_types: ["transcription.done", "transcription.error"],
  }),
});
const endpoint = (await (await checked(made)).json()) as { id: string; secret: string };
let transcriptionId: string | undefined;
try {
  webhook = new Webhook(endpoint.secret);
  transcriptionId = await submit(file);
  console.error(`Submitted ${transcriptionId}`);
  // The endpoint is told of all that the tenant transcribes.
  for await (const [event] of events) {
    console.error(`Told: ${event.type} of ${event.data.transcription_id}`);
    if (event.data.transcription_id !== transcriptionId) continue;
    if (event.type === "transcription.error") throw new Error(JSON.stringify(event.data.error));
    const transcript = await checked(await gateway(`/v1/transcriptions/${transcriptionId}/export/txt`));
    process.stdout.write(await transcript.text());
    break;
  }
} finally {
  await gateway(`/v1/webhook-endpoints/${endpoint.id}`, { method: "DELETE" });
  if (transcriptionId) await gateway(`/v1/transcriptions/${transcriptionId}`, { method: "DELETE" });
  receiver.close();
  receiver.closeAllConnections();
}

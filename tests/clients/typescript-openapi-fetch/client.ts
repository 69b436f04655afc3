import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { openAsBlob } from "node:fs";
import { env } from "node:process";
import createClient from "openapi-fetch";
import type { components, paths } from "./gateway.js";

type CreateTranscription = components["schemas"]["CreateTranscription"];
type CreateTranscriptionOptions = components["schemas"]["CreateTranscriptionOptions"];
type Transcription = components["schemas"]["Transcription"];
type Problem = components["schemas"]["Problem"];

const { GATEWAY_URL, GATEWAY_KEY, AUDIO } = env;
assert(GATEWAY_URL && GATEWAY_KEY && AUDIO);
const gateway = createClient<paths>({
    baseUrl: GATEWAY_URL,
    headers: { Authorization: `Bearer ${GATEWAY_KEY}` },
});
const recording = new File([await openAsBlob(AUDIO)], "support-call.ogg");
const run = randomUUID();
const options: CreateTranscriptionOptions = {
    language_config: { languages: ["en"] },
    diarization: true,
    custom_metadata: { run },
};

function form(fields: Record<string, File | string>): FormData {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    return form;
}

async function finished(transcription: Transcription): Promise<Transcription> {
    while (transcription.status === "queued" || transcription.status === "processing") {
        const { data, error } = await gateway.GET("/v1/transcriptions/{id}", {
            params: { path: { id: transcription.id }, query: { wait: 30 } },
        });
        assert(data, error?.detail);
        transcription = data;
    }
    return transcription;
}

function check({ status, result, options }: Transcription): void {
    assert.equal(status, "done");
    const transcript = result?.transcription;
    assert(transcript);
    assert.match(transcript.full_transcript, /Northwind Freight/);
    const [first] = transcript.utterances;
    assert(first?.words?.[0]);
    assert.equal(first.speaker, 0);
    assert(first.words[0].end > first.words[0].start);
    assert(result.metadata.audio_duration > 30);
    assert.deepEqual(options.custom_metadata, { run });
}

// By URL: here that of an upload.
const upload = await gateway.POST("/v1/uploads", {
    body: { audio: "" },
    bodySerializer: () => form({ audio: recording }),
});
assert(upload.data, upload.error?.detail);
const request: CreateTranscription = { ...options, audio_url: upload.data.audio_url };
const byUrl = await gateway.POST("/v1/transcriptions", {
    params: { header: { "Idempotency-Key": run }, query: { wait: 30 } },
    body: request,
});
assert(byUrl.data, byUrl.error?.detail);
check(await finished(byUrl.data));

// The same again is the same transcription.
const again = await gateway.POST("/v1/transcriptions", {
    params: { header: { "Idempotency-Key": run } },
    body: request,
});
assert.equal(again.data?.id, byUrl.data.id);
assert.equal(again.response.headers.get("idempotency-replayed"), "true");

const byFile = await gateway.POST("/v1/transcriptions/upload", {
    body: { audio: "", options },
    bodySerializer: ({ options }) => form({ options: JSON.stringify(options), audio: recording }),
});
assert(byFile.data, byFile.error?.detail);
check(await finished(byFile.data));

for (const [format, beginning] of [["srt", /^1\n00:00:/], ["txt", /^Speaker 1: /]] as const) {
    const { data, error } = await gateway.GET("/v1/transcriptions/{id}/export/{format}", {
        params: { path: { id: byFile.data.id, format } },
        parseAs: "text",
    });
    assert(data, error?.detail);
    assert.match(data, beginning);
}
const exported = await gateway.GET("/v1/transcriptions/{id}/export/json", {
    params: { path: { id: byFile.data.id } },
});
assert.match(exported.data?.transcription?.full_transcript ?? "", /Northwind Freight/);

// Two pages, newest first.
const listed: Transcription[] = [];
let cursor: string | null | undefined;
do {
    const { data, error } = await gateway.GET("/v1/transcriptions", {
        params: { query: { limit: 1, status: ["done"], metadata: [`run:${run}`], ...(cursor && { cursor }) } },
    });
    assert(data, error?.detail);
    assert.equal(data.items.length, 1);
    listed.push(...data.items);
    cursor = data.next_cursor;
} while (cursor);
assert.deepEqual(listed.map(({ id }) => id), [byFile.data.id, byUrl.data.id]);

const refused = await gateway.POST("/v1/transcriptions", {
    body: { ...request, subtitles_config: { maximum_rows_per_caption: 9 } },
});
const problem: Problem | undefined = refused.error;
assert.equal(refused.response.status, 422);
assert.equal(problem?.type, "urn:gladia-gateway:problem:invalid-request");
assert.equal(problem.errors?.[0]?.pointer, "/subtitles_config/maximum_rows_per_caption");

for (const { id } of listed) {
    const params = { path: { id } };
    const deleted = await gateway.DELETE("/v1/transcriptions/{id}", { params });
    assert.equal(deleted.response.status, 204);
    const gone = await gateway.GET("/v1/transcriptions/{id}", { params });
    assert.equal(gone.error?.status, 410);
    assert(gone.error.erased?.erased_at);
}

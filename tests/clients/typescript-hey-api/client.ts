import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { openAsBlob } from "node:fs";
import { env } from "node:process";
import {
    createTranscription,
    createTranscriptionFromFile,
    createUpload,
    deleteTranscription,
    getTranscription,
    getTranscriptionExport,
    getTranscriptionExportJson,
    listTranscriptions,
    type CreateTranscription,
    type CreateTranscriptionOptions,
    type Problem,
    type Transcription,
} from "./gateway/index.js";
import { client } from "./gateway/client.gen.js";

const { GATEWAY_URL, GATEWAY_KEY, AUDIO } = env;
assert(GATEWAY_URL && GATEWAY_KEY && AUDIO);
client.setConfig({ baseUrl: GATEWAY_URL, auth: GATEWAY_KEY });
const audio = new File([await openAsBlob(AUDIO)], "support-call.ogg");
const run = randomUUID();
const options: CreateTranscriptionOptions = {
    language_config: { languages: ["en"] },
    diarization: true,
    custom_metadata: { run },
};

async function finished(transcription: Transcription): Promise<Transcription> {
    while (transcription.status === "queued" || transcription.status === "processing") {
        const { data } = await getTranscription({
            path: { id: transcription.id },
            query: { wait: 30 },
            throwOnError: true,
        });
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
const upload = await createUpload({ body: { audio }, throwOnError: true });
const request: CreateTranscription = { ...options, audio_url: upload.data.audio_url };
const byUrl = await createTranscription({
    body: request,
    headers: { "Idempotency-Key": run },
    query: { wait: 30 },
    throwOnError: true,
});
check(await finished(byUrl.data));

// The same again is the same transcription.
const again = await createTranscription({
    body: request,
    headers: { "Idempotency-Key": run },
    throwOnError: true,
});
assert.equal(again.data.id, byUrl.data.id);

const byFile = await createTranscriptionFromFile({ body: { options, audio }, throwOnError: true });
check(await finished(byFile.data));

for (const [format, beginning] of [["srt", /^1\n00:00:/], ["txt", /^Speaker 1: /]] as const) {
    const { data } = await getTranscriptionExport({
        path: { id: byFile.data.id, format },
        parseAs: "text",
        throwOnError: true,
    });
    assert.match(data, beginning);
}
const exported = await getTranscriptionExportJson({ path: { id: byFile.data.id }, throwOnError: true });
assert.match(exported.data.transcription?.full_transcript ?? "", /Northwind Freight/);

// Two pages, newest first.
const listed: string[] = [];
let cursor: string | undefined;
do {
    const { data } = await listTranscriptions({
        query: { limit: 1, status: ["done"], metadata: [`run:${run}`], cursor },
        throwOnError: true,
    });
    assert.equal(data.items.length, 1);
    listed.push(...data.items.map(({ id }) => id));
    cursor = data.next_cursor ?? undefined;
} while (cursor);
assert.deepEqual(listed, [byFile.data.id, byUrl.data.id]);

const refused = await createTranscription({
    body: { ...request, subtitles_config: { maximum_rows_per_caption: 9 } },
});
const problem: Problem | undefined = refused.error;
assert.equal(problem?.status, 422);
assert.equal(problem.type, "urn:gladia-gateway:problem:invalid-request");
assert.equal(problem.errors?.[0]?.pointer, "/subtitles_config/maximum_rows_per_caption");

for (const id of listed) {
    const deleted = await deleteTranscription({ path: { id } });
    assert.equal(deleted.response?.status, 204);
    const gone = await getTranscription({ path: { id } });
    assert.equal(gone.error?.status, 410);
    assert(gone.error.erased?.erased_at);
}

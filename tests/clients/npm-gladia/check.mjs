// A program written for the package gladia, with base URL and key changed.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import gladia from 'gladia';

const { GATEWAY_URL, GATEWAY_KEY, AUDIO, AUDIO_URL, FAILING_AUDIO_URL } = process.env;
const quickly = { pollingInterval: 200 };
const client = new gladia.GladiaClient({ apiKey: GATEWAY_KEY, baseUrl: GATEWAY_URL, diarization: true, language: 'en' });

const file = new File([readFileSync(AUDIO)], 'support-call.ogg', { type: 'audio/ogg' });
const done = await client.transcribeFile(file, {}, quickly);
// The client names every file audio, and by its name the simulator knows what is said.
assert.match(done.result.transcription.full_transcript, /words for the speech/);
assert.deepEqual((await client.getTranscription(done.id)).result, done.result);
console.log('a file is uploaded and transcribed');

const byUrl = await client.transcribeAudio(AUDIO_URL, { content_moderation: true, chapterization: true }, quickly);
assert.equal(byUrl.status, 'done');
const translated = await client.translateAudio(AUDIO_URL, 'fr');
assert.deepEqual(translated.result.translation.results[0].languages, ['fr']);
console.log('a recording is transcribed and translated by its address');

await assert.rejects(client.transcribeAudio(FAILING_AUDIO_URL, {}, quickly), /Transcription failed/);
const stranger = new gladia.GladiaClient({ apiKey: 'somebody', baseUrl: GATEWAY_URL });
await assert.rejects(stranger.transcribeAudio(AUDIO_URL), (error) => error.statusCode === 401);
console.log('a failed job and a wrong key are told');

// It reads a body in the answer to a delete, which Gladia does not send either; the delete is done all the same.
await assert.rejects(client.deleteTranscription(done.id), (error) => error.code === 'NETWORK_ERROR');
await assert.rejects(client.getTranscription(done.id), (error) => error.statusCode === 404);
console.log('a job is deleted');

// A program written for Gladia's SDK, with base URL and key changed and nothing else.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

import { GladiaClient } from '@gladiaio/sdk';

const { GATEWAY_URL, GATEWAY_KEY, AUDIO, AUDIO_URL, SIMULATOR_URL } = process.env;
const quickly = { interval: 200 };

const at = (apiUrl, apiKey = GATEWAY_KEY) => new GladiaClient({ apiKey, apiUrl }).preRecorded();
const sdk = at(GATEWAY_URL);

async function refused(call, status) {
  try {
    await call();
  } catch (error) {
    assert.equal(error.status, status, error);
    return error;
  }
  assert.fail(`expected ${status}`);
}

const tagged = async (tag) => (await sdk.list({ custom_metadata: { tag } })).items.map((job) => job.id);

async function atGladia(tag) {
  const ledger = await (await fetch(`${SIMULATOR_URL}/_simulator/ledger`)).json();
  return ledger.jobs.filter((job) => JSON.stringify(job.custom_metadata)?.includes(tag)).length;
}

const checks = {
  async 'a file goes the whole way'() {
    const upload = await sdk.uploadFile(AUDIO);
    assert.equal(upload.audio_metadata.filename, basename(AUDIO));
    assert.equal(upload.audio_metadata.number_of_channels, 1);

    const tag = randomUUID();
    const created = await sdk.create({
      audio_url: upload.audio_url,
      diarization: true,
      subtitles: true,
      subtitles_config: { formats: ['srt', 'vtt'] },
      translation: true,
      translation_config: { target_languages: ['fr'] },
      custom_metadata: { tag, number: 7 },
    });
    assert.equal(created.result_url, `${GATEWAY_URL}/v2/pre-recorded/${created.id}`);

    const done = await sdk.poll(created.id, quickly);
    assert.equal(done.status, 'done');
    assert.equal(done.kind, 'pre-recorded');
    assert.equal(done.request_id, `G-${created.id.slice(0, 8)}`);
    assert.deepEqual(done.custom_metadata, { tag, number: 7 });
    assert.equal(done.file.filename, basename(AUDIO));
    assert.match(done.result.transcription.full_transcript, /Northwind Freight/);
    assert.equal(done.result.transcription.utterances[0].speaker, 0);
    assert.deepEqual(done.result.transcription.subtitles.map((it) => it.format), ['srt', 'vtt']);
    assert.deepEqual(done.result.translation.results[0].languages, ['fr']);
    assert.equal(done.request_params.diarization, true);
    assert.deepEqual(await sdk.get(created.id), done);

    assert.deepEqual(Buffer.from(await sdk.getFile(created.id)), readFileSync(AUDIO));
    assert.equal(await sdk.delete(created.id), true);
    await refused(() => sdk.get(created.id), 404);
    await refused(() => sdk.delete(created.id), 404);
  },

  async 'a recording is transcribed in one call'() {
    const byPath = await sdk.transcribe(AUDIO, { language_config: { languages: ['en'] } }, quickly);
    assert.match(byPath.result.transcription.full_transcript, /Northwind Freight/);
    const byUrl = await sdk.transcribe(AUDIO_URL, {}, quickly);
    assert.ok(byUrl.result.transcription.full_transcript);
    const file = new File([readFileSync(AUDIO)], 'support-call.ogg', { type: 'audio/ogg' });
    assert.equal((await sdk.transcribe(file, {}, quickly)).file.filename, 'support-call.ogg');
    const blob = new Blob([readFileSync(AUDIO)]);
    assert.equal((await sdk.transcribe(blob, {}, quickly)).status, 'done');
  },

  async 'jobs are listed by what they are'() {
    const tag = randomUUID();
    const wanted = [];
    for (const turn of [0, 1, 2]) {
      wanted.unshift((await sdk.create({ audio_url: AUDIO_URL, custom_metadata: { tag, turn } })).id);
    }
    for (const id of wanted) await sdk.poll(id, quickly);
    const mine = { custom_metadata: { tag } };
    assert.deepEqual(await tagged(tag), wanted);

    const first = await sdk.list({ ...mine, limit: 2, status: ['done', 'error'] });
    assert.equal(typeof first.first, 'string');
    assert.equal(typeof first.current, 'string');
    assert.ok(first.items[0].result.transcription.full_transcript);
    const second = await sdk.list({ url: first.next });
    assert.equal(second.next, null);
    assert.deepEqual([...first.items, ...second.items].map((job) => job.id), wanted);

    const day = first.items[0].created_at.slice(0, 10);
    assert.equal((await sdk.list({ ...mine, date: day })).items.length, 3);
    assert.equal((await sdk.list({ ...mine, after_date: `${day}T00:00:00.000Z` })).items.length, 3);
    assert.deepEqual((await sdk.list({ ...mine, before_date: '2020-01-01T00:00:00.000Z' })).items, []);
    assert.deepEqual((await sdk.list({ ...mine, status: ['queued', 'processing'] })).items, []);
    assert.deepEqual((await sdk.list({ custom_metadata: { tag, turn: '1' } })).items.map((job) => job.id), [wanted[1]]);
    assert.ok((await sdk.list()).items.length >= 3);
  },

  async 'what is wrong is said as Gladia says it'() {
    const stranger = await refused(() => at(GATEWAY_URL, 'somebody').create({ audio_url: AUDIO_URL }), 401);
    assert.match(stranger.message, /gladia user not found/);
    // Also where the file has not been read to its end.
    await refused(() => at(GATEWAY_URL, 'somebody').uploadFile(AUDIO), 401);
    const wrong = await refused(
      () => sdk.create({ audio_url: AUDIO_URL, language_config: { languages: ['xx'] } }),
      400,
    );
    assert.ok(wrong.responseBody.validation_errors.length > 0);
    assert.equal(wrong.responseBody.statusCode, 400);
    assert.match(wrong.requestId, /^G-[0-9a-f]{8}$/);
    await refused(() => sdk.createUntyped({ diarization: true }), 400);
    for (const call of [sdk.get, sdk.delete, sdk.getFile]) {
      await refused(() => call.call(sdk, randomUUID()), 404);
    }
  },

  async 'a job that runs is not deleted'() {
    const busy = await sdk.create({ audio_url: process.env.LONG_AUDIO_URL });
    await refused(() => sdk.delete(busy.id), 403);
    assert.match((await sdk.get(busy.id)).status, /^(queued|processing)$/);
  },

  async 'a job that fails says so'() {
    const { id } = await sdk.create({ audio_url: process.env.FAILING_AUDIO_URL });
    await assert.rejects(sdk.poll(id, quickly), /failed with error code: 422/);
    const failed = await sdk.get(id);
    assert.equal(failed.status, 'error');
    assert.equal(failed.result, null);
    assert.equal(await sdk.delete(id), true);
  },

  async 'the create that the SDK repeats makes one job'() {
    for (const line of ['GATEWAY_CUT_URL', 'GATEWAY_LOST_URL', 'GATEWAY_503_URL']) {
      const tag = randomUUID();
      const created = await at(process.env[line]).create({ audio_url: AUDIO_URL, custom_metadata: { tag } });
      await sdk.poll(created.id, quickly);
      assert.deepEqual(await tagged(tag), [created.id], line);
      assert.equal(await atGladia(tag), 1, line);
    }
  },

  async 'the same create twice makes two jobs'() {
    const tag = randomUUID();
    const body = { audio_url: AUDIO_URL, custom_metadata: { tag } };
    const ids = [(await sdk.create(body)).id, (await sdk.create(body)).id];
    assert.deepEqual((await tagged(tag)).sort(), ids.sort());
  },

  async 'more than the account may run wait in line'() {
    const tag = randomUUID();
    const turns = Array.from({ length: 40 }, (_, turn) => turn);
    const create = (turn) => sdk.createAndPoll({ audio_url: AUDIO_URL, custom_metadata: { tag, turn } }, quickly);
    const done = await Promise.all(turns.map(create));
    assert.equal(new Set(done.map((job) => job.id)).size, turns.length);
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log(name);
}

// The AI SDK transcribes through the gateway. Its provider asks https://api.gladia.io and trusts links to no other host, so
// the fetch that it is given puts the gateway's address in place of that one, and back.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { createGladia } from '@ai-sdk/gladia';

const { GATEWAY_URL, GATEWAY_KEY, AUDIO } = process.env;
const GLADIA_URL = 'https://api.gladia.io';

async function throughTheGateway(url, init) {
  const answer = await fetch(String(url).replace(GLADIA_URL, GATEWAY_URL), init);
  const text = (await answer.text()).replaceAll(GATEWAY_URL, GLADIA_URL);
  return new Response(text, { status: answer.status, headers: { 'content-type': 'application/json' } });
}

const model = (apiKey) => createGladia({ apiKey, fetch: throughTheGateway }).transcription();
const audio = new Uint8Array(readFileSync(AUDIO));

const done = await model(GATEWAY_KEY).doGenerate({
  audio,
  mediaType: 'audio/ogg',
  // Options that Gladia has given up, and its older form of a vocabulary, are among those that it sends.
  providerOptions: {
    gladia: {
      diarization: true,
      contextPrompt: 'A call about a shipment',
      customVocabulary: ['Northwind'],
      chapterization: false,
      subtitles: true,
      subtitlesConfig: { formats: ['srt'] },
      customMetadata: { case: 'a' },
    },
  },
});
// The client names every file audio, and by its name the simulator knows what is said.
assert.match(done.text, /words for the speech/);
assert.equal(done.language, 'en');
assert.ok(done.durationInSeconds > 32 && done.segments.length > 5);
console.log('a recording is transcribed with options of every age');

await assert.rejects(model('somebody').doGenerate({ audio, mediaType: 'audio/ogg' }), (error) => {
  assert.equal(error.statusCode ?? error.cause?.statusCode, 401, error);
  return true;
});
console.log('a wrong key is refused');

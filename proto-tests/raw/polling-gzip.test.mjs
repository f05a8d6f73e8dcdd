// gzip of polling answers: from 1024 bytes on, for clients that accept it, and only then.
import assert from 'node:assert/strict';
import { gunzipSync, inflateSync } from 'node:zlib';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { PollingSession } from '../support/engine.mjs';

const handle = conformanceWithBystanders();

/** Echoes `length` characters and polls for them, accepting `encoding`. */
async function poll(length, encoding) {
  const session = await PollingSession.open(handle.port);
  const packet = `4${'€uro '.repeat(length).slice(0, length)}`;
  await session.send(packet);
  const response = await session.get({ headers: encoding === undefined ? {} : { 'Accept-Encoding': encoding } });
  return { packet, response };
}

for (const encoding of ['gzip', 'gzip, deflate, br', 'br;q=1.0, gzip;q=0.8, *;q=0.1', 'GZIP', '*']) {
  check(`a long answer with Accept-Encoding: ${encoding}`, async () => {
    const { packet, response } = await poll(5000, encoding);
    assert.equal(response.status, 200);
    assert.equal(response.headers['content-encoding'], 'gzip');
    assert.match(response.headers['content-type'], /^text\/plain; charset=utf-8$/i);
    assert.ok(response.body.length < 1000, `compressed, not ${response.body.length} bytes`);
    assert.equal(gunzipSync(response.body).toString(), packet);
  });
}

for (const encoding of [undefined, 'identity', 'br', 'gzip;q=0', '']) {
  check(`a long answer with Accept-Encoding: ${encoding} stays as it is`, async () => {
    const { packet, response } = await poll(5000, encoding);
    assert.equal(response.headers['content-encoding'], undefined);
    assert.equal(response.text, packet);
  });
}

check('deflate alone is used rightly or not at all', async () => {
  const { packet, response } = await poll(5000, 'deflate');
  const body = response.headers['content-encoding'] === 'deflate' ? inflateSync(response.body) : response.body;
  assert.equal(body.toString(), packet);
});

check('a short answer is never compressed', async () => {
  const { packet, response } = await poll(500, 'gzip');
  assert.equal(response.headers['content-encoding'], undefined);
  assert.equal(response.text, packet);
});

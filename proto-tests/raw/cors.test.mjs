// CORS as the Fetch standard's browser needs it (cors: origin `*`): the header on every answer, and the preflight.
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { ENGINE, PollingSession, SOCKET } from '../support/engine.mjs';
import { readResponse, request } from '../support/http.mjs';

const handle = conformanceWithBystanders();
const origin = { Origin: 'https://chat.example.org' };

check('GET, POST and errors allow every origin', async () => {
  const session = await PollingSession.open(handle.port);
  const answers = [
    await session.post('4hi', { headers: origin }),
    await session.get({ headers: origin }),
    await request(handle.port, { path: `${ENGINE}?EIO=4&transport=polling&sid=nobody`, headers: origin }),
    await request(handle.port, { path: `${SOCKET}?EIO=4&transport=polling`, headers: origin }),
  ];
  assert.deepEqual(answers.map(({ status }) => status), [200, 200, 400, 200]);
  for (const { headers } of answers) {
    assert.equal(headers['access-control-allow-origin'], '*');
    assert.equal(headers['access-control-allow-credentials'], undefined, 'not together with * (Fetch, CORS protocol)');
  }
});

check('a payload that is too large is refused so that a page learns why', async () => {
  const session = await PollingSession.open(handle.port);
  for (const body of [{ 'Content-Length': '1000001' }, { 'Transfer-Encoding': 'chunked' }]) {
    const post = await session.begin({ method: 'POST', headers: { ...origin, ...body } });
    if (body['Transfer-Encoding']) post.write('f4241\r\n4');
    const { status, headers } = await readResponse(post);
    assert.deepEqual([status, headers['access-control-allow-origin']], [413, '*']);
    post.destroy();
  }
  await session.assertAlive();
});

check('preflight: 204, no body, methods and the requested headers', async () => {
  const session = await PollingSession.open(handle.port);
  for (const path of [session.target, `${SOCKET}?EIO=4&transport=polling`]) {
    const response = await request(handle.port, {
      method: 'OPTIONS', path,
      headers: { ...origin, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'content-type,x-custom' },
    });
    assert.equal(response.status, 204);
    assert.equal(response.body.length, 0);
    assert.equal(response.headers['access-control-allow-origin'], '*');
    const methods = response.headers['access-control-allow-methods'].split(/\s*,\s*/);
    for (const method of ['GET', 'POST']) assert.ok(methods.includes(method), `${method} among ${methods}`);
    const allowed = response.headers['access-control-allow-headers'].toLowerCase().split(/\s*,\s*/);
    assert.ok(allowed.includes('content-type') && allowed.includes('x-custom'), `the requested headers, not ${allowed}`);
  }
  await session.assertAlive();
});

check('a preflight opens no session and needs none', async () => {
  const response = await request(handle.port, {
    method: 'OPTIONS', path: `${ENGINE}?EIO=4&transport=polling&sid=nobody`,
    headers: { ...origin, 'Access-Control-Request-Method': 'GET' },
  });
  assert.equal(response.status, 204);
});

check('an Origin with a control character: 400, and it comes back nowhere', async () => {
  for (const bad of ['http://a\x01b', 'http://a\x7fb', '\x7f']) {
    const response = await request(handle.port, { path: `${ENGINE}?EIO=4&transport=polling`, headers: [`Origin: ${bad}`] });
    assert.equal(response.status, 400, JSON.stringify(bad));
    for (const value of Object.values(response.headers)) assert.doesNotMatch(value, /[\x01\x7f]/);
    if (response.text.startsWith('{')) assert.deepEqual(response.json(), { code: 3, message: 'Bad request' });
  }
});

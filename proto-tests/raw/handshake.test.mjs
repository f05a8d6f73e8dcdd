// The Engine.IO handshake and its six errors: exact statuses, bodies and content types (Engine.IO protocol, "Handshake";
// the codes are the reference server's).
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { ENGINE, PollingSession, SOCKET, openWebSocketSession } from '../support/engine.mjs';
import { encode, readResponse, request } from '../support/http.mjs';
import { Tcp } from '../support/tcp.mjs';
import { upgradeHeaders } from '../support/websocket.mjs';

const handle = conformanceWithBystanders();

const MESSAGES = ['Transport unknown', 'Session ID unknown', 'Bad handshake method', 'Bad request', 'Forbidden',
  'Unsupported protocol version'];

function assertError(response, code) {
  assert.equal(response.status, 400, response.text);
  assert.match(response.headers['content-type'], /^application\/json/);
  assert.deepEqual(response.json(), { code, message: MESSAGES[code] });
  assert.equal(response.headers['access-control-allow-origin'], '*', 'errors carry the CORS header too');
}

for (const path of [ENGINE, SOCKET]) {
  check(`polling handshake on ${path} has exactly the documented keys`, async () => {
    const response = await request(handle.port, { path: `${path}?EIO=4&transport=polling` });
    assert.equal(response.status, 200);
    assert.match(response.headers['content-type'], /^text\/plain; charset=utf-8$/i);
    assert.equal(response.headers['access-control-allow-origin'], '*');
    assert.equal(response.text[0], '0');
    const open = JSON.parse(response.text.slice(1));
    assert.deepEqual(Object.keys(open).sort(), ['maxPayload', 'pingInterval', 'pingTimeout', 'sid', 'upgrades']);
    const { sid, ...rest } = open;
    assert.deepEqual(rest, { upgrades: ['websocket'], pingInterval: 300, pingTimeout: 200, maxPayload: 1_000_000 });
    assert.match(sid, /^[A-Za-z0-9_-]{16,}$/, 'an id that no one can guess and that needs no escape in a URL');
  });

  check(`websocket handshake on ${path} offers no upgrade`, async () => {
    const ws = await openWebSocketSession(handle.port, path);
    const { sid, ...rest } = ws.handshake;
    assert.deepEqual(rest, { upgrades: [], pingInterval: 300, pingTimeout: 200, maxPayload: 1_000_000 });
    assert.equal(typeof sid, 'string');
    ws.destroy();
  });
}

check('session ids differ', async () => {
  const sids = new Set();
  for (let i = 0; i < 50; i++) sids.add((await PollingSession.open(handle.port)).sid);
  assert.equal(sids.size, 50);
});

const errors = [
  ['no query at all', '', 0],
  ['no transport', '?EIO=4', 0],
  ['an empty transport', '?EIO=4&transport=', 0],
  ['an unknown transport', '?EIO=4&transport=abc', 0],
  ['a transport named like a property of every object', '?EIO=4&transport=constructor', 0],
  ['an unknown sid', '?EIO=4&transport=polling&sid=abc', 1],
  ['an sid named like a property of every object', '?EIO=4&transport=polling&sid=__proto__', 1],
  ['a very long sid', `?EIO=4&transport=polling&sid=${'x'.repeat(4000)}`, 1],
  ['an sid with escaped bytes that are no UTF-8', '?EIO=4&transport=polling&sid=%ff%fe%00', 1],
  ['transport=websocket without an upgrade', '?EIO=4&transport=websocket', 3],
  ['no EIO', '?transport=polling', 5],
  ['an empty EIO', '?EIO=&transport=polling', 5],
  ['EIO=abc', '?EIO=abc&transport=polling', 5],
  ['EIO=3', '?EIO=3&transport=polling', 5],
  ['EIO=5', '?EIO=5&transport=polling', 5],
  ['EIO=04', '?EIO=04&transport=polling', 5],
  ['EIO=44', '?EIO=44&transport=polling', 5],
];
for (const [what, query, code] of errors) {
  check(`GET with ${what}: error ${code}`, async () => {
    for (const path of [ENGINE, SOCKET]) assertError(await request(handle.port, { path: path + query }), code);
  });
}

for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
  check(`${method} without a sid: error 2`, async () => {
    const response = await request(handle.port, { method, path: `${ENGINE}?EIO=4&transport=polling`, body: '' });
    assertError(response, 2);
  });
}

check('HEAD without a sid: status 400, and no body whatever it says', async () => {
  const tcp = await Tcp.open(handle.port);
  tcp.write(encode({ method: 'HEAD', path: `${ENGINE}?EIO=4&transport=polling`, headers: { Connection: 'close' } }));
  const response = await readResponse(tcp, { method: 'HEAD' });
  assert.equal(response.status, 400);
  assert.equal((await tcp.rest()).length, 0);
});

check('a sid in the handshake is never adopted', async () => {
  const chosen = 'AAAAAAAAAAAAAAAAAAAA';
  assertError(await request(handle.port, { path: `${ENGINE}?EIO=4&transport=polling&sid=${chosen}` }), 1);
  const upgrade = await request(handle.port, { path: `${ENGINE}?EIO=4&transport=websocket&sid=${chosen}`, headers: upgradeHeaders });
  assert.equal(upgrade.status, 400);
  assertError(await request(handle.port, { path: `${ENGINE}?EIO=4&transport=polling&sid=${chosen}` }), 1);
});

check('a request of an open session without EIO=4: error 3', async () => {
  for (const query of ['', 'EIO=3&', 'EIO=5&']) {
    const session = await PollingSession.open(handle.port);
    assertError(await request(handle.port, { path: `${ENGINE}?${query}transport=polling&sid=${session.sid}` }), 3);
    await session.assertAlive();
  }
});

check('transport=websocket on a polling session without an upgrade: error 3', async () => {
  const session = await PollingSession.open(handle.port);
  assertError(await request(handle.port, { path: session.upgradeTarget }), 3);
  await session.assertAlive();
});

check('the order of the query parameters and unknown ones do not matter', async () => {
  const response = await request(handle.port, { path: `${ENGINE}?t=abc123&b64=1&transport=polling&userId=%E2%82%AC&EIO=4&x` });
  assert.equal(response.status, 200, response.text);
  assert.equal(response.text[0], '0');
});

check('websocket handshake with another EIO opens no session', async () => {
  for (const query of ['transport=websocket', 'EIO=3&transport=websocket', 'EIO=abc&transport=websocket']) {
    const tcp = await Tcp.open(handle.port);
    tcp.write(encode({ path: `${ENGINE}?${query}`, headers: upgradeHeaders }));
    const everything = (await tcp.rest()).toString('latin1');
    assert.doesNotMatch(everything, /"sid"/);
    assert.match(everything, /400 Bad Request|Unsupported protocol version/);
  }
});

check('websocket handshake with an unknown transport: 400 before any upgrade', async () => {
  for (const transport of ['', 'abc', 'polling2']) {
    const response = await request(handle.port, { path: `${ENGINE}?EIO=4&transport=${transport}`, headers: upgradeHeaders });
    assert.equal(response.status, 400);
    assert.match(response.text, /Transport unknown/);
  }
});

check('paths that are not served: 404', async () => {
  for (const path of ['/', '/nope/', '/socket.i', '/engine', '/favicon.ico', '/../socket.io/', '/%2e%2e/']) {
    const response = await request(handle.port, { path: `${path}?EIO=4&transport=polling` });
    assert.equal(response.status, 404, path);
  }
});

check('an upgrade on a path that is not served is refused', async () => {
  const tcp = await Tcp.open(handle.port);
  tcp.write(encode({ path: '/nope/?EIO=4&transport=websocket', headers: upgradeHeaders }));
  const answer = await tcp.read((bytes, ended) => (bytes.length > 12 || ended ? bytes.toString('latin1') : undefined), 'an answer');
  assert.match(answer, /^$|^HTTP\/1\.1 40/, 'just the end of the connection, or a refusal');
  tcp.destroy();
});

// Settings of the Socket.IO endpoint, seen from outside: cookie, origins, path, transports, upgrades, limits.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { io } from 'socket.io-client';
import { check } from '../support/check.mjs';
import { client } from '../support/clients.mjs';
import { startNode } from '../support/server.mjs';
import { once } from '../support/wait.mjs';

const settings = {
  'socketio.path': '/chat/', 'socketio.cookie': 'sid', 'socketio.cors_origins': 'https://a.example,https://b.example',
  'socketio.cors_credentials': 'true', 'socketio.allow_upgrades': 'false', 'socketio.ping_interval': '7s',
  'socketio.max_payload': '2000', 'limits.handshakes_per_second': '40',
};
let node;
before(async () => {
  node = await startNode({ args: Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]) });
});
after(() => node.stop());

const target = (path = '/chat/') => `http://127.0.0.1:${node.port}${path}?EIO=4&transport=polling&userId=1`;
const open = (headers = {}, path) => fetch(target(path), { headers });

check('the handshake tells the settings, and sets the cookie', async () => {
  const answer = await open();
  const packet = JSON.parse((await answer.text()).slice(1));
  assert.deepEqual([packet.upgrades, packet.pingInterval, packet.maxPayload], [[], 7000, 2000]);
  assert.equal(answer.headers.get('set-cookie'), `sid=${packet.sid}; Path=/; HttpOnly; SameSite=Lax`);
});

check('named origins are told that they may, with credentials; others are not', async () => {
  for (const [origin, allowed] of [['https://a.example', 'https://a.example'], ['https://b.example', 'https://b.example'],
    ['https://a.example.evil', null], ['null', null]]) {
    const answer = await open({ Origin: origin });
    assert.equal(answer.headers.get('access-control-allow-origin'), allowed, origin);
    assert.match(answer.headers.get('vary'), /Origin/);
    assert.equal(answer.headers.get('access-control-allow-credentials'), 'true');
  }
});

check('a preflight is answered for the origin that asks', async () => {
  const answer = await fetch(target(), {
    method: 'OPTIONS', headers: { Origin: 'https://a.example', 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'x-token' },
  });
  assert.equal(answer.status, 204);
  assert.equal(answer.headers.get('access-control-allow-origin'), 'https://a.example');
  assert.equal(answer.headers.get('access-control-allow-headers'), 'x-token');
});

check('the default path is not served, the set one is, to real clients', async (t) => {
  assert.equal((await open({}, '/socket.io/')).status, 404);
  const socket = client(t, io, `http://localhost:${node.port}?userId=1`, { path: '/chat/' });
  assert.equal((await once(socket, 'connected'))[0].userId, 1);
  assert.equal(socket.io.engine.transport.name, 'polling', 'upgrades are off');
});

check('more handshakes in a second than allowed are put off, not lost', async () => {
  const answers = await Promise.all(Array.from({ length: 150 }, () => open()));
  const refused = answers.filter(({ status }) => status === 503);
  assert.ok(refused.length > 0, 'some of 150 are refused');
  assert.ok(refused.every((answer) => answer.headers.get('retry-after') === '1'));
  assert.ok(answers.some(({ status }) => status === 200));
});

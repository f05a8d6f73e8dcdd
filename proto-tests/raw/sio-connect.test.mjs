// Joining and leaving namespaces (Socket.IO protocol, "Connection to a namespace" and "Disconnection from a namespace").
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { PollingSession, SOCKET, assertSocketAlive, openSocket, openWebSocketSession } from '../support/engine.mjs';
import { OP } from '../support/websocket.mjs';

const handle = conformanceWithBystanders();
const open = () => openWebSocketSession(handle.port, SOCKET);

check('CONNECT to the default namespace: an sid of its own, then the event', async () => {
  const ws = await open();
  ws.text('40');
  const answer = await ws.receive();
  assert.match(answer, /^40\{/);
  const { sid, ...rest } = JSON.parse(answer.slice(2));
  assert.deepEqual(rest, {});
  assert.notEqual(sid, ws.handshake.sid, 'the session id is a secret of the client, the socket id is not');
  await ws.expect('42["auth",{}]');
  ws.destroy();
});

check('CONNECT with a payload', async () => {
  const ws = await openSocket(handle.port, { auth: { token: '123', nested: { a: [1, null, '€'] } } });
  await assertSocketAlive(ws);
  ws.destroy();
});

check('CONNECT with half a surrogate pair: no character, and the rest of the payload holds', async () => {
  const ws = await open();
  ws.text('40{"token":"123","name":"party \\ud83c"}');
  assert.match(await ws.receive(), /^40\{/);
  await ws.expect('42["auth",{"token":"123","name":"party \ufffd"}]');
  ws.destroy();
});

for (const packet of ['40/custom,', '40/custom']) {
  check(`CONNECT as ${packet}`, async () => {
    const ws = await open();
    ws.text(packet);
    assert.match(await ws.receive(), /^40\/custom,\{"sid":"[^"]+"\}$/);
    await ws.expect('42/custom,["auth",{}]');
    ws.text('42/custom,["message","x"]');
    await ws.expect('42/custom,["message-back","x"]');
    ws.destroy();
  });
}

check('CONNECT with a payload to a namespace', async () => {
  const ws = await openSocket(handle.port, { namespace: '/custom', auth: { token: 'abc' } });
  ws.destroy();
});

check('CONNECT over polling', async () => {
  const session = await PollingSession.open(handle.port, SOCKET);
  await session.send('40{"token":"p"}');
  assert.match(await session.next(), /^40\{"sid":"[^"]+"\}$/);
  await session.expect('42["auth",{"token":"p"}]');
});

for (const namespace of ['/nope', '/custom/', '/Custom', '/custom?x=1', '/é€', '/__proto__', `/${'n'.repeat(3000)}`]) {
  check(`CONNECT to ${namespace.slice(0, 30)}: Invalid namespace, and others still work`, async () => {
    const ws = await open();
    ws.text(`40${namespace},`);
    await ws.expect(`44${namespace},{"message":"Invalid namespace"}`);
    ws.text('40');
    assert.match(await ws.receive(), /^40\{/);
    ws.destroy();
  });
}

check('two namespaces on one connection do not hear each other', async () => {
  const ws = await openSocket(handle.port);
  ws.text('40/custom,');
  assert.match(await ws.receive(), /^40\/custom,/);
  await ws.expect('42/custom,["auth",{}]');
  ws.text('42["message","default"]');
  ws.text('42/custom,["message","custom"]');
  await ws.expect('42["message-back","default"]', '42/custom,["message-back","custom"]');
  ws.text('41/custom,');
  await assertSocketAlive(ws);
  ws.destroy();
});

async function rejoin(between) {
  const ws = await open();
  ws.text('40');
  const first = await ws.receive();
  await ws.expect('42["auth",{}]');
  ws.text('41');
  await between(ws);
  ws.text('40');
  const second = await ws.receive();
  assert.match(second, /^40\{/);
  assert.notEqual(second, first);
  ws.destroy();
}

check('a namespace that was left can be joined again, with a new sid', () => rejoin(async (ws) => {
  ws.send(OP.PING, 'has it left?');
  assert.equal((await ws.next()).opcode, OP.PONG);
}));

check('… and in the same breath', { skipOnReference: 'leaves a tick later than it joins' }, () => rejoin(async () => {}));

check('the connection stays when its last namespace is left', async () => {
  const ws = await openSocket(handle.port);
  ws.text('41');
  for (let pings = 0; pings < 5; pings++) {
    assert.equal((await ws.frame()).payload.toString(), '2');
    ws.text('3');
  }
  ws.text('40');
  assert.match(await ws.receive(), /^40\{/);
  ws.destroy();
});

const PATIENCE = 15; // pings of 300 ms; the connect timeout is 1 s

check('no CONNECT within the connect timeout: closed', async () => {
  const ws = await open();
  await ws.closed({ patience: PATIENCE });
});

check('only a CONNECT that was refused: closed too', async () => {
  const ws = await open();
  ws.text('40/nope,');
  await ws.expect('44/nope,{"message":"Invalid namespace"}');
  await ws.closed({ patience: PATIENCE });
});

check('no CONNECT on polling: closed', async () => {
  const session = await PollingSession.open(handle.port, SOCKET);
  let response;
  for (let pings = 0; pings < PATIENCE; pings++) {
    response = await session.get();
    if (response.status !== 200) break;
    if (response.text === '2') await session.tryPost('3');
  }
  assert.equal(response.status, 400);
  assert.deepEqual(response.json(), { code: 1, message: 'Session ID unknown' });
});

const tooEarly = { 'an EVENT': '42["message","x"]', 'an ACK': '430["x"]', 'a DISCONNECT': '41', 'a CONNECT_ERROR': '44{"message":"x"}' };
for (const [what, packet] of Object.entries(tooEarly)) {
  check(`${what} before CONNECT: closed`, async () => {
    const ws = await open();
    ws.text(packet);
    const { before } = await ws.closed();
    assert.deepEqual(before, []);
  });

  check(`${what} for a namespace that was not joined: closed`, async () => {
    const ws = await openSocket(handle.port);
    ws.text(packet.replace(/^4(\d)/, '4$1/custom,'));
    const { before } = await ws.closed();
    assert.deepEqual(before, []);
  });
}

check('an EVENT before CONNECT on polling: closed', async () => {
  const session = await PollingSession.open(handle.port, SOCKET);
  await session.tryPost('42["message","x"]');
  await session.assertGone();
});

check('CONNECT twice to the same namespace: closed', async () => {
  const ws = await openSocket(handle.port);
  ws.text('40');
  await ws.closed();
});

for (const payload of ['[]', '["a"]', '"text"', 'null', 'true', '{', '{"a":1', '{"a":1}x', '{a:1}', "{'a':1}"]) {
  check(`CONNECT with the payload ${payload}: closed`, async () => {
    const ws = await open();
    ws.text(`40${payload}`);
    const { before } = await ws.closed();
    assert.deepEqual(before, []);
  });
}

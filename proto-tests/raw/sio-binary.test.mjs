// Binary events and acks (Socket.IO protocol, "Binary event" and "Binary ack"): the packet that announces attachments,
// and attachments that do not fit what was announced.
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { PollingSession, SOCKET, assertSocketAlive, openSocket } from '../support/engine.mjs';
import { OP } from '../support/websocket.mjs';

const handle = conformanceWithBystanders();
const place = (num) => `{"_placeholder":true,"num":${num}}`;
const bytes = (...values) => Buffer.from(values);

/** Reads a header and `count` attachments; gives the packet's JSON with the placeholders filled by their bytes. */
async function receiveBinaryPacket(ws, prefix, count) {
  const header = await ws.receive();
  assert.ok(header.startsWith(prefix), `${prefix}… was expected, not ${header}`);
  const attachments = [];
  for (let i = 0; i < count; i++) attachments.push([...await ws.receiveBinary()]);
  return JSON.parse(header.slice(prefix.length), (_, value) => (value?._placeholder ? attachments[value.num] : value));
}

check('one attachment', async () => {
  const ws = await openSocket(handle.port);
  ws.text(`451-["message",${place(0)}]`);
  ws.binary(bytes(1, 2, 3));
  assert.deepEqual(await receiveBinaryPacket(ws, '451-', 1), ['message-back', [1, 2, 3]]);
  ws.destroy();
});

check('several attachments, nested and out of order, one of them empty', async () => {
  const ws = await openSocket(handle.port);
  ws.text(`453-["message",{"a":[${place(2)},{"b":${place(0)}}]},${place(1)},"text"]`);
  ws.binary(bytes(0));
  ws.binary(bytes());
  ws.binary(bytes(2, 2));
  assert.deepEqual(await receiveBinaryPacket(ws, '453-', 3), ['message-back', { a: [[2, 2], { b: [0] }] }, [], 'text']);
  ws.destroy();
});

check('ten attachments', async () => {
  const ws = await openSocket(handle.port);
  ws.text(`4510-["message",${Array.from({ length: 10 }, (_, i) => place(i)).join()}]`);
  for (let i = 0; i < 10; i++) ws.binary(bytes(i));
  assert.deepEqual(await receiveBinaryPacket(ws, '4510-', 10), ['message-back', ...Array.from({ length: 10 }, (_, i) => [i])]);
  ws.destroy();
});

check('an event with an ack, answered by a binary ack', async () => {
  const ws = await openSocket(handle.port);
  ws.text(`451-12["message-with-ack","x",${place(0)}]`);
  ws.binary(bytes(9));
  assert.deepEqual(await receiveBinaryPacket(ws, '461-12', 1), ['x', [9]]);
  ws.destroy();
});

check('in a namespace', async () => {
  const ws = await openSocket(handle.port, { namespace: '/custom' });
  ws.text(`451-/custom,12["message-with-ack",${place(0)}]`);
  ws.binary(bytes(9));
  assert.deepEqual(await receiveBinaryPacket(ws, '461-/custom,12', 1), [[9]]);
  ws.destroy();
});

check('a binary ack from the client', async () => {
  const ws = await openSocket(handle.port);
  ws.text('42["request-ack","q"]');
  const id = /^42(\d+)/.exec(await ws.receive())[1];
  ws.text(`461-${id}[${place(0)}]`);
  ws.binary(bytes(5, 6));
  assert.deepEqual(await receiveBinaryPacket(ws, '451-', 1), ['ack-result', [5, 6]]);
  ws.destroy();
});

check('over polling', async () => {
  const session = await PollingSession.open(handle.port, SOCKET);
  await session.send('40');
  assert.match(await session.next(), /^40\{/);
  await session.expect('42["auth",{}]');
  await session.send(`452-["message",${place(0)},${place(1)}]`, 'bAQID', 'b');
  const header = await session.next();
  assert.match(header, /^452-\["message-back",/);
  await session.expect('bAQID', 'b');
});

check('the attachments in a later POST than the packet', async () => {
  const session = await PollingSession.open(handle.port, SOCKET);
  await session.send('40');
  await session.send(`452-["message",${place(0)},${place(1)}]`);
  await session.send('bAQID');
  await session.send('bBAUG');
  assert.match(await session.next(), /^40\{/);
  await session.expect('42["auth",{}]');
  assert.match(await session.next(), /^452-\["message-back",/);
  await session.expect('bAQID', 'bBAUG');
});

check('a heartbeat between the attachments', async () => {
  const ws = await openSocket(handle.port);
  ws.text(`452-["message",${place(0)},${place(1)}]`);
  ws.binary(bytes(1));
  assert.equal((await ws.frame()).payload.toString(), '2');
  ws.text('3');
  ws.send(OP.PING, 'x');
  assert.equal((await ws.next()).opcode, OP.PONG);
  ws.binary(bytes(2));
  assert.deepEqual(await receiveBinaryPacket(ws, '452-', 2), ['message-back', [1], [2]]);
  ws.destroy();
});

check('an unknown event with attachments is passed over with them', async () => {
  const ws = await openSocket(handle.port);
  ws.text(`451-["nobody",${place(0)}]`);
  ws.binary(bytes(1));
  await assertSocketAlive(ws);
  ws.destroy();
});

check('a binary ack that nobody waits for is passed over', async () => {
  const ws = await openSocket(handle.port);
  ws.text(`461-77[${place(0)}]`);
  ws.binary(bytes(1));
  await assertSocketAlive(ws);
  ws.destroy();
});

const wrongHeaders = {
  'no attachments announced': '450-["message","x"]',
  'no number of attachments': '45-["message","x"]',
  'no dash': `451["message",${place(0)}]`,
  'nothing but a number': '451',
  'nothing at all': '45',
  'letters as number': '45a-["message","x"]',
  'a negative number': '45-1-["message","x"]',
  'a fraction': '451.5-["message","x"]',
  'a huge number': '4599999999999-["message","x"]',
  'a number with 400 digits': `45${'9'.repeat(400)}-["message","x"]`,
  'a million attachments': '451000000-["message","x"]',
  'a payload that is no array': `451-{"a":${place(0)}}`,
  'a reserved name': `451-["disconnect",${place(0)}]`,
  'an ack with a payload that is no array': '461-0{}',
};
for (const [what, packet] of Object.entries(wrongHeaders)) {
  check(`closed: ${what}`, async () => {
    const ws = await openSocket(handle.port);
    ws.text(packet);
    // Where one attachment is announced it may be judged with its header or when it is complete.
    if (/^4[56]1-/.test(packet)) ws.binary(bytes(1));
    assert.deepEqual((await ws.closed()).before, []);
  });
}

const wrongPlaces = { 'beyond the attachments': '1', negative: '-1', 'a text': '"0"', 'huge': '1e300', 'null': 'null' };
for (const [what, num] of Object.entries(wrongPlaces)) {
  check(`closed: a placeholder that is ${what}`, async () => {
    const ws = await openSocket(handle.port);
    ws.text(`451-["message",${place(num)}]`);
    ws.binary(bytes(1));
    assert.deepEqual((await ws.closed()).before, []);
  });
}

for (const [what, junk] of [['a letter', 'x'], ['a bracket', ']'], ['another packet', '\x1e42["message","forged"]']]) {
  for (const packet of [`451-["message",${place(0)}]`, `461-0[${place(0)}]`]) {
    check(`closed: ${what} behind ${packet}`, async () => {
      const ws = await openSocket(handle.port);
      ws.text(packet + junk);
      ws.binary(bytes(1));
      assert.deepEqual((await ws.closed()).before, []);
    });
  }
}

check('half a surrogate pair beside an attachment is text like any other', async () => {
  const ws = await openSocket(handle.port);
  ws.text(`451-["message",${place(0)},"party \\ud83c"]`);
  ws.binary(bytes(7));
  assert.deepEqual(await receiveBinaryPacket(ws, '451-', 1), ['message-back', [7], 'party \ud83c']);
  ws.destroy();
});

check('closed: text while an attachment is expected', async () => {
  const ws = await openSocket(handle.port);
  ws.text(`452-["message",${place(0)},${place(1)}]`);
  ws.binary(bytes(1));
  ws.text('42["message","too few"]');
  assert.deepEqual((await ws.closed()).before, []);
});

check('closed: an attachment that nobody expects', async () => {
  const ws = await openSocket(handle.port);
  ws.binary(bytes(1));
  assert.deepEqual((await ws.closed()).before, []);
});

check('closed: one attachment too many', async () => {
  const ws = await openSocket(handle.port);
  ws.text(`451-["nobody",${place(0)}]`);
  ws.binary(bytes(1));
  ws.binary(bytes(2));
  assert.deepEqual((await ws.closed()).before, []);
});

check('closed: binary before CONNECT', async () => {
  const { openWebSocketSession } = await import('../support/engine.mjs');
  const ws = await openWebSocketSession(handle.port, SOCKET);
  ws.binary(bytes(1));
  assert.deepEqual((await ws.closed()).before, []);
});

check('a connection that ends while attachments are expected', async () => {
  const ws = await openSocket(handle.port);
  ws.text(`452-["message",${place(0)},${place(1)}]`);
  ws.binary(Buffer.alloc(100_000));
  ws.destroy();
});

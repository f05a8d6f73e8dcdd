// engine.io-client on its own, without Socket.IO on top: messages, binary, the upgrade, closing, and maxPayload.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { Socket } from 'engine.io-client';
import { check } from '../support/check.mjs';
import { startServer } from '../support/server.mjs';
import { once, until } from '../support/wait.mjs';

let server;
before(async () => { server = await startServer('conformance'); });
after(() => server?.stop());

const MAX = 1_000_000;

async function open(t, transports) {
  const socket = new Socket(server.url, { path: '/engine.io/', transports });
  socket.on('error', (error) => { socket.failure = error; });
  t.after(() => socket.close());
  await once(socket, 'open');
  if (transports.length > 1) await until(() => socket.transport.name === 'websocket', 'the upgrade');
  return socket;
}

async function echo(socket, data) {
  const back = once(socket, 'message');
  socket.send(data);
  return (await back)[0];
}

for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
  const name = transports.join(' then ');

  check(`text and binary: ${name}`, async (t) => {
    const socket = await open(t, transports);
    for (const text of ['hello', '€ 😀 \u2028 \0', 'x'.repeat(300_000)]) assert.equal(await echo(socket, text), text);
    for (const bytes of [Buffer.of(0, 255), Buffer.alloc(300_000, 3)]) {
      assert.ok(bytes.equals(Buffer.from(await echo(socket, bytes))));
    }
  });

  check(`many messages in order: ${name}`, async (t) => {
    const socket = await open(t, transports);
    const back = [];
    socket.on('message', (data) => back.push(typeof data === 'string' ? Number(data) : Buffer.from(data).readUInt32BE()));
    const sent = Array.from({ length: 500 }, (_, i) => i);
    for (const i of sent) {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(i);
      socket.send(i % 2 ? String(i) : bytes);
    }
    await until(() => back.length >= sent.length, 'all came back');
    assert.deepEqual(back, sent);
  });

  check(`the client closes: ${name}`, async (t) => {
    const socket = await open(t, transports);
    const closed = once(socket, 'close');
    socket.close();
    assert.equal((await closed)[0], 'forced close');
  });

  check(`several heartbeats without a word: ${name}`, async (t) => {
    const socket = await open(t, transports);
    let pings = 0;
    socket.on('ping', () => { pings += 1; });
    await until(() => pings >= 4 || socket.readyState !== 'open', 'four heartbeats');
    assert.equal(await echo(socket, 'still'), 'still');
  });
}

check('maxPayload, websocket: the largest message goes through, one byte more closes with 1009', async (t) => {
  const socket = await open(t, ['websocket']);
  const largest = 'x'.repeat(MAX - 1);
  assert.equal(await echo(socket, largest), largest);
  assert.equal((await echo(socket, Buffer.alloc(MAX))).byteLength, MAX);
  const closed = once(socket, 'close');
  socket.send(`${largest}x`);
  const [reason, details] = await closed;
  assert.equal(reason, 'transport close');
  assert.equal(details.context.code, 1009);
});

check('maxPayload, polling: the largest message goes through, one byte more is answered with 413', async (t) => {
  const socket = await open(t, ['polling']);
  const largest = 'x'.repeat(MAX - 1);
  assert.equal(await echo(socket, largest), largest);
  const closed = once(socket, 'close');
  socket.send(`${largest}x`);
  assert.equal((await closed)[0], 'transport error');
  // The answer can be lost in the reset for what was still under way; then there is no status.
  assert.ok([413, 0].includes(socket.failure.description), `status ${socket.failure.description}`);
});

check('maxPayload, polling: many messages that are too much together are sent in several payloads', async (t) => {
  const socket = await open(t, ['polling']);
  const back = [];
  socket.on('message', (text) => back.push(text.length));
  for (let i = 0; i < 5; i++) socket.send('€'.repeat(100_000 + i));
  await until(() => back.length === 5, 'all came back');
  assert.deepEqual(back, Array.from({ length: 5 }, (_, i) => 100_000 + i));
});

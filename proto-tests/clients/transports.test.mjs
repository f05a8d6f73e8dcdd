// How a client gets to its transport: the upgrade, WebSocket first, and the ways round a network without WebSocket.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { Fetch, NodeWebSocket } from 'engine.io-client';
import { io as io48 } from 'socket.io-client';
import { check } from '../support/check.mjs';
import { ask, client, connected, connection, echo, upgraded, versions } from '../support/clients.mjs';
import { proxyWithoutWebSocket } from '../support/proxy.mjs';
import { startServer } from '../support/server.mjs';
import { once } from '../support/wait.mjs';

let server;
before(async () => { server = await startServer('conformance'); });
after(() => server?.stop());

for (const [name, io] of Object.entries(versions)) {
  check(`starts on polling, is offered websocket and takes it: ${name}`, async (t) => {
    const socket = client(t, io, server.url, { transports: ['polling', 'websocket'] });
    const seen = [];
    socket.io.once('open', () => {
      seen.push(socket.io.engine.transport.name);
      socket.io.engine.once('upgrade', (transport) => seen.push(transport.name));
    });
    await connection(socket);
    const { id } = socket;
    await upgraded(socket);
    assert.deepEqual(seen, ['polling', 'websocket']);
    assert.equal(socket.id, id);
    assert.deepEqual(await echo(socket, 'upgraded'), ['upgraded']);
  });

  check(`upgrade: false stays on polling: ${name}`, async (t) => {
    const socket = client(t, io, server.url, { upgrade: false });
    await connection(socket);
    for (let i = 0; i < 20; i++) assert.deepEqual(await ask(socket, 'message-with-ack', i), [i]);
    assert.equal(socket.io.engine.transport.name, 'polling');
  });

  check(`where no WebSocket comes through, polling goes on: ${name}`, async (t) => {
    const proxy = await proxyWithoutWebSocket(server.port);
    t.after(proxy.close);
    const socket = client(t, io, proxy.url, { transports: ['polling', 'websocket'] });
    const failure = new Promise((resolve) => socket.io.once('open', () => socket.io.engine.once('upgradeError', resolve)));
    await connection(socket);
    await failure;
    for (let i = 0; i < 5; i++) assert.deepEqual(await echo(socket, i, Buffer.of(i)).then(([n]) => n), i);
    assert.equal(socket.io.engine.transport.name, 'polling');
  });
}

check('websocket first, and polling where that fails (tryAllTransports)', async (t) => {
  const proxy = await proxyWithoutWebSocket(server.port);
  t.after(proxy.close);
  const socket = client(t, io48, proxy.url, { transports: ['websocket', 'polling'], tryAllTransports: true });
  await once(socket, 'connect');
  assert.equal(socket.io.engine.transport.name, 'polling');
  assert.deepEqual(await echo(socket, 'round about'), ['round about']);
});

check('the fetch transport, and its upgrade', async (t) => {
  const polling = await connected(t, io48, server.url, { transports: [Fetch] });
  const [bytes] = await echo(polling, Buffer.of(1, 2));
  assert.deepEqual([...bytes], [1, 2]);
  assert.equal(polling.io.engine.transport.name, 'polling');
  const upgrading = await connected(t, io48, server.url, { transports: [Fetch, NodeWebSocket] });
  assert.deepEqual(await echo(upgrading, 'up'), ['up']);
});

check('query parameters, extra headers and addTrailingSlash do not matter', async (t) => {
  const socket = await connected(t, io48, `${server.url}?userId=1`, {
    query: { x: '€&=', empty: '' }, extraHeaders: { 'X-Client': 'test' }, withCredentials: true,
    transports: ['polling', 'websocket'],
  });
  assert.deepEqual(await echo(socket, 1), [1]);
});

check('compressed polling answers', async (t) => {
  const socket = await connected(t, io48, server.url, { transports: [Fetch] });
  const long = '€uro '.repeat(20_000);
  assert.deepEqual(await echo(socket, long), [long]);
});

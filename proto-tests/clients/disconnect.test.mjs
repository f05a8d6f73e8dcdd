// Endings and new beginnings: who ended it and why, and a server that comes back on the same port.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { ask, client, connected, everyClient } from '../support/clients.mjs';
import { startServer } from '../support/server.mjs';
import { once, until } from '../support/wait.mjs';

let server;
before(async () => { server = await startServer('conformance'); });
after(() => server?.stop());

for (const [name, io, options] of everyClient) {
  check(`the client leaves, and comes again: ${name}`, async (t) => {
    const socket = await connected(t, io, server.url, options);
    const { id, io: { engine } } = socket;
    const gone = once(socket, 'disconnect');
    socket.disconnect();
    assert.equal((await gone)[0], 'io client disconnect');
    await until(() => engine.readyState === 'closed', 'the engine is closed');
    const again = once(socket, 'connect');
    socket.connect();
    await again;
    assert.notEqual(socket.id, id);
    assert.deepEqual(await ask(socket, 'message-with-ack', 'again'), ['again']);
  });

  check(`the transport is cut: ${name}`, async (t) => {
    const socket = await connected(t, io, server.url, { ...options, reconnection: true, reconnectionDelay: 10 });
    const gone = once(socket, 'disconnect');
    const again = once(socket, 'connect');
    socket.io.engine.close();
    assert.match((await gone)[0], /^(forced close|transport close)$/);
    await again;
    assert.deepEqual(await ask(socket, 'message-with-ack', 1), [1]);
  });
}

const few = everyClient.filter(([name]) => !name.includes('websocket first'));

check('the server dies: every client sees it, and reconnects when it is back on the same port', async (t) => {
  const sockets = [];
  for (const [name, io, options] of few) {
    const socket = await connected(t, io, server.url, { ...options, reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50 });
    sockets.push({ name, socket, id: socket.id });
  }
  const gone = sockets.map(({ socket }) => once(socket, 'disconnect'));
  await server.kill();
  for (const [reason] of await Promise.all(gone)) assert.match(reason, /^transport (close|error)$/);
  const held = sockets.map(({ socket }) => ask(socket, 'message-with-ack', 'kept while away'));
  const back = sockets.map(({ socket }) => once(socket, 'connect'));
  await server.launch();
  await Promise.all(back);
  for (const answer of await Promise.all(held)) assert.deepEqual(answer, ['kept while away']);
  for (const { name, socket, id } of sockets) assert.notEqual(socket.id, id, name);
});

check('the server is told to stop: every client sees it', async (t) => {
  const sockets = [];
  for (const [, io, options] of few) sockets.push(await connected(t, io, server.url, options));
  const gone = sockets.map((socket) => once(socket, 'disconnect'));
  await server.terminate();
  for (const [reason] of await Promise.all(gone)) assert.match(reason, /^(transport (close|error)|io server disconnect)$/);
  await server.launch();
});

check('a server that no longer answers: ping timeout', async (t) => {
  const sockets = [];
  for (const [, io, options] of few) sockets.push(await connected(t, io, server.url, options));
  const gone = sockets.map((socket) => once(socket, 'disconnect'));
  server.signal('SIGSTOP');
  t.after(() => server.signal('SIGCONT'));
  for (const [reason] of await Promise.all(gone)) assert.equal(reason, 'ping timeout');
});

check('a client stays over several heartbeats, on both transports', async (t) => {
  const sockets = [];
  for (const [name, io, options] of everyClient) {
    const socket = await connected(t, io, server.url, options);
    socket.pings = 0;
    socket.io.engine.on('packet', ({ type }) => { if (type === 'ping') socket.pings += 1; });
    socket.once('disconnect', (reason) => { socket.lost = `${name}: ${reason}`; });
    sockets.push(socket);
  }
  await until(() => sockets.every(({ pings, lost }) => lost || pings >= 4), 'four heartbeats of each').catch((error) => {
    throw new Error(`${error.message}: ${sockets.map(({ pings }) => pings)}`);
  });
  for (const socket of sockets) {
    assert.equal(socket.lost, undefined);
    assert.deepEqual(await ask(socket, 'message-with-ack', 'alive'), ['alive']);
  }
});

check('nobody there: connect_error, and the client connects once somebody is', async (t) => {
  await server.kill();
  const sockets = few.map(([, io, options]) => client(t, io, server.url, { ...options, reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50 }));
  await Promise.all(sockets.map((socket) => once(socket, 'connect_error')));
  const back = sockets.map((socket) => once(socket, 'connect'));
  await server.launch();
  await Promise.all(back);
});

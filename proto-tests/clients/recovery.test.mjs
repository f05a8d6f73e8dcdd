// Connection state recovery: a client that was cut off comes back to its id and its rooms, and gets what it has missed.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { ask, client, connected, connection, everyClient, versions } from '../support/clients.mjs';
import { startServer } from '../support/server.mjs';
import { once } from '../support/wait.mjs';

let server;
before(async () => { server = await startServer('conformance', ['recovery']); });
after(() => server?.stop());

const clients = everyClient.filter(([name]) => name.includes('4.8'));
const io = versions['socket.io-client 4.8'];

/** Notes events named `said`, without the offset that comes as their last argument. */
function noting(socket) {
  const said = [];
  socket.on('said', (...args) => said.push(args.slice(0, -1)));
  return said;
}

/** Waits until a client has got all that was sent to it before. */
const settled = (socket) => ask(socket, 'message-with-ack', 'settled');

for (const [name, , options] of clients) {
  check(`a client that was cut off misses nothing: ${name}`, async (t) => {
    const room = `room of ${name}`;
    const speaker = await connected(t, io, server.url);
    const socket = await connected(t, io, server.url, options);
    const { id } = socket;
    const said = noting(socket);
    assert.equal(socket.recovered, false);
    await ask(socket, 'join', room);
    await ask(speaker, 'say', room, 'said', 'here');
    await settled(socket);

    for (let round = 1; round <= 3; round++) {
      const gone = once(socket, 'disconnect');
      socket.io.engine.close();
      await gone;
      await ask(speaker, 'say', room, 'said', `missed ${round}`);
      await ask(speaker, 'say', 'another room', 'said', 'not mine');
      await ask(speaker, 'say', id, 'said', { binary: Buffer.from([round, 2, 3]) });
      socket.connect();
      await connection(socket);
      assert.equal(socket.recovered, true);
      assert.equal(socket.id, id);
      await ask(speaker, 'say', room, 'said', `live ${round}`);
      await settled(socket);
      assert.deepEqual(await ask(socket, 'state'), [true, [room]]);
    }
    const expected = [1, 2, 3].flatMap((n) => [[`missed ${n}`], [{ binary: Buffer.from([n, 2, 3]) }], [`live ${n}`]]);
    assert.deepEqual(said, [['here'], ...expected]);
  });

  check(`closed for a shutdown, a client comes back by itself: ${name}`, async (t) => {
    const speaker = await connected(t, io, server.url);
    const socket = await connected(t, io, server.url, { ...options, reconnection: true, reconnectionDelay: 100 });
    const { id } = socket;
    const said = noting(socket);
    const [last, gone, again] = ['last', 'disconnect', 'connect'].map((event) => once(socket, event));
    socket.emit('shutdown');
    assert.equal((await last)[0], 'word');
    await gone;
    await ask(speaker, 'say', id, 'said', 'meanwhile');
    await again;
    assert.equal(socket.recovered, true);
    assert.equal(socket.id, id);
    await settled(socket);
    assert.deepEqual(said, [['meanwhile']]);
  });
}

check('namespaces come back, each for itself', async (t) => {
  const speaker = await connected(t, io, `${server.url}/custom`);
  const root = client(t, io, server.url, { forceNew: false, autoConnect: false });
  const custom = root.io.socket('/custom');
  const connects = [once(root, 'connect'), once(custom, 'connect')];
  root.connect();
  custom.connect();
  await Promise.all(connects);
  const ids = [root.id, custom.id];
  assert.notEqual(ids[0], ids[1]);
  await Promise.all([settled(root), settled(custom)]);
  const said = [noting(root), noting(custom)];
  const gone = [once(root, 'disconnect'), once(custom, 'disconnect')];
  root.io.engine.close();
  await Promise.all(gone);
  await ask(speaker, 'say', ids[1], 'said', 'to custom');
  await ask(speaker, 'say', ids[0], 'said', 'to nobody of this namespace');
  root.connect();
  custom.connect();
  await Promise.all([connection(root), connection(custom)]);
  assert.deepEqual([root.recovered, custom.recovered], [true, true]);
  assert.deepEqual([root.id, custom.id], ids);
  await Promise.all([settled(root), settled(custom)]);
  assert.deepEqual(said, [[], [['to custom']]]);
});

check('who left on purpose begins anew', async (t) => {
  const socket = await connected(t, io, server.url);
  const { id } = socket;
  await ask(socket, 'join', 'room');
  const gone = once(socket, 'disconnect');
  socket.disconnect();
  await gone;
  socket.connect();
  await connection(socket);
  assert.equal(socket.recovered, false);
  assert.notEqual(socket.id, id);
  assert.deepEqual(await ask(socket, 'state'), [false, []]);
});

for (const version of ['socket.io-client 4.0', 'socket.io-client 3.1']) {
  check(`an older client gets one argument more, and begins anew: ${version}`, async (t) => {
    const socket = await connected(t, versions[version], server.url);
    const { id } = socket;
    const back = once(socket, 'message-back');
    socket.emit('message', 1, 'two');
    const args = await back;
    assert.deepEqual(args.slice(0, 2), [1, 'two']);
    assert.equal(typeof args[2], 'string');
    const gone = once(socket, 'disconnect');
    socket.io.engine.close();
    await gone;
    socket.connect();
    await connection(socket);
    assert.notEqual(socket.id, id);
  });
}

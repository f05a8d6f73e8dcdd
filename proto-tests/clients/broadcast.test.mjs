// The echo server: a broadcast reaches every client of the namespace once, whatever its version and transport, and text
// and binary acks come back to the one who asked.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { ask, connected, everyClient } from '../support/clients.mjs';
import { startServer } from '../support/server.mjs';
import { until } from '../support/wait.mjs';

let server;
before(async () => { server = await startServer('echo'); });
after(() => server?.stop());

check('every client hears every broadcast, once and in order', async (t) => {
  const sockets = await Promise.all(everyClient.map(([, io, options]) => connected(t, io, server.url, options)));
  const heard = sockets.map(() => []);
  sockets.forEach((socket, i) => socket.on('bcast', (...args) => heard[i].push(args)));
  const sent = [];
  for (let i = 0; i < 100; i++) sent.push([i, `text ${i} €`, { nested: [i] }]);
  for (const args of sent) sockets[1].emit('bcast', ...args);
  await until(() => heard.every((list) => list.length >= sent.length), 'all broadcasts are heard');
  heard.forEach((list, i) => assert.deepEqual(list, sent, everyClient[i][0]));
});

check('a binary broadcast', async (t) => {
  const sockets = await Promise.all(everyClient.map(([, io, options]) => connected(t, io, server.url, options)));
  const heard = sockets.map(() => []);
  sockets.forEach((socket, i) => socket.on('bcast', (name, bytes, { more }) => heard[i].push([name, [...bytes], [...more]])));
  sockets[0].emit('bcast', 'bytes', Buffer.of(1, 2), { more: Buffer.of(3) });
  await until(() => heard.every((list) => list.length >= 1), 'the broadcast is heard');
  for (const list of heard) assert.deepEqual(list, [['bytes', [1, 2], [3]]]);
});

check('echo answers who asked', async (t) => {
  const sockets = await Promise.all(everyClient.map(([, io, options]) => connected(t, io, server.url, options)));
  const answers = await Promise.all(sockets.map((socket, i) => ask(socket, 'echo', i, { i }, Buffer.of(i))));
  answers.forEach(([number, object, bytes], i) => assert.deepEqual([number, object, [...bytes]], [i, { i }, [i]]));
});

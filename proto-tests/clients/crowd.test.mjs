// 1,000 clients at once, of every version and transport mode: each gets its own echo, and each hears one broadcast.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { ask, connected, everyClient } from '../support/clients.mjs';
import { startServer } from '../support/server.mjs';
import { until } from '../support/wait.mjs';

const COUNT = 1000;
const CONNECTING_AT_ONCE = 50;

let server;
before(async () => { server = await startServer('echo'); });
after(() => server?.stop());

check('a thousand clients', { timeout: 120_000 }, async (t) => {
  const sockets = [];
  for (let i = 0; i < COUNT; i += CONNECTING_AT_ONCE) {
    sockets.push(...await Promise.all(Array.from({ length: CONNECTING_AT_ONCE }, (_, n) => {
      const [, io, options] = everyClient[(i + n) % everyClient.length];
      return connected(t, io, server.url, options);
    })));
  }
  assert.equal(new Set(sockets.map(({ id }) => id)).size, COUNT);

  for (let round = 0; round < 3; round++) {
    const answers = await Promise.all(sockets.map((socket, i) => ask(socket, 'echo', round, i, `client ${i}`)));
    answers.forEach((answer, i) => assert.deepEqual(answer, [round, i, `client ${i}`]));
  }

  const heard = new Array(COUNT).fill(0);
  sockets.forEach((socket, i) => socket.on('bcast', (word) => { heard[i] += word === 'everyone'; }));
  sockets[0].emit('bcast', 'everyone');
  await until(() => heard.every((times) => times >= 1), 'every client hears the broadcast', 30_000);
  assert.deepEqual(await ask(sockets[COUNT - 1], 'echo', 'after'), ['after']);
  assert.deepEqual(heard.filter((times) => times !== 1), []);
});

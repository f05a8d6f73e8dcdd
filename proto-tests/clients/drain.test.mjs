// A server that goes away on purpose: what it said before arrives, and the client comes back by itself.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { ask, connected, everyClient } from '../support/clients.mjs';
import { startServer } from '../support/server.mjs';
import { once } from '../support/wait.mjs';

let server;
// A client that stands still for longer than a short heartbeat allows is rightly closed, and has heard nothing.
before(async () => { server = await startServer('conformance', ['patient']); });
after(() => server?.stop());

for (const [name, io, options] of everyClient) {
  check(`closed for a shutdown: ${name}`, async (t) => {
    const socket = await connected(t, io, server.url, { ...options, reconnection: true, reconnectionDelay: 10 });
    const { id } = socket;
    const [last, gone, again] = ['last', 'disconnect', 'connect'].map((event) => once(socket, event));
    socket.emit('shutdown');
    assert.deepEqual(await last, ['word']);
    assert.equal((await gone)[0], 'transport close');
    await again;
    assert.notEqual(socket.id, id);
    assert.deepEqual(await ask(socket, 'message-with-ack', 1), [1]);
  });
}

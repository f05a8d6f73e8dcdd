// Who may connect (SPEC, section 3, open authentication): `?userId=` from 1 to 2^53-1, anything else is a connect_error
// with a code.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { io } from 'socket.io-client';
import { check } from '../support/check.mjs';
import { client, modes } from '../support/clients.mjs';
import { device } from '../support/im.mjs';
import { startNode } from '../support/server.mjs';
import { once } from '../support/wait.mjs';

let node;
before(async () => { node = await startNode(); });
after(() => node?.stop());

const wrong = ['', '?userId=', '?userId=0', '?userId=-1', '?userId=abc', '?userId=1.5', '?userId=9007199254740992',
  '?userId=99999999999999999999', '?userId=1%00', '?userId=%F0%9F%98%80', '?user=1', '?userId=1e3'];
for (const query of wrong) {
  check(`refused: ${query || 'no userId'}`, async (t) => {
    for (const mode of Object.values(modes)) {
      const socket = client(t, io, `http://localhost:${node.port}${query}`, mode);
      socket.once('connect', () => { socket.wasConnected = true; });
      const [error] = await once(socket, 'connect_error');
      assert.equal(typeof error.message, 'string');
      assert.match(error.data?.code ?? '', /^\w+$/, 'connect_error has data.code');
      assert.equal(socket.wasConnected, undefined);
      socket.disconnect();
    }
  });
}

for (const userId of [1, 2 ** 31, 2 ** 53 - 1]) {
  check(`user ${userId} is welcome`, async (t) => {
    const socket = await device(t, node, userId);
    assert.equal(socket.connected, true);
  });
}

check('the reference page\'s way: userId in the query option', async (t) => {
  const socket = client(t, io, `http://localhost:${node.port}`, { query: { userId: 5 }, transports: ['polling', 'websocket'] });
  assert.equal((await once(socket, 'connected'))[0].userId, 5);
});

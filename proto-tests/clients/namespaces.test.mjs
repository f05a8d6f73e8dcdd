// Several namespaces on one connection, refused ones, and leaving one without the others.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { ask, client, connected, connection, echo, everyClient } from '../support/clients.mjs';
import { startServer } from '../support/server.mjs';
import { once } from '../support/wait.mjs';

let server;
before(async () => { server = await startServer('conformance'); });
after(() => server?.stop());

for (const [name, io, options] of everyClient) {
  check(`two namespaces share one connection: ${name}`, async (t) => {
    const main = await connected(t, io, server.url, options);
    const custom = main.io.socket('/custom', { auth: { token: 'custom' } });
    const auth = once(custom, 'auth');
    await connection(custom);
    assert.deepEqual(await auth, [{ token: 'custom' }]);
    assert.notEqual(custom.id, main.id);
    assert.equal(custom.io.engine, main.io.engine);
    const heard = [];
    main.on('message-back', (value) => heard.push(['main', value]));
    custom.on('message-back', (value) => heard.push(['custom', value]));
    await Promise.all([echo(main, 'm'), echo(custom, 'c')]);
    assert.deepEqual(heard.sort(), [['custom', 'c'], ['main', 'm']]);
    const [bytes] = await ask(custom, 'message-with-ack', Buffer.of(1, 2));
    assert.deepEqual([...bytes], [1, 2]);
  });

  check(`leaving one namespace keeps the other, and it can be joined again: ${name}`, async (t) => {
    const main = await connected(t, io, server.url, options);
    const custom = main.io.socket('/custom');
    await connection(custom);
    const gone = once(custom, 'disconnect');
    custom.disconnect();
    assert.equal((await gone)[0], 'io client disconnect');
    assert.deepEqual(await ask(main, 'message-with-ack', 'still'), ['still']);
    await connection(custom.connect());
    assert.deepEqual(await ask(custom, 'message-with-ack', 'again'), ['again']);
  });

  check(`an unknown namespace is a connect_error, beside one that works: ${name}`, async (t) => {
    const main = await connected(t, io, server.url, options);
    for (const wrong of ['/nope', '/日本']) {
      const socket = main.io.socket(wrong);
      const [error] = await once(socket, 'connect_error');
      assert.equal(error.message, 'Invalid namespace');
      assert.equal(socket.connected, false);
    }
    assert.deepEqual(await ask(main, 'message-with-ack', 'fine'), ['fine']);
  });

  check(`a namespace by URL: ${name}`, async (t) => {
    const socket = await connected(t, io, `${server.url}/custom`, options);
    assert.deepEqual(await ask(socket, 'message-with-ack', 1), [1]);
    const refused = client(t, io, `${server.url}/nope`, options);
    assert.equal((await once(refused, 'connect_error'))[0].message, 'Invalid namespace');
  });
}

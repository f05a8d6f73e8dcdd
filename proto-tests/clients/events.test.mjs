// Events and acks, text and binary, both ways: every client version over every transport mode.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { ask, connected, client, echo, everyClient } from '../support/clients.mjs';
import { startServer } from '../support/server.mjs';
import { once } from '../support/wait.mjs';

let server;
before(async () => { server = await startServer('conformance'); });
after(() => server?.stop());

const deep = (levels) => (levels === 0 ? 'bottom' : levels % 2 ? [deep(levels - 1)] : { in: deep(levels - 1) });

const texts = [
  [], [''], [null], [0, -0.5, 1.7976931348623157e308, 5e-324, 2 ** 53], [true, false],
  ['\ud83d\ude00 é € \u2028 \u2029 \0 \x1e \x7f " \\ /'], ['\u{1f468}\u200d\u{1f469}\u200d\u{1f467}'],
  [{ a: { b: { c: [1, [2, [3]]] } } }, [], {}], [deep(100)], ['x'.repeat(100_000)],
  [{ _placeholder: 'no', num: 0 }], [Array.from({ length: 1000 }, (_, i) => ({ i }))],
];

for (const [name, io, options] of everyClient) {
  check(`text events come back: ${name}`, async (t) => {
    const socket = await connected(t, io, server.url, options);
    for (const args of texts) assert.deepEqual(await echo(socket, ...args), args);
  });

  check(`binary events come back, nested too: ${name}`, async (t) => {
    const socket = await connected(t, io, server.url, options);
    for (const bytes of [Buffer.alloc(0), Buffer.of(0, 255, 128), Buffer.alloc(200_000, 7)]) {
      const [back] = await echo(socket, bytes);
      assert.ok(bytes.equals(Buffer.from(back)), `${bytes.length} bytes`);
    }
    const [text, nested, list] = await echo(socket, 'text', { a: { b: [1, Buffer.of(1)] } }, [Buffer.of(2), Buffer.of(3)]);
    assert.equal(text, 'text');
    assert.deepEqual([...nested.a.b[1]], [1]);
    assert.deepEqual(list.map((item) => [...item]), [[2], [3]]);
    const view = new Uint8Array([9, 8, 7, 6]).subarray(1, 3);
    assert.deepEqual([...(await echo(socket, view))[0]], [8, 7]);
  });

  check(`acks both ways, with binary: ${name}`, async (t) => {
    const socket = await connected(t, io, server.url, options);
    for (const args of texts) assert.deepEqual(await ask(socket, 'message-with-ack', ...args), args);
    const [back] = await ask(socket, 'message-with-ack', Buffer.of(4, 5));
    assert.deepEqual([...back], [4, 5]);

    socket.on('ack-me', (...args) => args.pop()(...args, 'answered', Buffer.of(6)));
    socket.emit('request-ack', 1, 'two');
    const [one, two, word, bytes] = await once(socket, 'ack-result');
    assert.deepEqual([one, two, word, [...bytes]], [1, 'two', 'answered', [6]]);
  });

  check(`many acks at once find their own callback: ${name}`, async (t) => {
    const socket = await connected(t, io, server.url, options);
    const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => ask(socket, 'message-with-ack', i, i % 3 ? i : Buffer.of(i % 256))));
    answers.forEach(([i], at) => assert.equal(i, at));
  });

  check(`auth payload: ${name}`, async (t) => {
    for (const auth of [{ token: 'abc', nested: { list: [1, '€'] } }, (give) => give({ token: 'abc', nested: { list: [1, '€'] } })]) {
      const socket = client(t, io, server.url, { ...options, auth });
      assert.deepEqual(await once(socket, 'auth'), [{ token: 'abc', nested: { list: [1, '€'] } }]);
    }
    assert.deepEqual(await once(client(t, io, server.url, options), 'auth'), [{}]);
  });

  check(`odd event names disturb nothing: ${name}`, async (t) => {
    const socket = await connected(t, io, server.url, options);
    for (const event of ['', '0', '日本', 'with "quotes"', '__proto__', 'a,b', 'x'.repeat(2000), 42]) socket.emit(event, 1, Buffer.of(1));
    assert.deepEqual(await ask(socket, 'message-with-ack', 'after'), ['after']);
  });
}

const newest = everyClient.filter(([name]) => name.includes('4.8'));
for (const [name, io, options] of newest) {
  check(`timeout() and emitWithAck: ${name}`, async (t) => {
    const socket = await connected(t, io, server.url, options);
    assert.equal(await socket.emitWithAck('message-with-ack', 'x'), 'x');
    assert.equal(await socket.timeout(10_000).emitWithAck('message-with-ack', 'y'), 'y');
    await assert.rejects(socket.timeout(1).emitWithAck('nobody listens'), /timed out/);
    assert.equal(await socket.emitWithAck('message-with-ack', 'after'), 'after');
  });

  check(`volatile events arrive on an idle connection and wait for none that is gone: ${name}`, async (t) => {
    const socket = await connected(t, io, server.url, options);
    // One that is lost because the transport was just busy may be sent again: that is what volatile means.
    const back = once(socket, 'message-back');
    let sent = 0;
    const again = setInterval(() => socket.volatile.emit('message', ++sent), 50);
    t.after(() => clearInterval(again));
    assert.ok((await back)[0] >= 1);
    clearInterval(again);
    socket.disconnect();
    socket.volatile.emit('message', 'lost');
    socket.emit('message', 'kept');
    const [first] = await new Promise((resolve) => {
      socket.on('message-back', (...args) => resolve(args));
      socket.connect();
    });
    assert.equal(first, 'kept');
  });
}

// What was acked is there: after an orderly restart, and after kill -9 in the middle of a burst (SPEC, section 4,
// promises 1 and 2).
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { assertGapless, device, history, sendText } from '../support/im.mjs';
import { startNode } from '../support/server.mjs';
import { until } from '../support/wait.mjs';

let node;
before(async () => { node = await startNode(); });
after(() => node?.stop());

check('after a restart on the same folder every message is there, and seq goes on', async (t) => {
  const sender = await device(t, node, 101);
  const sent = [];
  for (let i = 0; i < 10; i++) sent.push(await sendText(sender, 102, `before ${i}`, { clientMessageId: `m${i}` }));
  await node.terminate();
  await node.launch();
  const [one, two] = [await device(t, node, 101), await device(t, node, 102)];
  assert.deepEqual(await history(two, sent[0].conversation), sent);
  assert.deepEqual(await sendText(one, 102, 'before 3', { clientMessageId: 'm3' }), sent[3], 'the first message, after a restart too');
  assert.equal((await sendText(two, 101, 'after')).seq, 11);
});

check('SIGTERM ends the node with exit code 0', async (t) => {
  const socket = await device(t, node, 103);
  await sendText(socket, 104, 'last word');
  node.terminate();
  assert.deepEqual(await node.exit, { code: 0, signal: null });
  await node.launch();
});

/** Pairs that write to each other at once: two devices for each conversation, both directions. */
const pairs = [[201, 202], [203, 204], [201, 203]];

for (let round = 1; round <= 3; round++) {
  check(`kill -9 in the middle of a burst, round ${round}: nothing acked is lost, nothing is repeated, no gap`, async (t) => {
    const acked = new Map(); // clientMessageId -> stored message
    const sent = new Map(); // clientMessageId -> [sender, receiver, content]
    const pushed = [];
    const senders = [];
    for (const [at, pair] of pairs.entries()) {
      for (const [from, to] of [pair, pair.toReversed?.() ?? [...pair].reverse()]) {
        const socket = await device(t, node, from, at % 2 ? 'websocket only' : 'polling then upgrade');
        socket.on('private_message', (message) => pushed.push(message));
        senders.push({ socket, from, to });
      }
    }

    let number = 0;
    let dead = false;
    const burst = ({ socket, from, to }) => {
      if (dead) return;
      const clientMessageId = `r${round}-${number++}`;
      const content = `${clientMessageId} ${'x'.repeat(number % 300)}`;
      sent.set(clientMessageId, [from, to, content]);
      socket.emit('send_message', { toUserId: to, messageType: 1, content, clientMessageId }, (answer) => {
        if (!answer.success) return;
        acked.set(clientMessageId, answer.data);
        burst({ socket, from, to });
      });
    };
    for (const sender of senders) for (let window = 0; window < 8; window++) burst(sender);
    await until(() => acked.size >= 200 * round, 'the burst is under way');
    await node.kill();
    dead = true;
    await node.launch();

    const devices = new Map();
    for (const user of new Set(pairs.flat())) devices.set(user, await device(t, node, user));
    const conversations = [...new Set([...acked.values()].map(({ conversation }) => conversation))];
    assert.equal(conversations.length, pairs.length);
    const ours = ({ clientMessageId }) => sent.has(clientMessageId);
    const readAll = async () => {
      const stored = new Map();
      for (const conversation of conversations) {
        const [sample] = [...acked.values()].filter((message) => message.conversation === conversation);
        const messages = await history(devices.get(sample.fromUserId), conversation, 100);
        assertGapless(messages);
        for (const message of messages.filter(ours)) {
          assert.ok(!stored.has(message.clientMessageId), `${message.clientMessageId} is stored twice`);
          assert.equal(message.content, sent.get(message.clientMessageId)[2]);
          stored.set(message.clientMessageId, message);
        }
      }
      return stored;
    };

    const stored = await readAll();
    for (const [id, message] of acked) assert.deepEqual(stored.get(id), message, `${id} was acked`);
    for (const message of pushed.filter(ours)) assert.deepEqual(stored.get(message.clientMessageId), message, 'what was pushed had been stored');

    // The clients send again what was not acked, as they would: then everything is there, still once.
    for (const [id, [from, to, content]] of sent) {
      if (acked.has(id)) continue;
      const message = await sendText(devices.get(from), to, content, { clientMessageId: id });
      if (stored.has(id)) assert.deepEqual(message, stored.get(id));
    }
    assert.equal((await readAll()).size, sent.size);
  });
}

// Users on different nodes write to each other as if there were one (SPEC, section 4, promises 1 to 3).
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { crowd, patience, survive } from '../support/faults.mjs';
import { assertGapless, assertMessage, device, history, sendText } from '../support/im.mjs';
import { until } from '../support/wait.mjs';

let cluster;
let one, two, three;
before(async () => {
  cluster = await startCluster();
  [one, two, three] = cluster.nodes;
});
after(() => cluster?.stop());

check('user 1 on node 1 and user 2 on node 2 exchange messages', async (t) => {
  const [first, second] = [await device(t, one, 101), await device(t, two, 102)];
  const hello = await sendText(first, 102, 'hello');
  assertMessage(hello, { seq: 1, fromUserId: 101, toUserId: 102, content: 'hello' });
  await until(() => second.inbox.length === 1, 'the message is pushed on the other node');
  assert.deepEqual(second.inbox, [hello]);
  const reply = await sendText(second, 101, 'hello yourself');
  assert.equal(reply.seq, 2);
  assert.equal(reply.conversation, hello.conversation);
  await until(() => first.inbox.length === 1, 'the reply is pushed back');
  assert.deepEqual(first.inbox, [reply]);
});

check('a message reaches all other devices of both users, on whichever nodes, once', async (t) => {
  const senders = [await device(t, one, 111), await device(t, two, 111, 'polling only'), await device(t, one, 111, 'websocket only')];
  const receivers = [await device(t, one, 112), await device(t, two, 112), await device(t, three, 112, 'polling only')];
  const sent = [];
  for (let i = 0; i < 20; i++) sent.push(await sendText(senders[0], 112, `number ${i}`));
  for (const other of [...senders.slice(1), ...receivers]) {
    await until(() => other.inbox.length >= 20, 'everything is pushed');
    assert.deepEqual(other.inbox, sent);
  }
  assert.deepEqual(senders[0].inbox, [], 'the sending device has its acks');
});

check('what was missed is there on any node', async (t) => {
  const sender = await device(t, one, 121);
  const sent = [];
  for (let i = 0; i < 30; i++) sent.push(await sendText(sender, 122, `while you were away ${i}`));
  assert.deepEqual(await history(await device(t, three, 122), sent[0].conversation, 10), sent);
});

check('the same clientMessageId never stores twice, on whichever nodes it is sent', async (t) => {
  const devices = await Promise.all([one, two, three].map((node) => device(t, node, 131)));
  for (let round = 0; round < 5; round++) {
    const stored = await Promise.all(devices.map((socket) => sendText(socket, 132, 'once', { clientMessageId: `same-${round}` })));
    for (const message of stored) assert.deepEqual(message, stored[0]);
    assert.equal(stored[0].seq, round + 1);
  }
});

check('seq has no gap and grows for everyone, when a conversation is written to on all nodes at once', async (t) => {
  const writers = await Promise.all([[one, 141], [two, 142], [three, 141], [one, 142]].map(([node, user]) => device(t, node, user)));
  const sent = await Promise.all(writers.map(async (socket, i) => {
    const messages = [];
    for (let n = 0; n < 40; n++) messages.push(await sendText(socket, i % 2 ? 141 : 142, `${i} ${n}`));
    return messages;
  }));
  const everything = await history(writers[0], sent[0][0].conversation);
  assertGapless(everything);
  assert.equal(everything.length, 160);
  for (const [i, socket] of writers.entries()) {
    const others = everything.filter(({ content }) => !content.startsWith(`${i} `));
    await until(() => socket.inbox.length >= others.length, 'everything is pushed');
    assert.deepEqual(socket.inbox, others, `device ${i} received all others' messages, in order, once`);
  }
});

check('a fourth node joins a running cluster', async (t) => {
  const four = await cluster.addNode();
  const [old, young] = [await device(t, two, 151), await device(t, four, 152)];
  const [there, back] = [await sendText(old, 152, 'welcome'), await sendText(young, 151, 'thanks')];
  await until(() => old.inbox.length === 1 && young.inbox.length === 1, 'both are pushed');
  assert.deepEqual([young.inbox, old.inbox], [[there], [back]]);
});

check('nothing is lost, doubled or disordered under load, and nobody has to connect again', patience, async (t) => {
  const ledger = await crowd(t, cluster);
  await survive(t, ledger, () => {}, { steady: ledger.devices });
});

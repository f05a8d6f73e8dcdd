// A group has members on all three nodes: each online member gets each of its messages, the one who sent it too.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { done } from '../support/ask.mjs';
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { patience, survive } from '../support/faults.mjs';
import { command, createGroup, device, refused } from '../support/im.mjs';
import { Ledger } from '../support/ledger.mjs';
import { heard, listener, send, settled } from '../support/listener.mjs';
import { until } from '../support/wait.mjs';

let cluster;
before(async () => { cluster = await startCluster(); });
after(() => cluster?.stop());

check('a message to a group reaches its members on every node, and nobody else', async (t) => {
  const [one, two, three] = cluster.nodes;
  const groupId = await createGroup(two, 1, [2, 3]);
  const members = [await device(t, one, 1), await device(t, two, 2, 'polling only'), await device(t, three, 3), await device(t, one, 3)];
  const stranger = await device(t, two, 4);
  const inboxes = [...members, stranger].map((socket) => {
    const inbox = [];
    socket.on('group_message', (message) => inbox.push(message));
    return inbox;
  });
  const send = async (socket, content) => {
    const answer = await command(socket, 'send_message', { groupId, messageType: 1, content });
    assert.equal(answer.success, true, JSON.stringify(answer));
    return answer.data;
  };
  const sent = [];
  for (const [i, member] of members.entries()) sent.push(await send(member, `from member ${i}`));
  assert.deepEqual(sent.map(({ seq }) => seq), [1, 2, 3, 4]);
  for (const inbox of inboxes.slice(0, -1)) {
    await until(() => inbox.length >= sent.length, 'the group messages are pushed to every member');
    assert.deepEqual(inbox, sent);
  }
  await refused(stranger, 'send_message', { groupId, messageType: 1, content: 'let me in' });
  assert.deepEqual(inboxes.at(-1), []);
});

check('who is put out while a node is cut off from Redis is out everywhere once it is back', async (t) => {
  const [one, two, three] = cluster.nodes;
  const [owner, guest, away] = [21, 22, 23];
  const groupId = await createGroup(one, owner, [guest, away]);
  const [sender, listening, cutOff] = [await listener(t, two, owner), await listener(t, two, guest), await listener(t, one, away)];
  const { conversation } = await send(sender, { groupId }, 'before');
  for (const socket of [listening, cutOff]) await until(() => heard(socket, 'group_message').length === 1, 'both are in');
  one.line.refuse();
  t.after(() => one.line.mend());
  await until(async () => !(await fetch(`${one.httpUrl}/readyz`)).ok, 'node 1 notices');
  await done(one, owner, 'POST', '/group/kick', { groupId, userId: guest }); // node 2 can't be told
  await done(two, owner, 'POST', '/group/kick', { groupId, userId: away }); // nor node 1
  for (const socket of [listening, cutOff]) {
    assert.equal(await refused(socket, 'sync_messages', { conversation, afterSeq: 0 }), 'not_a_member');
    assert.equal(await refused(socket, 'send_message', { groupId, messageType: 1, content: 'let me' }), 'not_a_member');
  }
  one.line.mend();
  await cluster.ready();
  for (const [node, socket] of [[two, listening], [one, cutOff]]) {
    await until(async () => {
      const { id } = await send(sender, { groupId }, 'are you there?');
      await settled([node, two], [socket]);
      return !socket.heard.some(([, said]) => said.id === id);
    }, `user ${socket.userId} is out`);
    assert.equal(await refused(socket, 'typing', { targetId: groupId, targetType: 2 }), 'not_a_member');
  }
});

check('nothing is lost, doubled or disordered in groups under load', patience, async (t) => {
  const ledger = new Ledger();
  const users = [11, 12, 13, 14, 15];
  ledger.group(await createGroup(cluster.nodes[0], 11, users.slice(1)), users);
  ledger.group(await createGroup(cluster.nodes[1], 13, [14, 15]), users.slice(2));
  for (const [i, user] of [...users, 11].entries()) {
    await ledger.device(t, cluster.urls((i + Math.floor(i / 5)) % 3), user, i % 2 ? 'polling then upgrade' : 'websocket only');
  }
  await survive(t, ledger, () => {}, { steady: ledger.devices });
});

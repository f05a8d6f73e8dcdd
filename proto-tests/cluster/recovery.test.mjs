// Connection state recovery (SPEC, section 2): a client that was cut off comes back, to the same node or another one, to its id
// and its rooms, and is given what it missed; `connected` says so.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { io } from 'socket.io-client';
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { command, createGroup, device, sendText } from '../support/im.mjs';
import { once, until } from '../support/wait.mjs';

let cluster;
before(async () => { cluster = await startCluster({ settings: { 'socketio.recovery_window': '1m', 'im.messages_per_second': 0 } }); });
after(() => cluster?.stop());

/** A device that can be cut off and told where to come back. */
async function traveller(t, node, user) {
  const socket = io(`http://localhost:${node.port}?userId=${user}`, { transports: ['websocket'], forceNew: true, reconnection: false });
  t.after(() => socket.disconnect());
  socket.inbox = [];
  socket.on('private_message', (message) => socket.inbox.push(message));
  const [greeting] = await once(socket, 'connected');
  assert.equal(greeting.recovered, undefined);
  return socket;
}

for (const [where, at] of [['the same node', 0], ['another node', 1]]) {
  check(`a client that was cut off comes back on ${where}`, async (t) => {
    const [user, friend] = [301 + 10 * at, 302 + 10 * at];
    const socket = await traveller(t, cluster.nodes[0], user);
    const other = await device(t, cluster.nodes[2], friend);
    await sendText(other, user, 'before');
    await until(() => socket.inbox.length === 1, 'the first message');
    const { id } = socket;
    socket.io.engine.close();
    await until(() => !socket.connected, 'it is cut off');
    for (const text of ['while away 1', 'while away 2']) await sendText(other, user, text);
    socket.io.uri = `http://localhost:${cluster.nodes[at].port}?userId=${user}`;
    const greeted = once(socket, 'connected');
    socket.connect();
    const [greeting] = await greeted;
    assert.equal(greeting.recovered, true);
    assert.equal(greeting.nodeId, `node-${at + 1}`);
    assert.equal(socket.recovered, true);
    assert.equal(socket.id, id);
    await sendText(other, user, 'after');
    await until(() => socket.inbox.length >= 4, 'what was missed, and what came then');
    assert.deepEqual(socket.inbox.map(({ content }) => content), ['before', 'while away 1', 'while away 2', 'after']);
  });
}

check('a client that is cut off again and again, and comes back on one node after the other, has every message once', async (t) => {
  const [user, friend] = [331, 332];
  const socket = await traveller(t, cluster.nodes[0], user);
  const other = await device(t, cluster.nodes[2], friend);
  let going = true;
  const sent = (async () => {
    let count = 0;
    for (; going; count++) await sendText(other, user, `${count + 1}`);
    return count;
  })();
  await until(() => socket.inbox.length > 0, 'the first message');
  for (let round = 1; round <= 12; round++) {
    socket.io.engine.close();
    await until(() => !socket.connected, 'it is cut off');
    const node = cluster.nodes[round % 3];
    socket.io.uri = `http://localhost:${node.port}?userId=${user}`;
    const greeted = once(socket, 'connected');
    socket.connect();
    const [{ recovered, nodeId }] = await greeted;
    assert.deepEqual({ recovered, nodeId }, { recovered: true, nodeId: `node-${(round % 3) + 1}` });
    const before = socket.inbox.length;
    await until(() => socket.inbox.length > before + 5, 'messages come again');
  }
  going = false;
  const count = await sent;
  await until(() => socket.inbox.at(-1).seq === count, 'the last message');
  assert.deepEqual(socket.inbox.map(({ seq }) => seq), Array.from({ length: count }, (_, i) => i + 1), 'each once, in order');
});

check('who is removed from a group while away does not come back to it', async (t) => {
  const [user, owner] = [341, 342];
  const group = await createGroup(cluster.nodes[2], owner, [user]);
  const socket = await traveller(t, cluster.nodes[0], user);
  const groupMessages = [];
  socket.on('group_message', ({ content }) => groupMessages.push(content));
  const other = await device(t, cluster.nodes[2], owner);
  await sendText(other, undefined, 'to a member', { groupId: group });
  await sendText(other, user, 'privately');
  await until(() => groupMessages.length === 1 && socket.inbox.length === 1, 'the first messages');
  socket.io.engine.close();
  await until(() => !socket.connected, 'it is cut off');
  const kicked = await fetch(`${cluster.nodes[2].httpUrl}/api/group/kick?operatorId=${owner}`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ groupId: group, userId: user }),
  });
  assert.equal((await kicked.json()).code, 200);
  await sendText(other, undefined, 'to those who are left', { groupId: group });
  socket.io.uri = `http://localhost:${cluster.nodes[1].port}?userId=${user}`;
  const greeted = once(socket, 'connected');
  socket.connect();
  assert.equal((await greeted)[0].recovered, true);
  await sendText(other, undefined, 'to those who are left, again', { groupId: group });
  await sendText(other, user, 'privately, again');
  await until(() => socket.inbox.length === 2, 'a private message');
  assert.deepEqual(groupMessages, ['to a member']);
});

for (const [where, at] of [['the same node', 0], ['another node', 1]]) {
  check(`who had watched others is not told to have missed nothing, on ${where}`, async (t) => {
    const [user, friend] = [381 + 10 * at, 382 + 10 * at];
    const socket = await traveller(t, cluster.nodes[0], user);
    assert.equal((await command(socket, 'watch_presence', { userIds: [friend] })).success, true);
    await sendText(socket, user, 'something to come back to');
    socket.io.engine.close();
    await until(() => !socket.connected, 'it is cut off');
    socket.io.uri = `http://localhost:${cluster.nodes[at].port}?userId=${user}`;
    const greeted = once(socket, 'connected');
    socket.connect();
    const [greeting] = await greeted;
    assert.equal(greeting.recovered, undefined, 'it watches nobody any more');
  });
}

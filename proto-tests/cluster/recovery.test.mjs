// Connection state recovery (SPEC, section 2): a client that was cut off comes back, to the same node or another one, to its id
// and its rooms, and is given what it missed; `connected` says so.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { io } from 'socket.io-client';
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { device, sendText } from '../support/im.mjs';
import { once, until } from '../support/wait.mjs';

let cluster;
before(async () => { cluster = await startCluster({ settings: { 'socketio.recovery_window': '1m' } }); });
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

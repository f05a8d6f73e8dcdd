// What happens while the database or Redis is away, or can't take more: once that is over everybody has what is theirs, without doing
// anything, and meanwhile nobody has what is not.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before } from 'node:test';
import { denied, done } from '../support/ask.mjs';
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { command, createGroup, refused } from '../support/im.mjs';
import { heard, listener, send, settled, succeed } from '../support/listener.mjs';
import { programOf, startNode } from '../support/server.mjs';
import { pause, until, within } from '../support/wait.mjs';

let cluster;
before(async () => { cluster = await startCluster({ settings: { 'im.messages_per_second': 0 } }); });
after(() => cluster?.stop());

let nextUser = 1;
const user = () => nextUser++;
const readiness = async (node) => (await fetch(`${node.httpUrl}/readyz`)).status;
const metric = async (node, name) => {
  const text = await (await fetch(`${node.httpUrl}/metrics`)).text();
  return Number(new RegExp(`^socketio_${name} (\\d+)$`, 'm').exec(text)[1]);
};
/** Redis ends, and all nodes know. */
async function redisIsAway() {
  await cluster.redis.kill();
  await until(async () => (await Promise.all(cluster.nodes.map(readiness))).every((status) => status === 503), 'all nodes miss Redis');
}
async function redisIsBack() {
  await cluster.redis.launch();
  await cluster.ready();
}
/** A message, tried until it is stored. */
async function sendWhenPossible(socket, target, content) {
  let answer;
  const sent = async () => (answer = await command(socket, 'send_message', { ...target, messageType: 1, content, clientMessageId: content })).success;
  await until(sent, `${content} is stored`);
  return answer.data;
}

check('who comes while the database is away has all that is sent to their groups from then on, in order and once', async (t) => {
  const members = cluster.nodes.flatMap((node) => [[node, user()], [node, user()]]);
  const owner = user();
  const groupId = await createGroup(cluster.nodes[0], owner, members.map(([, id]) => id));
  // One of each node is there already, so that the group's messages are on their way to it; one comes with a second device.
  const present = await Promise.all(members.filter((_, i) => i % 2 === 0).map(([node, id]) => listener(t, node, id)));
  const sender = await listener(t, cluster.nodes[0], owner);
  await send(sender, { groupId }, 'before');
  await cluster.mariadb.kill();
  await until(async () => await metric(cluster.nodes[0], 'store_up') === 0, 'the node says that the store is away');
  const failed = await metric(cluster.nodes[0], 'messages_failed_total');
  for (let i = 0; i < 3; i++) assert.equal(await refused(sender, 'send_message', { groupId, messageType: 1, content: 'lost' }), 'store_unavailable');
  assert.equal(await metric(cluster.nodes[0], 'messages_failed_total') - failed, 3);

  const late = await Promise.all(members.map(([node, id]) => listener(t, node, id)));
  for (const socket of [late[1], late[3]]) {
    for (const [event, payload] of [['join_room', { targetId: groupId, roomType: 2 }], ['typing', { targetId: groupId, targetType: 2 }]]) {
      assert.equal(await refused(socket, event, payload), 'store_unavailable', event);
    }
  }
  await cluster.mariadb.launch();
  // Some ask for the room themselves, as soon as it may be theirs.
  for (const socket of [late[0], late[1]]) {
    void until(async () => (await command(socket, 'join_room', { targetId: groupId, roomType: 2 })).success, 'the room').catch(() => {});
  }
  const sent = [];
  for (let i = 0; i < 40; i++) {
    sent.push(await sendWhenPossible(sender, { groupId }, `number ${i}`));
    await pause(50);
  }
  await cluster.ready();
  for (const socket of [...present, ...late]) {
    await until(() => heard(socket, 'group_message').at(-1)?.id === sent.at(-1).id, `user ${socket.userId} has the last one`);
  }
  await settled(cluster.nodes, [...present, ...late]);
  for (const socket of present) assert.deepEqual(heard(socket, 'group_message').slice(1), sent, `user ${socket.userId} was there`);
  for (const socket of late) assert.deepEqual(heard(socket, 'group_message'), sent, `user ${socket.userId} came late`);
  for (const socket of late) await succeed(socket, 'typing', { targetId: groupId, targetType: 2 });
});

check('what is done while Redis is away is told on all nodes once it is back, once', async (t) => {
  const [one, two, three] = [user(), user(), user()];
  const sockets = await Promise.all([one, two, three].map((id, i) => listener(t, cluster.nodes[i], id)));
  const [sender, reader] = sockets;
  const sent = [];
  for (let i = 0; i < 3; i++) sent.push(await send(sender, { toUserId: two }, `number ${i}`));
  await until(() => heard(reader, 'private_message').length === 3, 'all are there');
  await redisIsAway();
  await succeed(sender, 'recall_message', { messageId: sent[0].messageId });
  await succeed(sender, 'delete_message', { messageId: sent[1].messageId });
  await succeed(reader, 'mark_read', { conversation: sent[2].conversation, seq: 3 });
  const groupId = await createGroup(cluster.nodes[0], one, [two, three]);
  await done(cluster.nodes[0], one, 'POST', '/group/kick', { groupId, userId: three });
  assert.equal(await denied(cluster.nodes[0], undefined, 'POST', '/cluster/broadcast', { event: 'news', payload: 1 }), 'presence_unavailable');
  await redisIsBack();
  const types = (socket) => heard(socket, 'group_event').map(({ type }) => type);
  await until(() => types(sockets[2]).length === 2 && heard(reader, 'message_deleted').length === 1 && heard(sender, 'message_read').length === 1, 'all are told');
  await pause(1500);
  await settled(cluster.nodes, sockets);
  assert.deepEqual(sockets.map(types), [['created', 'member_kicked'], ['created', 'member_kicked'], ['created', 'member_kicked']]);
  assert.deepEqual(sockets.map((socket) => heard(socket, 'message_recalled').map(({ seq }) => seq)), [[1], [1], []]);
  assert.deepEqual(sockets.map((socket) => heard(socket, 'message_deleted').map(({ seq }) => seq)), [[2], [2], []]);
  assert.deepEqual(heard(sender, 'message_read').map(({ userId, seq }) => [userId, seq]), [[two, 3]]);
});

check('who is put out while Redis is away hears nothing more of the group, a moment later also on another node', async (t) => {
  const [owner, out, member] = [user(), user(), user()];
  const groupId = await createGroup(cluster.nodes[0], owner, [out, member]);
  const [socket, other] = await Promise.all([out, member].map((id) => listener(t, cluster.nodes[2], id)));
  await send(other, { groupId }, 'for both');
  await until(() => heard(socket, 'group_message').length === 1, 'the first one');
  await redisIsAway();
  await done(cluster.nodes[0], owner, 'POST', '/group/kick', { groupId, userId: out });
  await until(async () => (await command(socket, 'typing', { targetId: groupId, targetType: 2 })).code === 'not_a_member', 'its node knows');
  await send(other, { groupId }, 'for one');
  await until(() => heard(other, 'group_message').length === 2, 'it is there');
  await redisIsBack();
  await settled(cluster.nodes, [socket, other]);
  assert.deepEqual(heard(socket, 'group_message').map(({ content }) => content), ['for both']);
});

check('a Redis that takes no more loses nobody who is there, and the log says it once', async (t) => {
  // Nodes that have had Redis all along, and a lease that ends within the test if it is not renewed.
  const full = await startCluster({ nodes: 2, settings: { 'cluster.node_lease': '3s', 'cluster.lease_renewal': '500ms', 'cluster.presence_grace': '0ms' } });
  t.after(() => full.stop());
  const [watcher, one, two, gone] = [user(), user(), user(), user()];
  const asking = await listener(t, full.nodes[0], watcher);
  const online = async () => (await command(asking, 'get_online_users', { userIds: [one, two, gone] })).data;
  await listener(t, full.nodes[1], one);
  const going = await listener(t, full.nodes[1], gone);
  await until(async () => (await online()).length === 2, 'two are seen');
  const redis = (...args) => execFileSync(programOf('redis-cli', 'redis'), ['-p', String(full.redis.port), ...args]);
  const before = full.nodes[1].log().length;
  redis('config', 'set', 'maxmemory', '1');
  try {
    await listener(t, full.nodes[1], two);
    await listener(t, full.nodes[1], one);
    going.disconnect();
    // Longer than the lease.
    for (let i = 0; i < 40; i++) {
      assert.ok((await online()).includes(one), 'one was there all along');
      assert.equal(await readiness(full.nodes[1]), 200);
      await pause(100);
    }
    assert.deepEqual(await online(), [one], 'who has gone is gone');
  } finally {
    redis('config', 'set', 'maxmemory', '0');
  }
  await until(async () => (await online()).length === 2, 'two is seen');
  const said = full.nodes[1].log().slice(before).trim().split('\n').filter((line) => line !== '');
  assert.ok(said.some((line) => /does not take who is online/.test(line)) && said.length <= 4, said.join('\n'));
});

check('of two nodes of one name the first one ends, and says by its exit code that it is not to be started again', async (t) => {
  const start = (name) => startNode({
    name, store: cluster.mariadb.url, args: ['--node-id', 'twin', '--set', `cluster.redis_url=${cluster.redis.url}`, '--set', 'cluster.lease_renewal=200ms'],
  });
  const first = await start('twin');
  t.after(() => first.stop());
  await first.ready();
  first.ending = true;
  const second = await start('twin again');
  t.after(() => second.stop());
  await within(first.exit, 'the end of the first one');
  assert.equal(first.child.exitCode, 2);
  await second.ready();
});

// A group has members on all three nodes. Groups are made over the HTTP API, as user `operatorId` (open authentication).
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { patience, survive } from '../support/faults.mjs';
import { command, device, refused } from '../support/im.mjs';
import { Ledger } from '../support/ledger.mjs';
import { until } from '../support/wait.mjs';

let cluster;
before(async () => { cluster = await startCluster(); });
after(() => cluster?.stop());

/** A new group of user `owner` and these members; gives its id. */
async function createGroup(node, owner, memberIds) {
  const answer = await fetch(`${node.httpUrl}/api/group/create?operatorId=${owner}`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name: `group of ${owner}`, memberIds }),
  });
  const { code, message, data } = await answer.json();
  assert.equal(code, 200, message);
  assert.equal(data.ownerId, owner);
  assert.equal(data.memberCount, 1 + memberIds.length);
  return data.id;
}

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
  for (const [i, inbox] of inboxes.slice(0, -1).entries()) {
    const others = sent.filter((_, sender) => sender !== i);
    const received = () => inbox.filter(({ messageId }) => messageId !== sent[i].messageId);
    await until(() => received().length >= others.length, 'the group message is pushed to every member');
    assert.deepEqual(received(), others);
  }
  await refused(stranger, 'send_message', { groupId, messageType: 1, content: 'let me in' });
  assert.deepEqual(inboxes.at(-1), []);
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

// im.multi_device = false: the newest connection of a user wins, wherever it is (SPEC, section 4, promise 6).
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { device, sendText } from '../support/im.mjs';
import { once, until } from '../support/wait.mjs';

let cluster;
before(async () => { cluster = await startCluster({ settings: { 'im.multi_device': false } }); });
after(() => cluster?.stop());

for (const mode of ['polling only', 'websocket only', 'polling then upgrade']) {
  check(`a user who comes to another node leaves the first: ${mode}`, async (t) => {
    const [one, two, three] = cluster.nodes;
    const other = await device(t, three, 9);
    let current = await device(t, one, 1, mode);
    for (const node of [two, three, one, two]) {
      const kicked = once(current, 'kicked');
      const gone = once(current, 'disconnect');
      const next = await device(t, node, 1, mode);
      assert.deepEqual(await kicked, [{ reason: 'replaced' }]);
      await gone;
      await sendText(other, 1, `to the one on ${node.name}`);
      await until(() => next.inbox.length === 1, 'the newest device gets the message');
      assert.equal(next.connected, true);
      current = next;
    }
    current.disconnect();
    other.disconnect();
  });
}

check('of those who come to all nodes at the same moment one stays', async (t) => {
  for (let round = 0; round < 10; round++) {
    const nodes = [...cluster.nodes, ...cluster.nodes, ...cluster.nodes];
    const devices = await Promise.all(nodes.map((node) => device(t, node, 100 + round, 'websocket only')));
    await until(() => devices.filter(({ connected }) => connected).length === 1, 'one is left');
    devices.forEach((socket) => socket.disconnect());
  }
});

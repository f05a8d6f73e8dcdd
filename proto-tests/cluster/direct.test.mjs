// Messages between nodes go past Redis where the settings let them, and reach everybody where they don't.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { device, sendText } from '../support/im.mjs';
import { until } from '../support/wait.mjs';

let cluster;
before(async () => { cluster = await startCluster({ nodes: 2, settings: { 'im.messages_per_second': 0 } }); });
after(() => cluster?.stop());

const metric = async (node, name) => {
  const text = await (await fetch(`http://127.0.0.1:${node.ports[1]}/metrics`)).text();
  return Number(text.match(new RegExp(`^socketio_${name} (\\d+)$`, 'm'))[1]);
};
const reach = (node, others) => until(async () => await metric(node, 'bus_reached_directly') === others, `${others} nodes are reached directly`);

/** Each of the devices sends 20 messages to each other one, and all of them come, once and in order. */
async function allWriteToAll(devices) {
  for (const from of devices) {
    for (const to of devices.filter((other) => other !== from)) {
      for (let i = 0; i < 20; i++) await sendText(from, to.user, `from ${from.user}: ${i}`);
      const came = () => to.inbox.filter(({ fromUserId }) => fromUserId === from.user).map(({ content }) => content);
      await until(() => came().length >= 20, `${to.user} hears ${from.user}`);
      assert.deepEqual(came(), Array.from({ length: 20 }, (_, i) => `from ${from.user}: ${i}`));
    }
  }
}

const devicesOf = (t, first) => Promise.all(cluster.nodes.map(async (node, i) => Object.assign(await device(t, node, first + i), { user: first + i })));

check('two nodes need no command of Redis for their messages', async (t) => {
  for (const node of cluster.nodes) await reach(node, 1);
  const devices = await devicesOf(t, 1);
  const published = () => metric(cluster.nodes[0], 'bus_published_total');
  // A machine that stands still for a second makes them go by Redis for a moment.
  await until(async () => {
    const [before, sent] = [await published(), await metric(cluster.nodes[0], 'bus_sent_directly_total')];
    for (let i = 0; i < 20; i++) await sendText(devices[0], 2, 'x');
    return await published() === before && await metric(cluster.nodes[0], 'bus_sent_directly_total') >= sent + 20;
  }, 'messages leave Redis alone');
  await allWriteToAll(await devicesOf(t, 11));
});

check('a node that others may not reach has everything, too', async (t) => {
  cluster.settings = { ...cluster.settings, 'cluster.direct': false };
  const shut = await cluster.addNode();
  await reach(shut, 2);
  await reach(cluster.nodes[0], 1);
  await allWriteToAll(await devicesOf(t, 21));
  assert.equal(await metric(shut, 'bus_received_directly_total'), 0);
  assert.ok(await metric(cluster.nodes[0], 'bus_published_total') > 0);
});

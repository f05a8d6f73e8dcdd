// /api/cluster: the nodes, where users are, and a word to everybody.
import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { check } from '../../support/check.mjs';
import { client } from '../../support/clients.mjs';
import { Rest } from '../../support/rest.mjs';
import { once, until } from '../../support/wait.mjs';

export function cluster(form) {
  const [ann, operator] = [Rest.user(form, 401), Rest.user(form, 402, { admin: true })];
  const connect = async (t, node, who) => {
    const socket = client(t, io, node.url, { auth: { token: who.token }, transports: ['websocket'] });
    return { socket, nodeId: (await once(socket, 'connected'))[0].nodeId };
  };

  check('the nodes, each with what it carries', async () => {
    const nodes = await ann.get('/cluster/nodes');
    assert.deepEqual(nodes.map(({ nodeId }) => nodeId), form.nodes.map((_, i) => `node-${i + 1}`));
    for (const [i, node] of nodes.entries()) {
      assert.deepEqual([node.socketio, node.http], form.nodes[i].ports.map((port) => `127.0.0.1:${port}`));
      assert.equal(node.draining, false);
    }
  });

  check('where a user is, whichever node is asked', async (t) => {
    const whereabouts = () => ann.get('/cluster/users/403');
    assert.deepEqual(await whereabouts(), { online: false, devices: [] });
    const there = await Promise.all(form.nodes.map((node) => connect(t, node, Rest.user(form, 403))));
    for (const _ of form.nodes) {
      const { devices } = await until(async () => {
        const found = await whereabouts();
        return found.devices.length === there.length && found;
      }, 'all devices are seen');
      assert.deepEqual(devices.map(({ nodeId, connections }) => [nodeId, connections]).sort(), there.map(({ nodeId }) => [nodeId, 1]).sort());
    }
    await ann.refused('400 invalid_parameter', 'GET', '/cluster/users/somebody');
  });

  check('an operator\'s event reaches everybody on all nodes; others may not send one', async (t) => {
    const there = await Promise.all(form.nodes.map((node, i) => connect(t, node, Rest.user(form, 404 + i))));
    const news = there.map(({ socket }) => once(socket, 'news'));
    await ann.refused('403 forbidden', 'POST', '/cluster/broadcast', { event: 'news', payload: 'false' });
    await operator.post('/cluster/broadcast', { event: 'news', payload: { text: 'hello, all' } });
    for (const heard of news) assert.deepEqual(await heard, [{ text: 'hello, all' }]);
    for (const event of ['private_message', 'connect', 'disconnect', '']) {
      await operator.refused('400 invalid_payload', 'POST', '/cluster/broadcast', { event });
    }
    await operator.refused('400 invalid_parameter', 'POST', '/cluster/broadcast', { payload: 1 });
  });
}

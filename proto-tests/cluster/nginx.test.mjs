// The real nginx with the configuration of deploy/nginx in front of the cluster: every kind of client, and who is whom.
import assert from 'node:assert/strict';
import { Agent, createServer, request } from 'node:http';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { modes } from '../support/clients.mjs';
import { startCluster } from '../support/cluster.mjs';
import { device, history, refused, sendText } from '../support/im.mjs';
import { startNginx } from '../support/nginx.mjs';
import { once, until } from '../support/wait.mjs';

let cluster;
before(async () => { cluster = await startCluster({ nginx: true }); });
after(() => cluster?.stop());

/** A device that a proxy, which nginx trusts, says to be in the network 10.0.n: ip_hash goes by that. */
function visitor(t, userId, mode, n, options = {}) {
  return device(t, cluster.nginx, userId, mode, { extraHeaders: { 'X-Forwarded-For': `10.0.${n}.1` }, ...options });
}

check('clients of every mode, from many addresses, on all nodes, write to each other', async (t) => {
  const visitors = [];
  const nodes = new Set();
  for (let n = 0; n < 12; n++) {
    const mode = Object.keys(modes)[n % 4];
    const socket = await visitor(t, 100 + n, mode, n);
    nodes.add(socket.nodeId);
    visitors.push(socket);
  }
  assert.equal(nodes.size, 3, `ip_hash spreads them over the nodes, not only ${[...nodes]}`);
  for (const [n, socket] of visitors.entries()) {
    for (let i = 0; i < 10; i++) await sendText(socket, 100 + ((n + 1) % 12), `number ${i}`);
  }
  for (const socket of visitors) {
    await until(() => socket.inbox.length >= 10, 'everything is pushed');
    assert.deepEqual(socket.inbox.map(({ content }) => content), Array.from({ length: 10 }, (_, i) => `number ${i}`));
  }
});

check('an address always goes to the same node', async (t) => {
  for (const n of [21, 22, 23]) {
    const visits = [];
    for (const mode of ['polling only', 'websocket only', 'polling then upgrade']) visits.push(await visitor(t, 121, mode, n));
    assert.deepEqual(visits.map(({ nodeId }) => nodeId), Array(3).fill(visits[0].nodeId));
  }
});

check('the largest packet that a node takes gets through', async (t) => {
  for (const mode of ['polling only', 'websocket only']) {
    const socket = await visitor(t, 131, mode, 31);
    const code = await refused(socket, 'send_message', { toUserId: 132, messageType: 1, content: 'x'.repeat(990_000) });
    assert.equal(code, 'invalid_content', 'the node, not nginx, says that this is too long for a message');
  }
});

check('when a node dies, its clients find another by themselves', async (t) => {
  const sender = await visitor(t, 141, 'websocket only', 41);
  const receivers = [];
  for (const [n, mode] of [[42, 'websocket only'], [43, 'polling only'], [44, 'polling then upgrade']]) {
    receivers.push(await visitor(t, n + 100, mode, n, { reconnection: true, reconnectionDelay: 100, reconnectionDelayMax: 500 }));
  }
  const victim = cluster.nodes.find(({ name }) => name === receivers[0].nodeId && name !== sender.nodeId)
    ?? cluster.nodes.find(({ name }) => name !== sender.nodeId);
  const affected = receivers.filter(({ nodeId }) => nodeId === victim.name);
  const back = affected.map((socket) => once(socket, 'connected', 30_000));
  await victim.kill();
  const sent = await Promise.all([142, 143, 144].map((user) => sendText(sender, user, 'still there?')));
  for (const [{ nodeId }] of await Promise.all(back)) assert.notEqual(nodeId, victim.name);
  for (const [i, socket] of receivers.entries()) {
    const { conversation, content } = sent[i];
    await until(() => socket.connected, 'the client is connected');
    assert.deepEqual((await history(socket, conversation)).map((message) => message.content), [content]);
  }
  await victim.launch();
  await victim.ready();
});

check('the HTTP API is there, the numbers are not', async () => {
  const status = async (path) => (await fetch(`${cluster.nginx.url}${path}`)).status;
  assert.equal(await status('/healthz'), 200);
  assert.equal(await status('/readyz'), 200);
  assert.equal(await status('/metrics'), 404);
});

check('X-Forwarded-For is believed of named proxies only, and passed on as one address', async (t) => {
  // Three "nodes" that answer with the headers that they were sent.
  const mirror = createServer((message, answer) => answer.end(JSON.stringify(message.headers)));
  await new Promise((done) => mirror.listen(0, '127.0.0.1', done));
  t.after(() => { mirror.close(); mirror.closeAllConnections(); });
  const { port } = mirror.address();
  const nginx = await startNginx([1, 2, 3].map(() => ({ ports: [port, port] })));
  t.after(() => nginx.stop());

  /** The headers that reach a node from a peer with that address. */
  const seen = (path, localAddress, headers = {}) => new Promise((done, fail) => {
    request({ port: nginx.port, host: '127.0.0.1', path, headers, localAddress, agent: new Agent() }, async (answer) => {
      let text = '';
      for await (const chunk of answer) text += chunk;
      done(JSON.parse(text));
    }).on('error', fail).end();
  });

  for (const path of ['/socket.io/?EIO=4&transport=polling', '/api/user/1']) {
    const forwarded = async (...how) => (await seen(path, ...how))['x-forwarded-for'];
    assert.equal(await forwarded('127.0.0.1'), '127.0.0.1', 'nobody else is named');
    assert.equal(await forwarded('127.0.0.1', { 'X-Forwarded-For': '192.0.2.7' }), '192.0.2.7', 'a named proxy is believed');
    assert.equal(await forwarded('127.0.0.1', { 'X-Forwarded-For': '203.0.113.9, 192.0.2.7' }), '192.0.2.7', 'but not what it was told itself');
    assert.equal(await forwarded('127.0.0.1', { 'X-Forwarded-For': '192.0.2.7, 127.0.0.1' }), '192.0.2.7', 'a chain of named proxies');
    assert.equal(await forwarded('127.0.0.2', { 'X-Forwarded-For': '192.0.2.7' }), '127.0.0.2', 'anybody else is not');
  }
  const headers = await seen('/socket.io/?EIO=4&transport=websocket', '127.0.0.1', { Connection: 'Upgrade', Upgrade: 'websocket' });
  assert.equal(headers.connection, 'upgrade');
  assert.equal(headers.upgrade, 'websocket');
  assert.equal((await seen('/', '127.0.0.1')).upgrade, undefined);
});

// Every limit on what clients may use has a setting, an answer and a number in /metrics (SPEC, section 7): each is reached once, on a
// node of its own. And sessions that end are counted by the reason.
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { PollingSession } from '../support/engine.mjs';
import { request } from '../support/http.mjs';
import { command, device } from '../support/im.mjs';
import { Rest } from '../support/rest.mjs';
import { startNode } from '../support/server.mjs';
import { Tcp } from '../support/tcp.mjs';
import { wantTokens } from '../support/tokens.mjs';
import { until } from '../support/wait.mjs';
import { RawWebSocket } from '../support/websocket.mjs';

const PATH = '/socket.io/?EIO=4&userId=2&transport=';
const polling = (node, options = {}) => request(node.port, { path: `${PATH}polling`, ...options });
const several = (count, what) => Promise.all(Array.from({ length: count }, (_, i) => what(i)));

/** A client of user 2 in the main namespace, frame by frame. */
async function webSocket(node) {
  const ws = await RawWebSocket.open(node.port, `${PATH}websocket`);
  ws.text('40');
  for (let text; !text?.startsWith('40');) text = await ws.receive();
  return ws;
}

/** Which statuses a number of TCP connections get that all stay open, each with a request. */
async function statuses(t, node, count) {
  const connections = [];
  t.after(() => connections.forEach((tcp) => tcp.destroy()));
  const found = [];
  for (let i = 0; i < count; i++) {
    const tcp = await Tcp.open(node.port);
    connections.push(tcp);
    tcp.write('GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n');
    found.push(Number((await tcp.read((buffer) => (buffer.length > 12 ? buffer.toString() : undefined), 'an answer')).slice(9, 12)));
  }
  return found;
}

/** Messages to a user who does not read, until that is noticed. */
async function floodWhoDoesNotRead(t, node, isNoticed) {
  const [slow, sender] = [await webSocket(node), await device(t, node, 1, 'websocket only')];
  t.after(() => slow.destroy());
  slow.tcp.socket.pause();
  for (let rounds = 0; rounds < 200 && !(await isNoticed()); rounds++) {
    await several(20, () => command(sender, 'send_message', { toUserId: 2, messageType: 1, content: '€'.repeat(5000) }));
    await command(sender, 'typing', { targetId: 2, targetType: 1 });
  }
}

const slowReader = { 'limits.outbox_soft': '32KiB', 'limits.outbox_hard': '1MiB', 'im.messages_per_second': '0' };
const [nobody, one] = [(node) => new Rest({ next: () => node }, null), (node) => Rest.user({ next: () => node }, 1)];
const login = { account: 'anna', password: 'correct horse' };

/** For each limit: the settings, and what reaches it. */
const limits = {
  max_connections: [{ 'limits.max_connections': 3 }, async (t, node) => assert.deepEqual(await statuses(t, node, 4), [404, 404, 404, 503])],
  max_connections_per_ip: [{ 'limits.max_connections_per_ip': 2 }, async (t, node) => assert.deepEqual(await statuses(t, node, 3), [404, 404, 503])],
  handshakes_per_second: [{ 'limits.handshakes_per_second': 1 }, async (t, node) => {
    const answers = await several(10, () => polling(node));
    assert.ok(answers.some(({ status }) => status === 503));
  }],
  max_head_bytes: [{ 'limits.max_head_bytes': 512 }, async (t, node) => {
    assert.equal((await polling(node, { headers: { 'X-Long': 'x'.repeat(600) } })).status, 431);
  }],
  head_timeout: [{ 'limits.head_timeout': '100ms' }, async (t, node) => {
    const tcp = await Tcp.open(node.port);
    tcp.write('GET /socket.io/');
    assert.match((await tcp.rest()).toString(), / 408 /);
  }],
  max_payload: [{ 'socketio.max_payload': 1000 }, async (t, node) => {
    const session = await PollingSession.open(node.port, '/socket.io/');
    assert.equal((await session.tryPost(`4${'x'.repeat(1000)}`))?.status ?? 413, 413);
    const ws = await webSocket(node);
    ws.text(`4${'x'.repeat(1000)}`);
    assert.equal((await ws.closed()).code, 1009);
  }, 2],
  packets_per_second: [{ 'limits.packets_per_second': 10 }, async (t, node) => {
    const ws = await webSocket(node);
    for (let i = 0; i < 50; i++) ws.text('42["typing"]');
    assert.equal((await ws.closed()).code, 1008);
  }],
  bytes_per_second: [{ 'limits.bytes_per_second': '4KiB' }, async (t, node) => {
    const ws = await webSocket(node);
    ws.text(`42["typing","${'x'.repeat(20_000)}"]`);
    assert.equal((await ws.closed()).code, 1008);
  }],
  max_attachments: [{ 'limits.max_attachments': 2 }, async (t, node) => {
    const ws = await webSocket(node);
    ws.text('453-["typing",{"_placeholder":true,"num":0}]');
    assert.equal((await ws.closed()).code, 1002);
  }],
  outbox_soft: [slowReader, (t, node) => floodWhoDoesNotRead(t, node, async () => (await reached(node)).outbox_soft > 0)],
  outbox_hard: [slowReader, (t, node) => floodWhoDoesNotRead(t, node, async () => (await reached(node)).outbox_hard > 0)],
  messages_per_second: [{ ...wantTokens, 'im.messages_per_second': 1, 'im.message_burst': 1 }, async (t, node) => {
    const answers = await several(5, () => one(node).ask('POST', '/message/send', { toUserId: 2, messageType: 1, content: 'x' }));
    assert.ok(answers.some(({ status }) => status === 429));
  }],
  typing_per_second: [{ 'im.typing_per_second': 1 }, async (t, node) => {
    const socket = await device(t, node, 1);
    const answers = await several(5, () => command(socket, 'typing', { targetId: 2, targetType: 1 }));
    assert.ok(answers.some(({ code }) => code === 'rate_limited'));
  }],
  watch_limit: [{ 'im.watch_limit': 1 }, async (t, node) => {
    assert.equal((await command(await device(t, node, 1), 'watch_presence', { userIds: [2, 3] })).code, 'too_many');
  }],
  logins_per_minute: [{ 'auth.logins_per_minute': 1 }, async (t, node) => {
    assert.ok((await several(3, () => nobody(node).ask('POST', '/user/login', login))).some(({ status }) => status === 429));
  }],
  registrations_per_hour: [{ 'auth.registrations_per_hour': 1 }, async (t, node) => {
    const register = (i) => nobody(node).ask('POST', '/user/register', { username: `user${i}`, password: login.password });
    assert.ok((await several(3, register)).some(({ status }) => status === 429));
  }],
  password_queue: [{ 'auth.password_queue': 0, 'auth.password_hashers': 1, 'auth.logins_per_minute': 0 }, async (t, node) => {
    assert.ok((await several(10, () => nobody(node).ask('POST', '/user/login', login))).some(({ status }) => status === 503));
  }],
};

/** The numbers of one name by their label. */
async function numbers(node, name, label) {
  const text = await (await fetch(`http://127.0.0.1:${node.ports[1]}/metrics`)).text();
  const found = text.matchAll(new RegExp(`^${name}\\{${label}="([^"]+)"\\} (\\d+)$`, 'gm'));
  return Object.fromEntries([...found].map(([, value, count]) => [value, Number(count)]));
}
const reached = (node) => numbers(node, 'socketio_limit_reached_total', 'limit');
const closed = (node) => numbers(node, 'socketio_sessions_closed_total', 'reason');

async function nodeWith(t, settings) {
  const node = await startNode({ args: Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]) });
  t.after(() => node.stop());
  return node;
}

for (const [limit, [settings, reach, least = 1]] of Object.entries(limits)) {
  check(`${limit} is counted when it is reached`, async (t) => {
    const node = await nodeWith(t, settings);
    const before = await reached(node);
    assert.ok(Object.values(before).every((count) => count === 0), JSON.stringify(before));
    await reach(t, node);
    await until(async () => (await reached(node))[limit] >= least, `${limit} is counted`);
  });
}

check('a limit has its place in the numbers, and no other has', async (t) => {
  const node = await nodeWith(t, {});
  // What is refused before it comes so far: rooms by `too_many_groups`, acks by a service that asks for none.
  assert.deepEqual(Object.keys(await reached(node)).sort(), [...Object.keys(limits), 'max_rooms_per_socket', 'max_pending_acks'].sort());
});

check('sessions that end are counted by the reason', async (t) => {
  const node = await nodeWith(t, {});
  const [leaving, broken, wrong] = [await device(t, node, 1, 'websocket only'), await webSocket(node), await webSocket(node)];
  leaving.disconnect();
  broken.destroy();
  wrong.text('9');
  await wrong.closed();
  await until(async () => {
    const { 'transport close': gone, 'parse error': faults } = await closed(node);
    return gone === 2 && faults === 1;
  }, 'two that have gone and one that made no sense are counted');
});

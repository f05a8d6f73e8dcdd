// What an operator of a cluster sees: readiness that says what is missing, a quiet log, names in Redis (SPEC, section 6).
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before } from 'node:test';
import { hasRedis6, redis6 } from '../support/backends.mjs';
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { device, sendText } from '../support/im.mjs';
import { programOf } from '../support/server.mjs';
import { pause, until } from '../support/wait.mjs';

let cluster;
before(async () => { cluster = await startCluster({ nodes: 2 }); });
after(() => cluster?.stop());

async function readiness(node) {
  const answer = await fetch(`${node.httpUrl}/readyz`);
  return { status: answer.status, text: await answer.text() };
}

for (const [backend, name] of [['redis', /redis/i], ['mariadb', /store|mysql|database/i]]) {
  check(`while ${backend} is away the nodes live and say so, once; afterwards all is well`, async (t) => {
    const [one, two] = cluster.nodes;
    const [first, second] = [await device(t, one, 1), await device(t, two, 2)];
    const before = one.log().length;
    await cluster[backend].kill();
    await until(async () => (await readiness(one)).status === 503, `the node misses ${backend}`);
    assert.match((await readiness(one)).text, name);
    await pause(4_000); // for the log to repeat itself, if it would
    const said = one.log().slice(before).trim().split('\n').filter((line) => name.test(line));
    assert.ok(said.length > 0 && said.length <= 3, `the log says it, and not over and over:\n${said.join('\n')}`);
    assert.equal(first.connected && second.connected, true, 'clients stay connected');
    assert.equal((await fetch(`${one.httpUrl}/healthz`)).status, 200);
    await cluster[backend].launch();
    await cluster.ready();
    const message = await sendText(first, 2, 'back again');
    await until(() => second.inbox.some(({ id }) => id === message.id), 'messages pass again');
    assert.equal(first.connected && second.connected, true, 'clients have stayed connected');
  });
}

check('all keys and channels in Redis begin with socketio', async (t) => {
  await device(t, cluster.nodes[0], 3);
  const ask = (...command) => execFileSync(programOf('redis-cli', 'redis'), ['-p', String(cluster.redis.port), ...command], { encoding: 'utf8' })
    .split('\n').filter((line) => line !== '');
  const keys = ask('--scan');
  const channels = [...ask('PUBSUB', 'CHANNELS'), ...ask('PUBSUB', 'SHARDCHANNELS')];
  assert.ok(keys.length > 0 && channels.length > 0);
  assert.deepEqual([...keys, ...channels].filter((name) => !name.startsWith('socketio')), []);
});

check('a cluster over Redis 6.2', { skip: !hasRedis6 && 'no Redis 6.2 here' }, async (t) => {
  const old = await startCluster({ nodes: 2, redis: { program: redis6 } });
  t.after(() => old.stop());
  const [first, second] = [await device(t, old.nodes[0], 1), await device(t, old.nodes[1], 2)];
  const sent = [];
  for (let i = 0; i < 10; i++) sent.push(await sendText(first, 2, `number ${i}`));
  await until(() => second.inbox.length >= 10, 'everything is pushed');
  assert.deepEqual(second.inbox, sent);
});

// scripts/start-cluster.sh, start-node.sh and stop-cluster.sh, as on a new machine: in a copy of the project's folder, on
// the ports that are documented. Left out where something else listens there.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { check } from '../support/check.mjs';
import { device, sendText } from '../support/im.mjs';
import { accepts, binDir } from '../support/server.mjs';
import { until } from '../support/wait.mjs';

const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const ports = [8000, 8080, 8081, 8082, 8083, 8084, 8085, 8086, 8087, 6390, 3390];
const taken = (await Promise.all(ports.map(async (port) => (await accepts(port)) && port))).filter(Boolean);

check('three nodes and nginx, a fourth node, one that was killed, and the end of all', {
  skip: taken.length > 0 && `something listens on ${taken.join(', ')}`, timeout: 240_000,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sio scripts-')); // a space, as in anyone's folder
  for (const part of ['scripts', 'deploy']) cpSync(join(project, part), join(folder, part), { recursive: true });
  const env = { ...process.env, BIN: join(binDir, 'tokio-socketio') };
  for (const name of ['REDIS_URL', 'STORE_URL', 'NODE_ID']) delete env[name];
  const run = (name, ...args) => {
    const { status, stdout, stderr } = spawnSync(join(folder, 'scripts', name), args, { env, encoding: 'utf8' });
    assert.equal(status, 0, `${name}: ${stdout}${stderr}`);
    return stdout;
  };
  const pidOf = (name) => Number(readFileSync(join(folder, 'run', `${name}.pid`), 'utf8').split('\n')[0]);
  t.after(() => {
    spawnSync(join(folder, 'scripts', 'stop-cluster.sh'));
    rmSync(folder, { recursive: true, force: true });
  });

  const said = run('start-cluster.sh', '--nginx');
  for (const n of [1, 2, 3]) assert.match(said, new RegExp(`node-${n} is ready`));
  const nodes = [1, 2, 3, 4].map((n) => ({ port: 8079 + 2 * n }));
  const first = await device(t, nodes[0], 1);
  const second = await device(t, nodes[1], 2);
  assert.deepEqual([first.nodeId, second.nodeId], ['node-1', 'node-2']);
  await sendText(first, 2, 'hello');
  await sendText(second, 1, 'hello yourself');
  await until(() => first.inbox.length === 1 && second.inbox.length === 1, 'users on two nodes exchange messages');

  const visitor = await device(t, { port: 8000 }, 3, 'polling then upgrade');
  await sendText(visitor, 1, 'through nginx');
  await until(() => first.inbox.length === 2, 'a client behind nginx reaches the others');

  run('start-node.sh', '4');
  const fourth = await device(t, nodes[3], 4);
  assert.equal(fourth.nodeId, 'node-4');
  await sendText(fourth, 1, 'from the fourth');
  await until(() => first.inbox.length === 3, 'the fourth node belongs to the cluster');

  const pids = Object.fromEntries(['node1', 'node2', 'node3', 'node4', 'nginx'].map((name) => [name, pidOf(name)]));
  process.kill(pids.node2, 'SIGKILL');
  run('start-cluster.sh'); // starts what has ended, and only that
  assert.notEqual(pidOf('node2'), pids.node2);
  assert.equal(pidOf('node1'), pids.node1);

  const all = readdirSync(join(folder, 'run')).filter((name) => name.endsWith('.pid')).map((name) => pidOf(name.slice(0, -4)));
  assert.match(run('stop-cluster.sh'), /the cluster has stopped/);
  for (const pid of all) assert.equal(existsSync(`/proc/${pid}/exe`), false, `process ${pid} has ended`);
  assert.deepEqual(readdirSync(join(folder, 'run')).filter((name) => name.endsWith('.pid')), []);
  for (const n of [1, 2, 3, 4]) {
    assert.match(readFileSync(join(folder, 'logs', `node${n}.log`), 'utf8'), /the node has stopped/, `node ${n} has drained`);
  }
  assert.equal(execFileSync(join(folder, 'scripts', 'stop-cluster.sh'), { encoding: 'utf8' }), 'cluster: the cluster has stopped\n');
});

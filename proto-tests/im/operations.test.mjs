// What an operator sees and sets: health, readiness and metrics on the HTTP port, one device per user, refused starts.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check } from '../support/check.mjs';
import { device, sendText } from '../support/im.mjs';
import { binDir, startNode } from '../support/server.mjs';
import { once, until } from '../support/wait.mjs';

check('the HTTP port tells how the node is', async (t) => {
  const node = await startNode();
  t.after(() => node.stop());
  const get = async (path) => {
    const answer = await fetch(`http://127.0.0.1:${node.ports[1]}${path}`);
    return { status: answer.status, text: await answer.text() };
  };
  assert.deepEqual(await get('/healthz'), { status: 200, text: 'ok\n' });
  assert.deepEqual(await get('/readyz'), { status: 200, text: 'ready\n' });
  assert.equal((await get('/nothing')).status, 404);
  const socket = await device(t, node, 1, 'websocket only');
  await sendText(socket, 2, 'counted', { clientMessageId: 'same' });
  await sendText(socket, 2, 'counted', { clientMessageId: 'same' });
  const { status, text } = await get('/metrics');
  assert.equal(status, 200);
  for (const line of ['socketio_sessions 1', 'socketio_messages_stored_total 1', 'socketio_messages_repeated_total 1']) {
    assert.ok(text.split('\n').includes(line), `${line} in\n${text}`);
  }
});

check('im.multi_device = false: the newest connection wins', async (t) => {
  const node = await startNode({ args: ['--set', 'im.multi_device=false'] });
  t.after(() => node.stop());
  for (const mode of ['polling only', 'websocket only']) {
    const [first, other] = [await device(t, node, 1, mode), await device(t, node, 2, mode)];
    const kicked = once(first, 'kicked');
    const gone = once(first, 'disconnect');
    const second = await device(t, node, 1, mode);
    assert.deepEqual(await kicked, [{ reason: 'replaced' }]);
    await gone;
    first.disconnect();
    await sendText(other, 1, 'to the newest');
    await until(() => second.inbox.length === 1, 'the newest device gets the message');
    second.disconnect();
    other.disconnect();
  }
});

const program = join(binDir, 'tokio-socketio');
for (const [what, args, complaint] of [
  ['open authentication beyond loopback', ['--listen', '0.0.0.0:0'], /--insecure-open-auth/],
  ['an unknown setting', ['--set', 'socketio.ping_intervall=1s'], /socketio\.ping_intervall/],
  ['a value out of range', ['--set', 'socketio.max_payload=0'], /socketio\.max_payload/],
]) {
  check(`the start is refused, in one line: ${what}`, () => {
    const cwd = mkdtempSync(join(tmpdir(), 'sio-refused-'));
    const { status, stderr } = spawnSync(program, args, { cwd, encoding: 'utf8', timeout: 15_000 });
    assert.equal(status, 2, stderr);
    assert.match(stderr, complaint);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
  });
}

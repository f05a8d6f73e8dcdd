// A page of sync_messages is no larger than its connection takes: a client that asks for much gets less, and goes on from there.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { assertGapless, command, device, history, sendText } from '../support/im.mjs';
import { startNode } from '../support/server.mjs';

let node;
before(async () => {
  const settings = { 'limits.outbox_hard': '64KiB', 'limits.outbox_soft': '32KiB', 'im.messages_per_second': '0' };
  node = await startNode({ args: Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]) });
});
after(() => node.stop());

for (const mode of ['polling only', 'websocket only']) {
  check(`messages that escaping makes long come in more pages: ${mode}`, async (t) => {
    const [from, to] = mode === 'polling only' ? [1, 2] : [3, 4];
    const sender = await device(t, node, from, mode);
    // Each has 24 KiB of JSON; two of them are more than half of what the connection takes.
    for (let i = 0; i < 5; i++) await sendText(sender, to, '\u0001'.repeat(4000));
    const receiver = await device(t, node, to, mode);
    const conversation = `p:${from}:${to}`;
    const { data } = await command(receiver, 'sync_messages', { conversation, afterSeq: 0, limit: 500 });
    assert.deepEqual([data.messages.map(({ seq }) => seq), data.hasMore], [[1], true]);
    const all = await history(receiver, conversation);
    assertGapless(all);
    assert.equal(all.length, 5);
  });
}

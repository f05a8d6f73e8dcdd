// A device that comes while its user sends from another node: what is acked from its `connected` on reaches it, though a node
// publishes for the sender's own devices only when it knows that there are some elsewhere.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { device, sendText } from '../support/im.mjs';
import { until } from '../support/wait.mjs';

let cluster;
before(async () => { cluster = await startCluster({ settings: { 'im.messages_per_second': 0 } }); });
after(() => cluster?.stop());

check('a second device misses nothing of what the first one sends after it came', async (t) => {
  for (let round = 0; round < 5; round++) {
    const [sender, receiver] = [1000 + round, 2000 + round];
    const first = await device(t, cluster.nodes[0], sender);
    await sendText(first, receiver, 'before anybody asks');
    let sending = true;
    let cameAt; // the seq from which on the second device must have everything
    const sent = (async () => {
      for (let i = 0; sending; i++) {
        const after = cameAt !== undefined;
        const { seq } = await sendText(first, receiver, `${i}`);
        if (after && cameAt === 0) cameAt = seq;
      }
    })();
    await new Promise((done) => setTimeout(done, 200 * round));
    const second = await device(t, cluster.nodes[1 + (round % 2)], sender);
    cameAt = 0;
    await until(() => cameAt > 0, 'a message was sent after the second device came');
    const last = cameAt + 20;
    await until(() => second.inbox.some(({ seq }) => seq >= last), 'the second device gets what the first sends');
    sending = false;
    await sent;
    const seqs = second.inbox.map(({ seq }) => seq).filter((seq) => seq >= cameAt && seq <= last);
    assert.deepEqual(seqs, Array.from({ length: last - cameAt + 1 }, (_, i) => cameAt + i), 'each, once, in order');
  }
});

// All three nodes are restarted in turn under load, as for a new version: each drains, its clients go elsewhere and miss nothing.
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { crowd, patience, survive } from '../support/faults.mjs';

check('rolling restart of all nodes under load', patience, async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.stop());
  const ledger = await crowd(t, cluster);
  await survive(t, ledger, async () => {
    for (const node of cluster.nodes) {
      await node.terminate();
      assert.deepEqual(await node.exit, { code: 0, signal: null }, `${node.name} drains and ends in order`);
      await node.launch();
      await node.ready();
      await ledger.progress(50);
    }
  });
});

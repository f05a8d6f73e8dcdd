// SIGSTOP, then SIGCONT: a node that stands still, as on a machine that swaps or is moved.
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { busiest, crowd, patience, survive } from '../support/faults.mjs';
import { pause } from '../support/wait.mjs';

check('a pause that is shorter than the lease and the heartbeat is a delay, no more', patience, async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.stop());
  const ledger = await crowd(t, cluster);
  await survive(t, ledger, async (_, round) => {
    const node = cluster.nodes[round % 3];
    node.pause();
    await pause(1_000);
    node.resume();
  }, { steady: ledger.devices });
});

check('a pause that outlasts the lease and the heartbeat: clients go elsewhere, the node comes back', patience, async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.stop());
  const ledger = await crowd(t, cluster);
  await survive(t, ledger, async () => {
    const node = busiest(cluster, ledger);
    node.pause();
    await pause(8_000);
    node.resume();
    await node.ready();
  });
});

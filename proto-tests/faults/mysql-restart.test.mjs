// The database is killed, and stopped in order, and comes back. Meanwhile nothing can be acked; what was sent is repeated by its
// clients, and stored once.
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { crowd, patience, survive } from '../support/faults.mjs';
import { pause } from '../support/wait.mjs';

check('MariaDB is restarted under load', patience, async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.stop());
  const ledger = await crowd(t, cluster);
  await survive(t, ledger, async () => {
    for (const end of ['kill', 'terminate']) {
      await cluster.mariadb[end]();
      await pause(1_000);
      await cluster.mariadb.launch();
      await cluster.ready();
      await ledger.progress(50);
    }
  }, { steady: ledger.devices });
});

// Redis is killed and comes back empty (SPEC, section 4, promise 4): what was committed meanwhile reaches everyone, and no
// client has to do anything for it.
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { crowd, patience, survive } from '../support/faults.mjs';

check('Redis is killed and restarted under load', patience, async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.stop());
  const ledger = await crowd(t, cluster);
  await survive(t, ledger, async () => {
    await cluster.redis.kill();
    await ledger.progress(200);
    await cluster.redis.launch();
    await cluster.ready();
  }, { steady: ledger.devices });
});

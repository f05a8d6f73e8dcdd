// kill -9 of a node under load (SPEC, section 4, promise 5): its clients go to other nodes and miss nothing, and whoever does not
// come back is offline everywhere.
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { busiest, crowd, patience, survive } from '../support/faults.mjs';
import { command, device } from '../support/im.mjs';
import { until } from '../support/wait.mjs';

check('kill -9 of a node under load', patience, async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.stop());
  const ledger = await crowd(t, cluster);
  await survive(t, ledger, async () => {
    const victim = busiest(cluster, ledger);
    const watcher = await device(t, cluster.nodes.find((node) => node !== victim), 101);
    const gone = [];
    watcher.on('user_offline', ({ userId }) => gone.push(userId));
    assert.equal((await command(watcher, 'watch_presence', { userIds: [102] })).success, true);
    await device(t, victim, 102);
    await until(async () => (await command(watcher, 'get_online_users', { userIds: [102] })).data.length === 1, 'user 102 is online');
    await victim.kill();
    await ledger.progress(100);
    await until(() => gone.length > 0, 'the user of the dead node is offline', 30_000);
    assert.deepEqual(gone, [102]);
    watcher.disconnect();
    await victim.launch();
    await victim.ready();
  });
});

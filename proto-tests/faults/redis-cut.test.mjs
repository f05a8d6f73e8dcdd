// One node is cut off from Redis, the others are not: it goes on for its own clients, is given up by the others when its lease
// is over, and makes up for everything once the line is mended (SPEC, section 4, promise 4).
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { crowd, patience, survive } from '../support/faults.mjs';
import { pause } from '../support/wait.mjs';

const ways = {
  'and nobody is told: a pulled cable': (line) => line.cut(),
  'and connections are refused': (line) => line.refuse(),
};

for (const [how, sever] of Object.entries(ways)) {
  check(`Redis is cut off from one node under load, ${how}`, patience, async (t) => {
    const cluster = await startCluster();
    t.after(() => cluster.stop());
    const ledger = await crowd(t, cluster);
    await survive(t, ledger, async (_, round) => {
      const node = cluster.nodes[round % 3];
      sever(node.line);
      await pause(6_000); // longer than the lease
      node.line.mend();
      await node.ready();
    }, { steady: ledger.devices });
  });
}

check('a line to Redis that is slow and breaks now and then', patience, async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.stop());
  const ledger = await crowd(t, cluster);
  for (const { line } of cluster.nodes) line.delay(50);
  await survive(t, ledger, async (_, round) => {
    cluster.nodes[round % 3].line.reset();
    await cluster.ready();
  }, { steady: ledger.devices });
});

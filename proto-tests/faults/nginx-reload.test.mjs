// nginx reads its configuration again under load: its old workers go on with the WebSockets that they carry.
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { crowd, patience, survive } from '../support/faults.mjs';

check('nginx reload under load', patience, async (t) => {
  const cluster = await startCluster({ nginx: true });
  t.after(() => cluster.stop());
  const ledger = await crowd(t, cluster, {
    urlsFor: () => [cluster.nginx.url],
    optionsFor: (i) => ({ extraHeaders: { 'X-Forwarded-For': `10.0.${i}.1` } }), // ip_hash spreads them over the nodes
  });
  // A client that polls may use a connection that the old worker is about to close; then it connects again.
  const steady = ledger.devices.filter(({ socket }) => socket.io.engine.transport.name === 'websocket');
  await survive(t, ledger, async () => {
    cluster.nginx.reload();
    await ledger.progress(200);
  }, { steady });
});

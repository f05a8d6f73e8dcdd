// The two forms that a service takes: one node with its embedded store, and three nodes over Redis and MariaDB. Tests of what a
// user sees are written once, and run against both.
import { after, before, describe } from 'node:test';
import { startCluster } from './cluster.mjs';
import { startNode } from './server.mjs';

/** `start({settings, env})` gives what is started, once it is ready: `nodes`, and `stop()`. */
export const forms = [
  { name: 'one node', start: startAlone },
  { name: 'three nodes', start: startCluster },
];

/**
 * Declares the tests of `declare(form)` for both forms. While they run, `form.nodes` are the nodes, and `form.next()` is another one
 * with every call, where there are others: so what one node wrote, the next answers.
 */
export function inBothForms(options, declare) {
  for (const { name, start } of forms) {
    describe(name, () => {
      let at = 0;
      const form = { name, next: () => form.nodes[at++ % form.nodes.length] };
      let started;
      before(async () => {
        started = await start(options);
        form.nodes = started.nodes;
      });
      after(() => started?.stop());
      declare(form);
    });
  }
}

async function startAlone({ settings = {}, env } = {}) {
  const args = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  const node = await startNode({ args, env });
  await node.ready();
  return { nodes: [node], stop: () => node.stop() };
}

// A cluster for tests: nodes as processes, over a Redis and a MariaDB of its own, each node with a line to Redis that can be cut.
import { startMariaDb, startRedis } from './backends.mjs';
import { startNginx } from './nginx.mjs';
import { Line } from './proxy.mjs';
import { startNode } from './server.mjs';

/** Shorter than the defaults, so that what waits for them waits less; and much longer than a busy machine's pauses. */
const QUICK = {
  'cluster.node_lease': '4s',
  'cluster.lease_renewal': '1s',
  'cluster.presence_grace': '500ms',
  'socketio.ping_interval': '2s',
  'socketio.ping_timeout': '4s',
};

/**
 * Starts it and waits until every node is ready. `settings` are further ones for every node, `env` its environment, `redis` the
 * options of startRedis, `nginx` whether one stands in front of the nodes.
 */
export async function startCluster({ nodes = 3, settings = {}, env, redis, nginx = false } = {}) {
  const cluster = new Cluster({ ...QUICK, ...settings }, env);
  try {
    [cluster.redis, cluster.mariadb] = await Promise.all([startRedis(redis), startMariaDb()]);
    await Promise.all(Array.from({ length: nodes }, () => cluster.addNode()));
    if (nginx) cluster.nginx = await startNginx(cluster.nodes);
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

class Cluster {
  constructor(settings, env) {
    Object.assign(this, { settings, env, nodes: [], lines: [] });
  }

  /** One node more: node-1, node-2, … Its `line` is the way to Redis. */
  async addNode() {
    const at = this.nodes.length;
    this.nodes.push(undefined);
    const line = await Line.to(this.redis.port);
    this.lines.push(line);
    const settings = { ...this.settings, 'cluster.redis_url': `redis://127.0.0.1:${line.port}` };
    const node = await startNode({
      name: `node-${at + 1}`,
      store: this.mariadb.url,
      args: ['--node-id', `node-${at + 1}`, ...Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`])],
      env: this.env,
    });
    this.nodes[at] = Object.assign(node, { line });
    await node.ready();
    return node;
  }

  /** The nodes' Socket.IO addresses, that of node `first` in front. */
  urls(first = 0) {
    return this.nodes.map((_, i) => this.nodes[(first + i) % this.nodes.length].url);
  }

  async ready() { await Promise.all(this.nodes.map((node) => node.ready())); }

  async stop() {
    const servers = [this.nginx, ...this.nodes, this.redis, this.mariadb];
    for (const server of servers) await server?.stop();
    for (const line of this.lines) await line.close();
  }
}

// The cluster as `GET /api/cluster/nodes` tells it, asked for again and again while somebody looks: each node with what
// it carries, and the rate of its messages over the last minutes. The rate is the difference of two counts.

/** How often the nodes are asked for, in milliseconds. */
export const EVERY_MS = 1500;
/** Points of a rate's history: two minutes. */
export const POINTS = 80;
/** Tellings of a node that seem so near to each other are one and the same, in milliseconds. */
const SAME_MS = 500;
/** A node that is gone is still shown for this long, in milliseconds. */
const GONE_FOR_MS = 60_000;

/**
 * The history of one counter as rates per second, a point for each look at it. A node tells its counts now and then, so
 * many looks see what the one before saw: those points are open until the next telling, and then get their share. Pure.
 */
export class Rate {
  history = [];
  #before = null;
  #open = 0;

  /** A count, and when it was told, in milliseconds. One that fell, after a restart of the node, begins anew. */
  put(count, toldAt) {
    const before = this.#before;
    if (before === null || count < before.count) return this.#begin(count, toldAt);
    this.#open++;
    this.history.push(this.now);
    if (this.history.length > POINTS) this.history.shift();
    const ms = toldAt - before.toldAt;
    if (ms < SAME_MS) return;
    this.history.fill(((count - before.count) * 1000) / ms, -this.#open);
    this.#begin(count, toldAt);
  }

  get now() {
    return this.history.at(-1) ?? 0;
  }

  #begin(count, toldAt) {
    this.#before = { count, toldAt };
    this.#open = 0;
  }
}

export class Cluster extends EventTarget {
  nodes = [];
  error = null;
  #api;
  #timer = null;
  #known = new Map();

  constructor(api) {
    super();
    this.#api = api;
  }

  /** Asks now and every so often, until `stop()`. */
  start() {
    if (this.#timer === null) this.#poll();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
  }

  async #poll() {
    this.#timer = 0;
    if (!document.hidden) {
      try {
        this.#take(await this.#api.get('/cluster/nodes'), performance.now());
        this.error = null;
      } catch (error) {
        this.error = error;
      }
      this.dispatchEvent(new Event('change'));
    }
    if (this.#timer !== null) this.#timer = setTimeout(() => this.#poll(), EVERY_MS);
  }

  #take(nodes, at) {
    for (const status of nodes) {
      const known = this.#known.get(status.nodeId) ?? { rate: new Rate() };
      // A node tells its counts when it renews its lease, so the end of the lease dates them.
      known.rate.put(status.messages, at + status.leaseMs);
      this.#known.set(status.nodeId, Object.assign(known, { status, seenAt: at, isGone: false }));
    }
    for (const [nodeId, known] of this.#known) {
      known.isGone = known.seenAt !== at;
      if (at - known.seenAt > GONE_FOR_MS) this.#known.delete(nodeId);
    }
    this.nodes = [...this.#known.values()].map(({ status, rate, isGone }) => ({ ...status, rate, isGone }))
      .sort((a, b) => a.nodeId.localeCompare(b.nodeId, 'en', { numeric: true }));
  }
}

/** Who of `userIds` is where: `[{userId, devices: [{nodeId, since}]}]`. */
export async function locate(api, userIds) {
  return Promise.all(userIds.map(async (userId) => {
    const { devices = [] } = await api.get(`/cluster/users/${userId}`).catch(() => ({}));
    return { userId, devices };
  }));
}

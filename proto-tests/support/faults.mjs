// Load on a cluster while something breaks: every message counted (support/ledger.mjs).
import { createGroup } from './im.mjs';
import { Ledger } from './ledger.mjs';
import { pause } from './wait.mjs';

/** For how long each fault is repeated under load: short in CI, as long as you like by FAULT_SECONDS. */
export const seconds = Number(process.env.FAULT_SECONDS ?? 10);

/** For check(): the load, and what comes before and after it. */
export const patience = { timeout: (150 + 2 * seconds) * 1000 };

const MODES = ['websocket only', 'polling then upgrade', 'polling only'];

/**
 * A device of each of six users, and a second one of the first, on the three nodes in turn and in every transport mode; user i
 * writes with i + 1, who is on another node, and with i + 3, who is on the same, and in a group of all. `urlsFor(device number)` and
 * `optionsFor(device number)` say how they connect.
 */
export async function crowd(t, cluster, { urlsFor = (i) => cluster.urls(i % 3), optionsFor = () => ({}) } = {}) {
  const ledger = new Ledger();
  const users = [1, 2, 3, 4, 5, 6];
  for (const user of users) ledger.private(user, (user % 6) + 1);
  for (const user of [1, 2, 3]) ledger.private(user, user + 3);
  ledger.group(await createGroup(cluster.nodes[0], 1, users.slice(1)), users);
  for (const [i, user] of [...users, 1].entries()) {
    // The second device of user 1 is not where the first one is.
    const at = i < 6 ? i : 1;
    await ledger.device(t, urlsFor(at), user, MODES[(i + Math.floor(i / 3)) % 3], optionsFor(at));
  }
  return ledger;
}

/** The node that the most devices are connected to. */
export function busiest(cluster, ledger) {
  const devicesOn = (node) => ledger.devices.filter(({ socket }) => socket.io.uri === node.url).length;
  return cluster.nodes.reduce((most, node) => (devicesOn(node) > devicesOn(most) ? node : most));
}

/** Repeats a fault under load until the time is over, then counts. `fault` gets the ledger, to wait for progress, and its round. */
export async function survive(t, ledger, fault, options) {
  const stop = await ledger.load();
  const end = Date.now() + seconds * 1000;
  for (let round = 0; round === 0 || Date.now() < end; round++) {
    await ledger.progress(100);
    await fault(ledger, round);
    await ledger.progress(100);
  }
  await pause(Math.max(0, end - Date.now()));
  await stop();
  await ledger.verify(t, options);
}

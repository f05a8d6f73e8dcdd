// The web page against three nodes behind nginx: users on different nodes talk, a node dies or goes down, and the page says so.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { message, open, say, sees, signIn, talkTo } from '../support/browser.mjs';
import { check } from '../support/check.mjs';
import { startCluster } from '../support/cluster.mjs';
import { until } from '../support/wait.mjs';

/** A node that is killed can't be reached, and Chromium logs each attempt. */
const allow = /./;
let cluster;
let front;
before(async () => {
  cluster = await startCluster({ nginx: true });
  front = `http://127.0.0.1:${cluster.nginx.port}/`;
});
after(() => cluster?.stop());

const nodeOf = (page) => page.locator('.my-node .node-chip').innerText();
/** The page of one node, past nginx. */
const directly = (node) => `http://localhost:${node.ports[1]}/`;
const named = (name) => cluster.nodes[Number(name.at(-1)) - 1];

/** Two users on different nodes, talking to each other: the first through nginx, the second straight to another node. */
async function twoApart(t, one, two) {
  const through = await open(t, front, { allow });
  await signIn(through, one);
  const here = named(await nodeOf(through));
  const straight = await open(t, directly(cluster.nodes.find((node) => node !== here)), { allow });
  await signIn(straight, two);
  await talkTo(through, two);
  await talkTo(straight, one);
  return [through, straight, here];
}

check('users on two nodes: messages, presence, typing, read marks', async (t) => {
  const [one, two] = await twoApart(t, 101, 102);
  assert.notEqual(await nodeOf(one), await nodeOf(two));
  await one.locator('.subtitle', { hasText: 'online' }).waitFor();

  await two.getByRole('textbox', { name: /^Message to/ }).pressSequentially('hel');
  await one.locator('.subtitle', { hasText: 'User 102 is typing…' }).waitFor();
  await say(two, 'hello from another node');
  await sees(one, 'hello from another node', 'received');
  await one.locator('.subtitle', { hasText: 'online' }).waitFor();
  await sees(two, 'hello from another node', 'read');

  await two.context().close();
  await one.locator('.subtitle', { hasText: 'offline' }).waitFor();
});

check('the cluster view: every node, which one is one’s own, who is where, and the rate', async (t) => {
  const [one, two] = await twoApart(t, 111, 112);
  await one.getByRole('link', { name: 'Cluster' }).click();
  const node = (name) => one.locator(`.node[data-id="${name}"]`);
  for (const name of ['node-1', 'node-2', 'node-3']) await node(name).locator('.lease-bar').waitFor();
  await one.getByText('3 nodes are up').waitFor();
  // A node tells the others what it carries with each renewal of its lease.
  await until(async () => /Connections\s*[1-9]/.test(await node(await nodeOf(two)).locator('dl').innerText()), 'the node tells its connections');
  assert.equal(await one.locator('.node[data-state="here"]').getAttribute('data-id'), await one.locator('.my-node .node-chip').textContent());
  await one.locator('.place', { hasText: await nodeOf(two) }).getByText('User 112').waitFor();
  for (let n = 0; n < 20; n++) await say(two, `count me ${n}`);
  await until(async () => (await node(await nodeOf(two)).locator('polyline').getAttribute('points'))?.includes(','), 'the rate is drawn');
});

check('kill -9 of one’s node: the page comes back on another, and nothing is lost or there twice', async (t) => {
  const [one, two, node] = await twoApart(t, 121, 122);
  await say(one, 'before');
  await sees(two, 'before', 'received');
  const name = await nodeOf(one);
  await node.kill();
  await say(one, 'while it is gone');
  await say(two, 'are you there?');
  await until(async () => {
    const now = one.locator('.my-node .node-chip');
    return await now.count() === 1 && await now.innerText() !== name;
  }, 'one is on another node');
  await one.locator('.banner', { hasText: `Moved from ${name} to` }).waitFor();
  await sees(one, 'while it is gone', 'read');
  await sees(one, 'are you there?', 'received');
  await sees(two, 'while it is gone', 'received');
  for (const page of [one, two]) {
    const texts = await page.locator('.bubble > p').allInnerTexts();
    assert.deepEqual([...texts].sort(), ['are you there?', 'before', 'while it is gone']);
  }
  await one.getByRole('link', { name: 'Cluster' }).click();
  await one.locator(`.node[data-id="${name}"][data-state="gone"]`).or(one.getByText('2 nodes are up')).first().waitFor();
  await node.launch();
  await node.ready();
  await one.getByText('3 nodes are up').waitFor();
});

check('a node that drains: its users are on another before it is gone', async (t) => {
  const [one, two, node] = await twoApart(t, 131, 132);
  const name = await nodeOf(one);
  const ended = node.terminate();
  await one.locator('.banner', { hasText: `Moved from ${name} to` }).waitFor();
  await say(two, 'still here?');
  await sees(one, 'still here?', 'received');
  await say(one, 'yes');
  await message(two, 'yes', 'received').waitFor();
  await ended;
  await node.launch();
  await node.ready();
});

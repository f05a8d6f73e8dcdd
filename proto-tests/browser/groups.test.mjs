// The web page: groups, and what can be done with a message, between two users of one node.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { message, open, say, sees, signIn, talkTo } from '../support/browser.mjs';
import { check } from '../support/check.mjs';
import { startNode } from '../support/server.mjs';
import { until } from '../support/wait.mjs';

let node;
let url;
before(async () => {
  node = await startNode();
  url = `http://localhost:${node.ports[1]}/`;
});
after(() => node?.stop());

/** A group of `owner` by the dialog; gives its number. */
async function createGroup(page, name, members, isPublic = false) {
  await page.getByRole('button', { name: 'New chat' }).click();
  await page.getByRole('button', { name: 'New group' }).click();
  await page.getByLabel('Name of the group').fill(name);
  await page.getByLabel('Members’ numbers').fill(members);
  if (isPublic) await page.getByLabel('Anyone may join by its number').check();
  await page.getByRole('button', { name: 'Create group' }).click();
  await page.getByRole('heading', { name }).first().waitFor();
  return Number(/g:(\d+)$/.exec(page.url())[1]);
}

async function openGroup(page, name) {
  await page.locator('.conversations a', { hasText: name }).click();
  await page.getByRole('heading', { name }).first().waitFor();
}

check('a group: created with members, written in, typed in, read by some', async (t) => {
  const pages = [];
  for (const user of [201, 202, 203]) {
    pages.push(await open(t, url));
    await signIn(pages.at(-1), user);
  }
  const [one, two, three] = pages;
  await createGroup(one, 'Rowing club', '202, 203');
  await openGroup(two, 'Rowing club');
  await say(one, 'who rows?');
  await sees(two, 'who rows?', 'received');
  const unread = three.locator('.conversations a', { hasText: 'Rowing club' });
  await unread.getByLabel('1 unread').waitFor();
  await unread.getByText('User 201: who rows?').waitFor();
  assert.equal(await three.title(), '(1) tokio-socketio');

  await two.getByRole('textbox', { name: /^Message to/ }).pressSequentially('me');
  await one.locator('.subtitle', { hasText: 'User 202 is typing…' }).waitFor();
  await three.locator('.conversations .last', { hasText: 'User 202 is typing…' }).waitFor();
  await two.keyboard.press('Enter');
  await sees(one, 'me', 'received');
  await sees(one, 'who rows?', 'read');

  await openGroup(three, 'Rowing club');
  await three.getByText('New messages').waitFor();
  await until(async () => (await three.title()) === 'tokio-socketio', 'all is read');
  await message(one, 'who rows?').getByText('read by 2').waitFor({ state: 'attached' });
});

check('a group: joined by number, members with roles, invited, left', async (t) => {
  const [one, two] = [await open(t, url), await open(t, url)];
  await signIn(one, 211);
  await signIn(two, 212);
  const id = await createGroup(one, 'Night shift', '', true);
  await two.getByRole('button', { name: 'New chat' }).click();
  await two.getByRole('button', { name: 'Join group' }).click();
  await two.getByLabel('Group number').fill(String(id));
  await two.getByRole('button', { name: 'Join', exact: true }).click();
  await two.getByRole('heading', { name: 'Night shift' }).first().waitFor();
  await one.locator('.row-note').filter({ hasText: 'User 212 joined' }).waitFor();

  await one.getByRole('button', { name: 'About this conversation' }).click();
  const about = one.getByRole('complementary', { name: 'About' });
  await about.getByText('2 members').waitFor();
  await about.locator('.members li', { hasText: 'You' }).getByText('owner').waitFor();
  await about.locator('.place', { hasText: 'node-1' }).getByText('User 212').waitFor();
  await about.getByLabel('Users’ numbers').fill('213');
  await about.getByRole('button', { name: 'Invite' }).click();
  await about.getByText('3 members').waitFor();

  await two.getByRole('button', { name: 'About this conversation' }).click();
  await two.getByRole('button', { name: 'Leave group' }).click();
  await two.locator('.conversations a', { hasText: 'Night shift' }).waitFor({ state: 'detached' });
  await about.getByText('2 members').waitFor();
  await one.locator('.row-note').filter({ hasText: 'User 212 left' }).waitFor();
});

check('a message can be answered, taken back, and is then gone for everybody', async (t) => {
  const [one, two] = [await open(t, url), await open(t, url)];
  await signIn(one, 221);
  await signIn(two, 222);
  await talkTo(one, 222);
  await talkTo(two, 221);
  await say(one, 'which port?');
  await sees(two, 'which port?', 'received');
  await message(two, 'which port?').hover();
  await message(two, 'which port?').getByRole('button', { name: 'Reply' }).click();
  await two.getByText('Replying to User 221').waitFor();
  await say(two, '8081');
  const quote = message(one, '8081').locator('.quote');
  await quote.getByText('which port?').waitFor();
  await quote.click();
  await one.locator('.message.found').waitFor();

  await message(one, 'which port?').hover();
  await message(one, 'which port?').getByRole('button', { name: 'Take back' }).click();
  for (const page of [one, two]) {
    await page.locator('.message', { hasText: 'This message was taken back.' }).first().waitFor();
    assert.equal(await page.locator('.bubble > p:text-is("which port?")').count(), 0);
  }
  await two.reload();
  await two.locator('.message', { hasText: 'This message was taken back.' }).first().waitFor();
});

check('unread messages are counted while one is elsewhere, and read when one comes', async (t) => {
  const [one, two] = [await open(t, url), await open(t, url)];
  await signIn(one, 231);
  await signIn(two, 232);
  await talkTo(two, 231);
  for (const text of ['one', 'two', 'three']) await say(two, text);
  const item = one.locator('.conversations a', { hasText: 'User 232' });
  await item.getByLabel('3 unread').waitFor();
  await one.reload();
  await item.getByLabel('3 unread').waitFor();
  await item.click();
  await sees(one, 'three', 'received');
  await item.getByLabel('3 unread').waitFor({ state: 'hidden' });
  await sees(two, 'three', 'read');
  await one.reload();
  await sees(one, 'three', 'received');
  assert.equal(await item.locator('.badge').isVisible(), false);
});

// The web page against a node that wants tokens: registering, logging in, names, and being somebody for as long as the tab.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { open, say, sees } from '../support/browser.mjs';
import { check } from '../support/check.mjs';
import { startNode } from '../support/server.mjs';

/** A refused log-in is answered with 401, and Chromium logs that. */
const allow = /401|409/;
let node;
let url;
before(async () => {
  node = await startNode({ args: ['--set', 'auth.mode=jwt', '--set', `auth.jwt_secret=${'s'.repeat(40)}`] });
  url = `http://localhost:${node.ports[1]}/`;
});
after(() => node?.stop());

async function register(page, username, nickname) {
  await page.getByRole('button', { name: 'Register' }).first().click();
  await page.getByLabel('User name').fill(username);
  await page.getByLabel('Password').fill('correct horse battery');
  await page.getByLabel('Name that others see').fill(nickname);
  await page.keyboard.press('Enter');
  await page.locator('.my-node .node-chip').waitFor({ state: 'attached' });
  return Number(/\d+$/.exec(await page.locator('.me > span').first().innerText())[0]);
}

check('register, talk by name, stay signed in over a reload, log in again', async (t) => {
  const [ada, ben] = [await open(t, url, { allow }), await open(t, url, { allow })];
  await register(ada, 'ada', 'Ada Byron');
  const benId = await register(ben, 'ben', 'Ben Ōta');
  await ada.getByRole('button', { name: 'New chat' }).click();
  await ada.getByLabel('User number').fill(String(benId));
  await ada.getByRole('button', { name: 'Open chat' }).click();
  await ada.getByRole('heading', { name: 'Ben Ōta' }).waitFor();
  await say(ada, 'hello Ben');
  await ben.locator('.conversations a', { hasText: 'Ada Byron' }).click();
  await sees(ben, 'hello Ben', 'received');
  await ben.reload();
  await sees(ben, 'hello Ben', 'received');

  await ben.getByRole('link', { name: 'Cluster' }).click();
  await ben.locator('.nodes').getByText('node-1').waitFor();

  await ben.getByRole('button', { name: 'Sign out' }).click();
  await ben.getByLabel('User name, phone or email').fill('ben');
  await ben.getByLabel('Password').fill('wrong');
  await ben.keyboard.press('Enter');
  await ben.getByRole('alert').filter({ hasText: /\w/ }).waitFor();
  await ben.getByLabel('Password').fill('correct horse battery');
  await ben.keyboard.press('Enter');
  await ben.locator('.conversations a', { hasText: 'Ada Byron' }).waitFor();
});

check('a name that is taken is refused, and a token that is none leads back to signing in', async (t) => {
  const page = await open(t, url, { allow });
  await register(page, 'cleo', 'Cleo');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('button', { name: 'Register' }).first().click();
  await page.getByLabel('User name').fill('cleo');
  await page.getByLabel('Password').fill('correct horse battery');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').filter({ hasText: /\w/ }).waitFor();

  await page.evaluate(() => sessionStorage.setItem('tokio-socketio:login', JSON.stringify({ userId: 1, token: 'forged' })));
  await page.reload();
  await page.getByRole('alert').filter({ hasText: /\w/ }).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.getItem('tokio-socketio:login')), null);
});

// What can be checked by machine of who can use the page (axe-core: names, roles, contrast, focus order …), on every
// screen, in both themes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before } from 'node:test';
import { open, say, signIn, talkTo } from '../support/browser.mjs';
import { check } from '../support/check.mjs';
import { startNode } from '../support/server.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let node;
before(async () => { node = await startNode(); });
after(() => node?.stop());

async function assertAccessible(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }));
  const found = violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${where}: ${id}: ${html} ${failureSummary}`));
  assert.deepEqual(found, []);
}

for (const colorScheme of ['light', 'dark']) {
  for (const screen of ['desktop', 'phone']) {
    check(`${screen}, ${colorScheme}`, async (t) => {
      const page = await open(t, `http://localhost:${node.ports[1]}/`, { screen, colorScheme });
      await page.getByLabel('Your user number').waitFor();
      await assertAccessible(page, 'signing in');
      await signIn(page, 81);
      await page.getByRole('button', { name: 'New chat' }).click();
      await assertAccessible(page, 'the dialog');
      await page.keyboard.press('Escape');
      await talkTo(page, 82);
      const text = `a message in ${colorScheme} on a ${screen}, http://localhost/`;
      await say(page, text);
      await page.locator('.message[data-state="sent"]').last().waitFor();
      await assertAccessible(page, 'the thread');
      await page.getByRole('button', { name: 'About this conversation' }).click();
      await assertAccessible(page, 'about');
      await page.goto(`${page.url().split('#')[0]}#/cluster`);
      await page.getByRole('heading', { name: 'Cluster' }).waitFor();
      await assertAccessible(page, 'the cluster');
    });
  }
}

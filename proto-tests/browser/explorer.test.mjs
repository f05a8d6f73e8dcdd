// The API explorer in a browser: it lists what the node's OpenAPI document has, sends it, and shows what is answered.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before } from 'node:test';
import { OPERATIONS } from '../../web/js/explorer/words.js';
import { open, signIn } from '../support/browser.mjs';
import { check } from '../support/check.mjs';
import { documentOf } from '../support/openapi.mjs';
import { startNode } from '../support/server.mjs';
import { wantTokens } from '../support/tokens.mjs';
import { until } from '../support/wait.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let node, jwt;
before(async () => {
  [node, jwt] = await Promise.all([startNode(), startNode({ args: Object.entries(wantTokens).flatMap(([key, value]) => ['--set', `${key}=${value}`]) })]);
});
after(() => Promise.all([node?.stop(), jwt?.stop()]));

const at = (server, hash = '') => `http://localhost:${server.ports[1]}/explorer${hash}`;
const field = (page, name) => page.locator(`#field-${name}`);
const choose = (page, path, method) => page.locator('.operations a', { has: page.getByText(path, { exact: true }) }).filter({ hasText: method }).click();
async function send(page, status) {
  await page.getByRole('button', { name: 'Send' }).click();
  await page.locator('.answer .status', { hasText: status }).waitFor();
  return JSON.parse(await page.locator('.answer pre').innerText());
}

async function assertAccessible(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }));
  assert.deepEqual(violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${where}: ${id}: ${html} ${failureSummary}`)), []);
}

check('every operation of the document is listed, and named in both languages', async (t) => {
  const { operations } = await documentOf(node);
  const page = await open(t, at(node));
  await page.getByRole('navigation', { name: 'Operations' }).waitFor();
  assert.deepEqual((await page.locator('.operations li a').evaluateAll((links) => links.map((link) => link.hash.slice(2)))).sort(),
    operations.map(({ operation }) => operation.operationId).sort());
  assert.deepEqual(operations.map(({ operation }) => operation.operationId).filter((id) => !(id in OPERATIONS.zh)), []);

  await page.getByRole('searchbox').fill('friend remark');
  assert.equal(await page.locator('.operations li a:visible').count(), 1);
  await page.getByRole('searchbox').fill('nothing like it');
  await page.getByText('No operation has that').waitFor();
  await page.getByRole('button', { name: '中文' }).click();
  await page.getByText('给用户或群组发消息').waitFor();
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByText('Sends a message to a user or a group').waitFor();
});

for (const [screen, colorScheme] of [['desktop', 'light'], ['phone', 'dark']]) {
  check(`open mode, ${screen}, ${colorScheme}: a message is sent and found again`, async (t) => {
    const page = await open(t, at(node), { screen, colorScheme, allow: /400/ });
    await page.getByLabel('Who acts').fill('71');
    await choose(page, '/api/message/send', 'POST');
    await field(page, 'toUserId').fill('72');
    await field(page, 'content').fill("it's <b>text</b>");
    assert.match(await page.locator('details pre').textContent(), /operatorId=71'/);
    const { data } = await send(page, '200');
    assert.deepEqual([data.fromUserId, data.toUserId, data.content], [71, 72, "it's <b>text</b>"]);
    await page.getByText('What it answers').click();
    await page.locator('.answers').getByText('fromUserId').waitFor();
    await assertAccessible(page, screen);

    if (screen === 'phone') await page.getByRole('link', { name: 'All operations' }).click();
    await choose(page, '/api/message/{id}', 'GET');
    await field(page, 'id').fill(data.messageId);
    assert.deepEqual((await send(page, '200')).data, data);
    await field(page, 'id').fill('none');
    assert.equal((await send(page, '400')).error, 'invalid_parameter');
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing sticks out');
  });
}

check('with tokens: a login gives its token to the page', async (t) => {
  const page = await open(t, at(jwt, '#/getNodes'), { allow: /401/ });
  assert.equal((await send(page, '401')).error, 'token_missing');
  await choose(page, '/api/user/register', 'POST');
  const { data: { id } } = await send(page, '200');
  await choose(page, '/api/user/login', 'POST');
  await send(page, '200');
  await choose(page, '/api/user/{id}', 'GET');
  await field(page, 'id').fill(String(id));
  assert.equal((await send(page, '200')).data.username, 'anna');
  await choose(page, '/api/group/create', 'POST');
  await field(page, 'memberIds').fill('7, 8');
  await field(page, 'isPublic').selectOption('true');
  const { data } = await send(page, '200');
  assert.deepEqual([data.ownerId, data.memberCount, data.isPublic], [id, 3, true]);
});

check('the chat page leads there, and it back', async (t) => {
  const page = await open(t, `http://localhost:${node.ports[1]}/`);
  await signIn(page, 73);
  await page.getByRole('link', { name: 'API' }).click();
  await until(() => page.url() === at(node), 'the explorer');
  assert.equal(await page.getByLabel('Who acts').inputValue(), '73', 'one stays who one was');
  await page.getByRole('link', { name: 'Chat' }).last().click();
  await page.locator('.my-node .node-chip').first().waitFor({ state: 'attached' });
});

// The web page against one node with open authentication: what one user writes, another reads, in a real browser.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { message, open, say, sees, signIn, talkTo } from '../support/browser.mjs';
import { check } from '../support/check.mjs';
import { device, sendText } from '../support/im.mjs';
import { startNode } from '../support/server.mjs';
import { until } from '../support/wait.mjs';

let node;
let url;
before(async () => {
  node = await startNode();
  url = `http://localhost:${node.ports[1]}/`;
});
after(() => node?.stop());

check('one user writes, the other reads; the history is there after a reload', async (t) => {
  const one = await open(t, url);
  await signIn(one, 11);
  await talkTo(one, 12);
  await say(one, 'hello over there');
  await sees(one, 'hello over there');

  const two = await open(t, url);
  await signIn(two, 12);
  await talkTo(two, 11);
  await sees(two, 'hello over there', 'received');
  await say(two, 'hello back');
  await sees(one, 'hello back', 'received');
  assert.equal(await two.locator('.message').count(), 2);

  await one.reload();
  await sees(one, 'hello back', 'received');
  await sees(one, 'hello over there');
  assert.match(one.url(), /#\/chats\/p:11:12$/, 'the address says what is on the screen');
});

check('what is written is shown as written: markup, long words, lines, another script', async (t) => {
  const page = await open(t, url);
  await signIn(page, 21);
  await talkTo(page, 22);
  const texts = ['<img src=x onerror=alert(1)><b>bold</b>', 'x'.repeat(3000), '中文、日本語、العربية', 'a & b &lt; c'];
  for (const text of texts) await say(page, text);
  for (const text of texts) await sees(page, text, 'sent');
  assert.equal(await page.locator('.rows img, .rows p b').count(), 0);

  const field = page.getByRole('textbox', { name: /^Message to/ });
  await field.fill('first line');
  await field.press('Shift+Enter');
  await field.pressSequentially('second line');
  await field.press('Enter');
  const last = page.locator('.message').last().locator('.bubble > p');
  await until(async () => (await last.innerText()) === 'first line\nsecond line', 'both lines');

  await say(page, 'see http://localhost:1/a?b=1 for more');
  const link = page.locator('.bubble a');
  assert.equal(await link.getAttribute('href'), 'http://localhost:1/a?b=1');
  assert.equal(await link.getAttribute('rel'), 'noopener noreferrer');
});

check('a message too long is not sent, and the page says how much is left', async (t) => {
  const page = await open(t, url);
  await signIn(page, 23);
  await talkTo(page, 24);
  const field = page.getByRole('textbox', { name: /^Message to/ });
  await field.fill('é'.repeat(4990));
  await page.getByText('10 characters left').waitFor();
  await field.fill('🙂'.repeat(5001));
  assert.ok(await page.getByRole('button', { name: 'Send', exact: true }).isDisabled());
  await field.press('Enter');
  assert.equal(await page.locator('.message').count(), 0);
  await field.fill('🙂'.repeat(5000));
  await field.press('Enter');
  await page.locator('.message[data-state="sent"]').waitFor();
});

check('older messages come page by page as one scrolls up, and what is read stays in its place', async (t) => {
  const writer = await device(t, node, 31);
  await Promise.all(Array.from({ length: 230 }, (_, at) => sendText(writer, 32, `number ${at + 1}`)));
  const page = await open(t, `${url}#/chats/p:31:32`);
  await signIn(page, 31);
  await sees(page, 'number 230');
  const scroller = page.getByRole('region', { name: 'Messages' });
  await until(async () => {
    await scroller.evaluate((element) => { element.scrollTop = 0; });
    return await message(page, 'number 1').count() === 1;
  }, 'the first message is loaded');
  const texts = await page.locator('.bubble > p').allInnerTexts();
  assert.deepEqual(texts, Array.from({ length: 230 }, (_, at) => `number ${at + 1}`));
  await page.getByText('This is where the conversation begins.').waitFor();
  await page.getByRole('button', { name: 'To the latest message' }).click();
  await message(page, 'number 230').waitFor();
  assert.ok(await scroller.evaluate((element) => element.scrollHeight - element.scrollTop - element.clientHeight < 4));
});

check('what is written while the node is away is sent when it is back, once', async (t) => {
  const own = await startNode();
  t.after(() => own.stop());
  const there = `http://localhost:${own.ports[1]}/`;
  const [one, two] = [await open(t, there, { allow: /./ }), await open(t, there, { allow: /./ })];
  await signIn(one, 41);
  await talkTo(one, 42);
  await say(one, 'before');
  await sees(one, 'before', 'sent');
  await signIn(two, 42);
  await talkTo(two, 41);
  await sees(two, 'before', 'received');

  await own.kill();
  const banner = one.locator('.banner');
  await banner.getByText('Connection lost').waitFor();
  await say(one, 'meanwhile 1');
  await say(one, 'meanwhile 2');
  await message(one, 'meanwhile 2', 'queued').waitFor();
  await banner.getByText('2 messages wait to be sent').waitFor();
  await banner.getByText(/Attempt \d/).waitFor();

  await own.launch();
  await sees(one, 'meanwhile 1', 'read');
  await sees(one, 'meanwhile 2', 'read');
  await banner.waitFor({ state: 'hidden' });
  await sees(two, 'meanwhile 1', 'received');
  await sees(two, 'meanwhile 2', 'received');
  assert.deepEqual(await two.locator('.bubble > p').allInnerTexts(), ['before', 'meanwhile 1', 'meanwhile 2']);
});

check('a message that the page had not sent when it was reloaded is sent by the next page', async (t) => {
  const own = await startNode();
  t.after(() => own.stop());
  const page = await open(t, `http://localhost:${own.ports[1]}/`, { allow: /./ });
  await signIn(page, 43);
  await talkTo(page, 44);
  await own.kill();
  await page.locator('.banner').waitFor();
  await say(page, 'not lost');
  await message(page, 'not lost', 'queued').waitFor();
  await own.launch();
  await page.reload();
  await sees(page, 'not lost', 'sent');
});

check('where a user may be connected only once, the older page says so, and can take over', async (t) => {
  const own = await startNode({ args: ['--set', 'im.multi_device=false'] });
  t.after(() => own.stop());
  const older = await open(t, `http://localhost:${own.ports[1]}/`);
  await signIn(older, 45);
  const newer = await open(t, `http://localhost:${own.ports[1]}/`);
  await signIn(newer, 45);
  await older.getByText('Signed in elsewhere. This page was disconnected.').waitFor();
  await older.getByRole('button', { name: 'Use here' }).click();
  await newer.getByText('Signed in elsewhere. This page was disconnected.').waitFor();
  await older.locator('.banner').waitFor({ state: 'hidden' });
});

check('a number that is none is not taken', async (t) => {
  const page = await open(t, url);
  for (const wrong of ['0', '-1', '1.5', 'x', '9007199254740992']) {
    await page.getByLabel('Your user number').fill(wrong);
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('A user number is a whole number from 1.').waitFor();
  }
  await signIn(page, 46);
  await page.getByRole('button', { name: 'Sign out' }).click();
  assert.equal(await page.getByLabel('Your user number').inputValue(), '46', 'the number is remembered');
});

check('English and Chinese, by the browser and by the switch', async (t) => {
  const page = await open(t, url, { locale: 'zh-CN' });
  await page.getByText('你的用户编号').waitFor();
  assert.equal(await page.locator('html').getAttribute('lang'), 'zh-CN');
  await signIn(page, 51);
  await page.getByRole('heading', { name: '会话' }).waitFor();
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('heading', { name: 'Chats' }).waitFor();
  assert.equal(await page.locator('html').getAttribute('lang'), 'en-GB');
  await page.reload();
  await page.getByRole('heading', { name: 'Chats' }).waitFor();
});

check('by keyboard alone: sign in, begin a conversation, write', async (t) => {
  const page = await open(t, url);
  await page.getByLabel('Your user number').waitFor();
  await page.keyboard.type('61');
  await page.keyboard.press('Enter');
  await page.locator('.my-node .node-chip').waitFor();
  const tabTo = async (name) => {
    for (let presses = 0; presses < 20; presses++) {
      await page.keyboard.press('Tab');
      if (await page.evaluate(() => document.activeElement.getAttribute('aria-label')) === name) return;
    }
    assert.fail(`Tab does not lead to ${name}`);
  };
  await tabTo('New chat');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.keyboard.press('Enter');
  await page.keyboard.type('62');
  await page.keyboard.press('Enter');
  await page.getByRole('textbox', { name: 'Message to User 62' }).waitFor();
  await page.keyboard.type('no mouse');
  await page.keyboard.press('Enter');
  await sees(page, 'no mouse', 'sent');
});

check('on a phone one pane fills the screen, and the back button leads back', async (t) => {
  const page = await open(t, url, { screen: 'phone' });
  await signIn(page, 71);
  await talkTo(page, 72);
  await page.getByRole('textbox', { name: /^Message to/ }).fill(`${'wide '.repeat(80)}${'w'.repeat(200)}`);
  await page.getByRole('button', { name: 'Send', exact: true }).tap();
  await page.locator('.message[data-state="sent"]').waitFor();
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.equal(await overflow(), 0);
  assert.ok(await page.locator('.list').isHidden());
  await page.getByRole('link', { name: 'Back to the conversations' }).tap();
  await page.locator('.list').waitFor();
  assert.ok(await page.locator('.thread').isHidden());
  assert.equal(await overflow(), 0);
  await page.goBack();
  await page.locator('.message').waitFor();
});

// The web page in a real Chromium: pages that fail their test when they log an error, throw, break their own
// Content-Security-Policy, or ask another host for anything.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { launch, screens } from './chromium.mjs';
import { WAIT_MS } from './wait.mjs';

let browser;
after(async () => (await browser)?.close());

/**
 * A page of its own profile, at `url`. `allow`: a pattern of console errors that the test provokes (a node that is
 * killed can't be reached, and Chromium logs that).
 */
export async function open(t, url, { screen = 'desktop', locale = 'en-GB', colorScheme = 'light', reducedMotion = 'reduce', allow } = {}) {
  browser ??= launch();
  const context = await (await browser).newContext({ ...screens[screen], locale, colorScheme, reducedMotion });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const faults = [];
  page.on('pageerror', (error) => faults.push(`threw ${error.stack}`));
  page.on('console', (message) => {
    if (message.type() === 'error' && !allow?.test(message.text())) faults.push(`logged ${message.text()} (${message.location().url})`);
  });
  page.on('request', (request) => {
    if (!['localhost', '127.0.0.1'].includes(new URL(request.url()).hostname)) faults.push(`asked for ${request.url()}`);
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(faults, [], 'the page must be silent');
  });
  await page.goto(url);
  return page;
}

/** Open mode: signs in as a user, and waits until the page is connected. */
export async function signIn(page, userId) {
  await page.getByLabel('Your user number').or(page.getByLabel('你的用户编号')).fill(String(userId));
  await page.keyboard.press('Enter');
  await page.locator('.my-node .node-chip').first().waitFor({ state: 'attached' });
}

/** Opens the conversation with a user, by the dialog. */
export async function talkTo(page, userId) {
  await page.getByRole('button', { name: 'New chat' }).click();
  await page.getByLabel('User number').fill(String(userId));
  await page.getByRole('button', { name: 'Open chat' }).click();
  await page.getByRole('textbox', { name: /^Message to/ }).waitFor();
}

/** Writes a message and sends it with Enter. */
export async function say(page, text) {
  const field = page.getByRole('textbox', { name: /^Message to/ });
  await field.fill(text);
  await field.press('Enter');
}

/** The message of that text in the thread, in a state: `received`, `sent`, `read`, `queued`, `failed`. */
export function message(page, text, state) {
  return page.locator(`.message${state ? `[data-state="${state}"]` : ''}`, { has: page.locator(`.bubble > p:text-is(${JSON.stringify(text)})`) });
}

/** Waits until a message is there exactly once. */
export async function sees(page, text, state) {
  await message(page, text, state).first().waitFor();
  assert.equal(await message(page, text).count(), 1, `"${text}" is there once`);
}

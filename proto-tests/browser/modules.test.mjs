// The page's modules that are pure, without a browser.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { check } from '../support/check.mjs';
import { until } from '../support/wait.mjs';

globalThis.localStorage ??= { getItem: () => null };
globalThis.navigator ??= { language: 'en' };
const folder = fileURLToPath(new URL('../../web/js/', import.meta.url));
const { Timeline } = await import('../../web/js/timeline.js');
const { Outbox } = await import('../../web/js/outbox.js');
const { Conversation, parseKey, privateKey } = await import('../../web/js/conversation.js');
const { Rate } = await import('../../web/js/cluster.js');
const { rows } = await import('../../web/js/rows.js');
const { socketOrigin } = await import('../../web/js/server.js');
const { parseId, parseIds } = await import('../../web/js/identity.js');
const { points, roundUp } = await import('../../web/js/views/charts.js');
const { addWords, WORDS } = await import('../../web/js/i18n.js');
const { curlOf, requestOf, valueOf } = await import('../../web/js/explorer/document.js');
addWords((await import('../../web/js/explorer/words.js')).WORDS);

const message = (seq, more) => (
  { seq, messageId: `m${seq}`, fromUserId: 2, createdAt: new Date(2026, 0, 5, 12, seq).toISOString(), content: `${seq}`, ...more });
const run = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => message(from + at));
const seqs = (timeline) => timeline.messages.map(({ seq }) => seq);

check('timeline: pages at either end and pushed messages become one run', () => {
  const timeline = new Timeline();
  timeline.putPage(run(51, 100));
  assert.deepEqual(timeline.older(50), { afterSeq: 0, limit: 50 });
  timeline.put(message(101));
  timeline.put(message(101));
  timeline.putPage(run(31, 50));
  assert.deepEqual(timeline.older(50), { afterSeq: 0, limit: 30 });
  timeline.putPage(run(1, 30));
  assert.equal(timeline.older(50), null);
  assert.deepEqual(seqs(timeline), run(1, 101).map(({ seq }) => seq));
});

check('timeline: what comes ahead waits until the gap is filled, in whatever order', () => {
  const timeline = new Timeline();
  timeline.putPage(run(1, 3));
  for (const seq of [7, 5, 9]) timeline.put(message(seq));
  assert.equal(timeline.hasGap, true);
  assert.equal(timeline.last, 3);
  timeline.put(message(4));
  assert.equal(timeline.last, 5);
  timeline.putPage(run(6, 8));
  assert.equal(timeline.last, 9);
  assert.equal(timeline.hasGap, false);
  assert.deepEqual(seqs(timeline), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

check('timeline: a page that does not touch the run is not taken, and no change is lost', () => {
  const timeline = new Timeline();
  timeline.putPage(run(10, 12));
  timeline.putPage(run(20, 22));
  timeline.putPage(run(1, 8));
  assert.deepEqual(seqs(timeline), [10, 11, 12]);
  timeline.put(message(15));
  assert.equal(timeline.change(({ messageId }) => messageId === 'm15', { isDeleted: true }), true);
  timeline.putPage(run(13, 14));
  assert.equal(timeline.messages.at(-1).isDeleted, true);
  assert.equal(timeline.change(({ messageId }) => messageId === 'm99', {}), false);
});

function storage() {
  const items = new Map();
  return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value) };
}

function outbox(deliver, kept = storage()) {
  const delivered = [];
  const onDelivered = (sent) => delivered.push(sent);
  return Object.assign(new Outbox({ storage: kept, key: 'box', deliver, onChange: () => {}, onDelivered }), { delivered });
}

check('outbox: one after the other, and after a loss again with the same clientMessageId', async () => {
  const seen = [];
  let isOnline = false;
  const box = outbox(async (payload) => {
    seen.push(payload);
    if (!isOnline) throw Object.assign(new Error('lost'), { lost: true });
    return payload.content;
  });
  box.add('p:1:2', { content: 'a' });
  box.add('p:1:2', { content: 'b' });
  await until(() => box.entries('p:1:2').every(({ state }) => state === 'queued'), 'both wait');
  assert.deepEqual(seen.map(({ content }) => content), ['a']);
  isOnline = true;
  await box.flush();
  assert.deepEqual(box.delivered, ['a', 'b']);
  assert.equal(seen[0].clientMessageId, seen[1].clientMessageId);
  assert.notEqual(seen[1].clientMessageId, seen[2].clientMessageId);
  assert.equal(box.waiting, 0);
});

check('outbox: what is refused waits for a decision and holds up nothing', async () => {
  let refuses = true;
  const box = outbox(async ({ content }) => {
    if (content === 'bad' && refuses) throw Object.assign(new Error('no'), { code: 'invalid_content' });
    return content;
  });
  box.add('g:1', { content: 'bad' });
  box.add('g:1', { content: 'good' });
  await until(() => box.delivered.length === 1, 'the second is delivered');
  const [entry] = box.entries('g:1');
  assert.equal(entry.state, 'failed');
  assert.equal(entry.error.code, 'invalid_content');
  refuses = false;
  box.retry(entry.payload.clientMessageId);
  await until(() => box.delivered.length === 2, 'the first is delivered');
  assert.deepEqual(box.entries('g:1'), []);
});

check('outbox: outlives the page, and what was being sent has an unknown fate', async () => {
  const kept = storage();
  const box = outbox(() => new Promise(() => {}), kept);
  box.add('p:1:2', { content: 'a' });
  const sent = [];
  const next = outbox(async (payload) => { sent.push(payload); return payload; }, kept);
  await next.flush();
  assert.equal(sent[0].content, 'a');
  assert.deepEqual(outbox(null, { getItem: () => '{broken', setItem: () => {} }).entries('p:1:2'), []);
});

check('rows: days, runs of one sender, the line above what is new, notes, and what waits', () => {
  const conversation = new Conversation('p:1:2', 1);
  conversation.putPage([message(1), message(2), message(3, { fromUserId: 1, clientMessageId: 'c3' }),
    message(4, { createdAt: new Date(2026, 0, 6, 8).toISOString() })]);
  Object.assign(conversation, { isLoaded: true, unreadFrom: 4 });
  conversation.notes.push({ afterSeq: 2, at: 'now', event: { type: 'joined' } });
  const made = rows(conversation, [{ payload: { clientMessageId: 'c9' }, state: 'queued', at: new Date(2026, 0, 6, 8, 1).toISOString() }], 1);
  assert.deepEqual(made.map(({ kind, key }) => (kind === 'message' ? key : kind)),
    ['begin', 'day', 'seq 1', 'seq 2', 'note', 'own c3', 'day', 'unread', 'seq 4', 'own c9']);
  assert.deepEqual(made.filter(({ kind }) => kind === 'message').map(({ isFirst, isLast }) => [isFirst, isLast]),
    [[true, false], [false, true], [true, true], [true, true], [true, true]]);
});

check('conversation: names, unread, read positions that only move forward', () => {
  assert.equal(privateKey(9, 10), 'p:9:10');
  assert.deepEqual(parseKey('p:1:2', 2), { isGroup: false, targetId: 1 });
  assert.deepEqual(parseKey('p:2:2', 2), { isGroup: false, targetId: 2 });
  assert.equal(parseKey('p:1:3', 2), null);
  assert.equal(parseKey('nonsense', 2), null);
  const conversation = new Conversation('g:5', 1);
  const own = message(3, { fromUserId: 1 });
  conversation.read(2, 3);
  conversation.read(2, 1);
  conversation.read(4, 2);
  assert.equal(conversation.readersOf(own), 1);
});

check('rate: differences over time, spread over the looks between, begun anew when a node restarts', () => {
  const rate = new Rate();
  rate.put(100, 0);
  rate.put(160, 2000);
  assert.deepEqual(rate.history, [30]);
  rate.put(160, 2010);
  assert.deepEqual(rate.history, [30, 30], 'not yet told');
  rate.put(180, 4000);
  assert.deepEqual(rate.history, [30, 10, 10]);
  rate.put(180, 6000);
  assert.equal(rate.now, 0);
  rate.put(0, 11_000);
  rate.put(5, 12_000);
  assert.equal(rate.now, 5);
  assert.deepEqual([0.2, 1, 3, 12, 50, 51, 999].map(roundUp), [1, 1, 5, 20, 50, 100, 1000]);
  assert.equal(points([0, 5], 10, 100).split(' ').at(-1), '600.0,50.0');
});

check('the Socket.IO endpoint: on its own port, or on the origin of a proxy', () => {
  const config = { httpPort: 8080, socketioPort: 8081, proxied: false };
  const at = (url) => new URL(url);
  assert.equal(socketOrigin(config, at('http://localhost:8080/')), 'http://localhost:8081');
  assert.equal(socketOrigin(config, at('http://[::1]:8080/')), 'http://[::1]:8081');
  assert.equal(socketOrigin(config, at('https://chat.example/')), 'https://chat.example');
  assert.equal(socketOrigin({ ...config, proxied: true }, at('http://localhost:8080/')), 'http://localhost:8080');
  assert.equal(socketOrigin({ ...config, httpPort: 80 }, at('http://chat.example/')), 'http://chat.example:8081');
});

check('numbers of users, as people write them', () => {
  assert.equal(parseId(' 7 '), 7);
  for (const text of ['', '0', '-1', '1.5', 'x', '9007199254740992']) assert.equal(parseId(text), null, text);
  assert.deepEqual(parseIds('2, 3，4 3\n5'), [2, 3, 4, 5]);
  assert.deepEqual(parseIds(''), []);
  assert.equal(parseIds('2, x'), null);
});

check('explorer: what is typed becomes a request', () => {
  for (const [kind, text, value] of [['whole', '5', 5], ['whole', 'x', 'x'], ['name', '00000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000000'],
    ['list', '1, 2', [1, 2]], ['flag', 'false', false], ['any', '{"a":1}', { a: 1 }], ['any', '{', '{'], ['text', '5', '5'], ['text', '', undefined]]) {
    assert.deepEqual(valueOf({ kind }, text), value, `${kind} ${text}`);
  }
  const field = (name, place, kind) => ({ name, place, kind });
  const operation = {
    method: 'POST', path: '/api/message/{id}/recall', actor: 'number', hasBody: true,
    fields: [field('id', 'path', 'name'), field('note', 'body', 'text'), field('size', 'query', 'whole')],
  };
  const request = requestOf(operation, { id: 'a/b', note: "it's", size: '7' }, { userId: 3 });
  assert.deepEqual(request, {
    method: 'POST', path: 'api/message/a%2Fb/recall?size=7&operatorId=3', headers: { 'Content-Type': 'application/json' }, body: '{"note":"it\'s"}',
  });
  assert.equal(curlOf(request, 'http://h/explorer').split(' \\\n  ').at(-1), String.raw`-d '{"note":"it'\''s"}'`);
  assert.deepEqual(requestOf({ ...operation, actor: 'token' }, {}, { token: 't' }).headers, { 'Content-Type': 'application/json', Authorization: 'Bearer t' });
});

check('both languages have all words, and no more', () => {
  assert.deepEqual(Object.keys(WORDS.zh), Object.keys(WORDS.en));
  const holes = (words) => [...JSON.stringify(words).matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
  for (const key of Object.keys(WORDS.en)) assert.deepEqual(new Set(holes(WORDS.zh[key])), new Set(holes(WORDS.en[key])), key);
  const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.js') && !['i18n.js', join('explorer', 'words.js')].includes(name));
  const sources = files.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n');
  const used = new Set([...sources.matchAll(/['`]([a-z][\w-]*(?:\.[\w-]+)*)['`]/g)].map(([, key]) => key));
  const prefixes = [...sources.matchAll(/t\(`([\w.-]+)\$\{/g)].map(([, prefix]) => prefix);
  const unused = Object.keys(WORDS.en).filter((key) => !used.has(key) && !prefixes.some((prefix) => key.startsWith(prefix)));
  // The words for errors are used in the table's own module.
  assert.deepEqual(unused.filter((key) => !key.startsWith('error.')), []);
});

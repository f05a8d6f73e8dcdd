// HTTP long-polling (Engine.IO protocol, "HTTP long-polling"): payloads both ways, and what a client must not do.
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { PollingSession, SEPARATOR } from '../support/engine.mjs';
import { encode, readResponse } from '../support/http.mjs';
import { Tcp } from '../support/tcp.mjs';

const handle = conformanceWithBystanders();
const open = () => PollingSession.open(handle.port);

check('POST answers ok as text/html, GET answers text/plain and forbids caches', async () => {
  const session = await open();
  const posted = await session.post('4hello');
  assert.deepEqual([posted.status, posted.text], [200, 'ok']);
  assert.match(posted.headers['content-type'], /^text\/html/);
  const polled = await session.get();
  assert.deepEqual([polled.status, polled.text], [200, '4hello']);
  assert.match(polled.headers['content-type'], /^text\/plain; charset=utf-8$/i);
  assert.match(polled.headers['cache-control'], /no-store/);
});

check('packets of one payload are separated by \\x1e, both ways, in order', async () => {
  const session = await open();
  await session.send('4one', 'bAQIDBA==', '4', '4two', '4drei€ 😀 \u2028');
  await session.expect('4one', 'bAQIDBA==', '4', '4two', '4drei€ 😀 \u2028');
});

check('a waiting poll is answered when something comes', async () => {
  const session = await open();
  const poll = await session.begin();
  await session.send('4wake');
  let { text } = await readResponse(poll);
  if (text === '2') ({ text } = await session.get());
  assert.equal(text, '4wake');
});

check('binary of every length up to 20 bytes comes back in padded base64', async () => {
  const session = await open();
  const packets = Array.from({ length: 20 }, (_, i) => `b${Buffer.alloc(i + 1, 250 + i).toString('base64')}`);
  await session.send(...packets);
  await session.expect(...packets);
});

check('base64 in lines, as the Java client writes it (RFC 2045, section 6.8)', async () => {
  const session = await PollingSession.open(handle.port);
  for (const length of [1, 2, 3, 57, 200]) {
    const base64 = Buffer.alloc(length, length).toString('base64');
    await session.send(`b${base64.replace(/.{76}/g, '$&\n')}\n`, '4and text');
    await session.expect(`b${base64}`, '4and text');
  }
});

check('a chunked POST', async () => {
  const session = await open();
  const response = await session.post('5\r\n4chun\r\n1\r\nk\r\n3\r\ned!\r\n0\r\n\r\n', { headers: { 'Transfer-Encoding': 'chunked' } });
  assert.equal(response.text, 'ok');
  await session.expect('4chunked!');
});

check('two polls at once: one gets 400 and the session is closed', async () => {
  const session = await open();
  const polls = await Promise.all([session.begin(), session.begin()]);
  const statuses = await Promise.all(polls.map((poll) => readResponse(poll).then(({ status }) => status, () => 'closed')));
  assert.equal(statuses.filter((status) => status === 400).length, 1, `one 400 among ${statuses}`);
  await session.assertGone();
});

check('two POSTs at once: one gets 400 and the session is closed', async () => {
  const session = await open();
  // Neither body ever gets complete, so whichever comes second overlaps the first.
  const unfinished = { method: 'POST', headers: { 'Content-Length': 10 }, body: '4half' };
  const posts = await Promise.all([session.begin(unfinished), session.begin(unfinished)]);
  const first = await Promise.race(posts.map((post) => readResponse(post).then(({ status }) => status, () => new Promise(() => {}))));
  assert.equal(first, 400);
  await session.assertGone();
});

/** What must not be sent. The session is closed; the POST's own answer (400, 200 or none) is set by no document. */
const offences = {
  'an unknown packet type': 'abc',
  'an unknown digit as type': '7',
  'an empty body': '',
  'an empty packet behind a good one': `4a${SEPARATOR}`,
  'a bad packet behind a good one': `4a${SEPARATOR}xyz`,
  'a ping, which only the server sends': '2',
  'a ping with a payload': '2probe',
};
for (const [what, body] of Object.entries(offences)) {
  check(`POST of ${what} closes the session`, async () => {
    const session = await open();
    const response = await session.tryPost(body);
    if (response !== null) assert.ok([200, 400].includes(response.status), String(response.status));
    await session.assertGone();
  });
}

check('POST as application/octet-stream: 400 and the session is closed', async () => {
  const session = await open();
  const response = await session.post('4hello', { headers: { 'Content-Type': 'application/octet-stream' } });
  assert.equal(response.status, 400);
  await session.assertGone();
});

check('other content types are taken as text', async () => {
  const session = await open();
  for (const type of ['text/plain;charset=UTF-8', 'text/plain', 'application/x-www-form-urlencoded']) {
    const response = await session.post(`4${type}`, { headers: { 'Content-Type': type } });
    assert.equal(response.text, 'ok');
    await session.expect(`4${type}`);
  }
});

check('a close packet: ok, the waiting poll gets a noop, and the session is closed', async () => {
  const session = await open();
  const poll = await session.begin();
  const response = await session.post('1');
  assert.deepEqual([response.status, response.text], [200, 'ok']);
  const last = await readResponse(poll);
  // The two travel on connections of their own: a poll that came after the close is told that the session is unknown.
  if (last.status === 200) assert.ok(['6', '1'].includes(last.text), last.text);
  else assert.deepEqual(last.json(), { code: 1, message: 'Session ID unknown' });
  await session.assertGone();
});

check('invalid base64 closes the session or is read leniently', async () => {
  const session = await open();
  const response = await session.tryPost('b!!!*');
  if (response?.status === 200) await session.assertAlive().catch(() => {});
  else await session.assertGone();
});

check('a body that is no UTF-8 closes the session or is read with replacement characters', async () => {
  const session = await open();
  const response = await session.tryPost(Buffer.from([0x34, 0xff, 0xfe, 0x41]));
  if (response?.status === 200) await session.expect('4\ufffd\ufffdA');
  else await session.assertGone();
});

check('a body cut off by the end of the connection is never delivered in part', async () => {
  const session = await open();
  const post = await session.begin({ method: 'POST', headers: { 'Content-Length': 100 }, body: `4whole${SEPARATOR}4par` });
  post.end();
  await post.rest();
  const response = await session.tryPost('4after');
  if (response?.status === 200) await session.expect('4after');
  else await session.assertGone();
});

check('a poll given up by the client loses no other session its messages', async () => {
  const [quitter, other] = [await open(), await open()];
  (await quitter.begin()).destroy();
  await other.send('4still');
  await other.expect('4still');
});

check('who gives up a poll has no session any more, however soon the next poll comes', async () => {
  for (let i = 0; i < 30; i++) {
    const session = await PollingSession.open(handle.port);
    (await session.begin()).destroy();
    // Two connections have no order: where the second is seen first, its poll waits, overlaps with the one that was given up, and is
    // told that the session is closed.
    const { status, text } = await session.get();
    assert.ok(status === 400 || text === '1', `${status} ${text}`);
    assert.equal((await session.get()).status, 400);
  }
});

check('a POST whose session ends is not read to its end', async () => {
  const session = await PollingSession.open(handle.port);
  const slow = await session.begin({ method: 'POST', headers: { 'Content-Length': '1000' } });
  slow.write('4');
  assert.equal((await session.post('4second')).status, 400);
  await slow.rest();
});

check('a session answers only by its own id', async () => {
  const [one, two] = [await open(), await open()];
  await one.send('4for one');
  await two.send('4for two');
  await two.expect('4for two');
  await one.expect('4for one');
});

for (const method of ['PUT', 'DELETE', 'PATCH']) {
  check(`${method} on a session is refused and changes nothing`, async () => {
    const session = await open();
    const response = await session.get({ method, body: '4no' });
    assert.ok([400, 405, 500, 501].includes(response.status), String(response.status));
    await session.send('4yes');
    await session.expect('4yes');
  });
}

check('HEAD on a session has no body and takes nothing', async () => {
  const session = await open();
  const tcp = await Tcp.open(handle.port);
  tcp.write(encode({ method: 'HEAD', path: session.target, headers: { Connection: 'close' } }));
  await readResponse(tcp, { method: 'HEAD' });
  assert.equal((await tcp.rest()).length, 0);
  await session.send('4kept');
  await session.expect('4kept');
});

check('a noop or a pong out of turn is passed over', async () => {
  const session = await open();
  await session.send('6', '3', '3', '4after');
  await session.expect('4after');
});

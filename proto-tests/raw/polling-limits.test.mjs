// maxPayload on polling (1,000,000 bytes in `conformance`): what fits goes through, what does not is 413, and a claimed
// length is judged before its bytes are read.
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { PollingSession } from '../support/engine.mjs';
import { readResponse } from '../support/http.mjs';

const handle = conformanceWithBystanders();
const MAX = 1_000_000;
const open = () => PollingSession.open(handle.port);

/** The status, or `closed` where the answer was lost in the reset for what was still under way. */
const statusOf = (response) => response?.status ?? 'closed';

check('a body of exactly the limit', async () => {
  const session = await open();
  const packet = `4${'x'.repeat(MAX - 1)}`;
  await session.send(packet);
  assert.equal(await session.next(), packet);
});

check('one byte over the limit: 413', async () => {
  const session = await open();
  assert.ok([413, 'closed'].includes(statusOf(await session.tryPost(`4${'x'.repeat(MAX)}`))));
});

check('the limit counts bytes, not characters', async () => {
  const session = await open();
  assert.ok([413, 'closed'].includes(statusOf(await session.tryPost(`4${'€'.repeat(MAX / 2)}`))));
});

check('a claimed length over the limit: 413 without waiting for the body', {
  skipOnReference: 'reads the body before it judges its length',
}, async () => {
  for (const length of [MAX + 1, 2 ** 31, 2 ** 32, 2 ** 53, '18446744073709551615']) {
    const session = await open();
    const post = await session.begin({ method: 'POST', headers: { 'Content-Length': length }, body: '4' });
    assert.equal((await readResponse(post)).status, 413, String(length));
  }
});

check('a chunked body over the limit: 413 at the limit, not at its end', async () => {
  const session = await open();
  const post = await session.begin({ method: 'POST', headers: { 'Transfer-Encoding': 'chunked' }, body: '1\r\n4\r\n' });
  const chunk = `8000\r\n${'x'.repeat(0x8000)}\r\n`;
  for (let sent = 0; sent <= MAX; sent += 0x8000) post.write(chunk);
  assert.equal((await readResponse(post)).status, 413);
});

check('very many packets in one payload', async () => {
  const session = await open();
  const count = 2000;
  await session.send(...Array.from({ length: count }, (_, i) => `4${i}`));
  for (let i = 0; i < count; i++) assert.equal(await session.next(), `4${i}`);
});

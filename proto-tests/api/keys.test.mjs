// Keys of several issuers over HTTP: each with its one algorithm, by name, and exchanged while the node runs (docs/authentication.md).
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check } from '../support/check.mjs';
import { forms } from '../support/forms.mjs';
import { Rest } from '../support/rest.mjs';
import { tokenOf } from '../support/tokens.mjs';
import { until } from '../support/wait.mjs';

const pem = (key) => key.export({ format: 'pem', type: key.type === 'public' ? 'spki' : 'pkcs8' });

check('keys of three algorithms, by name, and exchanged under way', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'sio-keys-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const write = (name, text) => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  const [own, rsa] = [generateKeyPairSync('ed25519'), generateKeyPairSync('rsa', { modulusLength: 2048 })];
  const shared = 'one that an app and we have in common';
  const appFile = write('app', shared);
  const { nodes: [node], stop } = await forms[0].start({
    settings: {
      'auth.mode': 'jwt',
      'auth.jwt_keys': `own=EdDSA:${write('own', pem(own.privateKey))},shop=RS256:${write('shop', pem(rsa.publicKey))},app=HS256:${appFile}`,
      'auth.jwt_issue_key': 'own',
    },
  });
  t.after(stop);
  const form = { next: () => node };
  const status = async (token) => {
    const { status, body } = await new Rest(form, token).ask('GET', '/friend/blocked');
    return status === 200 ? 200 : body.error;
  };

  for (const [key, alg, kid] of [[own.privateKey, 'EdDSA', 'own'], [rsa.privateKey, 'RS256', 'shop'], [shared, 'HS256', 'app']]) {
    assert.equal(await status(tokenOf(1, {}, key, { alg, kid })), 200, `${alg} by name`);
    assert.equal(await status(tokenOf(1, {}, key, { alg })), 200, `${alg} without a name`);
    assert.equal(await status(tokenOf(1, {}, key, { alg, kid: 'nobody' })), 'token_invalid', `${alg} by another name`);
  }
  assert.equal(await status(tokenOf(1, {}, pem(rsa.publicKey), { alg: 'HS256', kid: 'shop' })), 'token_invalid', 'a public key is no secret');
  assert.equal(await status(tokenOf('Ann', { userId: 1 }, shared, { kid: 'app' })), 200, 'userId beside a name');
  assert.equal(await status(tokenOf(2, { userId: 1 }, shared, { kid: 'app' })), 'token_invalid', 'two users in one token');

  const nobody = new Rest(form, null);
  await nobody.post('/user/register', { username: 'ann', password: 'correct horse' });
  const { token } = await nobody.post('/user/login', { account: 'ann', password: 'correct horse' });
  const { alg, kid } = JSON.parse(Buffer.from(token.split('.')[0], 'base64url'));
  assert.deepEqual([alg, kid], ['EdDSA', 'own'], 'the node signs with the key that it is told to');
  assert.equal(await status(token), 200);

  const [before, after] = [shared, 'the next one that we have in common'].map((key) => tokenOf(1, {}, key, { kid: 'app' }));
  assert.equal(await status(after), 'token_invalid');
  write('app', 'the next one that we have in common');
  node.signal('SIGHUP');
  await until(async () => await status(after) === 200, 'the new key holds');
  assert.equal(await status(before), 'token_invalid', 'the old one does not');
  assert.equal(await status(token), 200, 'the others stay');
});

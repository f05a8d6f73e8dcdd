// JSON Web Tokens as any issuer makes them, right and wrong ones, with keys of a test's own.
import { createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

/** The key that nodes under test are given, and the settings that make them want tokens. */
export const secret = 'a secret of at least thirty-two bytes';
export const wantTokens = { 'auth.mode': 'jwt', 'auth.jwt_secret': secret };

/** Keys in files, removed after the tests: an HS256 secret and one key each for RS256 and EdDSA. `settings` make a node accept them. */
export function keyring() {
  const dir = mkdtempSync(join(tmpdir(), 'sio-keys-'));
  after(() => rmSync(dir, { recursive: true, force: true }));
  const write = (name, text) => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  const pem = (key) => createPublicKey(key).export({ type: 'spki', format: 'pem' });
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const ed = generateKeyPairSync('ed25519').privateKey;
  const keys = [`app=HS256:${write('app', 'another secret, which is in a file')}`, `shop=RS256:${write('shop', pem(rsa))}`, `own=EdDSA:${write('own', pem(ed))}`];
  return {
    settings: { ...wantTokens, 'auth.jwt_keys': keys.join(','), 'auth.jwt_leeway': '0ms' },
    app: 'another secret, which is in a file', rsa, ed, rsaPem: pem(rsa),
    /** Puts another EdDSA key in place of `own`; gives it. */
    replaceOwn() {
      const next = generateKeyPairSync('ed25519').privateKey;
      write('own', pem(next));
      return next;
    },
  };
}

const now = () => Math.floor(Date.now() / 1000);
const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** A token with these claims, for an hour unless they say otherwise. */
export function token(claims, { alg = 'HS256', key = secret, header = {} } = {}) {
  const signed = `${part({ alg, typ: 'JWT', ...header })}.${part(typeof claims === 'string' ? claims : { exp: now() + 3600, ...claims })}`;
  return `${signed}.${signature(alg, signed, key).toString('base64url')}`;
}

/** A good token of a user. `claims` are further ones, or others. */
export function tokenOf(userId, claims = {}, key = secret, { alg, kid } = {}) {
  return token({ sub: String(userId), ...claims }, { alg, key, header: { kid } });
}

function signature(alg, signed, key) {
  switch (alg) {
    case 'HS256': return createHmac('sha256', key).update(signed).digest();
    case 'HS384': return createHmac('sha384', key).update(signed).digest();
    case 'RS256': return sign('sha256', Buffer.from(signed), key);
    case 'EdDSA': return sign(null, Buffer.from(signed), key);
    default: return Buffer.alloc(0);
  }
}

/** The options of a client that shows this token. */
export const showing = (shown) => ({ auth: { token: shown } });

// Tokens as an integrator's own backend makes them: JSON Web Tokens signed with HS256, RS256 or EdDSA.
import { createHmac, sign } from 'node:crypto';

/** The key that nodes under test are given, and the settings that make them want tokens. */
export const secret = 'a secret of at least thirty-two bytes';
export const wantTokens = { 'auth.mode': 'jwt', 'auth.jwt_secret': secret };

const signers = {
  HS256: (text, key) => createHmac('sha256', key).update(text).digest(),
  RS256: (text, key) => sign('sha256', Buffer.from(text), key),
  EdDSA: (text, key) => sign(null, Buffer.from(text), key),
};

/** A token of a user. `claims` are further ones, or others: `exp` is an hour from now unless it is given. */
export function tokenOf(userId, claims = {}, key = secret, { alg = 'HS256', kid } = {}) {
  const part = (object) => Buffer.from(JSON.stringify(object)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const signed = `${part({ alg, typ: 'JWT', kid })}.${part({ sub: String(userId), exp, ...claims })}`;
  return `${signed}.${signers[alg](signed, key).toString('base64url')}`;
}

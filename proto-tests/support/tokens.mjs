// Tokens as an integrator's own backend makes them: JSON Web Tokens signed with HS256.
import { createHmac } from 'node:crypto';

/** The key that nodes under test are given, and the settings that make them want tokens. */
export const secret = 'a secret of at least thirty-two bytes';
export const wantTokens = { 'auth.mode': 'jwt', 'auth.jwt_secret': secret };

/** A token of a user. `claims` are further ones, or others: `exp` is an hour from now unless it is given. */
export function tokenOf(userId, claims = {}, key = secret) {
  const part = (object) => Buffer.from(JSON.stringify(object)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: String(userId), exp, ...claims })}`;
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
}

// Who one is: a number in open mode, an account and its token in jwt mode. The number is remembered for good, the token
// for as long as the tab is open.
import { Api } from './api.js';

const NUMBER = 'tokio-socketio:user';
const LOGIN = 'tokio-socketio:login';
/** The largest user id: the largest integer that JavaScript counts exactly. */
const MAX_ID = Number.MAX_SAFE_INTEGER;

/** A user or group id out of what somebody typed, or `null`. */
export function parseId(text) {
  if (!/^[1-9]\d{0,15}$/.test(text.trim())) return null;
  const id = Number(text);
  return id <= MAX_ID ? id : null;
}

/** The ids in a list of numbers with commas, spaces or line ends between them, or `null` if something else is in it. */
export function parseIds(text) {
  const ids = text.split(/[\s,，、;；]+/).filter(Boolean).map(parseId);
  return ids.includes(null) ? null : [...new Set(ids)];
}

/** Open mode: a number is enough. */
export function openIdentity(userId) {
  localStorage.setItem(NUMBER, userId);
  return keep({ userId });
}

/** The number that was used last, to be offered again. */
export function lastNumber() {
  return localStorage.getItem(NUMBER) ?? '';
}

/** jwt mode: an account and its password. Throws `ApiError`. */
export async function logIn(account, password) {
  const { token, expiresAt, user } = await new Api().post('/user/login', { account, password });
  return keep({ userId: user.id, name: user.nickname || user.username, token, expiresAt });
}

/** jwt mode: a new account, and in. Throws `ApiError`. */
export async function register(username, password, nickname) {
  await new Api().post('/user/register', { username, password, ...(nickname && { nickname }) });
  return logIn(username, password);
}

/** The identity of this tab from before a reload, or `null`. */
export function resume(authMode) {
  try {
    const identity = JSON.parse(sessionStorage.getItem(LOGIN));
    const fits = Boolean(identity?.token) === (authMode === 'jwt');
    const expired = identity?.expiresAt && Date.parse(identity.expiresAt) <= Date.now();
    return identity?.userId && fits && !expired ? identity : null;
  } catch {
    return null;
  }
}

/** Signs this tab out. */
export function forget() {
  sessionStorage.removeItem(LOGIN);
}

function keep(identity) {
  sessionStorage.setItem(LOGIN, JSON.stringify(identity));
  return identity;
}

// What tests of events ask of the HTTP API: single requests, of a user by number in open mode, else by token. Tests of the API itself have
// `Rest` (support/rest.mjs).
import { WAIT_MS } from './wait.mjs';

/** What a node answers: `{status, code, message, data, error}`. `as` is the user's number, or a token. */
export async function rest(node, as, method, path, params = {}) {
  const url = new URL(`/api${path}`, node.httpUrl);
  const headers = { 'Content-Type': 'application/json' };
  if (typeof as === 'number') url.searchParams.set('operatorId', as);
  else if (as) headers.Authorization = `Bearer ${as}`;
  const body = ['GET', 'DELETE'].includes(method) ? undefined : JSON.stringify(params);
  if (body === undefined) for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value);
  const answer = await fetch(url, { method, headers, body, signal: AbortSignal.timeout(WAIT_MS) });
  return { status: answer.status, ...await answer.json() };
}

/** The data of a request that must succeed. */
export async function done(node, as, method, path, params) {
  const { status, data, message } = await rest(node, as, method, path, params);
  if (status !== 200) throw new Error(`${method} ${path} ${JSON.stringify(params)}: ${status} ${message}`);
  return data;
}

/** The error of a request that must be refused. */
export async function denied(node, as, method, path, params) {
  const { status, error } = await rest(node, as, method, path, params);
  if (status < 400 || !error) throw new Error(`${method} ${path} ${JSON.stringify(params)} must be refused, not answered with ${status}`);
  return error;
}

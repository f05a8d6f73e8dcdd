// Devices that remember all that they hear, and the proof that they have heard all there was to hear.
import assert from 'node:assert/strict';
import { done } from './ask.mjs';
import { command, device } from './im.mjs';
import { until } from './wait.mjs';

/** A device whose `heard` is every event since it came: [[event, payload], …]. */
export async function listener(t, node, userId, options, mode = 'websocket only') {
  const socket = await device(t, node, userId, mode, options);
  socket.node = node;
  socket.userId = userId;
  socket.heard = [];
  socket.onAny((event, payload) => { if (event !== FENCE) socket.heard.push([event, payload]); });
  return socket;
}

/** What it heard of one event, or of several. */
export function heard(socket, ...events) {
  return socket.heard.filter(([event]) => events.includes(event)).map(([, payload]) => payload);
}

/** A command that must succeed; gives its data. */
export async function succeed(socket, event, payload) {
  const answer = await command(socket, event, payload);
  assert.equal(answer.success, true, `${event} ${JSON.stringify(payload)}: ${JSON.stringify(answer)}`);
  return answer.data;
}

/** Sends a message that must be stored; gives it. */
export function send(socket, target, content, more = {}) {
  return succeed(socket, 'send_message', { ...target, messageType: 1, content, ...more });
}

const FENCE = 'fence';
let fences = 0;

/**
 * Until these devices have heard everything that any node has said so far: each node says one more thing to everybody, and what a
 * node says arrives in order. `operator` is a token, where one is needed.
 */
export async function settled(nodes, sockets, operator) {
  const told = nodes.map((_, i) => `${++fences} of node ${i}`);
  const missing = sockets.map((socket) => {
    const missing = new Set(told);
    const hear = (said) => { if (missing.delete(said) && missing.size === 0) socket.off(FENCE, hear); };
    socket.on(FENCE, hear);
    return missing;
  });
  await Promise.all(nodes.map((node, i) => done(node, operator, 'POST', '/cluster/broadcast', { event: FENCE, payload: told[i] })));
  await until(() => missing.every(({ size }) => size === 0), 'everybody has heard what all nodes say to all');
}

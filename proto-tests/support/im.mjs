// IM clients: unmodified socket.io-client programs that are a user of the IM node (open authentication: ?userId=n).
import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { client, modes, upgraded } from './clients.mjs';
import { once } from './wait.mjs';

/**
 * A device of user `userId`, connected and greeted by the node named `nodeId`. Every private message that is pushed to it is
 * in `inbox`.
 */
export async function device(t, node, userId, mode = 'polling then upgrade', options = {}) {
  const socket = client(t, io, `http://localhost:${node.port}?userId=${userId}`, { ...modes[mode], ...options });
  socket.inbox = [];
  socket.on('private_message', (message) => socket.inbox.push(message));
  const refused = new Promise((_, reject) => socket.once('connect_error', reject));
  const [greeting] = await Promise.race([once(socket, 'connected'), refused]);
  assert.equal(greeting.userId, userId);
  socket.nodeId = greeting.nodeId;
  if (modes[mode].transports.length > 1) await upgraded(socket);
  return socket;
}

/** Sends one text message and gives the stored one. */
export async function sendText(socket, toUserId, content, more = {}) {
  const answer = await command(socket, 'send_message', { toUserId, messageType: 1, content, ...more });
  assert.equal(answer.success, true, JSON.stringify(answer));
  return answer.data;
}

/** The ack of a command, its shape checked (SPEC, section 4). */
export async function command(socket, event, payload) {
  return assertAnswer(await socket.timeout(15_000).emitWithAck(event, payload));
}

/** A command that must be refused, without the connection ending; gives the code. */
export async function refused(socket, event, ...args) {
  const answer = assertAnswer(await socket.timeout(15_000).emitWithAck(event, ...args));
  assert.equal(answer.success, false, `${event} ${JSON.stringify(args)?.slice(0, 200)} must be refused`);
  assert.match(answer.code ?? '', /^\w+$/, 'a machine-readable code');
  assert.equal(socket.connected, true);
  return answer.code;
}

/** A new group of user `owner` and these members, made over the HTTP API of a node; gives its id. */
export async function createGroup(node, owner, memberIds) {
  const answer = await fetch(`${node.httpUrl}/api/group/create?operatorId=${owner}`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name: `group of ${owner}`, memberIds }),
  });
  const { code, message, data } = await answer.json();
  assert.equal(code, 200, message);
  assert.equal(data.ownerId, owner);
  assert.equal(data.memberCount, 1 + memberIds.length);
  return data.id;
}

/** The whole conversation, oldest first, page by page. */
export async function history(socket, conversation, limit) {
  const messages = [];
  for (;;) {
    const { success, data, ...rest } = await command(socket, 'sync_messages', { conversation, afterSeq: messages.at(-1)?.seq ?? 0, ...(limit && { limit }) });
    assert.equal(success, true, JSON.stringify(rest));
    if (limit) assert.ok(data.messages.length <= limit);
    messages.push(...data.messages);
    if (!data.hasMore) return messages;
    assert.ok(data.messages.length > 0, 'hasMore with an empty page');
  }
}

/** seq is 1..n. */
export function assertGapless(messages) {
  assert.deepEqual(messages.map(({ seq }) => seq), messages.map((_, i) => i + 1));
}

const FIELDS = ['id', 'messageId', 'conversation', 'seq', 'fromUserId', 'toUserId', 'groupId', 'messageType', 'content', 'fileUrl',
  'fileSize', 'fileName', 'replyToMessageId', 'clientMessageId', 'isRead', 'isDeleted', 'createdAt'];

/** The message object (SPEC, section 4): documented fields only, and these values. */
export function assertMessage(message, expected) {
  assert.deepEqual(Object.keys(message).filter((key) => !FIELDS.includes(key)), [], 'undocumented fields');
  for (const key of ['id', 'seq']) assert.ok(Number.isSafeInteger(message[key]) && message[key] >= 1, `${key} ${message[key]}`);
  assert.match(message.messageId, /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
  assert.match(message.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$/);
  assert.equal(typeof message.conversation, 'string');
  assert.equal(message.isRead, false);
  assert.equal(message.isDeleted, false);
  for (const [key, value] of Object.entries(expected)) assert.deepEqual(message[key] ?? null, value, key);
}

function assertAnswer(answer) {
  assert.equal(typeof answer?.success, 'boolean', `an ack is {success, message, …}, not ${JSON.stringify(answer)}`);
  assert.equal(typeof answer.message, 'string');
  const known = ['success', 'message', 'code', 'data', 'nextCursor', ...(answer.code === 'rate_limited' ? ['retryInMs'] : [])];
  assert.deepEqual(Object.keys(answer).filter((key) => !known.includes(key)), []);
  return answer;
}

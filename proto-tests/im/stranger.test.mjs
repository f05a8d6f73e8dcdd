// A stranger's walk over every event (SPEC, section 3 and 4): whatever somebody with a good token of their own aims at other people's
// conversations, groups and messages, nothing is read, changed or listened to; and without a token nobody gets anywhere.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { done } from '../support/ask.mjs';
import { check } from '../support/check.mjs';
import { openWebSocketSession, SOCKET } from '../support/engine.mjs';
import { inBothForms } from '../support/forms.mjs';
import { command } from '../support/im.mjs';
import { listener, send, settled, succeed } from '../support/listener.mjs';
import { showing, token, tokenOf, wantTokens } from '../support/tokens.mjs';
import { until } from '../support/wait.mjs';

const operator = token({ sub: '900', admin: true });
const [ANNA, BEN] = [501, 502];
const nobody = '00000000-0000-7000-8000-000000000000';

/**
 * Every event that the service handles, and how a stranger would misuse it. What is answered with success is written as such, and must
 * then have no effect on others; everything else must be refused.
 */
const attempts = ({ me, groupId, secret, inGroup, conversation }) => ({
  send_message: [
    ...[{ groupId }, { groupId: String(groupId) }, { groupId, toUserId: me }, { groupId, fromUserId: ANNA }, { groupId, userId: ANNA, operatorId: ANNA },
      { conversation }, { conversation: `g:${groupId}` }, { groupId: 2 ** 53 - 1 }, { toUserId: me, replyToMessageId: secret.messageId },
      { toUserId: me, replyToMessageId: String(inGroup.id) },
    ].map((to) => refuse({ messageType: 1, content: 'intruder', ...to })),
    succeeds({ toUserId: me, messageType: 1, content: 'x', clientMessageId: 'anna-1', fromUserId: ANNA, conversation, seq: 1, id: secret.id, messageId: secret.messageId }),
  ],
  sync_messages: [conversation, `p:${BEN}:${ANNA}`, `p:0${ANNA}:${BEN}`, ` ${conversation}`, `${conversation} `, conversation.toUpperCase(), `${conversation}:${me}`,
    `p:${me}:${ANNA}:${BEN}`, `p:${ANNA}`, `g:${groupId}`, `G:${groupId}`, `g:0${groupId}`, `g:${groupId}.0`, `g:+${groupId}`, `group_${groupId}`, [conversation], { conversation },
    `${conversation}\u0000`, `private_${ANNA}`, '*', '%', `${conversation}' OR 'a'='a`,
  ].map((conversation) => refuse({ conversation, afterSeq: 0, userId: ANNA })),
  mark_read: [
    ...[conversation, `g:${groupId}`, `p:${BEN}:${ANNA}`].map((conversation) => refuse({ conversation, seq: 1, userId: BEN })),
    succeeds({ messageIds: [secret.messageId, inGroup.messageId] }), succeeds({ messageIds: [secret.id, String(inGroup.id)], userId: BEN }),
  ],
  get_conversations: [succeeds(), succeeds({ userId: ANNA }), succeeds({ cursor: String(secret.id + 1), userId: ANNA, limit: 100 })],
  recall_message: [secret, inGroup].flatMap(({ id, messageId }) => [id, String(id), messageId, messageId.toUpperCase()]).map((messageId) => refuse({ messageId, userId: ANNA, operatorId: ANNA })),
  delete_message: [secret, inGroup].flatMap(({ id, messageId }) => [id, String(id), messageId]).concat(nobody).map((messageId) => refuse({ messageId, fromUserId: ANNA })),
  join_room: [
    ...[{ targetId: ANNA, roomType: 1 }, { targetId: String(BEN), roomType: 1 }, { targetId: groupId, roomType: 2 }, { targetId: String(groupId), roomType: 2 },
      { targetId: groupId, roomType: 2, userId: ANNA }, { targetId: `private_${ANNA}`, roomType: 1 }, { targetId: `u:${ANNA}`, roomType: 1 }, { targetId: `g:${groupId}`, roomType: 2 },
      { targetId: ` ${ANNA}`, roomType: 1 }, { targetId: `0${ANNA}`, roomType: 1 }, { targetId: `+${ANNA}`, roomType: 1 }, { targetId: [ANNA], roomType: 1 }, { room: `group_${groupId}` },
      `group_${groupId}`, [`private_${ANNA}`], { targetId: groupId, roomType: 3 }, { targetId: ANNA, roomType: -1 }, { targetId: 2 ** 53 + ANNA, roomType: 1 },
    ].map(refuse),
    succeeds({ targetId: me, roomType: 1 }), // one's own: the number of the group, too
  ],
  leave_room: [succeeds({ targetId: ANNA, roomType: 1, userId: ANNA }), succeeds({ targetId: groupId, roomType: 2, userId: ANNA })],
  typing: [{ targetId: groupId, targetType: 2 }, { targetId: String(groupId), targetType: 2, userId: ANNA }, { targetId: `group_${groupId}`, targetType: 1 }].map(refuse),
  stop_typing: [{ targetId: groupId, targetType: 2 }, { targetId: groupId, targetType: 2, userId: ANNA }].map(refuse),
  // Who is online is no secret (SPEC, section 4); that it is watched is seen by nobody.
  get_online_users: [succeeds({ userIds: [ANNA, BEN] }), succeeds({ cursor: 1, limit: 1 })],
  watch_presence: [succeeds({ userIds: [ANNA, BEN], userId: ANNA })],
  unwatch_presence: [succeeds({ userIds: [ANNA, BEN], userId: ANNA })],
});
const refuse = (payload) => ({ payload });
const succeeds = (payload) => ({ payload, succeeds: true });

/** What only the server says, or nodes among each other. */
const notForClients = ['connected', 'draining', 'group_event', 'group_message', 'kicked', 'message_deleted', 'message_read', 'message_recalled', 'private_message',
  'user_offline', 'user_online', 'user_stop_typing', 'user_typing', 'error', 'fence', 'im.message', 'im.ties', 'im.emptied', 'im.replace', 'im.catch_up', '', '*',
  '__proto__', 'constructor', 'SEND_MESSAGE', 'send_message '];

const settings = { ...wantTokens, 'auth.jwt_leeway': '0ms', 'socketio.recovery_window': '1m' };

inBothForms({ settings }, (form) => {
  const join = (t, id) => listener(t, form.next(), id, showing(tokenOf(id)));

  /** Anna and Ben, on all nodes, who talk and share a group; and everything that they can see, as text. */
  async function world(t) {
    const group = await done(form.next(), tokenOf(ANNA), 'POST', '/group/create', { name: 'secret group', memberIds: [BEN] });
    const groupId = group.id;
    const members = [];
    for (const node of form.nodes) for (const id of [ANNA, BEN]) members.push(await listener(t, node, id, showing(tokenOf(id))));
    const secret = await send(members[0], { toUserId: BEN }, 'a secret', { clientMessageId: 'anna-1' });
    const inGroup = await send(members[0], { groupId }, 'a secret of the group');
    const { conversation } = secret;
    await settled(form.nodes, members, operator);
    for (const socket of members) socket.heard = [];
    const see = async () => JSON.stringify(await Promise.all(members.slice(0, 2).flatMap((socket) => [
      succeed(socket, 'get_conversations'),
      ...[conversation, inGroup.conversation].map((conversation) => succeed(socket, 'sync_messages', { conversation, afterSeq: 0 })),
      ...[`/group/${groupId}`, `/group/${groupId}/members`, '/friend/list', '/friend/blocked', `/group/user/${socket.userId}`]
        .map((path) => done(form.nodes[0], tokenOf(socket.userId), 'GET', path)),
    ])));
    return { groupId, members, secret, inGroup, conversation, see };
  }

  check('with a token of one\'s own: nothing of others is read, changed or heard', async (t) => {
    const { members, see, ...targets } = await world(t);
    const me = targets.groupId; // the number of a user is the number of a group: the two have nothing in common
    assert.ok(![ANNA, BEN].includes(me));
    const table = attempts({ me, ...targets });
    const handled = [...readFileSync(new URL('../../src/im/mod.rs', import.meta.url), 'utf8').matchAll(/\bim\.command\(\s*"(\w+)"/g)].map(([, event]) => event);
    assert.ok(handled.length > 10, 'the events are found in the source');
    assert.deepEqual(handled.filter((event) => !(event in table)), [], 'every event that the service handles has its attempts here');

    const before = await see();
    const strangers = [];
    for (const node of form.nodes) strangers.push(await listener(t, node, me, showing(tokenOf(me))));
    for (const [event, tries] of Object.entries(table)) {
      for (const { payload, succeeds } of tries) {
        for (const socket of strangers) {
          const what = `${event} ${JSON.stringify(payload)}`;
          const answer = payload === undefined ? await socket.emitWithAck(event) : await command(socket, event, payload);
          assert.equal(answer.success, succeeds === true, `${what}: ${JSON.stringify(answer)}`);
          if (!succeeds) assert.match(answer.code, /^(forbidden|not_a_member|group_not_found|message_not_found|invalid_payload)$/, what);
          assert.doesNotMatch(JSON.stringify(answer.data ?? answer.message), /secret/, what);
        }
      }
    }
    assert.equal(await see(), before);

    // What they say to each other is heard by them alone; the presence of both was watched, and is no more.
    const [anna] = members;
    const said = await send(anna, { toUserId: BEN }, 'another secret');
    await send(anna, { groupId: targets.groupId }, 'another secret of the group');
    await succeed(anna, 'typing', { targetId: BEN, targetType: 1 });
    await succeed(anna, 'typing', { targetId: targets.groupId, targetType: 2 });
    await succeed(members[1], 'mark_read', { messageIds: [said.messageId] });
    await succeed(anna, 'recall_message', { messageId: said.messageId });
    await done(form.next(), tokenOf(ANNA), 'PUT', `/group/${targets.groupId}`, { description: 'secret, too' });
    await settled(form.nodes, [...members, ...strangers], operator);
    for (const socket of strangers) {
      const foreign = socket.heard.filter(([event, { fromUserId }]) => !(event === 'private_message' && fromUserId === me));
      assert.deepEqual(foreign, []);
    }
    for (const socket of members) assert.doesNotMatch(JSON.stringify(socket.heard), /intruder/);
    assert.ok(members.every(({ connected }) => connected) && strangers.every(({ connected }) => connected));
  });

  check('what the server says, a client says to nobody', async (t) => {
    const { members, groupId, see } = await world(t);
    const before = await see();
    const stranger = await join(t, 601);
    for (const event of notForClients) {
      for (const payload of [{ userId: ANNA, groupId, reason: 'x' }, [ANNA, groupId, true], 601]) {
        assert.equal((await command(stranger, event, payload)).code, 'unknown_event', event);
      }
      stranger.emit(event, 601, groupId, true);
    }
    await settled(form.nodes, [...members, stranger], operator);
    for (const socket of [...members, stranger]) assert.deepEqual(socket.heard, []);
    assert.equal(await see(), before);
    await command(stranger, 'sync_messages', { conversation: `g:${groupId}`, afterSeq: 0 }).then(({ code }) => assert.equal(code, 'not_a_member'));
  });

  check('rooms that one leaves and comes back to are one\'s own', async (t) => {
    const { members, groupId } = await world(t);
    const [anna, ben] = members;
    for (const [room, target] of [[{ targetId: BEN, roomType: 1 }, { toUserId: BEN }], [{ targetId: groupId, roomType: 2 }, { groupId }]]) {
      await succeed(ben, 'leave_room', room);
      const unheard = await send(anna, target, 'while out');
      // What a node has just begun to hear of may be held back a moment, for its order.
      const hears = (socket, { id }) => until(() => socket.heard.some(([, said]) => said.id === id), 'it is heard');
      for (const other of members.filter((socket) => socket.userId === BEN && socket !== ben)) await hears(other, unheard);
      await settled(form.nodes, members, operator);
      assert.ok(!ben.heard.some(([, { id }]) => id === unheard.id), 'a device may do without a room');
      await succeed(ben, 'join_room', room);
      await succeed(ben, 'join_room', room);
      const back = await send(anna, target, 'back in');
      await hears(ben, back);
      await settled(form.nodes, members, operator);
      assert.equal(ben.heard.filter(([, { id }]) => id === back.id).length, 1, 'heard again, once');
    }
  });

  check('the session of somebody who was cut off is taken up by nobody else', async (t) => {
    const { members } = await world(t);
    const ben = members[1];
    for (const node of form.nodes) {
      for (const [shown, code] of [[tokenOf(701), 'user_mismatch'], [token({ sub: String(ANNA), exp: 1 }), 'token_expired'], ['', 'token_missing'], [null, 'token_missing']]) {
        const anna = await listener(t, node, ANNA, showing(tokenOf(ANNA)));
        await send(ben, { toUserId: ANNA }, 'an offset');
        await until(() => anna.inbox.length > 0, 'there is an offset to come back to');
        const { _pid: pid, _lastOffset: offset } = anna;
        assert.ok(pid && offset, 'recovery is on');
        anna.io.engine.close();
        await send(ben, { toUserId: ANNA }, 'a secret, while away');
        const thief = await openWebSocketSession(form.next().port, SOCKET);
        thief.text(`40${JSON.stringify({ token: shown, pid, offset })}`);
        const answer = await thief.receive();
        assert.match(answer, /^44/, answer);
        assert.equal(JSON.parse(answer.slice(2)).data.code, code);
        thief.text('421["get_conversations",{}]');
        thief.text('40/nowhere,');
        assert.doesNotMatch(await thief.receive().catch(({ message }) => message), /^4?3|secret/);
        thief.destroy();
      }
    }
  });

  check('without a token, or with one that is over, no event does anything', async (t) => {
    const { members, see, ...targets } = await world(t);
    const before = await see();
    const table = attempts({ me: 701, ...targets });
    const expired = token({ sub: String(ANNA), exp: 1 });
    for (const connect of [null, '40', `40${JSON.stringify({ token: expired })}`, `40${JSON.stringify({ token: expired, pid: randomUUID(), offset: 'x' })}`, '40/admin,', `40/im,${JSON.stringify({ token: tokenOf(ANNA) })}`]) {
      const events = Object.entries(table).flatMap(([event, tries]) => tries.slice(0, 3).map(({ payload }) => JSON.stringify([event, payload ?? null])));
      for (const event of events) {
        const session = await openWebSocketSession(form.next().port, SOCKET);
        if (connect) {
          session.text(connect);
          assert.match(await session.receive(), /^44/, 'the connection is refused');
        }
        session.text(`421${event}`);
        session.text('40/nowhere,'); // its answer comes after that to the event, if the session still lives
        const answer = await session.receive().catch(({ message }) => message);
        assert.doesNotMatch(answer, /^4?3|secret/, `${event} is not acked`);
        session.destroy();
      }
    }
    await settled(form.nodes, members, operator);
    for (const socket of members) assert.deepEqual(socket.heard, []);
    assert.equal(await see(), before);
  });
});

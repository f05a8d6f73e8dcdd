// `typing` and `stop_typing` (SPEC, section 4): seen by those who could be written to, by nobody else, and not kept; and the block
// list, which keeps somebody's messages and typing away.
import assert from 'node:assert/strict';
import { denied, done } from '../support/ask.mjs';
import { check } from '../support/check.mjs';
import { inBothForms } from '../support/forms.mjs';
import { createGroup, refused } from '../support/im.mjs';
import { heard, listener, send, settled, succeed } from '../support/listener.mjs';

let nextUser = 1;

inBothForms({}, (form) => {
  const user = () => nextUser++;
  const join = (t, id) => listener(t, form.next(), id);

  check('to a user: all devices of that user, and nobody else', async (t) => {
    const [one, two, three] = [user(), user(), user()];
    const [typist, own, ...receivers] = [await join(t, one), await join(t, one), await join(t, two), await join(t, two)];
    const other = await join(t, three);
    for (const [event, pushed, isTyping] of [['typing', 'user_typing', true], ['stop_typing', 'user_stop_typing', false]]) {
      await succeed(typist, event, { targetId: two, targetType: 1 });
      await settled(form.nodes, [typist, own, ...receivers, other]);
      for (const socket of receivers) {
        const [{ userId, targetId, isTyping: said }, ...more] = heard(socket, pushed);
        assert.deepEqual([userId, targetId, said, more], [one, two, isTyping, []]);
      }
    }
    for (const socket of [typist, own, other]) assert.deepEqual(socket.heard, []);
    assert.deepEqual(await succeed(receivers[0], 'get_conversations'), [], 'typing is not stored');
  });

  check('to a group: all its other members, and nobody else', async (t) => {
    const [one, two, three] = [user(), user(), user()];
    const groupId = await createGroup(form.next(), one, [two]);
    const [typist, ...receivers] = [await join(t, one), await join(t, two), await join(t, two)];
    const [stranger, another] = [await join(t, three), await join(t, one)];
    await succeed(typist, 'typing', { targetId: groupId, targetType: 2 });
    for (const event of ['typing', 'stop_typing']) {
      assert.equal(await refused(stranger, event, { targetId: groupId, targetType: 2 }), 'not_a_member');
    }
    await settled(form.nodes, [typist, another, stranger, ...receivers]);
    for (const socket of receivers) {
      const [{ userId, targetId, isTyping }, ...more] = heard(socket, 'user_typing', 'user_stop_typing');
      assert.deepEqual([userId, targetId, isTyping, more], [one, groupId, true, []]);
    }
    assert.deepEqual([typist.heard, another.heard, stranger.heard], [[], [], []]);
  });

  check('wrong payloads are refused', async (t) => {
    const socket = await join(t, user());
    for (const event of ['typing', 'stop_typing', 'join_room', 'leave_room']) {
      const type = event.endsWith('room') ? 'roomType' : 'targetType';
      for (const payload of [null, [], 'x', {}, { targetId: 1 }, { [type]: 1 }, { targetId: 1, [type]: 0 }, { targetId: 1, [type]: 3 }, { targetId: 1, [type]: 'one' },
        { targetId: 1, [type]: 257 }, { targetId: 0, [type]: 1 }, { targetId: -1, [type]: 1 }, { targetId: 1.5, [type]: 1 }, { targetId: 2 ** 53, [type]: 1 },
        { targetId: 'x', [type]: 1 }, { targetId: [1], [type]: 1 }, { targetId: { id: 1 }, [type]: 2 }]) {
        assert.equal(await refused(socket, event, payload), 'invalid_payload', `${event} ${JSON.stringify(payload)}`);
      }
    }
  });

  check('who is blocked can neither write nor be seen typing, from the moment that it was answered, on any device', async (t) => {
    const [one, two, three] = [user(), user(), user()];
    const groupId = await createGroup(form.next(), one, [two]);
    const receiver = await join(t, one);
    const blocked = [];
    for (const node of form.nodes) blocked.push(await listener(t, node, two));
    const friendly = await join(t, three);
    const before = await send(blocked[0], { toUserId: one }, 'before');

    const named = await send(blocked[0], { toUserId: one }, 'before, by a name', { clientMessageId: 'before' });
    await done(form.next(), one, 'POST', '/friend/block', { friendId: two });
    assert.deepEqual(await send(blocked[1] ?? blocked[0], { toUserId: one }, 'again', { clientMessageId: 'before' }), named, 'it was sent before');
    for (const socket of blocked) {
      assert.equal(await refused(socket, 'send_message', { toUserId: one, messageType: 1, content: 'let me' }), 'blocked');
      for (const event of ['typing', 'stop_typing']) assert.equal(await refused(socket, event, { targetId: one, targetType: 1 }), 'blocked');
    }
    assert.equal(await denied(form.next(), two, 'POST', '/message/send', { toUserId: one, messageType: 1, content: 'by HTTP' }), 'blocked');
    const late = await join(t, two); // what comes later knows it, too
    assert.equal(await refused(late, 'send_message', { toUserId: one, messageType: 1, content: 'let me' }), 'blocked');
    const others = [await send(friendly, { toUserId: one }, 'from another'), await send(receiver, { toUserId: two }, 'the other way')];
    const inGroup = await send(blocked[0], { groupId }, 'in a group of both');
    await succeed(friendly, 'typing', { targetId: one, targetType: 1 });
    await settled(form.nodes, [receiver]);
    assert.deepEqual(receiver.inbox, [before, named, others[0]]);
    assert.deepEqual(heard(receiver, 'group_message'), [inGroup]);
    assert.deepEqual(heard(receiver, 'user_typing', 'user_stop_typing').map(({ userId }) => userId), [three]);
    const { messages } = await succeed(receiver, 'sync_messages', { conversation: before.conversation, afterSeq: 0 });
    assert.deepEqual(messages, [before, named, others[1]], 'nothing was stored');

    await done(form.next(), one, 'POST', '/friend/unblock', { friendId: two });
    for (const socket of [...blocked, late]) {
      await send(socket, { toUserId: one }, 'friends again');
      await succeed(socket, 'typing', { targetId: one, targetType: 1 });
    }
    await settled(form.nodes, [receiver]);
    assert.equal(receiver.inbox.length, 3 + blocked.length + 1);
  });
});

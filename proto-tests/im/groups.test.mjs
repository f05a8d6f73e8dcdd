// Groups over the HTTP API, and what connected clients see of it (SPEC, sections 4 and 5): `group_event` to the members on every
// node, who may do what, and that a change of membership holds for messages from then on.
import assert from 'node:assert/strict';
import { denied, done, rest } from '../support/ask.mjs';
import { check } from '../support/check.mjs';
import { inBothForms } from '../support/forms.mjs';
import { createGroup, refused } from '../support/im.mjs';
import { heard, listener, send, settled, succeed } from '../support/listener.mjs';
import { once, until } from '../support/wait.mjs';

let nextUser = 1;

inBothForms({ settings: { 'socketio.recovery_window': '1m', 'im.max_group_members': '50' } }, (form) => {
  const user = () => nextUser++;
  const join = (t, id) => listener(t, form.next(), id);
  const post = (who, what, params) => done(form.next(), who, 'POST', `/group/${what}`, params);
  const text = (groupId) => ({ groupId, messageType: 1, content: 'x' });

  check('every change is told to all members and to whom it concerns, on all nodes, and to nobody else', async (t) => {
    const [owner, admin, member, guest, other] = [user(), user(), user(), user(), user()];
    const sockets = {};
    for (const who of [owner, admin, member, guest, other]) sockets[who] = [await join(t, who), await join(t, who)];
    const all = Object.values(sockets).flat();
    /** Who has been told what since the last time, the event being the same for all. */
    const told = async (type, to, more = {}) => {
      await settled(form.nodes, all);
      for (const socket of all) {
        const events = heard(socket, 'group_event');
        socket.heard = [];
        const expected = to.includes(socket.userId) ? [{ groupId, type, ...more }] : [];
        const seen = events.map((event) => Object.fromEntries(Object.keys(expected[0] ?? event).map((key) => [key, event[key]])));
        assert.deepEqual(seen, expected, `${type} as user ${socket.userId} hears it`);
      }
    };
    const group = await post(owner, 'create', { name: 'us', memberIds: [admin, member], isPublic: true, maxMembers: 5 });
    const groupId = group.id;
    await told('created', [owner, admin, member], { operatorId: owner, userIds: [owner, admin, member] });
    await post(guest, 'join', { groupId });
    await told('member_joined', [owner, admin, member, guest], { operatorId: guest, userIds: [guest] });
    await post(guest, 'leave', { groupId });
    await told('member_left', [owner, admin, member, guest], { operatorId: guest, userIds: [guest] });
    await post(member, 'invite', { groupId, userIds: [guest, admin] });
    await told('member_joined', [owner, admin, member, guest], { operatorId: member, userIds: [guest] });
    await post(owner, 'admin', { groupId, userId: admin, isAdmin: true });
    await told('admin_changed', [owner, admin, member, guest], { operatorId: owner, userIds: [admin], isAdmin: true });
    await post(admin, 'mute', { groupId, userId: guest, muteDuration: 5 });
    await told('member_muted', [owner, admin, member, guest], { operatorId: admin, userIds: [guest] });
    await post(owner, 'unmute', { groupId, userId: guest });
    await told('member_unmuted', [owner, admin, member, guest], { operatorId: owner, userIds: [guest], mutedUntil: null });
    await post(admin, 'kick', { groupId, userId: guest });
    await told('member_kicked', [owner, admin, member, guest], { operatorId: admin, userIds: [guest] });
    const changed = await done(form.next(), admin, 'PUT', `/group/${groupId}`, { name: 'them', isPublic: false });
    assert.equal(changed.name, 'them');
    await told('updated', [owner, admin, member], { operatorId: admin, group: changed });
    await post(owner, 'admin', { groupId, userId: admin, isAdmin: false });
    await told('admin_changed', [owner, admin, member], { isAdmin: false });
    await post(owner, 'transfer', { groupId, userId: admin });
    await told('owner_changed', [owner, admin, member], { operatorId: owner, userIds: [admin] });
    await done(form.next(), admin, 'DELETE', `/group/${groupId}`);
    await told('dissolved', [owner, admin, member], { operatorId: admin });
  });

  check('who may do what', async () => {
    const [owner, admin, admin2, member, guest] = [user(), user(), user(), user(), user()];
    const groupId = await createGroup(form.next(), owner, [admin, admin2, member]);
    for (const userId of [admin, admin2]) await post(owner, 'admin', { groupId, userId, isAdmin: true });
    const no = (who, what, params) => denied(form.next(), who, 'POST', `/group/${what}`, { groupId, ...params });
    // One's own role is not enough, or not above that of the other.
    for (const [who, userId] of [[member, admin], [member, owner], [member, guest], [admin, owner], [admin, admin2], [admin, admin], [owner, owner]]) {
      for (const [what, more] of [['kick', {}], ['mute', { muteDuration: 1 }], ['unmute', {}]]) {
        assert.ok(['forbidden', 'not_a_member'].includes(await no(who, what, { userId, ...more })), `${what} of ${userId} by ${who}`);
      }
    }
    for (const who of [member, admin]) {
      for (const isAdmin of [true, false]) assert.equal(await no(who, 'admin', { userId: member, isAdmin }), 'forbidden');
      assert.equal(await denied(form.next(), who, 'DELETE', `/group/${groupId}`), 'forbidden');
    }
    assert.equal(await denied(form.next(), member, 'PUT', `/group/${groupId}`, { name: 'mine' }), 'forbidden');
    assert.equal(await no(member, 'invite', { userIds: [guest] }), 'forbidden', 'the group is not public');
    assert.equal(await no(guest, 'join'), 'forbidden', 'the group is not public');
    assert.equal(await no(owner, 'leave'), 'owner_cannot_leave');
    assert.equal(await no(owner, 'admin', { userId: owner, isAdmin: false }), 'forbidden');
    for (const [what, more] of [['kick', { userId: member }], ['mute', { userId: member, muteDuration: 1 }], ['unmute', { userId: member }],
      ['admin', { userId: member, isAdmin: true }], ['invite', { userIds: [guest] }], ['leave', {}]]) {
      assert.equal(await no(guest, what, more), 'not_a_member', what);
      assert.equal(await no(owner, what, { ...more, groupId: 2 ** 53 - 1 }), 'group_not_found', what);
    }
    const roles = (await done(form.next(), member, 'GET', `/group/${groupId}/members`)).map(({ userId, role, mutedUntil }) => [userId, role, mutedUntil]);
    assert.deepEqual(roles, [[owner, 2, null], [admin, 1, null], [admin2, 1, null], [member, 0, null]], 'nothing has changed');
  });

  check('muted members read, and write nothing, until they are unmuted', async (t) => {
    const [owner, member] = [user(), user()];
    const groupId = await createGroup(form.next(), owner, [member]);
    const [first, second, second2] = [await join(t, owner), await join(t, member), await join(t, member)];
    const before = Date.now();
    await post(owner, 'mute', { groupId, userId: member, muteDuration: 2 });
    for (const socket of [second, second2]) assert.equal(await refused(socket, 'send_message', text(groupId)), 'muted');
    assert.equal(await denied(form.next(), member, 'POST', '/message/send', text(groupId)), 'muted');
    assert.equal((await send(first, { groupId }, 'listen')).seq, 1);
    await settled(form.nodes, [second]);
    assert.equal(heard(second, 'group_message').length, 1);
    const { mutedUntil } = heard(second, 'group_event').find(({ type }) => type === 'member_muted');
    assert.ok(Date.parse(mutedUntil) >= before + 120_000 && Date.parse(mutedUntil) <= Date.now() + 120_000, `two minutes from now, not ${mutedUntil}`);
    await post(owner, 'unmute', { groupId, userId: member });
    assert.equal((await send(second2, { groupId }, 'at last')).seq, 2);
  });

  check('the maximum holds, whoever comes at once', async () => {
    const owner = user();
    const { id: groupId } = await post(owner, 'create', { name: 'small', isPublic: true, maxMembers: 5 });
    const wanted = Array.from({ length: 15 }, user);
    const answers = await Promise.all(wanted.map((who) => rest(form.next(), who, 'POST', '/group/join', { groupId })));
    assert.equal(answers.filter(({ status }) => status === 200).length, 4);
    assert.deepEqual([...new Set(answers.filter(({ status }) => status !== 200).map(({ error }) => error))], ['group_full']);
    assert.equal(await denied(form.next(), owner, 'POST', '/group/invite', { groupId, userIds: [user()] }), 'group_full');
    assert.equal((await done(form.next(), owner, 'GET', `/group/${groupId}`)).memberCount, 5);
    // A larger one lets in all or none.
    await done(form.next(), owner, 'PUT', `/group/${groupId}`, { maxMembers: 6 });
    assert.equal(await denied(form.next(), owner, 'POST', '/group/invite', { groupId, userIds: [user(), user()] }), 'group_full');
    await post(owner, 'invite', { groupId, userIds: [user()] });
    assert.equal(await denied(form.next(), owner, 'PUT', `/group/${groupId}`, { maxMembers: 51 }), 'invalid_payload');
    assert.equal(await denied(form.next(), owner, 'POST', '/group/create', { name: 'x', memberIds: Array.from({ length: 50 }, (_, i) => 1_000_000 + i) }), 'group_full');
  });

  check('a newcomer hears all that is sent once the joining was answered', async (t) => {
    const [owner, ...guests] = Array.from({ length: 7 }, user);
    const groupId = await createGroup(form.next(), owner, []);
    const senders = [];
    for (const node of form.nodes) senders.push(await listener(t, node, owner));
    for (const [i, guest] of guests.entries()) {
      const sockets = [await join(t, guest), await join(t, guest)];
      await post(owner, 'invite', { groupId, userIds: [guest] });
      const message = await send(senders[i % senders.length], { groupId }, `welcome ${guest}`);
      for (const socket of sockets) {
        await until(() => heard(socket, 'group_message').length > 0, 'the newcomer hears the message');
        assert.deepEqual(heard(socket, 'group_message'), [message]);
        await succeed(socket, 'typing', { targetId: groupId, targetType: 2 });
      }
    }
  });

  check('who was put out hears nothing that is sent once that was answered, and does nothing there', async (t) => {
    const [owner, ...guests] = Array.from({ length: 7 }, user);
    const groupId = await createGroup(form.next(), owner, guests);
    const senders = [];
    for (const node of form.nodes) senders.push(await listener(t, node, owner));
    const { conversation } = await send(senders[0], { groupId }, 'before');
    for (const [i, guest] of guests.entries()) {
      const sockets = [await join(t, guest), await join(t, guest)];
      if (i % 2) await post(guest, 'leave', { groupId });
      else await post(owner, 'kick', { groupId, userId: guest });
      const sender = senders[i % senders.length];
      const message = await send(sender, { groupId }, `without ${guest}`);
      await succeed(sender, 'typing', { targetId: groupId, targetType: 2 });
      await succeed(sender, 'recall_message', { messageId: message.messageId });
      await done(form.next(), owner, 'PUT', `/group/${groupId}`, { description: `without ${guest}` });
      await settled(form.nodes, sockets);
      for (const socket of sockets) {
        assert.deepEqual(socket.heard.map(([event, { type }]) => [event, type]), [['group_event', i % 2 ? 'member_left' : 'member_kicked']]);
        assert.equal(await refused(socket, 'send_message', text(groupId)), 'not_a_member');
        assert.equal(await refused(socket, 'sync_messages', { conversation, afterSeq: 0 }), 'not_a_member');
        assert.equal(await refused(socket, 'mark_read', { conversation, seq: 1 }), 'not_a_member');
        assert.equal(await refused(socket, 'join_room', { targetId: groupId, roomType: 2 }), 'not_a_member');
        for (const typing of ['typing', 'stop_typing']) assert.equal(await refused(socket, typing, { targetId: groupId, targetType: 2 }), 'not_a_member');
        assert.deepEqual(await succeed(socket, 'get_conversations'), []);
      }
    }
  });

  check('who was taken in while cut off is not told to have missed nothing', async (t) => {
    const [owner, guest] = [user(), user()];
    for (const node of form.nodes) {
      const first = await listener(t, form.nodes[0], owner);
      const away = await listener(t, form.nodes[0], guest);
      away.io.engine.close();
      await until(() => !away.connected, 'it is cut off');
      const groupId = await createGroup(form.next(), owner, [guest]);
      const { conversation } = await send(first, { groupId }, 'while away');
      away.io.uri = `http://localhost:${node.port}?userId=${guest}`;
      const greeted = once(away, 'connected');
      away.connect();
      assert.equal((await greeted)[0].recovered, undefined);
      assert.equal((await succeed(away, 'sync_messages', { conversation, afterSeq: 0 })).messages.length, 1);
      away.disconnect();
    }
  });

  check('who was put out while cut off does not come back into the room', async (t) => {
    const [owner, guest] = [user(), user()];
    for (const [at] of form.nodes.entries()) {
      const groupId = await createGroup(form.next(), owner, [guest]);
      const first = await listener(t, form.nodes[0], owner);
      const away = await listener(t, form.nodes[0], guest);
      await send(first, { groupId }, 'before');
      await until(() => heard(away, 'group_message').length === 1, 'it is in');
      away.io.engine.close();
      await until(() => !away.connected, 'it is cut off');
      await post(owner, 'kick', { groupId, userId: guest });
      await send(first, { groupId }, 'while away');
      away.io.uri = `http://localhost:${form.nodes[at].port}?userId=${guest}`;
      const greeted = once(away, 'connected');
      away.connect();
      assert.equal((await greeted)[0].recovered, true);
      await send(first, { groupId }, 'afterwards');
      await settled(form.nodes, [away]);
      assert.deepEqual(heard(away, 'group_message').map(({ content }) => content), ['before']);
      assert.equal(heard(away, 'group_event').at(-1).type, 'member_kicked', 'it is told why');
      away.disconnect();
    }
  });

  check('a group that is dissolved is none any more', async (t) => {
    const [owner, member] = [user(), user()];
    const groupId = await createGroup(form.next(), owner, [member]);
    const sockets = [await join(t, owner), await join(t, member), await join(t, member)];
    const { conversation } = await send(sockets[0], { groupId }, 'before');
    await done(form.next(), owner, 'DELETE', `/group/${groupId}`);
    for (const socket of sockets) {
      assert.equal(await refused(socket, 'send_message', text(groupId)), 'group_not_found');
      assert.equal(await refused(socket, 'sync_messages', { conversation, afterSeq: 0 }), 'group_not_found');
      assert.deepEqual(await succeed(socket, 'get_conversations'), []);
      assert.equal(await refused(socket, 'join_room', { targetId: groupId, roomType: 2 }), 'not_a_member');
    }
    for (const [what, params] of [['join', {}], ['leave', {}], ['invite', { userIds: [user()] }], ['kick', { userId: member }], ['mute', { userId: member, muteDuration: 1 }]]) {
      assert.equal(await denied(form.next(), owner, 'POST', `/group/${what}`, { groupId, ...params }), 'group_not_found');
    }
    assert.equal(await denied(form.next(), owner, 'DELETE', `/group/${groupId}`), 'group_not_found');
    assert.deepEqual(await done(form.next(), member, 'GET', `/group/user/${member}`), []);
  });

  check('in and out at the same time from all sides: in the end every node agrees with the store', async (t) => {
    const [owner, ...guests] = Array.from({ length: 5 }, user);
    const groupId = await createGroup(form.next(), owner, []);
    const sender = await join(t, owner);
    const sockets = [];
    for (const guest of guests) for (const node of form.nodes) sockets.push(await listener(t, node, guest));
    for (let round = 0; round < 6; round++) {
      await Promise.all(guests.flatMap((guest) => form.nodes.flatMap((node) => [
        rest(node, owner, 'POST', '/group/invite', { groupId, userIds: [guest] }),
        rest(node, owner, 'POST', '/group/kick', { groupId, userId: guest }),
      ])));
      const members = (await done(form.next(), owner, 'GET', `/group/${groupId}/members`)).map(({ userId }) => userId);
      const message = await send(sender, { groupId }, `round ${round}`);
      const has = (socket) => heard(socket, 'group_message').some(({ id }) => id === message.id);
      const [inside, outside] = [true, false].map((is) => sockets.filter(({ userId }) => members.includes(userId) === is));
      for (const socket of inside) await until(() => has(socket), `user ${socket.userId} hears what is said in round ${round}`);
      await settled(form.nodes, outside);
      assert.deepEqual(outside.filter(has).map(({ userId }) => userId), [], `in round ${round}`);
    }
  });
});

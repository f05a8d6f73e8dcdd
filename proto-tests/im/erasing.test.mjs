// Messages that are taken back (SPEC, section 4): `recall_message` and `delete_message` empty a message in its place, for its
// sender and for who manages its group, and everybody concerned is told.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { done } from '../support/ask.mjs';
import { check } from '../support/check.mjs';
import { inBothForms } from '../support/forms.mjs';
import { createGroup, history, refused } from '../support/im.mjs';
import { heard, listener, send, settled, succeed } from '../support/listener.mjs';
import { until } from '../support/wait.mjs';

let nextUser = 1;
const ways = { recall_message: 'message_recalled', delete_message: 'message_deleted' };

inBothForms({}, (form) => {
  const user = () => nextUser++;
  const join = (t, id) => listener(t, form.next(), id);

  for (const [command, event] of Object.entries(ways)) {
    check(`${command}: the message keeps its place without its content, and all devices of both are told`, async (t) => {
      const [one, two, three] = [user(), user(), user()];
      const devices = [await join(t, one), await join(t, one), await join(t, two), await join(t, two)];
      const other = await join(t, three);
      const [sender, own] = devices;
      const file = { messageType: 3, fileUrl: '/f', fileSize: 5, fileName: 'f.txt' };
      const sent = [await send(sender, { toUserId: two }, 'one'), await send(sender, { toUserId: two }, 'two', file), await send(sender, { toUserId: two }, 'three')];
      const emptied = { ...sent[1], content: '', fileUrl: null, fileSize: null, fileName: null, isDeleted: true };
      assert.deepEqual(await succeed(own, command, { messageId: sent[1].messageId }), emptied);
      await settled(form.nodes, [...devices, other]);
      for (const socket of devices) {
        const [told, ...more] = heard(socket, event);
        assert.deepEqual(more, []);
        const { conversation, id, messageId, seq } = sent[1];
        assert.deepEqual({ ...told }, { conversation, id, messageId, seq, operatorId: one });
      }
      assert.deepEqual(other.heard, []);
      assert.deepEqual(await history(devices[2], sent[0].conversation), [sent[0], emptied, sent[2]]);
      assert.deepEqual(await done(form.next(), two, 'GET', `/message/${sent[1].id}`), emptied);

      // Once more: nothing else happens to it.
      assert.deepEqual(await succeed(sender, command, { messageId: sent[1].id }), emptied);
      await settled(form.nodes, [...devices, other]);
      for (const socket of devices) assert.equal(heard(socket, event).length, 1, 'nobody is told again');
      assert.deepEqual(await history(devices[2], sent[0].conversation), [sent[0], emptied, sent[2]]);
    });

    check(`${command}: not by the recipient, not by others, not of what is not there`, async (t) => {
      const [one, two, three] = [user(), user(), user()];
      const [sender, recipient, other] = [await join(t, one), await join(t, two), await join(t, three)];
      const sent = await send(sender, { toUserId: two }, 'stays');
      for (const socket of [recipient, other]) {
        for (const messageId of [sent.messageId, sent.id]) assert.equal(await refused(socket, command, { messageId }), 'forbidden');
      }
      assert.equal(await refused(sender, command, { messageId: randomUUID() }), 'message_not_found');
      assert.equal(await refused(sender, command, { messageId: 2 ** 53 - 1 }), 'message_not_found');
      for (const payload of [{}, { messageId: null }, { messageId: {} }, { messageId: [sent.id] }, { messageId: '' }, { messageId: -1 }, { messageId: 1.5 },
        { messageId: `${sent.messageId}x` }, { messageId: "' OR 1=1 --" }, sent.messageId, null, []]) {
        assert.equal(await refused(sender, command, payload), 'invalid_payload');
      }
      await settled(form.nodes, [sender, recipient]);
      assert.deepEqual([heard(sender, event), heard(recipient, event)], [[], []]);
      assert.deepEqual(await history(recipient, sent.conversation), [sent]);
    });

    check(`${command} in a group: by the sender, its admins and its owner, as long as they are in it`, async (t) => {
      const [owner, admin, member, sender, other] = [user(), user(), user(), user(), user()];
      const groupId = await createGroup(form.next(), owner, [admin, member, sender]);
      await done(form.next(), owner, 'POST', '/group/admin', { groupId, userId: admin, isAdmin: true });
      const sockets = {};
      for (const who of [owner, admin, member, sender, other]) sockets[who] = await join(t, who);
      const sent = [];
      for (let i = 0; i < 4; i++) sent.push(await send(sockets[sender], { groupId }, `number ${i}`));
      for (const who of [member, other]) assert.equal(await refused(sockets[who], command, { messageId: sent[0].messageId }), 'forbidden');
      for (const [i, who] of [sender, admin, owner].entries()) {
        assert.equal((await succeed(sockets[who], command, { messageId: sent[i].messageId })).content, '');
        // What different nodes say has no order among itself: each recall is heard before the next.
        await settled(form.nodes, Object.values(sockets));
      }
      for (const who of [owner, admin, member, sender]) {
        assert.deepEqual(heard(sockets[who], event).map(({ seq, operatorId }) => [seq, operatorId]), [[1, sender], [2, admin], [3, owner]]);
      }
      assert.deepEqual(heard(sockets[other], event), []);
      await done(form.next(), sender, 'POST', '/group/leave', { groupId });
      assert.equal(await refused(sockets[sender], command, { messageId: sent[3].messageId }), 'forbidden');
      const kept = await history(sockets[member], sent[0].conversation);
      assert.deepEqual(kept.map(({ content }) => content), ['', '', '', 'number 3']);
    });
  }

  check('a message that is recalled at once says nothing any more to who hears of the recall first', async (t) => {
    const [one, two] = [user(), user()];
    const sender = await join(t, one);
    await send(sender, { toUserId: two }, 'just before');
    // Who has just come is given the first message a moment later, for it might have a predecessor that is on its way.
    const receiver = await join(t, two);
    const sent = await send(sender, { toUserId: two }, 'a secret');
    await succeed(sender, 'recall_message', { messageId: sent.messageId });
    const last = await send(sender, { toUserId: two }, 'what follows');
    await until(() => receiver.inbox.some(({ id }) => id === last.id), 'the last message');
    await until(() => heard(receiver, 'message_recalled').length === 1, 'the recall');
    const told = receiver.heard.findIndex(([event]) => event === 'message_recalled');
    const after = receiver.heard.slice(told);
    assert.doesNotMatch(JSON.stringify(after), /secret/);
  });

  check('a message that was recalled before it was fetched is empty wherever it is seen', async (t) => {
    const [one, two] = [user(), user()];
    const sender = await join(t, one);
    const sent = await send(sender, { toUserId: two }, 'a secret');
    await succeed(sender, 'recall_message', { messageId: sent.messageId });
    const late = await join(t, two);
    const answers = [
      await succeed(late, 'sync_messages', { conversation: sent.conversation, afterSeq: 0 }),
      await succeed(late, 'get_conversations'),
      await done(form.next(), two, 'POST', '/message/private/history', { targetId: one, conversationType: 1 }),
      await done(form.next(), two, 'GET', `/message/${sent.id}`),
    ];
    for (const answer of answers) {
      assert.doesNotMatch(JSON.stringify(answer), /secret/);
      assert.match(JSON.stringify(answer), new RegExp(sent.messageId));
    }
  });
});

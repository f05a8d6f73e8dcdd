// What a message may carry (SPEC, section 4): the five types with their files, replies, notes to oneself, any text; and that the
// same clientMessageId never stores twice, whatever has become of the first message.
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { inBothForms } from '../support/forms.mjs';
import { assertMessage, createGroup, history, refused } from '../support/im.mjs';
import { heard, listener, send, settled, succeed } from '../support/listener.mjs';
import { until } from '../support/wait.mjs';

let nextUser = 1;

inBothForms({}, (form) => {
  const user = () => nextUser++;
  const join = (t, id) => listener(t, form.next(), id);

  check('each type with its file reaches everybody as it was sent', async (t) => {
    const [one, two] = [user(), user()];
    const [sender, own, receiver] = [await join(t, one), await join(t, one), await join(t, two)];
    const files = [
      { messageType: 1 },
      { messageType: 2, fileUrl: 'https://files.example/a.png?x=1&y=ö', fileSize: 1, fileName: 'a b.png' },
      { messageType: 3, fileUrl: `https://files.example/${'p'.repeat(2000)}`, fileSize: 2 ** 53 - 1, fileName: '報告 "final".pdf' },
      { messageType: 4, fileUrl: '/relative.ogg', fileSize: 0 },
      { messageType: 5, fileName: 'no url.mp4' },
    ];
    const sent = [];
    for (const file of files) {
      const message = await send(sender, { toUserId: two }, `type ${file.messageType}`, file);
      assertMessage(message, { fromUserId: one, toUserId: two, fileUrl: null, fileSize: null, fileName: null, ...file });
      sent.push(message);
    }
    for (const device of [own, receiver]) {
      await until(() => device.inbox.length === sent.length, 'all are pushed');
      assert.deepEqual(device.inbox, sent);
    }
    assert.deepEqual(await history(receiver, sent[0].conversation), sent);
  });

  check('any text comes back character by character, and its length is counted in characters', async (t) => {
    const [one, two] = [user(), user()];
    const [sender, receiver] = [await join(t, one), await join(t, two)];
    const texts = [' ', '\n', '\u0000', 'a\u0000b', '\u202Eabc', '<b>&amp;</b>', "'; DROP TABLE messages; --", '%s \\ \\" \\u0041 `${1}`',
      '👩‍👩‍👧‍👦', '😀'.repeat(5000), 'é'.normalize('NFD'), '\uFEFFbom', '\u2028\u2029\u0085'];
    for (const text of texts) assert.equal((await send(sender, { toUserId: two }, text)).content, text);
    await until(() => receiver.inbox.length === texts.length, 'all are pushed');
    assert.deepEqual(receiver.inbox.map(({ content }) => content), texts);
    assert.equal(await refused(sender, 'send_message', { toUserId: two, messageType: 1, content: '😀'.repeat(5001) }), 'invalid_content');
  });

  check('a reply names a message of its conversation', async (t) => {
    const [one, two] = [user(), user()];
    const groupId = await createGroup(form.next(), one, [two]);
    const [first, second] = [await join(t, one), await join(t, two)];
    for (const [to, back] of [[{ toUserId: two }, { toUserId: one }], [{ groupId }, { groupId }]]) {
      const asked = await send(first, to, 'a question');
      const answered = await send(second, back, 'an answer', { replyToMessageId: asked.messageId });
      assert.equal(answered.replyToMessageId, asked.messageId);
      assert.equal(answered.conversation, asked.conversation);
      assert.equal((await send(second, back, 'to the number', { replyToMessageId: String(asked.id) })).replyToMessageId, asked.messageId);
      assert.equal((await send(second, back, 'to a number', { replyToMessageId: asked.id })).replyToMessageId, asked.messageId);
      assert.equal((await send(second, back, 'to nothing', { replyToMessageId: '' })).replyToMessageId, null);
    }
  });

  check('a reply to what is not in the conversation is refused, and tells nothing of it', async (t) => {
    const [one, two, three] = [user(), user(), user()];
    const groupId = await createGroup(form.next(), one, [two]);
    const [first, third] = [await join(t, one), await join(t, three)];
    const [secret, own] = [await send(first, { toUserId: two }, 'between us'), await send(third, { toUserId: one }, 'hello')];
    const told = [];
    for (const [socket, to, replyToMessageId] of [
      [third, { toUserId: one }, secret.messageId], // of others
      [third, { toUserId: one }, '00000000-0000-7000-8000-000000000000'], // nowhere
      [third, { toUserId: two }, own.messageId], // one's own, elsewhere
      [first, { groupId }, secret.messageId],
      [first, { toUserId: two }, 'no message at all'],
    ]) {
      const answer = await socket.emitWithAck('send_message', { ...to, messageType: 1, content: 're', replyToMessageId });
      assert.equal(answer.success, false, JSON.stringify(answer));
      told.push(answer);
    }
    assert.deepEqual(told.slice(0, 3).map(({ code }) => code), Array(3).fill('message_not_found'));
    assert.deepEqual(told[0], told[1], 'whether there is such a message elsewhere is not told');
    assert.equal((await history(first, secret.conversation)).length, 1);
  });

  check('a note to oneself reaches the other devices, and is never unread', async (t) => {
    const one = user();
    const devices = [await join(t, one), await join(t, one), await join(t, one)];
    const note = await send(devices[0], { toUserId: one }, 'milk');
    assertMessage(note, { fromUserId: one, toUserId: one, seq: 1 });
    await settled(form.nodes, devices);
    assert.deepEqual(devices.map(({ inbox }) => inbox), [[], [note], [note]]);
    const [listed] = await succeed(devices[2], 'get_conversations');
    assert.equal(listed.unreadCount, 0);
  });

  check('a group message reaches every member online, the device that sent it too, and no one else', async (t) => {
    const [one, two, three] = [user(), user(), user()];
    const groupId = await createGroup(form.next(), one, [two]);
    const members = [await join(t, one), await join(t, one), await join(t, two), await join(t, two)];
    const other = await join(t, three);
    const sent = [await send(members[0], { groupId }, 'to all'), await send(members[3], { groupId }, 'me too', { messageType: 2, fileUrl: '/x.png' })];
    await settled(form.nodes, [...members, other]);
    for (const member of members) {
      assert.deepEqual(heard(member, 'group_message'), sent);
      assert.deepEqual(member.inbox, []);
    }
    assert.deepEqual(other.heard, []);
    assertMessage(sent[0], { groupId, toUserId: null, seq: 1 });
  });

  check('a clientMessageId is one message wherever it is sent to, and after it was recalled', async (t) => {
    const [one, two] = [user(), user()];
    const groupId = await createGroup(form.next(), one, [two]);
    const [sender, again, receiver] = [await join(t, one), await join(t, one), await join(t, two)];
    const first = await send(sender, { toUserId: two }, 'first', { clientMessageId: 'x' });
    assert.deepEqual(await send(again, { toUserId: two }, 'another text', { clientMessageId: 'x' }), first, 'the first message, not the second text');
    const elsewhere = await succeed(again, 'send_message', { groupId, messageType: 1, content: 'to the group', clientMessageId: 'x' });
    assert.deepEqual(elsewhere, first, 'it was sent already');
    await succeed(sender, 'recall_message', { messageId: first.messageId });
    const repeated = await send(again, { toUserId: two }, 'first', { clientMessageId: 'x' });
    assert.deepEqual(repeated, { ...first, content: '', isDeleted: true });
    await settled(form.nodes, [receiver]);
    assert.deepEqual(receiver.inbox, [first]);
    assert.deepEqual(heard(receiver, 'group_message'), []);
  });

  check('an empty clientMessageId is none, as clients without optional fields send it', async (t) => {
    const [one, two] = [user(), user()];
    const sender = await join(t, one);
    const sent = [];
    for (const toUserId of [two, one, two]) sent.push(await send(sender, { toUserId }, `to ${toUserId}`, { clientMessageId: '' }));
    assert.deepEqual(sent.map(({ content, seq }) => [content, seq]), [[`to ${two}`, 1], [`to ${one}`, 1], [`to ${two}`, 2]]);
  });

  check('clientMessageIds are told apart by every byte, up to 255 of them', async (t) => {
    const [one, two] = [user(), user()];
    const sender = await join(t, one);
    const ids = ['a', 'A', 'a ', ' a', 'ä', 'a\u0308', 'x'.repeat(255), `${'x'.repeat(254)}y`];
    const sent = [];
    for (const clientMessageId of ids) sent.push(await send(sender, { toUserId: two }, 'x', { clientMessageId }));
    assert.deepEqual(sent.map(({ seq }) => seq), ids.map((_, i) => i + 1), 'each is a message of its own');
    assert.equal(await refused(sender, 'send_message', { toUserId: two, messageType: 1, content: 'x', clientMessageId: 'x'.repeat(256) }), 'invalid_payload');
  });
});

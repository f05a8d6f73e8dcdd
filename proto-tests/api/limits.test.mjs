// What the settings limit, and who acts in open mode: nodes with settings of their own.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { check } from '../support/check.mjs';
import { forms } from '../support/forms.mjs';
import { heard, listener } from '../support/listener.mjs';
import { Rest } from '../support/rest.mjs';
import { showing, tokenOf, wantTokens } from '../support/tokens.mjs';
import { until } from '../support/wait.mjs';

/** One node with these settings, for one test. */
async function nodeWith(t, settings) {
  const { nodes: [node], stop } = await forms[0].start({ settings });
  t.after(stop);
  return { node, form: { next: () => node } };
}

check('too many of one kind are put off, and told when to come again', async (t) => {
  const { form } = await nodeWith(t, {
    ...wantTokens, 'auth.logins_per_minute': 2, 'auth.registrations_per_hour': 2, 'im.messages_per_second': 1, 'im.message_burst': 2,
  });
  const [nobody, ann] = [new Rest(form, null), Rest.user(form, 1)];
  for (const [who, path, parameters, firstStatus] of [
    [nobody, '/user/register', (i) => ({ username: `user ${i}`, password: 'correct horse' }), 200],
    [nobody, '/user/login', () => ({ account: 'user 0', password: 'wrong horse' }), 401],
    [ann, '/message/send', (i) => ({ toUserId: 2, messageType: 1, content: `${i}` }), 200],
  ]) {
    const answers = await Promise.all(Array.from({ length: 6 }, (_, i) => who.ask('POST', path, parameters(i))));
    const late = answers.filter(({ status }) => status === 429);
    assert.ok(late.length > 0, `${path}: some of six are too many`);
    assert.ok(answers.some(({ status }) => status === firstStatus), `${path}: some are not`);
    for (const { body, headers } of late) {
      assert.equal(body.error, 'rate_limited');
      assert.ok(Number(headers.get('retry-after')) >= 1, `${path}: Retry-After ${headers.get('retry-after')}`);
    }
  }
});

check('a message can be recalled for a while only, and deleted for ever', async (t) => {
  const { form } = await nodeWith(t, { ...wantTokens, 'im.recall_window': '0ms' });
  const ann = Rest.user(form, 1);
  const { id } = await ann.post('/message/send', { toUserId: 2, messageType: 1, content: 'x' });
  await ann.refused('409 too_late', 'POST', `/message/${id}/recall`);
  assert.equal((await ann.delete(`/message/${id}`)).isDeleted, true);
});

check('where registration is closed, nobody gets an account', async (t) => {
  const { form } = await nodeWith(t, { ...wantTokens, 'auth.registration': false });
  const account = { username: 'anna', password: 'correct horse' };
  await new Rest(form, null).refused('403 registration_closed', 'POST', '/user/register', account);
  await new Rest(form, null).refused('401 wrong_credentials', 'POST', '/user/login', { account: 'anna', password: account.password });
});

check('where no key can sign, nobody is given a token', async (t) => {
  const { form, node } = await nodeWith(t, wantTokens);
  await new Rest(form, null).post('/user/register', { username: 'anna', password: 'correct horse' });
  const pem = join(node.dir, 'key.pem');
  writeFileSync(pem, generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'pem' }));
  const elsewhere = await nodeWith(t, { 'auth.mode': 'jwt', 'auth.jwt_keys': `a=RS256:${pem}` });
  const nobody = new Rest(elsewhere.form, null);
  await nobody.post('/user/register', { username: 'anna', password: 'correct horse' });
  await nobody.refused('401 wrong_credentials', 'POST', '/user/login', { account: 'anna', password: 'wrong horse' });
  await nobody.refused('403 login_closed', 'POST', '/user/login', { account: 'anna', password: 'correct horse' });
});

check('a user is in so many groups, and in the rooms of all of them', async (t) => {
  const { node, form } = await nodeWith(t, { ...wantTokens, 'limits.max_rooms_per_socket': 3 });
  const [ann, bob] = [1, 2].map((id) => Rest.user(form, id));
  const create = (memberIds) => bob.post('/group/create', { name: 'us', memberIds, isPublic: true });
  const ids = [(await create([1])).id, (await create([])).id];
  await bob.refused('409 too_many_groups', 'POST', '/group/create', { name: 'one more' });
  await ann.post('/group/join', { groupId: ids[1] });
  const carol = Rest.user(form, 3);
  const { id } = await carol.post('/group/create', { name: 'them', isPublic: true });
  await ann.refused('409 too_many_groups', 'POST', '/group/join', { groupId: id });
  await carol.refused('409 too_many_groups', 'POST', '/group/invite', { groupId: id, userIds: [4, 1] });
  assert.equal((await carol.get(`/group/${id}`)).memberCount, 1, 'nobody of them is let in');
  const socket = await listener(t, node, 1, showing(tokenOf(1)));
  for (const groupId of ids) await bob.post('/message/send', { groupId, messageType: 1, content: 'all hear it' });
  await until(() => heard(socket, 'group_message').length === 2, 'a message of each group');
  await ann.post('/group/leave', { groupId: ids[0] });
  await ann.post('/group/join', { groupId: id });
});

check('strangers may not write where only friends may, and nobody forbidden words', async (t) => {
  const { node, form } = await nodeWith(t, { ...wantTokens, 'im.require_friendship': true });
  const [ann, bob] = [1, 2].map((id) => Rest.user(form, id));
  const send = ['POST', '/message/send', { toUserId: 2, messageType: 1, content: 'a darned word' }];
  await ann.refused('403 not_friends', ...send);
  await ann.post('/friend/request', { friendId: 2 });
  await bob.post('/friend/accept', { friendId: 1 });
  await ann.data(...send);

  const words = join(node.dir, 'words.txt');
  writeFileSync(words, 'darned\n');
  const strict = await nodeWith(t, { ...wantTokens, 'im.words_file': words, 'im.words_mode': 'refuse' });
  await Rest.user(strict.form, 1).refused('400 forbidden_word', ...send);
});

check('in open mode the first of four names says who acts', async (t) => {
  const { form } = await nodeWith(t, {});
  const nobody = new Rest(form, null);
  const actor = async (query) => {
    const { fromUserId } = await nobody.post(`/message/send?${query}`, { toUserId: 9, messageType: 1, content: 'x' });
    return fromUserId;
  };
  for (const [query, id] of [['operatorId=1', 1], ['ownerId=2', 2], ['fromUserId=3', 3], ['userId=4', 4], ['userId=4&fromUserId=3&ownerId=2&operatorId=1', 1]]) {
    assert.equal(await actor(query), id, query);
  }
  const { id } = await nobody.post('/group/create?operatorId=1', { name: 'us', memberIds: [2] });
  await nobody.post('/group/kick?operatorId=1', { groupId: id, userId: 2 });
  assert.equal((await nobody.get(`/group/${id}`, { operatorId: 1 })).memberCount, 1, 'whom it is about does not act');
  assert.deepEqual((await nobody.get('/group/user/1')).map((group) => group.id), [id], 'unless nobody else is named');
  await nobody.refused('403 forbidden', 'GET', '/group/user/1', { operatorId: 2 });

  await nobody.refused('401 unauthenticated', 'GET', '/friend/list');
  for (const operatorId of ['0', 'x', '9007199254740992', '+1']) {
    await nobody.refused('400 invalid_parameter', 'GET', '/friend/list', { operatorId });
    await nobody.refused('400 invalid_parameter', 'GET', '/user/1', { operatorId });
  }
  const token = Rest.user(form, 5);
  await token.refused('401 unauthenticated', 'GET', '/friend/list');
});

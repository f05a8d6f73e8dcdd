// A stranger's walk through the HTTP API: every operation of the OpenAPI document, without a token, with tokens that are none, and
// with a stranger's own token aimed at what belongs to others, in everybody's name. Nobody acts or reads as somebody else.
import assert from 'node:assert/strict';
import { before } from 'node:test';
import { check } from '../support/check.mjs';
import { inBothForms } from '../support/forms.mjs';
import { documentOf } from '../support/openapi.mjs';
import { Rest } from '../support/rest.mjs';
import { tokenOf, wantTokens } from '../support/tokens.mjs';

/** For anybody, with or without a token. */
const PUBLIC = null;

/**
 * What a stranger tries by each operation, in the world `w`: parameters, and what comes of it. That is a refusal, `status code`, or a
 * look at the data: then it was done, for the stranger alone. An operation without a line here fails the test.
 */
const attempts = (w) => ({
  register: PUBLIC,
  logIn: PUBLIC,
  isUsernameFree: PUBLIC,
  isEmailFree: PUBLIC,
  isPhoneFree: PUBLIC,
  getUser: [[{ id: w.ann.userId }, (user) => assert.deepEqual([user.username, user.phone, user.email], ['ann', undefined, undefined])]],
  updateUser: [[{ id: w.ann.userId, nickname: 'not Ann', email: 'evil@example.org', password: 'mine from now on' }, '403 forbidden']],

  sendMessage: [
    [{ toUserId: w.passerBy, messageType: 1, content: 'as ann' }, ({ fromUserId }) => assert.equal(fromUserId, w.stranger.userId)],
    [{ groupId: w.group.id, messageType: 1, content: 'let me in' }, '403 not_a_member'],
  ],
  getPrivateHistory: [
    [{ targetId: w.bob.userId }, ({ total }) => assert.equal(total, 0)],
    [{ targetId: w.bob.userId, lastMessageId: w.inPrivate.id }, '403 forbidden'],
    [{ targetId: w.group.id, conversationType: 2 }, '403 not_a_member'],
  ],
  getGroupHistory: [
    [{ targetId: w.group.id }, '403 not_a_member'],
    [{ targetId: w.group.id, lastMessageId: w.inGroup.id }, '403 not_a_member'],
    [{ targetId: w.bob.userId, conversationType: 1 }, ({ total }) => assert.equal(total, 0)],
  ],
  markRead: [[{ messageId: w.inPrivate.id }, '403 forbidden'], [{ messageId: w.inGroup.messageId }, '403 not_a_member']],
  markManyRead: [[{ messageIds: [w.inPrivate.id, w.inGroup.messageId] }, (data) => assert.equal(data, null)]],
  countUnread: [
    [{ targetId: w.bob.userId }, (count) => assert.equal(count, 0)],
    [{ targetId: w.group.id, conversationType: 2 }, '403 not_a_member'],
  ],
  getMessage: [[{ id: w.inPrivate.id }, '403 forbidden'], [{ id: w.inGroup.messageId }, '403 not_a_member']],
  deleteMessage: [[{ id: w.inPrivate.id }, '403 forbidden'], [{ id: w.inGroup.id }, '403 forbidden']],
  recallMessage: [[{ id: w.inPrivate.messageId }, '403 forbidden'], [{ id: w.inGroup.id }, '403 forbidden']],

  createGroup: [[{ name: 'as ann' }, ({ ownerId }) => assert.equal(ownerId, w.stranger.userId)]],
  joinGroup: [[{ groupId: w.group.id }, '403 forbidden']],
  leaveGroup: [[{ groupId: w.group.id }, '403 not_a_member']],
  inviteToGroup: [[{ groupId: w.group.id, userIds: [w.stranger.userId] }, '403 not_a_member']],
  kickMember: [[{ groupId: w.group.id, userId: w.bob.userId }, '403 not_a_member']],
  setAdmin: [[{ groupId: w.group.id, userId: w.bob.userId, isAdmin: true }, '403 not_a_member']],
  transferGroup: [[{ groupId: w.group.id, userId: w.bob.userId }, '403 not_a_member']],
  muteMember: [[{ groupId: w.group.id, userId: w.bob.userId, muteDuration: 10 }, '403 not_a_member']],
  unmuteMember: [[{ groupId: w.group.id, userId: w.bob.userId }, '403 not_a_member']],
  getGroups: [[{ id: w.ann.userId }, '403 forbidden']],
  getGroup: [[{ id: w.group.id }, '403 not_a_member']],
  updateGroup: [[{ id: w.group.id, name: 'mine', isPublic: true }, '403 not_a_member']],
  dissolveGroup: [[{ id: w.group.id }, '403 not_a_member']],
  getMembers: [[{ id: w.group.id }, '403 not_a_member']],
  isMember: [[{ id: w.group.id, userId: w.bob.userId }, '403 not_a_member']],

  requestFriend: [[{ friendId: w.passerBy }, ({ status }) => assert.equal(status, 'requested')]],
  acceptFriend: [[{ friendId: w.admirer.userId }, '404 request_not_found']],
  rejectFriend: [[{ friendId: w.admirer.userId }, '404 request_not_found']],
  removeFriend: [[{ friendId: w.bob.userId }, '403 not_friends']],
  remarkFriend: [[{ friendId: w.bob.userId, remark: 'changed' }, '403 not_friends']],
  getFriends: [[{}, (data) => assert.deepEqual(data, { friends: [], requests: [] })]],
  blockUser: [[{ friendId: w.bob.userId }, (data) => assert.equal(data, null)]],
  unblockUser: [[{ friendId: w.blocked }, (data) => assert.equal(data, null)]],
  getBlocked: [[{}, (ids) => assert.ok(!ids.includes(w.blocked))]],

  // Whoever is signed in may see the cluster, and who is online; nobody else may.
  getNodes: [[{}, (nodes) => assert.equal(nodes.length, w.form.nodes.length)]],
  locateUser: [[{ id: w.ann.userId }, ({ online }) => assert.equal(online, false)]],
  broadcast: [[{ event: 'news', payload: 'false' }, '403 forbidden']],

  isAlive: PUBLIC,
  isReady: PUBLIC,
  getMetrics: PUBLIC,
  getDocument: PUBLIC,
});

/** Names by which open mode is told who acts. With tokens they must mean nothing. */
const NAMES = ['operatorId', 'ownerId', 'fromUserId', 'userId', 'sub'];

/** Two friends, what they have written each other and in their group, and others around them. */
async function makeWorld(form) {
  const nobody = new Rest(form, null);
  const password = 'correct horse battery';
  const { id } = await nobody.post('/user/register', { username: 'ann', password, phone: '1234', email: 'ann@example.org' });
  const [ann, bob, admirer, stranger] = [id, 702, 703, 704].map((userId) => Rest.user(form, userId));
  const w = { form, ann, bob, admirer, stranger, blocked: 705, passerBy: 706 };
  w.group = await ann.post('/group/create', { name: 'us', memberIds: [bob.userId] });
  w.inPrivate = await ann.post('/message/send', { toUserId: bob.userId, messageType: 1, content: 'between us' });
  w.inGroup = await ann.post('/message/send', { groupId: w.group.id, messageType: 1, content: 'among us' });
  await ann.post('/friend/request', { friendId: bob.userId, remark: 'my Bob' });
  await bob.post('/friend/accept', { friendId: ann.userId });
  await admirer.post('/friend/request', { friendId: ann.userId });
  await ann.post('/friend/block', { friendId: w.blocked });
  return w;
}

/** All that the two have, as they see it. */
async function belongings({ ann, bob, group }) {
  const inGroup = { targetId: group.id, conversationType: 2 };
  const of = (who, peer) => Promise.all([
    who.get(`/user/${ann.userId}`),
    who.post('/message/private/history', { targetId: peer.userId }),
    who.post('/message/group/history', inGroup),
    who.get('/message/unread/count', { targetId: peer.userId }),
    who.get('/message/unread/count', inGroup),
    who.get(`/group/${group.id}`),
    who.get(`/group/${group.id}/members`),
    who.get(`/group/user/${who.userId}`),
    who.get('/friend/list'),
    who.get('/friend/blocked'),
  ]);
  return Promise.all([of(ann, bob), of(bob, ann)]);
}

/** The request of an operation with these parameters, each where the document has it; `more` are in the query and in the body. */
function requestOf({ method, path, operation }, parameters, more = {}) {
  const rest = { ...parameters };
  const take = (name) => {
    const value = rest[name];
    delete rest[name];
    return encodeURIComponent(value);
  };
  const target = path.replace('/api', '').replaceAll(/\{(\w+)\}/g, (_, name) => take(name));
  const hasBody = operation.requestBody !== undefined;
  const query = new URLSearchParams(hasBody ? more : { ...rest, ...more }).toString();
  return [method, query ? `${target}?${query}` : target, hasBody ? { ...more, ...rest } : undefined];
}

inBothForms({ settings: wantTokens }, (form) => {
  let w, operations, tries;
  before(async () => {
    w = await makeWorld(form);
    ({ operations } = await documentOf(form.next()));
    tries = attempts(w);
  });

  check('every operation of the document has its line here', () => {
    assert.deepEqual(operations.map(({ operation }) => operation.operationId).sort(), Object.keys(tries).sort());
    const open = operations.filter(({ operation }) => !operation.security).map(({ operation }) => operation.operationId);
    assert.deepEqual(open, Object.keys(tries).filter((name) => tries[name] === PUBLIC), 'the document says what is for anybody');
  });

  check('without a valid token nobody is answered', async () => {
    const before = await belongings(w);
    const { userId } = w.ann;
    const now = Math.floor(Date.now() / 1000);
    const tokens = {
      token_missing: [null],
      token_expired: [tokenOf(userId, { exp: now - 3600 })],
      token_not_yet_valid: [tokenOf(userId, { nbf: now + 3600 })],
      token_invalid: [tokenOf(userId, {}, 'another secret of at least thirty-two bytes'), tokenOf(userId, { exp: undefined }), tokenOf('ann')],
      token_malformed: ['nonsense', `${Buffer.from('{"alg":"none"}').toString('base64url')}.${w.ann.token.split('.')[1]}.`],
    };
    for (const found of operations.filter(({ operation }) => tries[operation.operationId] !== PUBLIC)) {
      for (const [parameters] of tries[found.operation.operationId]) {
        for (const [code, list] of Object.entries(tokens)) {
          for (const token of list) await new Rest(form, token).refused(`401 ${code}`, ...requestOf(found, parameters));
        }
      }
    }
    assert.deepEqual(await belongings(w), before);
  });

  check('with a token of their own, strangers are themselves, whomever they name', async () => {
    const before = await belongings(w);
    for (const found of operations.filter(({ operation }) => tries[operation.operationId] !== PUBLIC)) {
      const { operationId } = found.operation;
      for (const [parameters, outcome] of tries[operationId]) {
        const names = NAMES.filter((name) => !(name in parameters));
        const request = requestOf(found, parameters, Object.fromEntries(names.map((name) => [name, w.ann.userId])));
        if (typeof outcome === 'string') await w.stranger.refused(outcome, ...request);
        else outcome(await w.stranger.data(...request));
      }
      assert.deepEqual(await belongings(w), before, `${operationId} has changed what belongs to others`);
    }
  });
});

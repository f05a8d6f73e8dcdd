// /api/friend: requests, friends, and blocks.
import assert from 'node:assert/strict';
import { check } from '../../support/check.mjs';
import { Rest } from '../../support/rest.mjs';

export function friends(form) {
  let last = 300;
  const pair = () => [Rest.user(form, ++last), Rest.user(form, ++last)];
  const list = async (who) => {
    const { friends, requests } = await who.get('/friend/list');
    return { friends: friends.map(({ userId, remark }) => [userId, remark]), requests: requests.map(({ fromUserId }) => fromUserId) };
  };
  const with_ = ({ userId }, more = {}) => ({ friendId: userId, ...more });
  const nothing = { friends: [], requests: [] };

  check('asked, accepted, renamed, ended', async () => {
    const [ann, bob] = pair();
    assert.deepEqual(await ann.post('/friend/request', with_(bob, { remark: 'my Bob' })), { status: 'requested' });
    assert.deepEqual(await list(bob), { friends: [], requests: [ann.userId] });
    assert.deepEqual(await list(ann), nothing);
    await bob.post('/friend/accept', with_(ann, { remark: 'Ann' }));
    assert.deepEqual(await list(ann), { friends: [[bob.userId, 'my Bob']], requests: [] });
    assert.deepEqual(await list(bob), { friends: [[ann.userId, 'Ann']], requests: [] });
    await ann.refused('409 already_friends', 'POST', '/friend/request', with_(bob));
    await ann.post('/friend/remark', with_(bob, { remark: 'old Bob' }));
    assert.deepEqual((await list(ann)).friends, [[bob.userId, 'old Bob']]);
    await ann.post('/friend/remark', with_(bob));
    assert.deepEqual((await list(ann)).friends, [[bob.userId, null]]);
    await bob.post('/friend/remove', with_(ann));
    assert.deepEqual([await list(ann), await list(bob)], [nothing, nothing]);
    for (const path of ['/friend/remove', '/friend/remark']) await ann.refused('403 not_friends', 'POST', path, with_(bob));
  });

  check('two who ask each other are friends', async () => {
    const [ann, bob] = pair();
    await ann.post('/friend/request', with_(bob));
    assert.deepEqual(await bob.post('/friend/request', with_(ann)), { status: 'friends' });
    assert.deepEqual((await list(ann)).friends, [[bob.userId, null]]);
  });

  check('rejected, and asked again', async () => {
    const [ann, bob] = pair();
    await ann.post('/friend/request', with_(bob));
    await bob.post('/friend/reject', with_(ann));
    assert.deepEqual(await list(bob), nothing);
    for (const path of ['/friend/accept', '/friend/reject']) await bob.refused('404 request_not_found', 'POST', path, with_(ann));
    assert.deepEqual(await ann.post('/friend/request', with_(bob)), { status: 'requested' });
  });

  check('requests that are refused', async () => {
    const [ann, bob] = pair();
    for (const path of ['request', 'accept', 'reject', 'remove', 'remark', 'block', 'unblock']) {
      await ann.refused('400 invalid_parameter', 'POST', `/friend/${path}`, {});
    }
    await ann.refused('409 oneself', 'POST', '/friend/request', with_(ann));
    await ann.refused('409 oneself', 'POST', '/friend/block', with_(ann));
    await ann.refused('400 invalid_parameter', 'POST', '/friend/request', with_(bob, { remark: 'x'.repeat(101) }));
    await ann.refused('400 invalid_parameter', 'POST', '/friend/request', with_(bob, { remark: 7 }));
  });

  check('who is blocked can neither write nor ask, until unblocked', async () => {
    const [ann, bob] = pair();
    const write = ['POST', '/message/send', { toUserId: ann.userId, messageType: 1, content: 'x' }];
    await bob.data(...write);
    await ann.post('/friend/block', with_(bob));
    await ann.post('/friend/block', with_(bob));
    assert.deepEqual(await ann.get('/friend/blocked'), [bob.userId]);
    assert.deepEqual(await bob.get('/friend/blocked'), [], 'one sees one\'s own blocks');
    await bob.refused('403 blocked', ...write);
    await bob.refused('403 blocked', 'POST', '/friend/request', with_(ann));
    await ann.post('/friend/unblock', with_(bob));
    assert.deepEqual(await ann.get('/friend/blocked'), []);
    await bob.data(...write);
  });
}

// Who one is where tokens are wanted (SPEC, section 3): three algorithms, keys by name and their change, every way to be refused,
// the end of a token while its connection lives, and accounts of the node's own.
import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { done, rest } from '../support/ask.mjs';
import { check } from '../support/check.mjs';
import { client } from '../support/clients.mjs';
import { inBothForms } from '../support/forms.mjs';
import { listener, send, succeed } from '../support/listener.mjs';
import { keyring, showing, token } from '../support/tokens.mjs';
import { firstOf, once, until } from '../support/wait.mjs';

const ring = keyring();
const settings = { ...ring.settings, 'auth.logins_per_minute': 6, 'auth.registrations_per_hour': 3 };
const now = () => Math.floor(Date.now() / 1000);
const flip = (text, at) => `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`;
let own = ring.ed;

/** The user that a node takes a client for, or the code with which it is refused. */
async function welcome(t, node, options, query = '') {
  const socket = client(t, io, `http://localhost:${node.port}${query}`, { transports: ['websocket'], ...options });
  const [told] = await firstOf(socket, 'connected', 'connect_error');
  const seen = told.userId ?? told.data?.code ?? `${told}`;
  socket.disconnect();
  return seen;
}

inBothForms({ settings }, (form) => {
  const as = (t, shown, query) => welcome(t, form.next(), showing(shown), query);

  check('tokens of every key are accepted, with the user as sub or userId, a number or digits', async (t) => {
    for (const [claims, id] of [[{ sub: '7' }, 7], [{ sub: 7 }, 7], [{ userId: 7 }, 7], [{ userId: '7' }, 7], [{ userId: 7, sub: 'anna' }, 7], [{ sub: String(2 ** 53 - 1) }, 2 ** 53 - 1]]) {
      assert.equal(await as(t, token(claims)), id, JSON.stringify(claims));
    }
    for (const [alg, key, kid] of [['HS256', ring.app, 'app'], ['RS256', ring.rsa, 'shop'], ['EdDSA', own, 'own']]) {
      assert.equal(await as(t, token({ sub: '8' }, { alg, key, header: { kid } })), 8, `${alg} with kid`);
      assert.equal(await as(t, token({ sub: '8' }, { alg, key })), 8, `${alg} without`);
    }
  });

  check('a token may stand in auth, in the header, or in the query, and counts in this order', async (t) => {
    const [one, two, three] = ['1', '2', '3'].map((sub) => token({ sub }));
    const header = (shown) => ({ extraHeaders: { Authorization: `Bearer ${shown}` }, transports: ['polling'] });
    assert.equal(await welcome(t, form.next(), header(two)), 2);
    assert.equal(await welcome(t, form.next(), {}, `?token=${three}`), 3);
    assert.equal(await welcome(t, form.next(), { ...header(two), ...showing(one) }, `?token=${three}`), 1);
    assert.equal(await welcome(t, form.next(), header(two), `?token=${three}`), 2);
    assert.equal(await welcome(t, form.next(), header('x'), `?token=${three}`), 'token_malformed', 'a wrong one is not passed over');
  });

  check('every other token is refused with a code that says why', async (t) => {
    const right = token({ sub: '7' });
    const body = right.split('.')[1];
    const wrong = {
      token_missing: ['', undefined, null],
      token_malformed: [
        'x', 'a.b.c', '..', right.slice(0, -1), `${right}.x`, ` ${right}`, token('no claims'), token('[]'), token({ sub: {} }), token({ sub: '7', exp: 'soon' }),
        token({ sub: '7' }, { alg: 'none', key: '' }), token({ sub: '7' }, { alg: 'None', key: '' }), token({ sub: '7' }, { alg: 'HS384' }),
        token({ sub: '7', more: 'x'.repeat(9000) }),
      ],
      token_invalid: [
        flip(right, right.length - 5), `${right.split('.')[0]}.${flip(body, 4)}.${right.split('.')[2]}`, `${right.split('.').slice(0, 2).join('.')}.`,
        token({ sub: '7' }, { key: 'not the secret that this node has' }), token({ sub: '7' }, { key: ring.app, header: { kid: 'shop' } }),
        token({ sub: '7' }, { header: { kid: 'app' } }), token({ sub: '7' }, { header: { kid: 'unknown' } }),
        token({ sub: '7' }, { key: ring.rsaPem, header: { kid: 'shop' } }), token({ sub: '7' }, { key: ring.rsaPem }),
        token({ sub: '7' }, { alg: 'EdDSA', key: own, header: { kid: 'shop' } }), token({ sub: '7' }, { alg: 'RS256', key: ring.rsa, header: { kid: 'own' } }),
        token({}), token({ sub: 'anna' }), token({ sub: '0' }), token({ sub: 2 ** 53 }), token({ sub: '-7' }), token({ userId: 7, sub: '8' }),
        token({ sub: '7', exp: undefined }),
      ],
      token_expired: [token({ sub: '7', exp: now() - 1 }), token({ sub: '7', exp: 0 })],
      token_not_yet_valid: [token({ sub: '7', nbf: now() + 600 })],
    };
    for (const [code, tokens] of Object.entries(wrong)) {
      for (const shown of tokens) {
        const seen = await as(t, shown);
        // Where a token is wrong in two ways, either may be said.
        const allowed = code === 'token_malformed' || code === 'token_invalid' ? ['token_malformed', 'token_invalid'] : [code];
        assert.ok(allowed.includes(seen), `${code} expected, ${seen} answered to ${shown?.slice(0, 300)}`);
      }
    }
    for (const auth of [{ token: {} }, { token: [] }, { token: 7 }, { userId: 7 }]) {
      const seen = await welcome(t, form.next(), { auth });
      assert.ok(['token_missing', 'token_malformed'].includes(seen), `${seen} answered to ${JSON.stringify(auth)}`);
    }
    assert.equal(await as(t, undefined, '?userId=7'), 'token_missing', 'to say who one is does not do');
  });

  check('one is who the token says, and nobody else', async (t) => {
    const right = token({ sub: '7' });
    for (const query of ['?userId=8', '?userId=', '?userId=07x', '?userId=7&userId=8', '?userId=8&userId=7', '?userId=-7', '?userId=0']) {
      const seen = await as(t, right, query);
      assert.ok(seen === 'user_mismatch' || (seen === 7 && /userId=7/.test(query)), `${seen} answered to ${query}`);
    }
    assert.equal(await as(t, right, '?userId=7'), 7);
    const receiver = await listener(t, form.next(), 9, showing(token({ sub: '9' })));
    const sender = await listener(t, form.next(), 7, showing(right));
    for (const forged of [{ fromUserId: 8 }, { userId: 8 }, { senderId: 8 }, { operatorId: 8 }, { token: token({ sub: '8' }) }]) {
      assert.equal((await send(sender, { toUserId: 9 }, 'it is me', forged)).fromUserId, 7);
    }
    await succeed(sender, 'typing', { targetId: 9, targetType: 1, userId: 8, fromUserId: 8 });
    await until(() => receiver.heard.length === 6, 'all are pushed');
    for (const [, said] of receiver.heard) assert.equal(said.fromUserId ?? said.userId, 7);
  });

  check('when its token ends, a connection is told and closed, and does not come back with it', async (t) => {
    const node = form.next();
    // Longer and longer, for a machine that is too busy to connect while the token is good.
    const connectFor = async (seconds) => {
      const shown = token({ sub: '21', exp: now() + seconds });
      const socket = client(t, io, node.url, { transports: ['websocket'], ...showing(shown) });
      const told = [];
      for (const event of ['kicked', 'disconnect']) socket.on(event, (what) => told.push([event, what]));
      const [greeting] = await firstOf(socket, 'connected', 'connect_error');
      return greeting.userId ? { shown, socket, told } : connectFor(seconds * 2);
    };
    const { shown, socket, told } = await connectFor(2);
    const other = await listener(t, node, 21, showing(token({ sub: '21' })));
    const forever = await listener(t, form.next(), 22, showing(token({ sub: '22' })));
    await until(() => told.length === 2, 'it is told, and closed', 60_000);
    assert.deepEqual(told, [['kicked', { reason: 'token_expired' }], ['disconnect', 'io server disconnect']]);
    assert.equal(await welcome(t, form.next(), showing(shown)), 'token_expired');
    await send(forever, { toUserId: 21 }, 'only to the other device');
    await until(() => other.inbox.length === 1, 'the user\'s other device goes on');
    assert.equal(socket.connected, false);
  });

  check('a key that is replaced under its name holds from SIGHUP on', async (t) => {
    const before = own;
    const connected = await listener(t, form.next(), 31, showing(token({ sub: '31' }, { alg: 'EdDSA', key: before, header: { kid: 'own' } })));
    own = ring.replaceOwn();
    const [old, fresh] = [before, own].map((key) => token({ sub: '31' }, { alg: 'EdDSA', key, header: { kid: 'own' } }));
    for (const node of form.nodes) {
      assert.equal(await welcome(t, node, showing(old)), 31);
      node.signal('SIGHUP');
      await until(async () => await welcome(t, node, showing(fresh)) === 31, 'the new key holds');
      assert.equal(await welcome(t, node, showing(old)), 'token_invalid');
      assert.equal(await welcome(t, node, showing(token({ sub: '31' }))), 31, 'other keys go on');
    }
    assert.equal(connected.connected, true, 'who was let in stays');
  });

  check('an account of one node is one of all, and its token is a good one', async (t) => {
    const [username, password] = ['anna', 'correct horse battery'];
    const user = await done(form.next(), null, 'POST', '/user/register', { username, password });
    assert.doesNotMatch(JSON.stringify(user), /password|argon/i);
    for (const node of form.nodes) {
      const answer = await done(node, null, 'POST', '/user/login', { account: username, password });
      assert.equal(answer.user.id, user.id);
      assert.ok(Date.parse(answer.expiresAt) > Date.now());
      assert.equal(await as(t, answer.token), user.id);
    }
  });

  check('logins and registrations are limited', async () => {
    const node = form.nodes[0];
    const attempt = (path, params) => rest(node, null, 'POST', path, params);
    const logins = [];
    for (let i = 0; i < 7; i++) logins.push(await attempt('/user/login', { account: 'nobody', password: `guess number ${i}` }));
    const refusedLogin = logins.find(({ status }) => status === 429);
    assert.equal(refusedLogin?.error, 'rate_limited');
    assert.ok(logins.every(({ error }) => ['wrong_credentials', 'rate_limited'].includes(error)));
    const made = [];
    for (let i = 0; i < 4; i++) made.push(await attempt('/user/register', { username: `many${i}`, password: 'long enough for it' }));
    assert.deepEqual(made.map(({ status }) => status).slice(-1), [429]);
    assert.equal(made.at(-1).error, 'rate_limited');
  });
});

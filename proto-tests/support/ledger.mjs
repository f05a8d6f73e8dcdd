// A ledger of messages: what was sent, what was acked, and what each device has received on which of its connections. In
// the end `verify` holds the cluster to its promises (SPEC, section 4): what was acked is stored, once; seq is 1..n in each
// conversation; each device has all of it; and a connection received it in that order, each message once.
import assert from 'node:assert/strict';
import { modes } from './clients.mjs';
import { command } from './im.mjs';
import { Device } from './device.mjs';
import { pause, until, within } from './wait.mjs';

/** Long enough for a cluster to come back from anything; only a lost message waits for so long. */
const SETTLED_MS = 60_000;

export class Ledger {
  constructor() {
    Object.assign(this, { conversations: [], devices: [], sent: new Map(), acked: new Map(), refusals: new Map(), faults: [] });
  }

  /** The conversation of two users. */
  private(one, two) {
    return this.#conversation([one, two], (from) => ({ toUserId: from === one ? two : one }));
  }

  /** The conversation of a group, which exists. */
  group(groupId, members) {
    return Object.assign(this.#conversation(members, () => ({ groupId })), { isGroup: true });
  }

  #conversation(members, targetFor) {
    const conversation = { members: new Set(members), targetFor, name: undefined };
    this.conversations.push(conversation);
    return conversation;
  }

  /** A device of a user, connected to the first of the addresses; it goes to the next ones when that is gone. */
  async device(t, urls, userId, mode = 'websocket only', options = {}) {
    const device = new Device(this, urls, userId, { ...modes[mode], ...options });
    t.after(() => device.close());
    this.devices.push(device);
    await device.greeted();
    return device;
  }

  conversationsOf(userId) { return this.conversations.filter(({ members }) => members.has(userId)); }

  /** Every device writes to the conversations of its user in turn, until the function that this gives is called and has settled. */
  async load({ paceMs = 20 } = {}) {
    for (const conversation of this.conversations) {
      await this.devices.find(({ userId }) => conversation.members.has(userId)).send(conversation);
    }
    let running = true;
    const writers = this.devices.map(async (device) => {
      const conversations = this.conversationsOf(device.userId);
      for (let i = 0; running; i++) {
        await device.send(conversations[i % conversations.length]);
        await pause(paceMs);
      }
    });
    return async () => {
      running = false;
      await within(Promise.all(writers), 'the acks of the last messages', SETTLED_MS).catch(({ message }) => {
        assert.fail([message, ...this.devices.map((device) => `${device}: ${device.story()}`)].join('\n'));
      });
    };
  }

  /** Until so many more messages are acked. */
  progress(count) {
    const goal = this.acked.size + count;
    return until(() => this.acked.size >= goal, `${count} more messages are acked`, SETTLED_MS);
  }

  /** Counts everything. `steady` are the devices that had no reason to connect again. Gives a sentence of numbers. */
  async verify(t, { steady = [] } = {}) {
    const stored = await this.#readStore();
    this.#checkAcks(stored);
    for (const device of this.devices) await this.#checkDevice(device, stored);
    assert.deepEqual(this.faults.slice(0, 10), []);
    for (const device of steady) assert.deepEqual(device.disconnects, [], `${device} had no reason to connect again`);

    const pushes = this.devices.flatMap((device) => device.pushes);
    const again = pushes.filter((push) => push.again).length;
    const echoed = pushes.filter(({ own, conversation }) => own && this.conversations.some(({ name, isGroup }) => name === conversation && !isGroup)).length;
    const reconnects = this.devices.reduce((sum, { connection }) => sum + connection - 1, 0);
    const refused = [...this.refusals].map(([code, times]) => `${times} ${code}`).join(', ') || 'none';
    t.diagnostic(`${this.sent.size} sent = ${this.acked.size} acked = ${stored.size} stored; ${pushes.length} pushed to ${this.devices.length} devices, ${again} again, ${echoed} to their own senders; ` +
      `${reconnects} reconnects; refused and repeated: ${refused}`);
  }

  /** Every conversation as the store has it: client message id -> message. */
  async #readStore() {
    const stored = new Map();
    for (const conversation of this.conversations) {
      const reader = this.devices.find(({ userId }) => conversation.members.has(userId));
      const messages = [];
      for (;;) {
        const page = await command(reader.socket, 'sync_messages', { conversation: conversation.name, afterSeq: messages.length, limit: 500 });
        assert.equal(page.success, true, JSON.stringify(page));
        messages.push(...page.data.messages);
        if (!page.data.hasMore) break;
      }
      conversation.length = messages.length;
      for (const [i, message] of messages.entries()) {
        if (message.seq !== i + 1) assert.fail(`${conversation.name} has seq ${message.seq} where ${i + 1} should be`);
        if (stored.has(message.clientMessageId)) assert.fail(`${message.clientMessageId} is stored twice`);
        stored.set(message.clientMessageId, message);
      }
    }
    return stored;
  }

  #checkAcks(stored) {
    assert.equal(this.acked.size, this.sent.size, 'every message that was sent was acked in the end');
    for (const [id, message] of this.acked) {
      assert.equal(stored.get(id)?.messageId, message.messageId, `${id} was acked, so it is stored`);
      assert.equal(stored.get(id).seq, message.seq, `${id} is where its ack said`);
      assert.equal(stored.get(id).content, this.sent.get(id), `${id} is what was sent`);
    }
    assert.equal(stored.size, this.sent.size, 'nothing is stored that was not sent');
  }

  async #checkDevice(device, stored) {
    for (const { name, length } of this.conversationsOf(device.userId)) {
      const known = device.known(name);
      const complete = () => known.size >= length;
      await until(complete, '', SETTLED_MS).catch(() => {
        const missing = Array.from({ length }, (_, i) => i + 1).filter((seq) => !known.has(seq));
        assert.fail(`${device} misses ${missing.length} of ${length} in ${name}: seq ${missing.slice(0, 20).join(' ')}; ${device.story()}`);
      });
    }
    const last = new Map(); // connection and conversation -> seq
    for (const { connection, conversation, seq, id, messageId } of device.pushes) {
      const key = `${connection} ${conversation}`;
      const before = last.get(key) ?? 0;
      if (seq <= before) this.faults.push(`${device} received ${conversation} seq ${seq} after ${before} on its connection ${connection}`);
      last.set(key, seq);
      if (stored.get(id)?.messageId !== messageId) this.faults.push(`${device} received ${id} (${conversation} seq ${seq}), which is not stored so`);
    }
  }
}

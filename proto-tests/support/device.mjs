// A device as an application should write it, for support/ledger.mjs to watch: it repeats what was not acked with the same
// clientMessageId, goes to another node when its own is gone, and after each reconnect asks for what it has missed.
import { io } from 'socket.io-client';
import { pause, until } from './wait.mjs';

const ANSWER_MS = 5_000;
let messages = 0;

export class Device {
  constructor(ledger, urls, userId, options) {
    Object.assign(this, { ledger, urls, userId, at: 0, connection: 0, greetings: 0, own: new Set(), pushes: [], disconnects: [], inbox: new Map(), closed: false });
    this.number = ledger.devices.length + 1;
    this.socket = io(urls[0], {
      forceNew: true, query: { userId }, reconnectionDelay: 50, reconnectionDelayMax: 500, timeout: ANSWER_MS, ...options,
    });
    this.#listen();
  }

  toString() { return `device ${this.number} of user ${this.userId}`; }

  /** Where it has been, for a failure's message. */
  story() {
    return `${this.connection} connections, ${this.greetings} greetings, now ${this.socket.connected ? 'connected' : 'not connected'} to ${this.socket.io.uri}` +
      `${this.disconnects.length > 0 ? `, left for: ${this.disconnects.slice(-5).join(', ')}` : ''}`;
  }

  #listen() {
    const { socket } = this;
    socket.on('connect', () => { this.connection += 1; });
    socket.on('connected', () => {
      this.greetings += 1;
      if (this.greetings > 1) this.#catchUp(this.connection).catch((error) => this.ledger.faults.push(`${this} could not catch up: ${error.message}`));
    });
    for (const event of ['private_message', 'group_message']) socket.on(event, (message) => this.#receive(message));
    socket.on('kicked', ({ reason }) => this.ledger.faults.push(`${this} was kicked: ${reason}`));
    socket.on('draining', ({ reconnectInMs }) => setTimeout(() => this.#move(), reconnectInMs));
    socket.on('disconnect', (reason) => {
      if (this.closed) return;
      this.disconnects.push(reason);
      if (!socket.active) this.#move(); // the server has ended it, and the library leaves the rest to us
    });
    socket.on('connect_error', ({ message }) => {
      if (socket.active || this.closed) return;
      this.#refused(`connect: ${message}`);
      setTimeout(() => this.#move(), 200);
    });
    socket.io.on('reconnect_attempt', () => { this.#nextUrl(); });
  }

  #nextUrl() {
    this.at = (this.at + 1) % this.urls.length;
    this.socket.io.uri = this.urls[this.at];
  }

  #move() {
    if (this.closed) return;
    this.socket.disconnect();
    this.#nextUrl();
    this.socket.connect();
  }

  greeted() { return until(() => this.greetings > 0, `${this} is greeted`); }

  /** Sends a message, and again until it is acked. */
  async send(conversation) {
    const id = `m${++messages}`;
    const content = `${id} from ${this} ${'x'.repeat(messages % 200)}`;
    this.ledger.sent.set(id, content);
    this.own.add(id);
    const payload = { ...conversation.targetFor(this.userId), messageType: 1, content, clientMessageId: id };
    while (!this.closed) {
      const answer = await this.#ask('send_message', payload);
      if (answer?.success) {
        conversation.name ??= answer.data.conversation;
        this.ledger.acked.set(id, answer.data);
        this.#learn(answer.data);
        return;
      }
      if (answer) this.#refused(answer.code);
      await pause(100);
    }
  }

  /** The answer, or null where none came. */
  async #ask(event, payload) {
    return this.socket.timeout(ANSWER_MS).emitWithAck(event, payload).catch(() => null);
  }

  #refused(code) { this.ledger.refusals.set(code, (this.ledger.refusals.get(code) ?? 0) + 1); }

  /** Asks for what came after the last message before the first gap, in every conversation; given up when the connection is lost. */
  async #catchUp(connection) {
    const asIs = () => !this.closed && this.connection === connection;
    for (const { name } of this.ledger.conversationsOf(this.userId)) {
      let afterSeq = this.#gaplessSeq(name);
      for (let more = true; more && asIs();) {
        const answer = await this.#ask('sync_messages', { conversation: name, afterSeq });
        if (answer?.success) {
          for (const message of answer.data.messages) this.#learn(message);
          afterSeq = answer.data.messages.at(-1)?.seq ?? afterSeq;
          more = answer.data.hasMore;
        } else {
          await pause(100);
        }
      }
    }
  }

  #gaplessSeq(name) {
    const known = this.known(name);
    let seq = 0;
    while (known.has(seq + 1)) seq += 1;
    return seq;
  }

  #receive(message) {
    const { conversation, seq, clientMessageId: id, messageId, content } = message;
    const own = this.own.has(id);
    this.pushes.push({ connection: this.connection, conversation, seq, id, messageId, own, again: !own && this.known(conversation).has(seq) });
    if (this.ledger.sent.get(id) !== content) this.ledger.faults.push(`${this} received ${id} with another content than was sent`);
    this.#learn(message);
  }

  /** seq -> message id of what it has of a conversation, by whatever way it came. */
  known(conversation) {
    if (!this.inbox.has(conversation)) this.inbox.set(conversation, new Map());
    return this.inbox.get(conversation);
  }

  #learn({ conversation, seq, messageId }) {
    const known = this.known(conversation);
    if (known.has(seq) && known.get(seq) !== messageId) this.ledger.faults.push(`${this} was told of two messages with ${conversation} seq ${seq}`);
    known.set(seq, messageId);
  }

  close() {
    this.closed = true;
    this.socket.disconnect();
    this.socket.io.engine?.close();
  }
}

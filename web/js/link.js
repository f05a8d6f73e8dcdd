// The connection to the cluster: one Socket.IO socket that comes back by itself, and what is known about it.
//
//   connecting ──▶ online ──▶ offline ──▶ online …
//        │            └─────▶ kicked     (the server has ended it for good)
//        └──────────────────▶ refused    (the server does not know us)
import { io } from '../vendor/socket.io.esm.min.js';

/** How long an ack may take before the connection counts as lost for that request, in milliseconds. */
const ANSWER_WITHIN_MS = 10_000;
/** The wait before the first and before any later attempt to reconnect, in milliseconds. */
const RECONNECT_MS = { first: 500, longest: 5000 };
/** Answers that say "not now": nothing was done, and asking again may help. */
const BUSY = new Set(['no_answer', 'store_unavailable', 'store_overloaded', 'presence_unavailable', 'rate_limited', 'overloaded']);

/** An ack that says no, or none at all: `lost` when there is no connection, `busy` when asking again may help. */
export class AnswerError extends Error {
  constructor(code, message, retryInMs) {
    super(message);
    this.name = 'AnswerError';
    this.code = code;
    this.lost = code === 'lost';
    this.busy = BUSY.has(code);
    this.retryInMs = retryInMs;
  }
}

export class Link extends EventTarget {
  phase = 'connecting';
  /** Attempts to reconnect since the connection was lost. */
  attempt = 0;
  /** The node one is on, and the one before it, if another. */
  nodeId = null;
  movedFrom = null;
  /** Why the connection was refused or ended: `{code, message}`. */
  reason = null;

  #socket;
  /** What is to happen to the connection later: one thing at a time. */
  #later;

  /** `identity` is `{userId}` or `{token}`. Nothing happens before `open()`. */
  constructor(origin, path, identity) {
    super();
    this.#socket = io(origin, {
      path,
      autoConnect: false,
      // WebSocket needs no affinity to one node. Where it does not get through, polling does.
      transports: ['websocket', 'polling'],
      tryAllTransports: true,
      reconnectionDelay: RECONNECT_MS.first,
      reconnectionDelayMax: RECONNECT_MS.longest,
      ...(identity.token ? { auth: { token: identity.token } } : { query: { userId: identity.userId } }),
    });
    this.#listen();
  }

  get isOnline() {
    return this.phase === 'online';
  }

  /** `websocket` or `polling`, while connected. */
  get transport() {
    return this.#socket.io.engine?.transport?.name ?? null;
  }

  open() {
    this.#socket.connect();
  }

  close() {
    clearTimeout(this.#later);
    this.#socket.removeAllListeners();
    this.#socket.disconnect();
  }

  /** Tries at once, instead of when the next attempt is due. */
  retryNow() {
    this.#set({ phase: this.attempt > 0 ? 'offline' : 'connecting', reason: null });
    this.#socket.disconnect().connect();
  }

  /** Asks, and gives the whole answer. Throws `AnswerError`. */
  async ask(event, payload) {
    if (!this.#socket.connected) throw new AnswerError('lost', 'not connected');
    let answer;
    try {
      answer = await this.#socket.timeout(ANSWER_WITHIN_MS).emitWithAck(event, payload);
    } catch (error) {
      throw new AnswerError(this.#socket.connected ? 'no_answer' : 'lost', error.message);
    }
    if (!answer?.success) throw new AnswerError(answer?.code ?? 'unknown', answer?.message ?? '', answer?.retryInMs);
    return answer;
  }

  /** Says something that may be lost. */
  say(event, payload) {
    if (this.#socket.connected) this.#socket.volatile.emit(event, payload);
  }

  /** Listens to an event of the server. */
  on(event, listener) {
    this.#socket.on(event, listener);
  }

  #set(changes) {
    Object.assign(this, changes);
    this.dispatchEvent(new Event('change'));
  }

  #after(ms, act) {
    clearTimeout(this.#later);
    this.#later = setTimeout(act, ms);
  }

  #listen() {
    const [socket, manager] = [this.#socket, this.#socket.io];
    socket.on('connect', () => {
      clearTimeout(this.#later);
      manager.engine.once('upgrade', () => this.#set({}));
    });
    socket.on('connected', ({ nodeId }) => {
      const movedFrom = this.nodeId !== null && this.nodeId !== nodeId ? this.nodeId : null;
      this.#set({ phase: 'online', attempt: 0, reason: null, nodeId, movedFrom });
      this.dispatchEvent(new Event('online'));
    });
    socket.on('kicked', ({ reason = 'kicked' } = {}) => {
      this.#end(reason === 'token_expired' ? 'refused' : 'kicked', { code: reason, message: '' });
    });
    // The node goes down. Leaving before it must be killed costs nobody anything.
    socket.on('draining', ({ reconnectInMs = 0 } = {}) => this.#after(reconnectInMs, () => manager.engine?.close()));
    socket.on('connect_error', (error) => {
      // While the socket is active, nobody was reached, and the manager tries again. Otherwise a server has said no.
      if (socket.active) return;
      const { code } = error.data ?? {};
      if (code && !BUSY.has(code)) this.#end('refused', { code, message: error.message });
      else this.#after(RECONNECT_MS.longest, () => socket.connect());
    });
    socket.on('disconnect', (why) => {
      if (this.phase !== 'online') return;
      this.#set({ phase: 'offline', attempt: 0 });
      // The client library takes a disconnect by the server for final. It is, when `kicked` came before it.
      if (why === 'io server disconnect') this.#after(RECONNECT_MS.first, () => socket.connect());
    });
    manager.on('reconnect_attempt', (attempt) => this.#set({ attempt }));
  }

  #end(phase, reason) {
    clearTimeout(this.#later);
    this.#set({ phase, reason, attempt: 0 });
    this.#socket.disconnect();
  }
}

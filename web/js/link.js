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
const BUSY = new Set(['store_unavailable', 'store_overloaded', 'cluster_unavailable', 'rate_limited', 'unavailable']);

/** An ack that says no, or none at all: `lost` when the connection went, `busy` when asking again may help. */
export class AnswerError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'AnswerError';
    this.code = code;
    this.lost = code === 'lost';
    this.busy = BUSY.has(code);
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
  #drain;

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
    clearTimeout(this.#drain);
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
      throw new AnswerError('lost', error.message);
    }
    if (!answer?.success) throw new AnswerError(answer?.code ?? 'unknown', answer?.message ?? '');
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

  #listen() {
    const [socket, manager] = [this.#socket, this.#socket.io];
    socket.on('connected', ({ nodeId }) => {
      const movedFrom = this.nodeId !== null && this.nodeId !== nodeId ? this.nodeId : null;
      clearTimeout(this.#drain);
      this.#set({ phase: 'online', attempt: 0, reason: null, nodeId, movedFrom });
      this.dispatchEvent(new Event('online'));
    });
    socket.on('connect', () => this.#socket.io.engine.once('upgrade', () => this.#set({})));
    socket.on('kicked', ({ reason } = {}) => this.#end('kicked', { code: reason ?? 'kicked', message: '' }));
    socket.on('draining', ({ reconnectInMs = 0 } = {}) => {
      // The node goes down. Leaving before it must be killed costs nobody anything.
      this.#drain = setTimeout(() => manager.engine?.close(), reconnectInMs);
    });
    socket.on('connect_error', (error) => {
      // Without a code, nobody was reached, and the manager tries again. With one, the server has looked at us and said no.
      if (!socket.active && error.data?.code) this.#end('refused', { code: error.data.code, message: error.message });
      else if (!socket.active) setTimeout(() => socket.connect(), RECONNECT_MS.longest);
    });
    socket.on('disconnect', (why) => {
      if (this.phase !== 'online') return;
      this.#set({ phase: 'offline', attempt: 0 });
      // The client library takes a disconnect by the server for final. It is, when `kicked` came before it.
      if (why === 'io server disconnect') setTimeout(() => socket.connect(), RECONNECT_MS.first);
    });
    manager.on('reconnect_attempt', (attempt) => this.#set({ attempt }));
  }

  #end(phase, reason) {
    clearTimeout(this.#drain);
    this.#set({ phase, reason, attempt: 0 });
    this.#socket.disconnect();
  }
}

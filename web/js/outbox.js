// Messages on their way: kept until the server has acked them, sent one after the other, and again, with the same
// clientMessageId, after whatever came between. The server stores a clientMessageId once, so sending again is safe.
// They outlive a reload of the page.

/** How long to wait after an answer that says "not now" and not when, in milliseconds. */
const PAUSE_MS = 2000;

export class Outbox {
  #storage;
  #key;
  #deliver;
  #entries;
  #sending = false;

  /**
   * `deliver(payload)` gives the stored message. It throws an error with `lost: true` when the connection went, with
   * `busy: true` when the server can't take it now, any other when the server refuses the message.
   */
  constructor({ storage, key, deliver, onChange, onDelivered }) {
    this.#storage = storage;
    this.#key = key;
    this.#deliver = deliver;
    this.onChange = onChange;
    this.onDelivered = onDelivered;
    this.#entries = read(storage, key);
  }

  /** What waits in a conversation, in the order of writing: `{payload, conversation, state, error?, at}`. */
  entries(conversation) {
    return this.#entries.filter((entry) => entry.conversation === conversation);
  }

  /** How many are still to be acked, failed ones aside. */
  get waiting() {
    return this.#entries.filter(({ state }) => state !== 'failed').length;
  }

  /** Puts a message in, to be sent. */
  add(conversation, payload) {
    const clientMessageId = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random().toString(36).slice(2)}`;
    this.#entries.push({ conversation, payload: { ...payload, clientMessageId }, state: 'queued', at: new Date().toISOString() });
    this.#changed();
    this.flush();
  }

  /** Sends what waits. To be called whenever the connection is there again. */
  async flush() {
    if (this.#sending) return;
    this.#sending = true;
    try {
      for (let entry; (entry = this.#entries.find(({ state }) => state === 'queued'));) {
        if (!await this.#send(entry)) return;
      }
    } finally {
      this.#sending = false;
    }
  }

  async #send(entry) {
    entry.state = 'sending';
    this.#changed();
    try {
      const message = await this.#deliver(entry.payload);
      this.settle(entry.payload.clientMessageId);
      this.onDelivered(message);
      return true;
    } catch (error) {
      entry.state = error.lost || error.busy ? 'queued' : 'failed';
      entry.error = error.lost ? undefined : { code: error.code, message: error.message };
      this.#changed();
      if (error.busy) setTimeout(() => this.flush(), error.retryInMs ?? PAUSE_MS);
      return entry.state === 'failed';
    }
  }

  /** Sends once more what was refused. */
  retry(clientMessageId) {
    const entry = this.#entries.find(({ payload }) => payload.clientMessageId === clientMessageId);
    if (entry?.state !== 'failed') return;
    entry.state = 'queued';
    delete entry.error;
    this.#changed();
    this.flush();
  }

  /** Takes a message out: it is stored, or no longer wanted. */
  settle(clientMessageId) {
    const before = this.#entries.length;
    this.#entries = this.#entries.filter(({ payload }) => payload.clientMessageId !== clientMessageId);
    if (this.#entries.length !== before) this.#changed();
  }

  #changed() {
    this.#storage.setItem(this.#key, JSON.stringify(this.#entries));
    this.onChange();
  }
}

/** What an earlier page left; what it was sending has an unknown fate, and is sent again. */
function read(storage, key) {
  try {
    const entries = JSON.parse(storage.getItem(key) ?? '[]');
    return entries.map((entry) => (entry.state === 'sending' ? { ...entry, state: 'queued' } : entry));
  } catch {
    return [];
  }
}

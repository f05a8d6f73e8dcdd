// The messages of one conversation that the page holds: a run of consecutive sequence numbers, and whatever came ahead
// of it. Sequence numbers have no gaps (SPEC, section 4), so the run tells by itself what is missing at either end.
// Pure: it asks nobody for anything, it only says what to ask for.

export class Timeline {
  #run = new Map();
  #ahead = new Map();

  /** The first and the last sequence number of the run; 0 while there is none. */
  first = 0;
  last = 0;

  get isEmpty() {
    return this.last === 0;
  }

  /** The run, oldest first. */
  get messages() {
    const messages = [];
    for (let seq = this.first; seq !== 0 && seq <= this.last; seq++) messages.push(this.#run.get(seq));
    return messages;
  }

  /** Takes a message that was pushed, whether it follows the run, stands in it, or comes ahead of it. */
  put(message) {
    const { seq } = message;
    if (this.isEmpty ? seq === 1 : seq === this.last + 1) this.#append(message);
    else if (seq >= this.first && seq <= this.last) this.#run.set(seq, message);
    else if (seq > this.last) this.#ahead.set(seq, message);
    this.#drain();
  }

  /** Takes a page of consecutive messages that touches the run, or begins it. A page that does neither is not taken. */
  putPage(messages) {
    if (messages.length === 0) return;
    const [from, to] = [messages[0].seq, messages.at(-1).seq];
    if (this.isEmpty) [this.first, this.last] = [from, to];
    else if (from > this.last + 1 || to < this.first - 1) return;
    for (const message of messages) this.#run.set(message.seq, message);
    this.first = Math.min(this.first, from);
    this.last = Math.max(this.last, to);
    this.#drain();
  }

  /** Changes a message that is held; gives whether there was one. */
  change(matches, change) {
    for (const messages of [this.#run, this.#ahead]) {
      for (const [seq, message] of messages) {
        if (!matches(message)) continue;
        messages.set(seq, { ...message, ...change });
        return true;
      }
    }
    return false;
  }

  find(messageId) {
    for (const message of this.#run.values()) if (message.messageId === messageId) return message;
    return undefined;
  }

  /** Whether something came ahead of the run: what is between is after `last`. */
  get hasGap() {
    return this.#ahead.size > 0;
  }

  /** What to ask for to have up to `size` older messages, or `null` at the beginning of the conversation. */
  older(size) {
    if (this.first <= 1) return null;
    const afterSeq = Math.max(0, this.first - 1 - size);
    return { afterSeq, limit: this.first - 1 - afterSeq };
  }

  #append(message) {
    this.#run.set(message.seq, message);
    this.last = message.seq;
    if (this.first === 0) this.first = message.seq;
  }

  #drain() {
    for (const seq of [...this.#ahead.keys()].sort((a, b) => a - b)) {
      if (this.isEmpty || seq > this.last + 1) return;
      if (seq === this.last + 1) this.#append(this.#ahead.get(seq));
      this.#ahead.delete(seq);
    }
  }
}

// A TCP connection whose bytes the test chooses. What arrives is kept until somebody takes it; a reset counts as an end.
import { connect } from 'node:net';
import { within } from './wait.mjs';

export class Tcp {
  static async open(port) {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const tcp = new Tcp(socket);
    await within(new Promise((done, fail) => socket.once('connect', done).once('error', fail)), 'a TCP connection');
    return tcp;
  }

  constructor(socket) {
    this.socket = socket;
    this.buffer = Buffer.alloc(0);
    this.ended = false;
    this.changed = () => {};
    socket.on('data', (chunk) => { this.buffer = Buffer.concat([this.buffer, chunk]); this.changed(); });
    for (const event of ['end', 'error', 'close']) socket.on(event, () => { this.ended = true; this.changed(); });
  }

  /** Writes; what the other side no longer wants is silently lost, as on a real network. */
  write(data) { if (this.socket.writable) this.socket.write(data); }

  /** Writes one byte at a time, each in its own segment as far as the kernel lets it. */
  async writeSlowly(data) {
    for (const byte of Buffer.from(data)) {
      await new Promise((done) => (this.socket.writable ? this.socket.write(Buffer.of(byte), done) : done()));
      await new Promise(setImmediate);
    }
  }

  /** Waits until `take(buffer, ended)` gives something, and gives that. */
  async read(take, what) {
    const loop = async () => {
      for (;;) {
        const value = take(this.buffer, this.ended);
        if (value !== undefined) return value;
        if (this.ended) throw new Error(`connection closed while waiting for ${what}; unread: ${preview(this.buffer)}`);
        await new Promise((done) => { this.changed = done; });
      }
    };
    const waiting = within(loop(), what);
    waiting.catch((error) => { error.message += `; unread: ${preview(this.buffer)}`; });
    return waiting;
  }

  take(length) {
    const taken = this.buffer.subarray(0, length);
    this.buffer = this.buffer.subarray(length);
    return taken;
  }

  /** Everything up to the end of the connection. */
  rest() { return this.read((buffer, ended) => (ended ? this.take(buffer.length) : undefined), 'the end of the connection'); }

  end() { this.socket.end(); }
  destroy() { this.socket.destroy(); }
}

const preview = (buffer) => JSON.stringify(buffer.subarray(0, 300).toString('latin1'));

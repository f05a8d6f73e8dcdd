// TCP proxies: one that is a line which can be cut, slowed down and mended, and one that lets no WebSocket upgrade
// through, as some company networks do.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { pause } from './wait.mjs';

/** A line to a port of this machine, as between two of them. */
export class Line {
  static async to(target) {
    const line = new Line(target);
    await new Promise((done) => line.server.listen(0, '127.0.0.1', done));
    return line;
  }

  constructor(target) {
    Object.assign(this, { target, open: new Set(), refusing: false, delayMs: 0, passable: Promise.resolve(), mended: () => {} });
    this.server = createServer((inner) => this.accept(inner));
  }

  get port() { return this.server.address().port; }

  /** Nothing passes any more, and nobody is told: a cable that was pulled out. What is sent meanwhile waits, as TCP does. */
  cut() { this.passable = new Promise((done) => { this.mended = done; }); }

  /** Connections are reset, and new ones refused: a machine that has restarted without its service. */
  refuse() {
    this.refusing = true;
    this.reset();
  }

  /** All is well again. */
  mend() {
    this.refusing = false;
    this.mended();
    this.passable = Promise.resolve();
  }

  /** What comes from now on takes so long on its way. */
  delay(ms) { this.delayMs = ms; }

  /** Connections end, new ones work. */
  reset() { for (const socket of this.open) socket.resetAndDestroy(); }

  async close() {
    this.refuse();
    this.mended();
    await new Promise((done) => this.server.close(done));
  }

  accept(inner) {
    if (this.refusing) return inner.resetAndDestroy();
    const outer = connect(this.target, '127.0.0.1');
    for (const [from, to] of [[inner, outer], [outer, inner]]) {
      this.open.add(from);
      from.setNoDelay();
      from.on('error', () => {});
      from.on('close', () => this.open.delete(from));
      this.carry(from, to).catch(() => to.destroy());
    }
  }

  async carry(from, to) {
    for await (const chunk of from) {
      await this.passable;
      if (this.delayMs > 0) await pause(this.delayMs);
      if (to.writable && !to.write(chunk)) await once(to, 'drain');
    }
    await this.passable;
    to.end();
  }
}

/** Gives {url, close()}. */
export async function proxyWithoutWebSocket(port) {
  const open = new Set();
  const proxy = createServer((inner) => {
    const outer = connect(port, '127.0.0.1');
    for (const [from, to] of [[inner, outer], [outer, inner]]) {
      open.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => { open.delete(from); to.destroy(); });
    }
    inner.on('data', (chunk) => {
      if (/^upgrade: websocket/im.test(chunk.toString('latin1'))) inner.end('HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      else outer.write(chunk);
    });
    outer.pipe(inner);
  });
  await new Promise((done) => proxy.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${proxy.address().port}`,
    close: () => { for (const socket of open) socket.destroy(); proxy.close(); },
  };
}

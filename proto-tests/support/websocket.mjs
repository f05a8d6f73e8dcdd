// WebSocket from the client's side (RFC 6455), frame by frame: what is sent may break any rule, what is received is
// checked. It answers Engine.IO pings by itself, so that a session ends only when the server wants it to.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { encode, readResponse } from './http.mjs';
import { Tcp } from './tcp.mjs';

export const OP = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 };
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
/** A session that has seen this many heartbeats since the offence was not closed for it. */
const PINGS_OF_A_LIVE_SESSION = 4;

export const upgradeHeaders = {
  Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Key': KEY, 'Sec-WebSocket-Version': 13,
};

/** The bytes of one frame. `length` claims another length than the payload's. */
export function frame(opcode, payload = '', { fin = true, rsv = 0, masked = true, length } = {}) {
  const data = Buffer.from(payload);
  const size = BigInt(length ?? data.length);
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const bit = masked ? 0x80 : 0;
  let head;
  if (size < 126n) head = Buffer.of(first, bit | Number(size));
  else if (size < 65_536n) head = Buffer.of(first, bit | 126, Number(size >> 8n), Number(size & 255n));
  else {
    head = Buffer.alloc(10, Buffer.of(first, bit | 127));
    head.writeBigUInt64BE(size, 2);
  }
  if (!masked) return Buffer.concat([head, data]);
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, data.map((byte, i) => byte ^ mask[i & 3])]);
}

export class RawWebSocket {
  /** Opens, and checks the server's half of the opening handshake (RFC 6455, 4.2.2). */
  static async open(port, path, { heartbeat = true, headers = {} } = {}) {
    const tcp = await Tcp.open(port);
    tcp.write(encode({ path, headers: { ...upgradeHeaders, ...headers } }));
    const response = await readResponse(tcp);
    assert.equal(response.status, 101, `upgrade of ${path} answered ${response.status} ${response.text}`);
    assert.equal(response.headers['sec-websocket-accept'], acceptFor(KEY));
    return new RawWebSocket(tcp, heartbeat);
  }

  constructor(tcp, heartbeat) {
    Object.assign(this, { tcp, heartbeat, pings: 0 });
  }

  write(bytes) { this.tcp.write(bytes); }
  send(opcode, payload, options) { this.tcp.write(frame(opcode, payload, options)); }
  text(payload) { this.send(OP.TEXT, payload); }
  binary(payload) { this.send(OP.BINARY, payload); }
  destroy() { this.tcp.destroy(); }

  /** The next frame as it came; a server never masks and sends no reserved bit that was not negotiated (5.1, 5.2). */
  async frame() {
    const received = await this.tcp.read((buffer) => {
      if (buffer.length < 2) return undefined;
      const short = buffer[1] & 0x7f;
      const head = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (buffer.length < head) return undefined;
      const size = short < 126 ? short : short === 126 ? buffer.readUInt16BE(2) : Number(buffer.readBigUInt64BE(2));
      if (buffer.length < head + size) return undefined;
      const bytes = this.tcp.take(head + size);
      return { fin: bytes[0] >= 0x80, rsv: (bytes[0] >> 4) & 7, opcode: bytes[0] & 15, masked: bytes[1] >= 0x80,
        payload: bytes.subarray(head) };
    }, 'a WebSocket frame');
    assert.equal(received.masked, false, 'a server must not mask');
    assert.equal(received.rsv, 0, 'no extension was negotiated');
    return received;
  }

  /** The next frame that is no Engine.IO ping; pings are answered unless `heartbeat` is off. */
  async next() {
    for (;;) {
      const received = await this.frame();
      if (received.opcode !== OP.TEXT || received.payload.toString() !== '2') return received;
      this.pings += 1;
      if (this.heartbeat) this.text('3');
    }
  }

  /** A WebSocket that the server may also refuse with 400; gives null then. */
  static async openIfAllowed(port, path) {
    return RawWebSocket.open(port, path).catch((error) => {
      if (/ answered 400 /.test(error.message)) return null;
      throw error;
    });
  }

  /** The next frame's text. */
  async receive() {
    const { opcode, payload } = await this.next();
    assert.equal(opcode, OP.TEXT, `a text frame was expected, not opcode ${opcode} ${payload.toString('latin1')}`);
    return payload.toString();
  }

  /** The next frame's bytes. */
  async receiveBinary() {
    const { opcode, payload } = await this.next();
    assert.equal(opcode, OP.BINARY, `a binary frame was expected, not opcode ${opcode} ${payload.toString('latin1')}`);
    return payload;
  }

  async expect(...texts) {
    for (const text of texts) assert.equal(await this.receive(), text);
  }

  /**
   * Waits for the server to close and gives {code, reason, before}: 1005 for a close frame without a code, 1006 for a
   * connection that just ends, `before` the texts that came first. Fails when the session lives on for `patience` pings.
   */
  async closed({ patience = PINGS_OF_A_LIVE_SESSION } = {}) {
    this.pings = 0;
    const before = [];
    for (;;) {
      if (this.pings >= patience) assert.fail('the server keeps the session open');
      const received = await this.frame().catch((error) => {
        if (/connection closed/.test(error.message)) return null;
        throw error;
      });
      if (received === null) return { code: 1006, reason: '', before };
      if (received.opcode === OP.CLOSE) {
        const { payload } = received;
        const code = payload.length < 2 ? 1005 : payload.readUInt16BE(0);
        this.send(OP.CLOSE, payload.subarray(0, 2));
        return { code, reason: payload.subarray(2).toString(), before };
      }
      if (received.opcode === OP.TEXT && received.payload.toString() === '2') {
        this.pings += 1;
        if (this.heartbeat) this.text('3');
      } else if (received.opcode === OP.TEXT) before.push(received.payload.toString());
    }
  }
}

const acceptFor = (key) => createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

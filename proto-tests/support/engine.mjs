// Engine.IO sessions (protocol revision 4) over raw HTTP and raw WebSocket frames: just enough of a client that a test
// says what it means in packets, and still controls every request.
import assert from 'node:assert/strict';
import { encode, readResponse, request } from './http.mjs';
import { Tcp } from './tcp.mjs';
import { RawWebSocket } from './websocket.mjs';

export const ENGINE = '/engine.io/';
export const SOCKET = '/socket.io/';
export const SEPARATOR = '\x1e';
/** A session that has sent this many heartbeats since the offence was not closed for it. */
const PINGS_OF_A_LIVE_SESSION = 4;

/** A polling session. Pings that `next` meets are answered. */
export class PollingSession {
  static async open(port, path = ENGINE) {
    const response = await request(port, { path: `${path}?EIO=4&transport=polling` });
    assert.equal(response.status, 200, `handshake answered ${response.status} ${response.text}`);
    assert.equal(response.text[0], '0', `an open packet was expected, not ${response.text}`);
    return new PollingSession(port, path, JSON.parse(response.text.slice(1)));
  }

  constructor(port, path, handshake) {
    Object.assign(this, { port, path, handshake, sid: handshake.sid, queue: [], pings: 0 });
  }

  get target() { return `${this.path}?EIO=4&transport=polling&sid=${this.sid}`; }
  get upgradeTarget() { return `${this.path}?EIO=4&transport=websocket&sid=${this.sid}`; }

  get(options = {}) { return request(this.port, { path: this.target, ...options }); }
  post(body, options = {}) { return request(this.port, { method: 'POST', path: this.target, body, ...options }); }

  /** A POST that the server may answer with 400 or by ending the connection; gives the response, or null. */
  async tryPost(body, options = {}) {
    return this.post(body, options).catch((error) => {
      if (/connection closed/.test(error.message)) return null;
      throw error;
    });
  }

  /** A request whose answer is not awaited yet: the connection, to read it from. */
  async begin(options = {}) {
    const tcp = await Tcp.open(this.port);
    tcp.write(encode({ path: this.target, ...options }));
    return tcp;
  }

  async send(...packets) {
    const response = await this.post(packets.join(SEPARATOR));
    assert.deepEqual([response.status, response.text], [200, 'ok']);
  }

  /** The next packet that is no ping. */
  async next() {
    for (;;) {
      while (this.queue.length > 0) {
        const packet = this.queue.shift();
        if (packet !== '2') return packet;
        this.pings += 1;
        await this.send('3');
      }
      const response = await this.get();
      assert.equal(response.status, 200, `a poll answered ${response.status} ${response.text}`);
      this.queue.push(...response.text.split(SEPARATOR));
    }
  }

  async expect(...packets) {
    for (const packet of packets) assert.equal(await this.next(), packet);
  }

  /** The session echoes: it is alive. */
  async assertAlive() {
    const text = `4alive ${Math.random()}`;
    await this.send(text);
    let packet;
    do packet = await this.next(); while (packet === '6');
    assert.equal(packet, text);
  }

  /** The server has closed the session: its id is unknown (error 1), after at most a last close or noop packet. */
  async assertGone() {
    for (let pings = 0; pings < PINGS_OF_A_LIVE_SESSION;) {
      const response = await this.get();
      if (response.status !== 200) {
        assert.deepEqual([response.status, response.json()], [400, { code: 1, message: 'Session ID unknown' }]);
        return;
      }
      if (response.text.split(SEPARATOR).includes('2')) {
        pings += 1;
        await this.tryPost('3');
      }
    }
    assert.fail('the server keeps the session open');
  }

  /** A WebSocket on this session's id, nothing sent yet. */
  openWebSocket() { return RawWebSocket.open(this.port, this.upgradeTarget); }

  /** The whole upgrade; gives the WebSocket that now is the session's transport. */
  async upgrade() {
    const ws = await this.openWebSocket();
    ws.text('2probe');
    await ws.expect('3probe');
    ws.text('5');
    return ws;
  }
}

/** A session that is a WebSocket from the start; `handshake` holds what the open packet said. */
export async function openWebSocketSession(port, path = ENGINE, options = {}) {
  const ws = await RawWebSocket.open(port, `${path}?EIO=4&transport=websocket`, options);
  const open = await ws.receive();
  assert.equal(open[0], '0', `an open packet was expected, not ${open}`);
  ws.handshake = JSON.parse(open.slice(1));
  return ws;
}

/** A Socket.IO connection over one WebSocket, already in the default namespace; `auth` has been read. */
export async function openSocket(port, { namespace = '/', auth } = {}) {
  const ws = await openWebSocketSession(port, SOCKET);
  const prefix = namespace === '/' ? '' : `${namespace},`;
  ws.text(`40${prefix}${auth ? JSON.stringify(auth) : ''}`);
  const answer = await ws.receive();
  assert.match(answer, /^40/, `a CONNECT packet was expected, not ${answer}`);
  const event = await ws.receive();
  assert.ok(event.startsWith(`42${prefix}[`), `auth was expected, not ${event}`);
  assert.deepEqual(JSON.parse(event.slice(2 + prefix.length)), ['auth', auth ?? {}]);
  return ws;
}

/** The connection still works: an event comes back. */
export async function assertSocketAlive(ws) {
  const text = JSON.stringify(`alive ${Math.random()}`);
  ws.text(`42["message",${text}]`);
  await ws.expect(`42["message-back",${text}]`);
}

// HTTP/1.1 from the client's side, as RFC 9112 frames it, on a connection whose every byte the test can choose.
import { Tcp } from './tcp.mjs';

/** The bytes of a request. `headers` is an object, or a list of raw lines; nothing is added but Host and Content-Length. */
export function encode({ method = 'GET', path, version = '1.1', headers = {}, body }) {
  const lines = Array.isArray(headers) ? headers : Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const has = (name) => lines.some((line) => line.toLowerCase().startsWith(`${name}:`));
  const head = [`${method} ${path} HTTP/${version}`];
  if (!has('host')) head.push('Host: localhost');
  if (body !== undefined && !has('content-length') && !has('transfer-encoding')) {
    head.push(`Content-Length: ${Buffer.byteLength(body)}`);
  }
  const top = Buffer.from(`${[...head, ...lines].join('\r\n')}\r\n\r\n`, 'latin1');
  return Buffer.concat([top, Buffer.from(body ?? '')]);
}

/** Reads one response (interim 100 answers are passed over). `method` matters for HEAD, which has no body. */
export async function readResponse(tcp, { method = 'GET' } = {}) {
  for (;;) {
    const head = await tcp.read((buffer) => {
      const end = buffer.indexOf('\r\n\r\n');
      return end < 0 ? undefined : tcp.take(end + 4).toString('latin1');
    }, 'an HTTP response head');
    const [statusLine, ...lines] = head.slice(0, -4).split('\r\n');
    const match = /^HTTP\/1\.([01]) (\d{3})(?: .*)?$/.exec(statusLine);
    if (!match) throw new Error(`not a status line: ${JSON.stringify(statusLine)}`);
    const headers = {};
    for (const line of lines) {
      const colon = line.indexOf(':');
      if (colon < 1) throw new Error(`not a header line: ${JSON.stringify(line)}`);
      const name = line.slice(0, colon).toLowerCase();
      const value = line.slice(colon + 1).trim();
      headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
    }
    const status = Number(match[2]);
    if (status === 100) continue;
    const body = method === 'HEAD' || status === 101 || status === 204 ? Buffer.alloc(0) : await readBody(tcp, headers);
    return new Response(status, headers, body);
  }
}

/** One request on a connection of its own. */
export async function request(port, options) {
  const tcp = await Tcp.open(port);
  try {
    tcp.write(encode({ ...options, headers: withClose(options.headers ?? {}) }));
    return await readResponse(tcp, options);
  } finally {
    tcp.destroy();
  }
}

class Response {
  constructor(status, headers, body) { Object.assign(this, { status, headers, body }); }
  get text() { return this.body.toString('utf8'); }
  json() {
    try {
      return JSON.parse(this.text);
    } catch {
      throw new Error(`status ${this.status} with a body that is not JSON: ${JSON.stringify(this.text)}`);
    }
  }
}

async function readBody(tcp, headers) {
  if (/chunked/i.test(headers['transfer-encoding'] ?? '')) return readChunks(tcp);
  if ('content-length' in headers) {
    const length = Number(headers['content-length']);
    return tcp.read((buffer) => (buffer.length >= length ? tcp.take(length) : undefined), `a body of ${length} bytes`);
  }
  return tcp.rest();
}

async function readChunks(tcp) {
  const line = () => tcp.read((buffer) => {
    const end = buffer.indexOf('\r\n');
    return end < 0 ? undefined : tcp.take(end + 2).toString('latin1').slice(0, -2);
  }, 'a chunk line');
  const chunks = [];
  for (;;) {
    const size = parseInt(await line(), 16);
    if (size === 0) break;
    chunks.push(await tcp.read((buffer) => (buffer.length >= size + 2 ? tcp.take(size + 2).subarray(0, size) : undefined),
      `a chunk of ${size} bytes`));
  }
  while (await line() !== '') { /* trailers */ }
  return Buffer.concat(chunks);
}

function withClose(headers) {
  const named = Array.isArray(headers) ? headers : Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return named.some((line) => /^connection:/i.test(line)) ? named : [...named, 'Connection: close'];
}

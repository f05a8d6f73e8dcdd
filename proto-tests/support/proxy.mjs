// A TCP proxy in front of the server that lets no WebSocket upgrade through, as some company networks do.
import { connect, createServer } from 'node:net';

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

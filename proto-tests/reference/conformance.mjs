// The conformance contract on the reference server (npm socket.io): the yardstick that the tests are checked against
// before they judge ours. Usage: node conformance.mjs PORT [recovery] [patient]. Loopback only. It has no behaviour of its own beside the
// contract: Engine.IO echo at /engine.io/, and the events below at /socket.io/ on `/` and `/custom`.
import { createServer } from 'node:http';
import { Server as EngineServer } from 'engine.io';
import { Server as SocketServer } from 'socket.io';

const port = Number(process.argv[2] ?? 3000);
const has = (flag) => process.argv.slice(3).includes(flag);
const recovery = has('recovery') ? { connectionStateRecovery: { maxDisconnectionDuration: 60_000 } } : {};
const heartbeat = has('patient') ? {} : { pingInterval: 300, pingTimeout: 200, connectTimeout: 1000 };
const limits = { ...heartbeat, maxHttpBufferSize: 1e6, cors: { origin: '*' } };

const http = createServer((_req, res) => res.writeHead(404).end());

const engine = new EngineServer(limits);
engine.attach(http, { path: '/engine.io/', destroyUpgrade: false });
engine.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));

const io = new SocketServer(http, { ...limits, ...recovery, path: '/socket.io/', destroyUpgrade: false });
for (const name of ['/', '/custom']) {
  io.of(name).on('connection', (socket) => {
    socket.emit('auth', socket.handshake.auth);
    socket.on('message', (...args) => socket.emit('message-back', ...args));
    socket.on('message-with-ack', (...args) => args.pop()(...args));
    socket.on('request-ack', (...args) => {
      socket.emit('ack-me', ...args, (...answer) => socket.emit('ack-result', ...answer));
    });
    socket.on('join', (room, ack) => { socket.join(room); ack(); });
    socket.on('say', (room, event, what, ack) => { socket.to(room).emit(event, what); ack(); });
    socket.on('state', (ack) => ack(socket.recovered, [...socket.rooms].filter((room) => room !== socket.id)));
    socket.on('shutdown', () => { socket.emit('last', 'word'); socket.conn.close(); });
  });
}

http.on('upgrade', (req, socket) => {
  if (!/^\/(engine|socket)\.io\//.test(req.url)) socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
});
http.listen(port, '127.0.0.1');

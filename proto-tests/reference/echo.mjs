// The echo contract on the reference server: event `echo` answers its ack with the same arguments, `bcast` goes out
// again to every client of the namespace. Usage: node echo.mjs PORT. Default heartbeat, loopback only.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer((_req, res) => res.writeHead(404).end());
const io = new Server(http, { cors: { origin: '*' } });
io.on('connection', (socket) => {
  socket.on('echo', (...args) => args.pop()(...args));
  socket.on('bcast', (...args) => io.emit('bcast', ...args));
});
http.listen(Number(process.argv[2] ?? 3000), '127.0.0.1');

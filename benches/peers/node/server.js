// The reference Socket.IO server with the echo contract of the load generator: `echo` answers its ack with its own
// arguments, `bcast` goes again to every client of the main namespace. Listens on loopback, at PORT (default 3000).

import { createServer } from 'node:http'
import { Server } from 'socket.io'

// Its own defaults; a client that offers no compression gets none.
const httpServer = createServer()
const io = new Server(httpServer, { serveClient: false })

io.on('connection', (socket) => {
  socket.on('echo', (...args) => {
    const ack = args.pop()
    ack(...args)
  })
  socket.on('bcast', (...args) => io.emit('bcast', ...args))
})

const port = Number(process.env.PORT ?? 3000)
httpServer.listen(port, '127.0.0.1', 4096, () => console.error(`socket.io on port ${port}`))

process.on('SIGTERM', () => process.exit(0))

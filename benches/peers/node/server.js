// The reference Socket.IO server with the contract of the load generator, on Node with ws. Listens on loopback, at PORT
// (default 3000).

import { createServer } from 'node:http'
import { Server } from 'socket.io'

import { contract } from './contract.js'

// Its own defaults; a client that offers no compression gets none.
const httpServer = createServer()
contract(new Server(httpServer, { serveClient: false }))

const port = Number(process.env.PORT ?? 3000)
httpServer.listen(port, '127.0.0.1', 4096, () => console.error(`socket.io on port ${port}`))

process.on('SIGTERM', () => process.exit(0))

// The reference Socket.IO server with the contract of the load generator, on Bun's own engine. Listens on loopback, at PORT
// (default 3000).

import { Server as Engine } from '@socket.io/bun-engine'
import { Server } from 'socket.io'

import { contract } from '../node/contract.js'

const engine = new Engine({ path: '/socket.io/' })
const io = new Server()
io.bind(engine)
contract(io)

const port = Number(process.env.PORT ?? 3000)
// Its handler allows no time for a poll without this.
Bun.serve({ ...engine.handler(), port, hostname: '127.0.0.1', idleTimeout: 60 })
console.error(`socket.io on Bun on port ${port}`)

process.on('SIGTERM', () => process.exit(0))

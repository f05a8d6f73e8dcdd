// The contract of the load generator: `echo` answers its ack with its own arguments, `bcast` goes again to every client of
// the main namespace, `join` joins a room and answers as `echo` does, `room` emits `bcast` to a room.

export function contract(io) {
  io.on('connection', (socket) => {
    socket.on('echo', (...args) => {
      const ack = args.pop()
      ack(...args)
    })
    socket.on('bcast', (...args) => io.emit('bcast', ...args))
    socket.on('join', (room, ack) => {
      socket.join(room)
      ack(room)
    })
    socket.on('room', (room, ...args) => io.to(room).emit('bcast', ...args))
  })
}

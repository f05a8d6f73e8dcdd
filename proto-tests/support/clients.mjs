// The unmodified client libraries, by version and by transport mode, and the two things every test does with them:
// open one, and ask with an ack.
import { io as io30 } from 'socket.io-client-30';
import { io as io40 } from 'socket.io-client-40';
import { io as io48 } from 'socket.io-client';
import { once, until, within } from './wait.mjs';

export const versions = { 'socket.io-client 4.8': io48, 'socket.io-client 4.0': io40, 'socket.io-client 3.1': io30 };

export const modes = {
  'polling only': { transports: ['polling'] },
  'websocket only': { transports: ['websocket'] },
  'polling then upgrade': { transports: ['polling', 'websocket'] },
  'websocket first': { transports: ['websocket', 'polling'] },
};

/** Every client version in every mode: [name, io, options]. */
export const everyClient = Object.entries(versions).flatMap(([version, io]) =>
  Object.entries(modes).map(([mode, options]) => [`${version}, ${mode}`, io, options]));

/** A client that is cleaned up after the test; not waited for. It keeps nothing from other tests. */
export function client(t, io, url, options = {}) {
  const socket = io(url, { forceNew: true, reconnection: false, ...options });
  t.after(() => socket.io.engine ? (socket.disconnect(), socket.io.engine.close()) : socket.disconnect());
  return socket;
}

/** A client that is connected, and by its last transport where it may upgrade. */
export async function connected(t, io, url, options = {}) {
  const socket = client(t, io, url, options);
  await connection(socket);
  if (options.transports?.length > 1) await upgraded(socket);
  return socket;
}

export function connection(socket) {
  const failed = new Promise((_, reject) => socket.once('connect_error', reject));
  return Promise.race([once(socket, 'connect'), failed]);
}

export function upgraded(socket) {
  return until(() => socket.io.engine.transport.name === 'websocket', 'the transport is websocket');
}

/** Emits and gives the ack's arguments. */
export function ask(socket, event, ...args) {
  return within(new Promise((resolve) => socket.emit(event, ...args, (...answer) => resolve(answer))), `the ack of ${event}`);
}

/** Emits `message` and gives what comes back. */
export async function echo(socket, ...args) {
  const back = once(socket, 'message-back');
  socket.emit('message', ...args);
  return back;
}

// Well-behaved clients that are connected while a raw test does its worst: after each test they must still echo, on the
// connection they had from the start. They live on a thread of their own, so that a busy test does not starve them.
import assert from 'node:assert/strict';
import { after, afterEach, before } from 'node:test';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { io } from 'socket.io-client';
import { startServer } from './server.mjs';
import { once } from './wait.mjs';

/** Starts `conformance` for this test file, with a bystander on each transport. Gives {server, port}, filled in `before`. */
export function conformanceWithBystanders() {
  const handle = {};
  let worker;
  const ask = async (question) => {
    worker.postMessage(question);
    const [answer] = await once(worker, 'message', 30_000);
    assert.equal(answer, 'well', 'the bystanders notice nothing');
  };
  before(async () => {
    handle.server = await startServer('conformance');
    handle.port = handle.server.port;
    worker = new Worker(new URL(import.meta.url), { workerData: handle.server.url });
    await ask('connect');
  });
  afterEach(async () => {
    handle.server.assertAlive();
    await ask('echo');
  });
  after(async () => {
    await worker?.terminate();
    await handle.server?.stop();
  });
  return handle;
}

class Bystander {
  constructor(url, transport) {
    this.transport = transport;
    this.socket = io(url, { transports: [transport], reconnection: false, forceNew: true });
    this.lost = new Promise((_, reject) => this.socket.once('disconnect', (reason) => {
      reject(new Error(`the ${transport} bystander was disconnected: ${reason}`));
    }));
    this.lost.catch(() => {});
  }

  async echo() {
    const number = Math.random();
    const answer = await Promise.race([this.socket.timeout(10_000).emitWithAck('message-with-ack', number), this.lost]);
    if (answer !== number) throw new Error(`the ${this.transport} bystander's echo was ${answer}`);
  }
}

if (!isMainThread && typeof workerData === 'string') {
  const gather = () => ['polling', 'websocket'].map((transport) => new Bystander(workerData, transport));
  let bystanders = gather();
  parentPort.on('message', () => {
    Promise.all(bystanders.map((bystander) => bystander.echo())).then(() => parentPort.postMessage('well'), (error) => {
      parentPort.postMessage(error.message);
      bystanders = gather(); // the next test is judged by itself
    });
  });
}

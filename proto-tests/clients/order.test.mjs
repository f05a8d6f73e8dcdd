// Bursts across the upgrade: while a client moves from polling to WebSocket both sides send all the time, and every
// event arrives once and in order.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { client, connected, modes, upgraded, versions } from '../support/clients.mjs';
import { startServer } from '../support/server.mjs';
import { once, pause, until } from '../support/wait.mjs';

let conformance;
let echo;
before(async () => { [conformance, echo] = await Promise.all([startServer('conformance'), startServer('echo')]); });
after(() => Promise.all([conformance?.stop(), echo?.stop()]));

const numbers = (count) => Array.from({ length: count }, (_, i) => i);

for (const [name, io] of Object.entries(versions)) {
  check(`client and server, text and binary: ${name}`, async (t) => {
    for (let round = 0; round < 5; round++) {
      const socket = client(t, io, conformance.url, modes['polling then upgrade']);
      const back = [];
      socket.on('message-back', (number, bytes) => {
        if (bytes !== undefined) assert.equal(bytes.length, number % 50);
        back.push(number);
      });
      let sent = 0;
      const send = () => {
        if (sent % 3) socket.emit('message', sent);
        else socket.emit('message', sent, Buffer.alloc(sent % 50));
        sent += 1;
      };
      await once(socket, 'connect');
      while (socket.io.engine.transport.name !== 'websocket') {
        for (let i = 0; i < 5; i++) send();
        await pause(round);
        if (sent > 50_000) assert.fail('no upgrade');
      }
      for (let i = 0; i < 100; i++) send();
      await until(() => back.length >= sent, `all ${sent} events came back`);
      assert.deepEqual(back, numbers(sent));
      socket.disconnect();
    }
  });

  check(`a stream that the server sends by itself: ${name}`, async (t) => {
    const sender = await connected(t, io, echo.url, modes['websocket only']);
    let number = 0;
    const stream = setInterval(() => { for (let i = 0; i < 5; i++) sender.emit('bcast', number++); }, 2);
    t.after(() => clearInterval(stream));
    for (let round = 0; round < 5; round++) {
      const receiver = client(t, io, echo.url, modes['polling then upgrade']);
      const heard = [];
      receiver.on('bcast', (value) => heard.push(value));
      await once(receiver, 'connect');
      await upgraded(receiver);
      const after = heard.length;
      await until(() => heard.length >= after + 100, 'the stream goes on');
      assert.deepEqual(heard, numbers(heard.length).map((i) => heard[0] + i), 'without gap, repetition or disorder');
      receiver.disconnect();
    }
  });
}

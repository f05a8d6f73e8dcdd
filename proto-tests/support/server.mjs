// Starts a server, the one under test or one that it needs, as a child process: on free ports, in its own temporary folder,
// and waits until it accepts. Ends it by its process id only. When the test file fails, or the server ends by itself, its
// log is shown.
import { spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onReference } from './check.mjs';
import { until, within } from './wait.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const suite = dirname(here);
export const binDir = resolve(suite, process.env.SIO_BIN_DIR ?? '../target/release');
const running = new Set();

process.on('exit', (code) => {
  const failed = code !== 0 || (process.exitCode ?? 0) !== 0;
  for (const server of running) server.abandon(failed);
});

/** `conformance` or `echo`, ours or the reference by SIO_SERVER; `flags` behind the port. */
export function startServer(name, flags = []) {
  const [program, ...args] = onReference
    ? [process.execPath, join(suite, 'reference', `${name}.mjs`)]
    : [join(binDir, 'examples', name)];
  return new Server(name, program, ([port]) => [...args, String(port), ...flags]).start();
}

/**
 * The IM node, open auth. `store` is the URL of its store; without one it has a database file in `dir`, the node's own
 * temporary folder when not given. `args` and `env` are further flags and environment.
 */
export function startNode({ name = 'tokio-socketio', dir, store, args = [], env } = {}) {
  const node = new Node(name, join(binDir, 'tokio-socketio'), ([port, httpPort]) => [
    '--listen', `127.0.0.1:${port}`, '--http-listen', `127.0.0.1:${httpPort}`,
    ...(store ? ['--set', `store.url=${store}`] : ['--data', dir ?? join(node.dir, 'data')]),
    ...args,
  ], { portCount: 2, env });
  return node.start();
}

/** A program of this machine, also where Debian keeps servers. `part` is the one of scripts/setup.sh that installs it. */
export function programOf(name, part) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (!found) throw new Error(`no ${name} on this machine: scripts/setup.sh ${part}`);
  return found;
}

export class Server {
  /**
   * `argsFor` gives the arguments for the ports that the server gets. `endSignal` is how it is ended where nothing is to be
   * proven by it; another than SIGKILL for a program with children of its own.
   */
  constructor(name, program, argsFor, { portCount = 1, env = {}, endSignal = 'SIGKILL' } = {}) {
    if (!existsSync(program)) throw new Error(`no ${program}: build it first (cargo build --release --bins --examples)`);
    Object.assign(this, { name, program, argsFor, portCount, env, endSignal });
    this.dir = mkdtempSync(join(tmpdir(), `sio-${name}-`));
    this.logFile = join(this.dir, 'server.log');
    this.exited = true;
  }

  get port() { return this.ports[0]; }
  get url() { return `http://127.0.0.1:${this.port}`; }

  /** Starts on free ports, and once more on others if somebody took one of them in between. */
  async start() {
    for (let attempt = 1; ; attempt++) {
      this.ports = await freePorts(this.portCount);
      try {
        await this.launch();
        return this;
      } catch (error) {
        if (attempt === 3 || !/in use/i.test(this.log())) {
          await this.stop();
          throw error;
        }
      }
    }
  }

  /** Starts (again) on the ports it already has. */
  async launch() {
    const log = createWriteStream(this.logFile, { flags: 'a' });
    const child = spawn(this.program, this.argsFor(this.ports), {
      cwd: this.dir, env: { ...process.env, ...this.env }, stdio: ['ignore', 'pipe', 'pipe'],
    });
    Object.assign(this, { child, exited: false, ending: false });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    this.exit = new Promise((done) => child.once('close', (code, signal) => {
      this.exited = true;
      log.end(() => done({ code, signal }));
    }));
    running.add(this);
    this.exit.then(({ code, signal }) => {
      if (!this.ending) this.showLog(`ended by itself (code ${code}, signal ${signal})`);
    });
    await until(async () => {
      if (this.exited) throw new Error(`${this.name} ended before it accepted:\n${this.log()}`);
      return accepts(this.port);
    }, `${this.name} accepts on ${this.port}`);
  }

  assertAlive() {
    if (this.exited) throw new Error(`${this.name} is no longer running:\n${this.log()}`);
  }

  /** Sends one signal, to this process only. */
  signal(name) { if (!this.exited) process.kill(this.child.pid, name); }

  /** kill -9, and waits for the end. */
  kill() { return this.end('SIGKILL'); }

  async end(signal) {
    this.ending = true;
    this.signal(signal);
    await this.exit;
  }

  /** Stands still, as a process of a machine that swaps, or of a virtual machine that is moved. */
  pause() { this.signal('SIGSTOP'); }
  resume() { this.signal('SIGCONT'); }

  /** SIGTERM, then SIGKILL for one that does not listen; waits for the end. The folder stays. */
  async terminate() {
    this.ending = true;
    this.signal('SIGTERM');
    await within(this.exit, 'the end after SIGTERM', 12_000).catch(() => this.kill());
  }

  async stop() {
    if (!this.exited) await this.end(this.endSignal);
    running.delete(this);
    if ((process.exitCode ?? 0) !== 0) this.showLog('log, since a test failed');
    else rmSync(this.dir, { recursive: true, force: true });
  }

  abandon(failed) {
    this.ending = true;
    this.signal(this.endSignal);
    if (failed) this.showLog('log, since a test failed');
  }

  log() { return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8') : ''; }

  showLog(why) {
    const lines = this.log().trimEnd().split('\n').slice(-40).join('\n');
    process.stderr.write(`--- ${this.name} ${this.program} ${why}; ${this.logFile}\n${lines}\n---\n`);
  }
}

class Node extends Server {
  get httpUrl() { return `http://127.0.0.1:${this.ports[1]}`; }

  /** Until the node says that it can do all its work. */
  async ready() {
    let answer;
    const asked = async () => {
      this.assertAlive();
      answer = await fetch(`${this.httpUrl}/readyz`, { signal: AbortSignal.timeout(5_000) }).catch(({ message }) => message);
      return answer.ok;
    };
    await until(asked, `${this.name} is ready`, 30_000).catch(async (error) => {
      throw new Error(`${error.message}; it says ${answer.text ? await answer.text() : answer}`);
    });
  }
}

/** Free ports below the range that outgoing connections are given theirs from. */
async function freePorts(count) {
  const ports = [];
  while (ports.length < count) {
    const port = 18_000 + Math.floor(Math.random() * 12_000);
    if (!ports.includes(port) && await bindable(port)) ports.push(port);
  }
  return ports;
}

function bindable(port) {
  return new Promise((done) => {
    const probe = createServer().once('error', () => done(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
  });
}

/** Whether something listens on the port. */
export function accepts(port) {
  return new Promise((done) => {
    const probe = connect(port, '127.0.0.1');
    probe.once('connect', () => { probe.destroy(); done(true); });
    probe.once('error', () => done(false));
  });
}

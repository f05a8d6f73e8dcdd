// Real servers for a test: Redis and MariaDB, in folders and on ports of their own, ended by their process ids. They are
// killed, paused and started again as any Server (support/server.mjs). Redis keeps nothing over a restart; MariaDB does.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { programOf, Server } from './server.mjs';

const cache = join(dirname(dirname(fileURLToPath(import.meta.url))), '.cache');

/** The oldest Redis that is in wide use, which has no sharded pub/sub (scripts/setup.sh redis6). */
export const redis6 = join(cache, 'redis-6.2', 'redis-server');
export const hasRedis6 = existsSync(redis6);

/** A Redis: this machine's, or the `program` given. */
export function startRedis({ program = programOf('redis-server', 'redis'), args = [] } = {}) {
  return new Redis('redis', program, ([port]) => [
    '--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no', ...args,
  ]).start();
}

/** A MariaDB with one database and its user. */
export function startMariaDb({ args = [] } = {}) {
  const program = programOf('mariadbd', 'mysql');
  const server = new MariaDb('mariadb', program, ([port]) => [
    '--no-defaults', `--datadir=${join(server.dir, 'data')}`, `--init-file=${join(server.dir, 'init.sql')}`,
    `--tmpdir=${server.dir}`, '--bind-address=127.0.0.1', `--port=${port}`, '--socket=mariadb.sock', '--skip-name-resolve',
    ...asRoot, ...args,
  ]);
  server.makeDatabase();
  return server.start();
}

class Redis extends Server {
  get url() { return `redis://127.0.0.1:${this.port}`; }
}

class MariaDb extends Server {
  get url() { return `mysql://im:im@127.0.0.1:${this.port}/im`; }

  makeDatabase() {
    cpSync(emptyDatabase(), join(this.dir, 'data'), { recursive: true });
    writeFileSync(join(this.dir, 'init.sql'), [
      'CREATE DATABASE IF NOT EXISTS im CHARACTER SET utf8mb4;',
      "CREATE USER IF NOT EXISTS 'im'@'127.0.0.1' IDENTIFIED BY 'im';",
      "GRANT ALL ON im.* TO 'im'@'127.0.0.1';",
    ].join('\n'));
  }
}

/** A data folder as MariaDB installs it. That takes seconds, so it is done once for a version, and copied. */
function emptyDatabase() {
  const { stdout } = spawnSync(programOf('mariadbd', 'mysql'), ['--version'], { encoding: 'utf8' });
  const [version] = /\d+\.\d+\.\d+/.exec(stdout) ?? ['unknown'];
  const folder = join(cache, `mariadb-${version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  const making = mkdtempSync(join(cache, 'making-'));
  const made = spawnSync(programOf('mariadb-install-db', 'mysql'), [
    // A tmpdir of its own: a MariaDB that starts removes what it takes for left over in there.
    '--no-defaults', `--datadir=${join(making, 'data')}`, `--tmpdir=${making}`, '--skip-test-db', '--innodb-log-file-size=4M', ...asRoot,
  ], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`mariadb-install-db: ${made.error ?? made.stdout + made.stderr}`);
  try {
    renameSync(join(making, 'data'), folder);
  } catch (error) {
    if (!existsSync(folder)) throw error; // another test was quicker
  }
  rmSync(making, { recursive: true, force: true });
  return folder;
}

/** MariaDB refuses to be root unless it is told to. */
const asRoot = process.getuid() === 0 ? ['--user=root'] : [];

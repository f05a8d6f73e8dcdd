// Real servers for a test: Redis and MariaDB, in folders and on ports of their own, ended by their process ids. They are
// killed, paused and started again as any Server (support/server.mjs). Redis keeps nothing over a restart; MariaDB does.
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { programOf, Server } from './server.mjs';

/** The oldest Redis that is in wide use, which has no sharded pub/sub (scripts/setup.sh redis6). */
export const redis6 = join(dirname(dirname(fileURLToPath(import.meta.url))), '.cache', 'redis-6.2', 'redis-server');
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
    const made = spawnSync(programOf('mariadb-install-db', 'mysql'), [
      // A tmpdir of its own: a MariaDB that starts removes what it takes for left over in there.
      '--no-defaults', `--datadir=${join(this.dir, 'data')}`, `--tmpdir=${this.dir}`, '--skip-test-db', ...asRoot,
    ], { encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`mariadb-install-db: ${made.error ?? made.stdout + made.stderr}`);
    writeFileSync(join(this.dir, 'init.sql'), [
      'CREATE DATABASE IF NOT EXISTS im CHARACTER SET utf8mb4;',
      "CREATE USER IF NOT EXISTS 'im'@'127.0.0.1' IDENTIFIED BY 'im';",
      "GRANT ALL ON im.* TO 'im'@'127.0.0.1';",
    ].join('\n'));
  }
}

/** MariaDB refuses to be root unless it is told to. */
const asRoot = process.getuid() === 0 ? ['--user=root'] : [];

// Runs suites: node run.mjs all | clients | raw | im | api | python | cluster | faults | browser …, one after the other, and says which
// failed. Crowds and faults run alone, so that their load disturbs no short heartbeat. The node suites are plain node:test files.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onReference } from './check.mjs';
import { binDir } from './server.mjs';

const suite = dirname(dirname(fileURLToPath(import.meta.url)));
const [major, minor] = process.versions.node.split('.').map(Number);
const canRunInParallel = major > 20 || (major === 20 && minor >= 10);

const suites = {
  raw: () => nodeTest(files('raw')),
  clients: () => nodeTest(files('clients', (name) => !name.startsWith('crowd'))) && nodeTest(files('clients', (name) => name.startsWith('crowd'))),
  im: () => ofOurs('im'),
  api: () => ofOurs('api'),
  python: () => python(),
  cluster: () => ofOurs('cluster'),
  faults: () => ofOurs('faults', { concurrency: 1 }),
  // The client libraries in a browser are a matter of protocol; the page is ours.
  browser: () => nodeTest(files('browser', (name) => !onReference || name.startsWith('client')), { concurrency: 1 }),
};

const names = process.argv.slice(2).flatMap((name) => (name === 'all' ? Object.keys(suites) : [name]));
const needed = { raw: ['examples/conformance'], clients: ['examples/conformance', 'examples/echo'], im: ['tokio-socketio'], api: ['tokio-socketio'], python: ['examples/conformance'], cluster: ['tokio-socketio'], faults: ['tokio-socketio'], browser: ['tokio-socketio', 'examples/conformance'] };
const missing = onReference ? [] : names.flatMap((name) => needed[name] ?? []).filter((program) => !existsSync(join(binDir, program)));
if (missing.length > 0) {
  console.error(`no ${[...new Set(missing)].join(', ')} in ${binDir}: cargo build --release --bins --examples, or set SIO_BIN_DIR`);
  process.exit(1);
}
const failed = names.filter((name) => {
  if (!(name in suites)) throw new Error(`no suite ${name}; there are ${Object.keys(suites).join(', ')}`);
  console.log(`== ${name}`);
  return !suites[name]();
});
console.log(failed.length === 0 ? `suites passed: ${names.join(', ')}` : `suites failed: ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;

function files(folder, keep = () => true) {
  const dir = join(suite, folder);
  return readdirSync(dir).filter((name) => name.endsWith('.test.mjs') && keep(name)).sort().map((name) => join(dir, name));
}

function nodeTest(paths, { concurrency = 2 } = {}) {
  const flags = ['--test', '--test-reporter=spec', ...(canRunInParallel ? [`--test-concurrency=${concurrency}`] : [])];
  return run(process.execPath, [...flags, ...paths]);
}

function python() {
  const interpreter = join(suite, '.venv', 'bin', 'python');
  if (!existsSync(interpreter)) throw new Error('no proto-tests/.venv: run scripts/setup.sh first');
  return run(interpreter, ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', join(suite, 'python')]);
}

function run(program, args) {
  return spawnSync(program, args, { stdio: 'inherit', cwd: suite }).status === 0;
}

/** A suite of what the reference server does not have. */
function ofOurs(folder, options) {
  if (!onReference) return nodeTest(files(folder), options);
  console.log(`${folder} skipped: the reference server has no IM service`);
  return true;
}

// A real nginx with the configuration of deploy/nginx, in which only addresses are replaced: those of the nodes and its own.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { programOf, Server } from './server.mjs';

const deployed = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'deploy', 'nginx');

/** nginx in front of three nodes, each {ports: [Socket.IO, HTTP]}. */
export function startNginx(nodes) {
  const nginx = new Nginx('nginx', programOf('nginx', 'nginx'), ([port]) => {
    nginx.configure(port, nodes);
    return ['-e', 'stderr', '-p', `${nginx.dir}/`, '-c', join(nginx.dir, 'nginx.conf'), '-g', `daemon off;${asRoot}`];
  }, { endSignal: 'SIGTERM' });
  return nginx.start();
}

class Nginx extends Server {
  configure(port, nodes) {
    copyFileSync(join(deployed, 'nginx.conf'), join(this.dir, 'nginx.conf'));
    const addresses = new Map([[8000, port]]);
    for (const [i, node] of nodes.entries()) {
      addresses.set(8081 + 2 * i, node.ports[0]).set(8080 + 2 * i, node.ports[1]);
    }
    const text = readFileSync(join(deployed, 'tokio-socketio.conf'), 'utf8')
      .replace(/(?<=127\.0\.0\.1:)\d+/g, (standard) => addresses.get(Number(standard)) ?? standard);
    writeFileSync(join(this.dir, 'tokio-socketio.conf'), text);
  }

  /** Reads its configuration again; new workers take new connections, old ones go on with theirs. */
  reload() { this.signal('SIGHUP'); }
}

/** Workers of a privileged nginx would be somebody who may not use the folder. */
const asRoot = process.getuid() === 0 ? ' user root;' : '';

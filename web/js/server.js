// Where the server is. The page comes from a node's HTTP port, or through a proxy that serves both ports as one origin;
// the node says which (`/app/config.json`).

/** The node's own words: `{nodeId, httpPort, socketioPort, socketioPath, authMode, proxied, maxContentChars, version}`. */
export async function loadConfig() {
  const answer = await fetch('app/config.json', { cache: 'no-store' });
  if (!answer.ok) throw new Error(`config.json: HTTP ${answer.status}`);
  return answer.json();
}

/** The origin of the Socket.IO endpoint, for a page at `location`. */
export function socketOrigin(config, location) {
  const port = Number(location.port || (location.protocol === 'https:' ? 443 : 80));
  if (config.proxied || port !== config.httpPort) return location.origin;
  return `${location.protocol}//${location.hostname}:${config.socketioPort}`;
}

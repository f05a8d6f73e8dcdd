// Where the page begins: what the node says about itself, then who one is, then the chat.
import { Api } from './api.js';
import { Chat } from './chat.js';
import { Cluster } from './cluster.js';
import { forget, resume } from './identity.js';
import { applyLanguage, t } from './i18n.js';
import { Link } from './link.js';
import { loadConfig, socketOrigin } from './server.js';
import { h } from './dom.js';
import { Frame } from './views/frame.js';
import { SignIn } from './views/sign-in.js';

const RETRY_MS = 2000;

async function start() {
  applyLanguage();
  try {
    const config = await loadConfig();
    const identity = resume(config.authMode);
    if (identity) showChat(config, identity);
    else showSignIn(config);
  } catch {
    document.body.replaceChildren(h('p', { class: 'fatal', role: 'alert' }, t('no-node')));
    setTimeout(start, RETRY_MS);
  }
}

function showSignIn(config, problem) {
  document.title = 'tokio-socketio';
  const view = new SignIn({ config, problem, onSignedIn: (identity) => showChat(config, identity) });
  document.body.replaceChildren(view.element);
  view.focus();
}

function showChat(config, identity) {
  const api = new Api(identity);
  const link = new Link(socketOrigin(config, location), config.socketioPath, identity);
  const chat = new Chat({ me: identity.userId, api, link, hasAccounts: config.authMode === 'jwt' });
  const cluster = new Cluster(api);
  const signOut = (problem) => {
    frame.close();
    link.close();
    cluster.stop();
    forget();
    history.replaceState(null, '', location.pathname);
    showSignIn(config, problem);
  };
  const frame = new Frame({ config, identity, chat, cluster, onSignOut: signOut });
  document.body.replaceChildren(frame.element);
  link.addEventListener('change', () => {
    if (link.phase === 'refused') signOut(link.reason);
  });
  link.open();
}

start();

// Takes the pictures of README.md: people on three nodes behind nginx, talking, and the cluster under load.
//
//     scripts/setup.sh && cargo build --release && (cd proto-tests && npm run screenshots)
//
// Where the machine has the typeface Inter (Debian: fonts-inter) and one for Chinese (fonts-noto-cjk), they are used.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { io } from 'socket.io-client';
import { launch, screens } from '../support/chromium.mjs';
import { startCluster } from '../support/cluster.mjs';
import { once, pause } from '../support/wait.mjs';

const folder = fileURLToPath(new URL('../../docs/images/', import.meta.url));
const PASSWORD = 'a long enough password';
const PEOPLE = [['lin', '林小雨'], ['ada', 'Ada Byron'], ['kenji', 'Kenji Mori'], ['wang', '王磊'], ['sofia', 'Sofia Rossi']];
/** How long the load runs before its picture is taken: as long as the chart is wide. */
const LOAD_MS = 122_000;

useInter();
mkdirSync(folder, { recursive: true });
const cluster = await startCluster({
  nginx: true,
  settings: { 'auth.mode': 'jwt', 'cluster.node_lease': '10s', 'cluster.lease_renewal': '3s' },
  env: { TOKIO_SOCKETIO_AUTH_JWT_SECRET: 'of the screenshots, and of nothing else' },
});
const browser = await launch();
try {
  const people = [];
  for (const [at, person] of PEOPLE.entries()) people.push(await enter(...person, cluster.nodes[at % 3]));
  const readLast = await talk(people);
  await picture('chat-desktop', 'lin', { locale: 'en-GB', colorScheme: 'light' }, 'Launch crew', async (page) => {
    await readLast();
    await page.getByRole('button', { name: 'About this conversation' }).click();
    await page.locator('.place').nth(2).waitFor();
  });
  await picture('chat-phone', 'lin', { locale: 'zh-CN', colorScheme: 'dark', screen: 'phone' }, '王磊');
  const load = startLoad();
  await picture('cluster', 'lin', { locale: 'en-GB', colorScheme: 'light' }, 'Launch crew', async (page) => {
    await page.getByRole('link', { name: 'Cluster' }).click();
    await pause(LOAD_MS);
  });
  load.stop();
} finally {
  await browser.close();
  await cluster.stop();
}
process.exit();

/** An account, and a device of it on one node. */
async function enter(username, nickname, node) {
  const call = async (path, body, token) => {
    const headers = { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) };
    const answer = await fetch(`http://127.0.0.1:${node.ports[1]}/api${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    return (await answer.json()).data;
  };
  await call('/user/register', { username, nickname, password: PASSWORD });
  const { token, user } = await call('/user/login', { account: username, password: PASSWORD });
  const socket = io(node.url, { transports: ['websocket'], auth: { token } });
  await once(socket, 'connected');
  return {
    id: user.id,
    call: (path, body) => call(path, body, token),
    say: async (to, content, more) => (await socket.emitWithAck('send_message', { ...to, messageType: 1, content, ...more })).data,
    read: (conversation, seq) => socket.emitWithAck('mark_read', { conversation, seq }),
    leave: () => socket.disconnect(),
  };
}

/** What they say; the function that is given lets the others read the group's last message. */
async function talk([lin, ada, kenji, wang, sofia]) {
  const crew = await lin.call('/group/create', { name: 'Launch crew', memberIds: [ada.id, kenji.id, wang.id, sofia.id] });
  const group = { groupId: crew.id };
  await sofia.say({ toUserId: lin.id }, 'Ciao! Back on Monday.');
  await ada.say({ toUserId: lin.id }, 'The page is up, in two languages.');
  await lin.say({ toUserId: ada.id }, 'And it found its node by itself.');
  await ada.say(group, 'Welcome, everybody. node-2 goes down for an upgrade at noon.');
  await kenji.say(group, 'Load test starts in ten minutes');
  const load = await kenji.say(group, 'Three nodes, nginx in front');
  const own = await lin.say(group, 'I watch the cluster page.');
  await lin.read(own.conversation, own.seq);
  await wang.say(group, '监控一切正常');
  await ada.say(group, 'Killed node-2 in the middle of it. Nobody noticed.', { replyToMessageId: load.messageId });
  const last = await lin.say(group, 'Every message once, every seq in order.');
  await wang.say({ toUserId: lin.id }, '今晚发布吗？');
  const question = await lin.say({ toUserId: wang.id }, '发布，八点开始。先把 node-1 摘下来。');
  await wang.say({ toUserId: lin.id }, '用户会断线吗？', { replyToMessageId: question.messageId });
  await lin.say({ toUserId: wang.id }, '不会，节点下线前会通知客户端换一个节点，消息一条也不会丢。');
  const answer = await lin.say({ toUserId: wang.id }, '我刚试过，用 kill -9 也一样。');
  for (const { read } of [lin, wang]) await read(answer.conversation, answer.seq);
  await wang.say({ toUserId: lin.id }, '好，我盯着监控。');
  await wang.say({ toUserId: lin.id }, '八点见！');
  sofia.leave();
  return () => Promise.all([ada, kenji, wang].map(({ read }) => read(last.conversation, last.seq)));
}

async function picture(name, account, { screen = 'desktop', ...options }, conversation, prepare = async () => {}) {
  const context = await browser.newContext({ ...screens[screen], ...options, reducedMotion: 'reduce' });
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${cluster.nginx.port}/`);
  await page.locator('#account').fill(account);
  await page.locator('#password').fill(PASSWORD);
  await page.keyboard.press('Enter');
  await page.locator('.conversations a', { hasText: conversation }).click();
  await page.locator('.message').last().waitFor();
  await prepare(page);
  await page.mouse.move(0, 0);
  await pause(500);
  await page.screenshot({ path: join(folder, `${name}.png`) });
  console.log(`${name}.png`);
  await context.close();
}

/** Some users on every node write to themselves, at rates that rise and fall. */
function startLoad() {
  let isOn = true;
  const writers = cluster.nodes.map(async (node, at) => {
    const writer = await enter(`writer-${at}`, `Writer ${at}`, node);
    for (let turn = 0; isOn; turn++) {
      const rate = 60 + 35 * Math.sin(turn / (9 + 4 * at) + 2 * at);
      await Promise.all([writer.say({ toUserId: writer.id }, `load ${turn}`), writer.say({ toUserId: writer.id }, `more ${turn}`)]);
      await pause(2000 / rate);
    }
    writer.leave();
  });
  return { stop: () => { isOn = false; return Promise.all(writers); } };
}

/** What the page calls `system-ui` becomes Inter, which fontconfig leaves alone where it is not there. */
function useInter() {
  const file = join(mkdtempSync(join(tmpdir(), 'fonts-')), 'fonts.conf');
  const prefer = (family) => `<match target="pattern"><test name="family" qual="any"><string>${family}</string></test>`
    + '<edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit></match>';
  writeFileSync(file, '<?xml version="1.0"?><fontconfig><include>/etc/fonts/fonts.conf</include>'
    + `${['system-ui', 'sans', 'sans-serif'].map(prefer).join('')}</fontconfig>`);
  process.env.FONTCONFIG_FILE = file;
}

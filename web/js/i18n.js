// The page's words, in English and Chinese, and how dates and numbers are written in each.

export const WORDS = {
  en: {
    'language.other': '中文',
    'no-node': 'This node does not answer. Trying again…',
    'nav': 'Main',
    'nav.chats': 'Chats',
    'nav.cluster': 'Cluster',
    'nav.api': 'API',
    'nav.sign-out': 'Sign out',

    'sign-in.title': 'Sign in',
    'sign-in.lead': 'Messages over a cluster of Socket.IO nodes.',
    'sign-in.reached': 'You have reached {node}',
    'sign-in.number': 'Your user number',
    'sign-in.number.hint': 'This server believes everyone: any number from 1 is you. Open a second tab with another one to talk to yourself.',
    'sign-in.number.wrong': 'A user number is a whole number from 1.',
    'sign-in.log-in': 'Log in',
    'sign-in.register': 'Register',
    'sign-in.account': 'User name, phone or email',
    'sign-in.username': 'User name',
    'sign-in.nickname': 'Name that others see (optional)',
    'sign-in.password': 'Password',
    'sign-in.go': 'Start',

    'you': 'You',
    'you.number': 'You are number {id}',
    'user': 'User {id}',
    'group': 'Group {id}',
    'online': 'online',
    'offline': 'offline',
    'members': { one: '{n} member', other: '{n} members' },
    'members.online': '{n} online',

    'link.connecting': 'Connecting…',
    'link.offline': 'Connection lost. Coming back…',
    'link.attempt': 'Connection lost. Attempt {n}…',
    'link.kicked': 'Signed in elsewhere. This page was disconnected.',
    'link.kicked.other': 'The server has ended this connection: {reason}.',
    'link.retry': 'Try now',
    'link.use-here': 'Use here',
    'link.on': 'Connected to {node} by {transport}',
    'link.moved': 'Moved from {from} to {to}',
    'link.waiting': { one: '{n} message waits to be sent', other: '{n} messages wait to be sent' },

    'chats.new': 'New chat',
    'chats.none': 'No conversations yet.',
    'chats.none.hint': 'Start one with a user’s number, or a group.',
    'chats.unread': { one: '{n} unread', other: '{n} unread' },
    'chats.pick': 'Choose a conversation',
    'chats.draft': 'Nothing said yet',

    'new.user': 'User',
    'new.create': 'New group',
    'new.join': 'Join group',
    'new.user.label': 'User number',
    'new.group.label': 'Group number',
    'new.group.name': 'Name of the group',
    'new.group.members': 'Members’ numbers (optional)',
    'new.group.public': 'Anyone may join by its number',
    'new.user.go': 'Open chat',
    'new.create.go': 'Create group',
    'new.join.go': 'Join',
    'new.wrong-number': 'Numbers are whole, from 1.',
    'new.name-needed': 'A group needs a name.',
    'close': 'Close',
    'back': 'Back to the conversations',

    'thread.messages': 'Messages',
    'thread.begin': 'This is where the conversation begins.',
    'thread.unread': 'New messages',
    'thread.latest': 'To the latest message',
    'thread.info': 'About this conversation',
    'thread.typing.one': '{name} is typing…',
    'thread.typing.some': '{n} people are typing…',

    'message.sending': 'sending',
    'message.queued': 'waiting for the connection',
    'message.sent': 'sent',
    'message.read': 'read',
    'message.read-by': { one: 'read by {n}', other: 'read by {n}' },
    'message.failed': 'Not sent: {reason}',
    'message.retry': 'Try again',
    'message.discard': 'Discard',
    'message.recalled': 'This message was taken back.',
    'message.reply': 'Reply',
    'message.recall': 'Take back',
    'message.delete': 'Delete',
    'message.replied': 'An earlier message',
    'message.type.2': 'Picture',
    'message.type.3': 'File',
    'message.type.4': 'Voice message',
    'message.type.5': 'Video',

    'compose.label': 'Message to {name}',
    'compose.placeholder': 'Message',
    'compose.send': 'Send',
    'compose.replying': 'Replying to {name}',
    'compose.cancel-reply': 'Do not reply',
    'compose.left': { one: '{n} character left', other: '{n} characters left' },

    'about.title': 'About',
    'about.user': 'User number',
    'about.group': 'Group number',
    'about.where': 'Who is where',
    'about.where.hint': 'Each node holds the connections of these people.',
    'about.nowhere': 'Offline',
    'about.invite': 'Invite',
    'about.invite.label': 'Users’ numbers',
    'about.leave': 'Leave group',
    'about.role.1': 'admin',
    'about.role.2': 'owner',

    'group-event.created': 'The group was created',
    'group-event.joined': '{names} joined',
    'group-event.left': '{names} left',
    'group-event.kicked': '{names} was removed',
    'group-event.dissolved': 'The group was dissolved',
    'group-event.changed': 'The group was changed',

    'cluster.title': 'Cluster',
    'cluster.lead': { one: '{n} node is up', other: '{n} nodes are up' },
    'cluster.connections': 'Connections',
    'cluster.users': 'Users',
    'cluster.rate': 'Messages a second',
    'cluster.total': 'Messages stored',
    'cluster.nodes': 'Nodes',
    'cluster.node.connections': 'Connections',
    'cluster.node.users': 'Users',
    'cluster.node.messages': 'Messages',
    'cluster.node.rate': '{rate}/s',
    'cluster.node.lease': 'Lease',
    'cluster.node.lease.left': '{n} s left',
    'cluster.node.up': 'up for {time}',
    'cluster.here': 'you are here',
    'cluster.draining': 'draining',
    'cluster.gone': 'gone',
    'cluster.gone.hint': 'Its lease has run out. Its users are offline or on other nodes.',
    'cluster.chart': 'Messages stored a second by each node, the last {n} minutes',
    'cluster.ago': '{n} min ago',
    'cluster.now': 'now',
    'cluster.people': 'Conversation with {name}',
    'cluster.people.none': 'Open a conversation to see which nodes its people are on.',
    'cluster.error': 'The cluster could not be read: {reason}',
    'cluster.alone': 'This node is alone. With cluster.redis_url set, others appear here.',

    'error.unreachable': 'The server does not answer.',
    'error.registration_closed': 'Nobody can register here.',
    'error.wrong_credentials': 'There is no such account with this password.',
    'error.password_too_short': 'The password is too short.',
    'error.password_too_long': 'The password is too long.',
    'error.username_taken': 'This user name is taken.',
    'error.token_expired': 'Your session has ended. Please sign in again.',
    'error.token_invalid': 'Your session is not valid here. Please sign in again.',
    'error.token_malformed': 'Your session is not valid here. Please sign in again.',
    'error.rate_limited': 'Too often. Please wait a moment.',
    'error.group_not_found': 'There is no such group.',
    'error.not_a_member': 'You are not a member of this group.',
    'error.already_a_member': 'Already a member.',
    'error.group_full': 'The group is full.',
    'error.too_many_groups': 'One user can be in no more groups.',
    'error.owner_cannot_leave': 'The owner cannot leave the group.',
    'error.forbidden': 'You may not do this.',
    'error.muted': 'You may not write here for now.',
    'error.blocked': 'This user does not take messages from you.',
    'error.not_friends': 'You are not friends.',
    'error.too_late': 'It is too late to take this message back.',
    'error.forbidden_word': 'The message contains a word that is not allowed here.',
    'error.other': '{message}',
  },
  zh: {
    'language.other': 'English',
    'no-node': '节点没有响应，正在重试…',
    'nav': '主导航',
    'nav.chats': '会话',
    'nav.cluster': '集群',
    'nav.api': 'API',
    'nav.sign-out': '退出',

    'sign-in.title': '登录',
    'sign-in.lead': '基于 Socket.IO 集群的即时消息。',
    'sign-in.reached': '当前节点：{node}',
    'sign-in.number': '你的用户编号',
    'sign-in.number.hint': '此服务器不验证身份：任意正整数都可以是你。再开一个标签页，用另一个编号，就能和自己聊天。',
    'sign-in.number.wrong': '用户编号应为正整数。',
    'sign-in.log-in': '登录',
    'sign-in.register': '注册',
    'sign-in.account': '用户名、手机号或邮箱',
    'sign-in.username': '用户名',
    'sign-in.nickname': '昵称（可选）',
    'sign-in.password': '密码',
    'sign-in.go': '开始',

    'you': '我',
    'you.number': '你的编号是 {id}',
    'user': '用户 {id}',
    'group': '群 {id}',
    'online': '在线',
    'offline': '离线',
    'members': { other: '{n} 名成员' },
    'members.online': '{n} 人在线',

    'link.connecting': '正在连接…',
    'link.offline': '连接已断开，正在恢复…',
    'link.attempt': '连接已断开，第 {n} 次重连…',
    'link.kicked': '已在别处登录，此页面的连接已断开。',
    'link.kicked.other': '服务器结束了此连接：{reason}。',
    'link.retry': '立即重试',
    'link.use-here': '在此使用',
    'link.on': '已连接到 {node}（{transport}）',
    'link.moved': '已从 {from} 转到 {to}',
    'link.waiting': { other: '{n} 条消息等待发送' },

    'chats.new': '新会话',
    'chats.none': '还没有会话。',
    'chats.none.hint': '输入对方的编号，或建一个群。',
    'chats.unread': { other: '{n} 条未读' },
    'chats.pick': '请选择一个会话',
    'chats.draft': '还没有消息',

    'new.user': '用户',
    'new.create': '建群',
    'new.join': '加入群',
    'new.user.label': '用户编号',
    'new.group.label': '群编号',
    'new.group.name': '群名称',
    'new.group.members': '成员编号（可选）',
    'new.group.public': '任何人都可凭群编号加入',
    'new.user.go': '打开会话',
    'new.create.go': '创建',
    'new.join.go': '加入',
    'new.wrong-number': '编号应为正整数。',
    'new.name-needed': '请填写群名称。',
    'close': '关闭',
    'back': '返回会话列表',

    'thread.messages': '消息',
    'thread.begin': '会话从这里开始。',
    'thread.unread': '新消息',
    'thread.latest': '回到最新消息',
    'thread.info': '会话详情',
    'thread.typing.one': '{name} 正在输入…',
    'thread.typing.some': '{n} 人正在输入…',

    'message.sending': '发送中',
    'message.queued': '等待连接',
    'message.sent': '已发送',
    'message.read': '已读',
    'message.read-by': { other: '{n} 人已读' },
    'message.failed': '未发送：{reason}',
    'message.retry': '重试',
    'message.discard': '放弃',
    'message.recalled': '此消息已撤回',
    'message.reply': '回复',
    'message.recall': '撤回',
    'message.delete': '删除',
    'message.replied': '之前的消息',
    'message.type.2': '图片',
    'message.type.3': '文件',
    'message.type.4': '语音',
    'message.type.5': '视频',

    'compose.label': '发给{name}的消息',
    'compose.placeholder': '输入消息',
    'compose.send': '发送',
    'compose.replying': '回复{name}',
    'compose.cancel-reply': '取消回复',
    'compose.left': { other: '还可输入 {n} 字' },

    'about.title': '详情',
    'about.user': '用户编号',
    'about.group': '群编号',
    'about.where': '所在节点',
    'about.where.hint': '这些人的连接所在的节点。',
    'about.nowhere': '离线',
    'about.invite': '邀请',
    'about.invite.label': '用户编号',
    'about.leave': '退出群',
    'about.role.1': '管理员',
    'about.role.2': '群主',

    'group-event.created': '群已创建',
    'group-event.joined': '{names} 加入了群',
    'group-event.left': '{names} 离开了群',
    'group-event.kicked': '{names} 被移出了群',
    'group-event.dissolved': '群已解散',
    'group-event.changed': '群信息有变化',

    'cluster.title': '集群',
    'cluster.lead': { other: '{n} 个节点在运行' },
    'cluster.connections': '连接数',
    'cluster.users': '用户',
    'cluster.rate': '每秒消息',
    'cluster.total': '已存消息',
    'cluster.nodes': '节点',
    'cluster.node.connections': '连接',
    'cluster.node.users': '用户',
    'cluster.node.messages': '消息',
    'cluster.node.rate': '{rate}/秒',
    'cluster.node.lease': '租约',
    'cluster.node.lease.left': '剩余 {n} 秒',
    'cluster.node.up': '已运行 {time}',
    'cluster.here': '你在这里',
    'cluster.draining': '正在下线',
    'cluster.gone': '已离开',
    'cluster.gone.hint': '租约已到期，其用户已离线或转到其他节点。',
    'cluster.chart': '各节点每秒存储的消息数，最近 {n} 分钟',
    'cluster.ago': '{n} 分钟前',
    'cluster.now': '现在',
    'cluster.people': '与{name}的会话',
    'cluster.people.none': '打开一个会话，即可看到其中的人在哪个节点上。',
    'cluster.error': '无法读取集群状态：{reason}',
    'cluster.alone': '只有这一个节点。设置 cluster.redis_url 后，其他节点会出现在这里。',

    'error.unreachable': '服务器没有响应。',
    'error.registration_closed': '此处不开放注册。',
    'error.wrong_credentials': '账号或密码不正确。',
    'error.password_too_short': '密码太短。',
    'error.password_too_long': '密码太长。',
    'error.username_taken': '用户名已被占用。',
    'error.token_expired': '登录已过期，请重新登录。',
    'error.token_invalid': '登录无效，请重新登录。',
    'error.token_malformed': '登录无效，请重新登录。',
    'error.rate_limited': '操作太频繁，请稍候。',
    'error.group_not_found': '没有这个群。',
    'error.not_a_member': '你不是这个群的成员。',
    'error.already_a_member': '已经是成员。',
    'error.group_full': '群已满。',
    'error.too_many_groups': '加入的群数量已达上限。',
    'error.owner_cannot_leave': '群主不能退出群。',
    'error.forbidden': '没有权限。',
    'error.muted': '你暂时不能在此发言。',
    'error.blocked': '对方不接收你的消息。',
    'error.not_friends': '你们还不是好友。',
    'error.too_late': '已超过撤回时限。',
    'error.forbidden_word': '消息含有不允许的词语。',
    'error.other': '{message}',
  },
};

const CHOSEN = 'tokio-socketio:language';
const LOCALES = { en: 'en-GB', zh: 'zh-CN' };
let language = localStorage.getItem(CHOSEN) ?? (navigator.language.startsWith('zh') ? 'zh' : 'en');

/** Adds words of another page. */
export function addWords({ en, zh }) {
  Object.assign(WORDS.en, en);
  Object.assign(WORDS.zh, zh);
}

/** `en` or `zh`. */
export function currentLanguage() {
  return language;
}

/** Tells the document what language it is in. */
export function applyLanguage() {
  document.documentElement.lang = LOCALES[language];
}

/** Changes to the other language, and remembers it. */
export function switchLanguage() {
  language = language === 'en' ? 'zh' : 'en';
  localStorage.setItem(CHOSEN, language);
  applyLanguage();
}

/** The words for `key`, with `{name}`s filled in. A number `n` chooses the plural, and is written as numbers are. */
export function t(key, values = {}) {
  const found = WORDS[language][key];
  if (found === undefined) throw new Error(`no words for ${key} in ${language}`);
  const words = typeof found === 'string' ? found : found[new Intl.PluralRules(LOCALES[language]).select(values.n)] ?? found.other;
  return words.replace(/\{(\w+)\}/g, (_, name) => (name === 'n' ? number(values.n) : String(values[name] ?? '')));
}

/** Words for an error of the API or of an ack; the server's own where we have none for its code. */
export function errorWords({ code, message }) {
  return `error.${code}` in WORDS[language] ? t(`error.${code}`) : t('error.other', { message: message || code });
}

export function number(value, options) {
  return new Intl.NumberFormat(LOCALES[language], options).format(value);
}

/** 14:05 */
export function timeOfDay(iso) {
  return format(iso, { hour: '2-digit', minute: '2-digit' });
}

/** For the head of a day: today, yesterday, or the date. */
export function day(iso) {
  const days = daysAgo(iso);
  if (days < 2) return capitalized(new Intl.RelativeTimeFormat(LOCALES[language], { numeric: 'auto' }).format(-days, 'day'));
  const sameYear = new Date(iso).getFullYear() === new Date().getFullYear();
  return format(iso, { weekday: 'long', day: 'numeric', month: 'long', ...(!sameYear && { year: 'numeric' }) });
}

/** For a list: the time today, else the day. */
export function briefly(iso) {
  const days = daysAgo(iso);
  if (days < 1) return timeOfDay(iso);
  if (days < 7) return format(iso, { weekday: 'short' });
  return format(iso, { day: 'numeric', month: 'numeric' });
}

/** A span of milliseconds in its two largest units. */
export function span(ms) {
  const minutes = Math.floor(ms / 60_000);
  const parts = minutes < 1 ? [[Math.max(0, Math.floor(ms / 1000)), 'second']]
    : minutes < 60 ? [[minutes, 'minute']]
      : minutes < 1440 ? [[Math.floor(minutes / 60), 'hour'], [minutes % 60, 'minute']]
        : [[Math.floor(minutes / 1440), 'day'], [Math.floor((minutes % 1440) / 60), 'hour']];
  return parts.map(([value, unit]) => number(value, { style: 'unit', unit, unitDisplay: 'short' })).join(' ');
}

function capitalized(words) {
  return words[0].toUpperCase() + words.slice(1);
}

/** Whole days between the day of `iso` and today, as the calendar counts them. */
function daysAgo(iso) {
  const start = (date) => Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return Math.max(0, Math.round((start(new Date()) - start(new Date(iso))) / 86_400_000));
}

function format(iso, options) {
  return new Intl.DateTimeFormat(LOCALES[language], options).format(new Date(iso));
}

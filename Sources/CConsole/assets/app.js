// The console: signs in, follows the status, and shows one page at a time.

import { follow, get, Refusal, session } from './api.js';
import { DestinationPage } from './destination.js';
import { button, field, fill, h, hint, say, show } from './dom.js';
import { time } from './format.js';
import { Overview } from './overview.js';
import { ReplaysPage } from './replays.js';
import { SettingsPage } from './settings.js';
import { Store } from './store.js';

const $ = (id) => document.getElementById(id);
const main = $('main');
const store = new Store();
let context = null;
let page = null;
let following = null;

// MARK: Signing in

async function start() {
  let me;
  try {
    me = await get('/v1/me');
  } catch (error) {
    if (error.status === 401) return signIn(session.key ? 'That key is not known, or was revoked.' : '');
    return fill(main, h('div', { class: 'center' },
      h('h1', {}, 'The service cannot be reached'), h('p', {}, error.message), button('Try again', start)));
  }
  if (me.role === 'producer') {
    return signIn(`The key ${me.name} may only send events. The console needs the key of an admin or a viewer.`);
  }
  const isWhole = me.appId === null;
  context = {
    me,
    maySteer: me.role === 'companyAdmin',
    mayRead: me.role === 'companyAdmin' || (me.role === 'viewer' && isWhole),
    mayKeepKeys: me.needsKey && (me.role === 'companyAdmin' || me.role === 'appAdmin'),
  };
  const role = isWhole ? me.role : `${me.role} of ${me.appId}`;
  say($('who'), me.needsKey ? `${me.name} · ${role}` : 'no keys needed');
  show($('sign-out'), me.needsKey);
  show($('bar'), true);
  go();
  watch();
}

function signIn(complaint = '') {
  stop();
  [session.key, context, page, store.status] = [null, null, null, null];
  for (const dialog of document.querySelectorAll('dialog')) dialog.close();
  for (const id of ['bar', 'banner']) show($(id), false);
  document.title = 'Sign in · Penstock';
  const key = h('input', { type: 'password', autocomplete: 'current-password', spellcheck: 'false', required: true });
  const trouble = h('p', { class: 'trouble', role: 'alert' }, complaint);
  const submit = h('button', { type: 'submit', class: 'primary' }, 'Sign in');
  const form = h('form', { class: 'sign-in', 'aria-labelledby': 'sign-in-title' },
    h('img', { src: '/console/icon.svg', alt: '', width: '40', height: '40' }),
    h('h1', { id: 'sign-in-title' }, 'Penstock'),
    field('API key', key, 'The browser stores it for this tab only, until you sign out or close the tab.'),
    trouble, submit,
    hint('No key yet? ', h('code', {}, 'penstock keys create --file keys.json --name ops --role companyAdmin')));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    session.key = key.value.trim();
    if (!session.key) return;
    say(submit, 'Signing in…');
    start();
  });
  fill(main, form);
  key.focus();
}

// MARK: Status

function live(state, text) {
  $('live').dataset.state = state;
  say($('live'), text);
}

function watch() {
  stop();
  following = new AbortController();
  live('waiting', 'Connecting');
  follow(following.signal, {
    opened: async () => {
      store.begin(await get('/v1/status/history'));
      live('live', 'Live');
    },
    took: (status) => {
      store.take(status);
      show($('banner'), false);
      page?.update(store);
    },
    lost: (refusal, isOver) => {
      if (refusal instanceof Refusal && refusal.status === 401) {
        return signIn('The service no longer accepts your key.');
      }
      live('lost', isOver ? 'Not allowed' : 'Reconnecting…');
      const seen = store.status ? ` The page shows the status of ${time(store.status.now)}.` : '';
      say($('banner'), `${refusal.message}${/[.!]$/.test(refusal.message) ? '' : '.'}${seen}`);
      show($('banner'), true);
    },
  });
}

function stop() {
  following?.abort();
  following = null;
}

// A hidden tab sends no requests.
document.addEventListener('visibilitychange', () => {
  if (!context) return;
  if (document.hidden) stop(); else if (!following) watch();
});

// MARK: Pages

function pageFor(hash) {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split('?');
  const [section, name] = path.split('/').map((part) => {
    try { return decodeURIComponent(part); } catch { return ''; }
  });
  if (section === 'destinations' && name) return ['overview', new DestinationPage(context, name)];
  if (section === 'replays') return ['replays', new ReplaysPage(context, new URLSearchParams(query))];
  if (section === 'settings') return ['settings', new SettingsPage(context)];
  return ['overview', new Overview(context)];
}

function go() {
  if (!context) return;
  const isFirst = page === null;
  const [route, next] = pageFor(location.hash);
  page = next;
  document.title = `${page.title} · Penstock`;
  for (const link of document.querySelectorAll('[data-route]')) {
    if (link.dataset.route === route) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  fill(main, page.element);
  if (store.status) page.update(store);
  // After a link the keyboard focus and the screen reader start at the top of the new page.
  if (!isFirst) {
    window.scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

window.addEventListener('hashchange', () => { if (location.hash !== '#main') go(); });
document.querySelector('.skip').addEventListener('click', (event) => { event.preventDefault(); main.focus(); });
$('sign-out').addEventListener('click', () => signIn());
start();

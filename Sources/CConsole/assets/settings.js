// What is configured, and the keys. Settings of destinations are read in a file at the start, so they are shown with where to
// change them; keys are changed here.

import { get, post, remove } from './api.js';
import { ask, toast } from './dialogs.js';
import {
  button, choice, field, fill, h, hint, muted, notice, pageOf, say, section, table, tag, titleRow,
} from './dom.js';
import { time } from './format.js';

const words = {
  bucket: 'AWS bucket', region: 'Region', endpoint: 'Endpoint', credentials: 'Credentials', 'credentials.accessKey': 'Access key',
  'credentials.secretKey': 'Secret key', 'credentials.sessionToken': 'Session token', keyTemplate: 'Object names',
  compression: 'Compression', 'fields.optional': 'Optional fields', filter: 'Filter', url: 'URL', method: 'Request type',
  'signing.secrets': 'Signing secret', batching: 'Payload', 'batch.maxEvents': 'Events in a request',
  'batch.maxBytes': 'Bytes in a request',
  'batch.maxWait': 'Window', path: 'Folder', 'rotate.maxRecords': 'Records in an object', 'rotate.maxBytes': 'Bytes in an object',
  'rotate.maxAge': 'New object after', 'rotate.boundary': 'New object at every', manifest: 'Manifest',
};

/** What the receiving side is given; everything else is folded away. */
const first = {
  s3: [
    'bucket', 'region', 'endpoint', 'credentials', 'credentials.accessKey', 'credentials.secretKey',
    'credentials.sessionToken', 'keyTemplate', 'compression', 'fields.optional',
  ],
  webhook: ['url', 'method', 'signing.secrets', 'batching', 'batch.maxEvents', 'batch.maxWait', 'fields.optional'],
  directory: ['path', 'keyTemplate', 'compression', 'fields.optional'],
};
const titles = { s3: 'S3 event data', webhook: 'Custom web API', directory: 'Folder' };
const optional = ['app_id', 'traits', 'segments', 'paths'];

export class SettingsPage {
  title = 'Settings';
  #source = h('p', { class: 'sub' });
  #place = h('div', { class: 'stack' }, muted('Asking…'));

  constructor(context) {
    this.context = context;
    this.keys = context.mayKeepKeys ? new Keys(context) : null;
    this.element = h('div', { class: 'page settings' },
      h('div', {}, h('h1', {}, 'Settings'), this.#source), this.#place, this.keys?.element);
    this.#read();
  }

  update() {}

  async #read() {
    try {
      const { file, groups, destinations } = await get('/v1/settings');
      const source = file ? ['from the file ', h('code', {}, file)] : 'from the program that runs the service';
      fill(this.#source, 'These settings come ', source, '. They are shown here and changed there. Secrets are never shown.');
      fill(this.#place,
        destinations.map(destinationPanel),
        section('The service', groups.map(group)));
    } catch (error) {
      fill(this.#place, error.status === 403
        ? notice('info', 'Your key may not see the settings: they need a company admin, an app admin, or a viewer of all apps.')
        : notice('bad', `The settings cannot be shown: ${error.message}`));
    }
  }
}

function value(setting) {
  if (setting.value === null) {
    if (setting.secrets === 0) return h('span', { class: 'muted' }, 'not set');
    return h('span', { class: 'secret' }, setting.secrets > 1 ? `${setting.secrets} set, never shown` : 'set, never shown');
  }
  if (setting.key === 'fields.optional') {
    const kept = setting.value.split(' ');
    return h('ul', { class: 'chips' }, optional.map((name) => h('li', { class: kept.includes(name) ? 'on' : 'off' },
      h('code', {}, name), kept.includes(name) ? ' sent' : ' left out')));
  }
  return h('span', { class: 'setting-value' }, setting.value);
}

function rows(settings) {
  return h('dl', { class: 'settings-list' }, settings.map((setting) => {
    const header = setting.key.startsWith('headers.') ? `Header ${setting.key.slice(8)}` : null;
    const label = header ?? words[setting.key];
    return h('div', {}, h('dt', {}, label && `${label} `, h('code', {}, setting.key)), h('dd', {}, value(setting)));
  }));
}

function destinationPanel({ name, kind, settings }) {
  const wanted = first[kind] ?? [];
  const isFirst = ({ key }) => wanted.includes(key) || key.startsWith('headers.');
  const order = (key) => wanted.includes(key) ? wanted.indexOf(key) : 1.5;
  const shown = settings.filter(isFirst).sort((a, b) => order(a.key) - order(b.key));
  const others = settings.filter((setting) => !isFirst(setting));
  return h('section', { class: 'panel', 'aria-label': `Settings of ${name}` },
    titleRow([h('h2', {}, name), tag(titles[kind] ?? kind)], h('a', { href: pageOf(name) }, 'How it does')),
    settings.length ? rows(shown) : muted('It does not describe itself.'),
    others.length > 0 && h('details', {}, h('summary', {}, `${others.length} more settings`), rows(others)),
    hint('Change ', h('code', {}, `destinations › ${name}`), ' in the file, then restart the service. ',
      'What is under way keeps what it began with.'));
}

function group({ name, changes, settings }) {
  return h('details', { class: 'panel fold' }, h('summary', {}, h('code', {}, name)), rows(settings),
    hint(changes === 'reload' ? 'Taken up at SIGHUP, without a restart.' : 'Taken up at a restart.'));
}

// MARK: Keys

class Keys {
  #list = h('div', {}, muted('Asking…'));

  constructor(context) {
    this.context = context;
    this.element = section('Keys', this.#list, [button('New key…', () => this.#make())]);
    this.#read();
  }

  async #read() {
    try {
      const { keys } = await get('/v1/keys');
      const columns = [['Name'], ['Role'], ['App'], ['Made', 'wide'], [h('span', { class: 'unseen' }, 'Actions'), 'steps']];
      fill(this.#list, table('Keys', columns, keys.map((key) => this.#row(key)),
        (index) => keys[index].revokedAt === null ? null : 'revoked'));
    } catch (error) {
      fill(this.#list, notice('bad', `The keys cannot be shown: ${error.message}`));
    }
  }

  #row(key) {
    const steps = [
      button('Rotate…', () => this.#rotate(key), { kind: 'small', name: `Rotate ${key.name}` }), ' ',
      button('Revoke…', () => this.#revoke(key), { kind: 'small', name: `Revoke ${key.name}` }),
    ];
    return [
      [key.name, key.id === this.context.me.id && [' ', tag('yours')]], key.role, key.appId ?? 'all',
      time(new Date(key.createdAt * 1000).toISOString()), key.revokedAt === null ? steps : 'revoked',
    ];
  }

  #make() {
    const own = this.context.me.appId;
    const name = h('input', { type: 'text', maxlength: '100', required: true, autocomplete: 'off' });
    const roles = own ? ['producer', 'viewer', 'appAdmin'] : ['producer', 'viewer', 'appAdmin', 'companyAdmin'];
    const role = choice(roles);
    const app = h('input', { type: 'text', maxlength: '200', autocomplete: 'off', value: own ?? '', readonly: own !== null });
    let made = null;
    ask({
      title: 'A new key', action: 'Make it',
      content: [
        field('Name', name, 'What people call it.'), field('Role', role),
        field('App', app, 'Empty: every app. An appAdmin needs one.'),
      ],
      act: async () => {
        const appId = app.value.trim();
        made = await post('/v1/keys', { name: name.value.trim(), role: role.value, ...(appId ? { appId } : {}) });
      },
    }).done.then((isDone) => isDone && this.#reveal(made));
  }

  #rotate(key) {
    const grace = choice([['0', 'At once'], ['3600', 'In an hour'], ['86400', 'In a day'], ['604800', 'In a week']]);
    grace.value = '3600';
    let made = null;
    ask({
      title: `Another secret for ${key.name}`, action: 'Rotate', kind: 'danger',
      content: [h('p', {}, 'It gets a new token, which is shown once.'), field('The old token ends', grace)],
      act: async () => {
        made = await post(`/v1/keys/${encodeURIComponent(key.id)}/rotate`, { graceSeconds: Number(grace.value) });
      },
    }).done.then((isDone) => isDone && this.#reveal(made));
  }

  #revoke(key) {
    ask({
      title: `Revoke ${key.name}?`, action: 'Revoke it', kind: 'danger',
      content: h('p', {}, key.id === this.context.me.id && 'You are signed in with this key, and will be signed out. ',
        'Whoever uses it is refused from then on. This cannot be undone.'),
      act: async () => {
        await remove(`/v1/keys/${encodeURIComponent(key.id)}`);
        toast(`${key.name} is revoked.`);
        this.#read();
      },
    });
  }

  #reveal({ key, token }) {
    this.#read();
    const shown = h('input', { type: 'text', readonly: true, value: token, spellcheck: 'false' });
    const copied = h('span', { role: 'status', class: 'muted' });
    ask({
      title: `The token of ${key.name}`, action: 'I have kept it',
      content: [h('p', {}, 'It is shown this once, and kept nowhere.'), field('Token', shown),
        button('Copy', async () => {
          await navigator.clipboard.writeText(token);
          say(copied, ' Copied.');
        }, { failed: () => { shown.select(); say(copied, ' Please copy it by hand.'); } }), copied],
      act: async () => {},
    });
    shown.select();
  }
}

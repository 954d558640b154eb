// The configuration, and the API keys. The service reads settings from a file, so this page only shows them. Keys can
// be changed here.

import { get, post, remove } from './api.js';
import { ask, toast } from './dialogs.js';
import {
  button, choice, field, fill, h, hint, muted, notice, pageOf, say, section, table, tag, titleRow,
} from './dom.js';
import { time } from './format.js';

const labels = {
  bucket: 'AWS bucket', region: 'Region', endpoint: 'Endpoint', credentials: 'Credentials',
  'credentials.accessKey': 'Access key', 'credentials.secretKey': 'Secret key',
  'credentials.sessionToken': 'Session token', keyTemplate: 'Object names',
  compression: 'Compression', 'fields.optional': 'Optional fields', filter: 'Filter', url: 'URL',
  method: 'Request type',
  'signing.secrets': 'Signing secret', batching: 'Payload', 'batch.maxEvents': 'Events in a request',
  'batch.maxBytes': 'Bytes in a request',
  'batch.maxWait': 'Window', path: 'Folder', 'rotate.maxRecords': 'Records in an object',
  'rotate.maxBytes': 'Bytes in an object', 'rotate.maxAge': 'New object after',
  'rotate.boundary': 'New object at every', manifest: 'Manifest',
};

/** The settings of the receiving side; all others are folded. */
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
  #settings = h('div', { class: 'stack' }, muted('Loading…'));

  constructor(context) {
    this.context = context;
    this.keys = context.mayKeepKeys ? new Keys(context) : null;
    this.element = h('div', { class: 'page settings' },
      h('div', {}, h('h1', {}, 'Settings'), this.#source), this.#settings, this.keys?.element);
    this.#read();
  }

  update() {}

  async #read() {
    try {
      const { file, groups, destinations } = await get('/v1/settings');
      const source = file ? ['from the file ', h('code', {}, file)] : 'from the program that runs the service';
      fill(this.#source,
        'These settings come ', source, '. Change them there; this page only shows them. Secrets are never shown.');
      fill(this.#settings,
        destinations.map(destinationPanel),
        section('The service', groups.map(group)));
    } catch (error) {
      fill(this.#settings, error.status === 403
        ? notice('info', 'Your key does not have the right to see the settings: that needs a company admin, an app '
          + 'admin, or a viewer of all apps.')
        : notice('bad', `The settings cannot be shown: ${error.message}`));
    }
  }
}

function value(setting) {
  if (setting.value === null) {
    if (setting.secrets === 0) return h('span', { class: 'muted' }, 'not set');
    const number = setting.secrets > 1 ? `${setting.secrets} ` : '';
    return h('span', { class: 'secret' }, `${number}set, never shown`);
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
    const label = header ?? labels[setting.key];
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
    titleRow([h('h2', {}, name), tag(titles[kind] ?? kind)], h('a', { href: pageOf(name) }, 'Status')),
    settings.length ? rows(shown) : muted('This destination reports no settings.'),
    others.length > 0 && h('details', {}, h('summary', {}, `${others.length} more settings`), rows(others)),
    hint('Change ', h('code', {}, `destinations › ${name}`), ' in the file, then restart the service. ',
      'Batches in progress keep the old settings.'));
}

function group({ name, changes, settings }) {
  return h('details', { class: 'panel fold' }, h('summary', {}, h('code', {}, name)), rows(settings),
    hint(changes === 'reload'
      ? 'A change takes effect at SIGHUP, without a restart.' : 'A change takes effect at a restart.'));
}

// MARK: Keys

class Keys {
  #list = h('div', {}, muted('Loading…'));

  constructor(context) {
    this.context = context;
    this.element = section('Keys', this.#list, [button('New key…', () => this.#make())]);
    this.#read();
  }

  async #read() {
    try {
      const { keys } = await get('/v1/keys');
      const columns = [
        ['Name'], ['Role'], ['App'], ['Created', 'wide'], [h('span', { class: 'unseen' }, 'Actions'), 'steps'],
      ];
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
    const app = h('input', {
      type: 'text', maxlength: '200', autocomplete: 'off', value: own ?? '', readonly: own !== null,
    });
    let made = null;
    ask({
      title: 'A new key', action: 'Create the key',
      content: [
        field('Name', name, 'A name for operators.'), field('Role', role),
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
      title: `A new secret for ${key.name}`, action: 'Rotate', kind: 'danger',
      content: [h('p', {}, 'The key gets a new token, which is shown once.'), field('The old token ends', grace)],
      act: async () => {
        made = await post(`/v1/keys/${encodeURIComponent(key.id)}/rotate`, { graceSeconds: Number(grace.value) });
      },
    }).done.then((isDone) => isDone && this.#reveal(made));
  }

  #revoke(key) {
    ask({
      title: `Revoke ${key.name}?`, action: 'Revoke it', kind: 'danger',
      content: h('p', {}, key.id === this.context.me.id && 'You are signed in with this key, and will be signed out. ',
        'The service refuses its clients from then on. This cannot be undone.'),
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
      title: `The token of ${key.name}`, action: 'I have stored it',
      content: [h('p', {}, 'It is shown only once, and the service does not store it.'), field('Token', shown),
        button('Copy', async () => {
          await navigator.clipboard.writeText(token);
          say(copied, ' Copied.');
        }, { failed: () => { shown.select(); say(copied, ' Please copy it by hand.'); } }), copied],
      act: async () => {},
    });
    shown.select();
  }
}

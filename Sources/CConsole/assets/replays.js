// Replays: a window of the log delivered once more. Nothing begins before it was counted.

import { get, post, remove } from './api.js';
import { ask, failed, toast } from './dialogs.js';
import {
  button, choice, facts, field, fill, h, hint, muted, notice, number, say, section, show, titleRow,
} from './dom.js';
import { age, bytes, count, counted, local, time, zone } from './format.js';
import { Badge } from './parts.js';

const hour = 3_600_000;
const kinds = { running: 'ok', finished: 'waiting', failed: 'bad', stopped: 'paused' };

export class ReplaysPage {
  title = 'Replays';
  #list = h('div', { class: 'replays' }, muted('Asking…'));
  #rows = new Map();
  #form = null;
  #isReading = false;
  #readAt = 0;

  constructor(context, parameters) {
    this.context = context;
    this.wanted = parameters.get('to');
    this.#form = context.maySteer ? new ReplayForm(this.wanted, () => this.#read()) : null;
    this.element = h('div', { class: 'page' },
      h('div', {}, h('h1', {}, 'Replays'),
        h('p', { class: 'sub' }, 'A replay delivers a window of the log once more, beside everything that is live. ',
          'Its deliveries are marked with its name.')),
      this.#form?.element,
      section('Kept replays', this.#list));
    if (!context.mayRead) fill(this.#list, muted('Your key may not see replays.'));
  }

  update(store) {
    this.store = store;
    this.#form?.update(store.status);
    if (this.context.mayRead && !this.#isReading && Date.now() - this.#readAt > 2000) this.#read();
  }

  async #read() {
    this.#isReading = true;
    try {
      const { replays } = await get('/v1/replays');
      this.#show(replays.sort((a, b) => b.createdAt.localeCompare(a.createdAt)));
    } catch (error) {
      this.#rows.clear();
      fill(this.#list, notice('bad', `The replays cannot be shown: ${error.message}`));
    } finally {
      this.#isReading = false;
      this.#readAt = Date.now();
    }
  }

  #show(replays) {
    if (replays.length === 0) fill(this.#list, h('p', { class: 'empty' }, 'None yet.'));
    else if (this.#rows.size === 0) fill(this.#list);
    const known = new Set(replays.map((one) => one.id));
    for (const [id, row] of this.#rows) {
      if (known.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    let behind = null;
    for (const replay of replays) {
      let row = this.#rows.get(replay.id);
      if (!row) {
        row = new ReplayRow(replay, this.context, () => this.#read());
        this.#rows.set(replay.id, row);
        if (behind) behind.after(row.element); else this.#list.prepend(row.element);
      }
      row.set(replay, this.store?.status);
      behind = row.element;
    }
  }
}

/** The condition on each event of a window by event time. */
const eventTimes = ({ from, to }) => `events ${from === null ? '' : `from ${time(from)} `}${to === null ? '' : `up to ${time(to)}`}`.trim();

const offsets = ({ first, end }) => `${count(first)} – ${count(Math.max(first, end - 1))}`;

class ReplayRow {
  #badge = new Badge();
  #bar = h('progress', { max: '1', value: '0' });
  #words = hint();
  #failure = h('p', { class: 'trouble', hidden: true });

  constructor({ id, destination, window, eventWindow, createdAt }, context, changed) {
    this.id = id;
    this.changed = changed;
    this.#bar.setAttribute('aria-label', `Progress of ${id}`);
    this.again = button('Go on', () => this.#resume(), { name: `Go on with ${id}`, failed });
    this.discard = button('Discard…', () => this.#discard(), { name: `Discard ${id}` });
    show(this.again, false);
    this.element = h('article', { class: 'replay', 'aria-label': `Replay ${id}` },
      titleRow([h('h3', {}, id), this.#badge.element], context.maySteer ? [this.again, this.discard] : []),
      h('p', { class: 'where' }, `to ${destination} · ${eventWindow ? `${eventTimes(eventWindow)} · ` : ''}offsets ${offsets(window)} · made ${time(createdAt)}`),
      this.#bar, this.#words, this.#failure);
  }

  set(replay, status) {
    this.replay = replay;
    this.#badge.set({ word: replay.state, kind: kinds[replay.state] ?? 'waiting' });
    const done = replay.done ?? 0;
    this.#bar.value = replay.records === 0 ? 1 : done / replay.records;
    show(this.#bar, replay.state === 'running' || done > 0);
    const left = replay.secondsLeft === null || replay.state !== 'running' ? '' : `, about ${age(replay.secondsLeft)} left`;
    const skipped = replay.skipped ? `, ${counted(replay.skipped, 'lost record')} skipped` : '';
    const progress = replay.done === null ? '' : `${count(done)} of `;
    say(this.#words, `${progress}${counted(replay.records, 'record')}${left}${skipped}`);
    say(this.#failure, replay.failure ?? '');
    show(this.#failure, replay.failure !== null);
    // The service keeps where a replay goes in words; the name is of whoever describes itself so.
    const fitting = status?.destinations.filter((one) => one.description === replay.destination) ?? [];
    this.target = fitting.length === 1 ? fitting[0].name : null;
    show(this.again, ['stopped', 'failed'].includes(replay.state) && this.target !== null);
    say(this.discard, replay.state === 'running' ? 'Stop…' : 'Discard…');
  }

  async #resume() {
    await post('/v1/replays', { id: this.id, destination: this.target });
    toast(`${this.id} goes on where it stood.`);
    this.changed();
  }

  #discard() {
    const isRunning = this.replay.state === 'running';
    ask({
      title: isRunning ? `Stop ${this.id}?` : `Discard ${this.id}?`,
      action: isRunning ? 'Stop and forget it' : 'Discard it',
      kind: 'danger',
      content: h('p', {}, isRunning
        ? `${counted(this.replay.records - (this.replay.done ?? 0), 'record')} will not be delivered. This cannot be undone. `
        : 'The service forgets it: a replay of the same name would begin at its beginning. ',
      'What was delivered stays where it is.'),
      act: async () => {
        await remove(`/v1/replays/${encodeURIComponent(this.id)}`);
        toast(`${this.id} is discarded.`);
        this.changed();
      },
    });
  }
}

const pair = (...fields) => h('div', { class: 'fields' }, fields);

/** Asks for a window, counts it, begins. */
class ReplayForm {
  #destination = h('select', { required: true });
  #by = choice([['time', 'Time of append'], ['event', 'Time of the event (ts)'], ['offset', 'Offset']]);
  #from = h('input', { type: 'datetime-local', step: '1' });
  #to = h('input', { type: 'datetime-local', step: '1' });
  #first = number({ value: '0' });
  #end = number();
  #name = h('input', { type: 'text', maxlength: '40', autocomplete: 'off', spellcheck: 'false' });
  #rate = number({ min: '1', placeholder: 'unlimited' });
  #gaps = h('input', { type: 'checkbox' });
  #untimed = choice([['skip', 'Leave out'], ['include', 'Include'], ['append-time', 'Take the time of append']]);
  #result = h('div', { role: 'status' });
  #counted = null;

  constructor(wanted, changed) {
    this.wanted = wanted;
    this.changed = changed;
    this.count = button('Count (dry run)', () => this.#count());
    this.begin = button('Start the replay', () => this.#ask(), { kind: 'primary' });
    this.begin.disabled = true;
    const gaps = h('label', { class: 'check' }, this.#gaps, 'Skip lost records instead of stopping at them');
    const open = 'Up to the end when empty.';
    this.times = pair(field('From', this.#from, zone()), field('To, without', this.#to, open));
    this.untimed = pair(field('Events without a readable time', this.#untimed));
    this.offsets = pair(field('First offset', this.#first), field('End offset, without', this.#end, open));
    const presets = [['Last hour', 1], ['Last 24 hours', 24], ['Last 7 days', 168], ['Everything', null]]
      .map(([words, hours]) => button(words, () => this.#preset(hours), { kind: 'small' }));
    const form = h('form', { class: 'panel', 'aria-labelledby': 'form-title', novalidate: true },
      h('h2', { id: 'form-title' }, 'A new replay'),
      pair(field('Destination', this.#destination), field('Window by', this.#by)),
      h('div', { class: 'presets', role: 'group', 'aria-label': 'Windows' }, presets), this.times, this.untimed, this.offsets,
      pair(field('Name', this.#name, 'Letters, digits, . _ -'), field('At most, records a second', this.#rate)),
      gaps, this.#result, h('div', { class: 'form-actions' }, this.count, this.begin));
    form.addEventListener('submit', (event) => { event.preventDefault(); this.count.click(); });
    form.addEventListener('input', () => this.#forget());
    this.element = form;
    this.#preset(1);
    this.#rename();
  }

  #rename() { this.#name.value = `replay-${new Date().toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-')}`; }

  update(status) {
    const names = status.destinations.map((one) => one.name);
    if (names.join() === [...this.#destination.options].map((one) => one.value).join()) return;
    const chosen = this.#destination.value || this.wanted;
    fill(this.#destination, names.map((name) => h('option', { value: name, selected: name === chosen }, name)));
  }

  #preset(hours) {
    this.#from.value = hours === null ? '' : local(new Date(Date.now() - hours * hour));
    this.#to.value = '';
    this.#first.value = '0';
    this.#end.value = '';
    if (this.#by.value === 'offset' && hours !== null) this.#by.value = 'time';
    this.#forget();
  }

  #forget() {
    this.#counted = null;
    this.begin.disabled = true;
    fill(this.#result);
    show(this.times, this.#by.value !== 'offset');
    show(this.untimed, this.#by.value === 'event');
    show(this.offsets, this.#by.value === 'offset');
  }

  #window() {
    if (this.#by.value === 'offset') return { from: this.#first.value || 'beginning', to: this.#end.value || 'end' };
    const mark = this.#by.value === 'event' ? 'event:' : '';
    const place = (input, otherwise) => input.value ? mark + new Date(input.value).toISOString() : otherwise;
    const window = { from: place(this.#from, 'beginning'), to: place(this.#to, 'end') };
    // Without a bound it is no window of event times, and every record is meant.
    return mark && (this.#from.value || this.#to.value) ? { ...window, untimed: this.#untimed.value } : window;
  }

  #body(more) {
    const rate = Number(this.#rate.value);
    return { destination: this.#destination.value, ...(rate ? { recordsPerSecond: rate } : {}), ...more };
  }

  async #count() {
    this.#forget();
    try {
      const asked = this.#window();
      const estimate = await post('/v1/replays', this.#body({ dryRun: true, ...asked }));
      this.#show(estimate, asked);
    } catch (error) {
      fill(this.#result, notice('bad', error.message));
    }
  }

  #show(estimate, asked) {
    const { window, eventWindow, events, eventBytes, untimed, missing, batches, seconds } = estimate;
    const left = untimed > 0 && `${counted(untimed, 'record')} without a readable time among the offsets`;
    if (events === 0) {
      const what = eventWindow ? 'event' : 'record';
      fill(this.#result, notice('info', `There is no ${what} in this window.${left ? ` ${left}.` : ''}`));
      return;
    }
    this.#counted = { ...estimate, asked };
    this.begin.disabled = false;
    fill(this.#result, notice('info', facts([
      [eventWindow ? 'Events' : 'Records', count(events)],
      ['Bytes', eventWindow ? bytes(eventBytes) : `about ${bytes(eventBytes)}`], ['Batches', `about ${count(batches)}`],
      ['Offsets', offsets(window)],
      left && ['Without a time', left],
      ['Takes', seconds === null ? 'as long as the destination needs' : `at least ${age(seconds)}`],
      missing > 0 && ['Lost', counted(missing, 'record')],
    ])));
  }

  #ask() {
    const { window, eventWindow, events, asked } = this.#counted;
    const [name, destination] = [this.#name.value.trim(), this.#destination.value];
    ask({
      title: `Replay ${counted(events, eventWindow ? 'event' : 'record')} to ${destination}?`, action: 'Start the replay', kind: 'primary',
      content: h('p', {}, `They are delivered once more, marked with the name ${name}; a receiver that has kept them and `,
        'does not look at the mark will have them twice. It can be stopped at any time.'),
      act: async () => {
        // The offsets that were counted, not what the window has become since. A window by event time keeps its times:
        // offsets alone would be every record between them.
        const end = String(window.end);
        const counted = eventWindow ? { ...asked, to: asked.to === 'end' ? end : asked.to } : { from: String(window.first), to: end };
        await post('/v1/replays', this.#body({ id: name, ...counted, skipGaps: this.#gaps.checked }));
        toast(`${name} has begun.`);
        this.#rename();
        this.#forget();
        this.changed();
      },
    });
  }
}

// Replays: delivering a window of the log again. A replay starts only after its window was counted.

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
  #list = h('div', { class: 'replays' }, muted('Loading…'));
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
        h('p', { class: 'sub' }, 'A replay delivers a window of the log again, in parallel with live delivery. ',
          'Its deliveries are marked with its name.')),
      this.#form?.element,
      section('Stored replays', this.#list));
          if (!context.mayRead) fill(this.#list, muted('Your key does not have the right to see replays.'));
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
    let previous = null;
    for (const replay of replays) {
      let row = this.#rows.get(replay.id);
      if (!row) {
        row = new ReplayRow(replay, this.context, () => this.#read());
        this.#rows.set(replay.id, row);
        if (previous) previous.after(row.element); else this.#list.prepend(row.element);
      }
      row.set(replay, this.store?.status);
      previous = row.element;
    }
  }
}

/** The times of a window by event time, as text. */
const eventTimes = ({ from, to }) =>
  `events ${from === null ? '' : `from ${time(from)} `}${to === null ? '' : `up to ${time(to)}`}`.trim();

const offsets = ({ first, end }) => `${count(first)} – ${count(Math.max(first, end - 1))}`;

class ReplayRow {
  #badge = new Badge();
  #bar = h('progress', { max: '1', value: '0' });
  #progress = hint();
  #failure = h('p', { class: 'trouble', hidden: true });

  constructor({ id, destination, window, eventWindow, createdAt }, context, changed) {
    this.id = id;
    this.changed = changed;
    this.#bar.setAttribute('aria-label', `Progress of ${id}`);
    this.again = button('Resume', () => this.#resume(), { name: `Resume ${id}`, failed });
    this.discard = button('Discard…', () => this.#discard(), { name: `Discard ${id}` });
    show(this.again, false);
    const events = eventWindow ? `${eventTimes(eventWindow)} · ` : '';
    this.element = h('article', { class: 'replay', 'aria-label': `Replay ${id}` },
      titleRow([h('h3', {}, id), this.#badge.element], context.maySteer ? [this.again, this.discard] : []),
      h('p', { class: 'where' },
        `to ${destination} · ${events}offsets ${offsets(window)} · created ${time(createdAt)}`),
      this.#bar, this.#progress, this.#failure);
  }

  set(replay, status) {
    this.replay = replay;
    this.#badge.set({ word: replay.state, kind: kinds[replay.state] ?? 'waiting' });
    const done = replay.done ?? 0;
    this.#bar.value = replay.records === 0 ? 1 : done / replay.records;
    show(this.#bar, replay.state === 'running' || done > 0);
    const isEstimated = replay.secondsLeft !== null && replay.state === 'running';
    const left = isEstimated ? `, about ${age(replay.secondsLeft)} left` : '';
    const skipped = replay.skipped ? `, ${counted(replay.skipped, 'lost record')} skipped` : '';
    const progress = replay.done === null ? '' : `${count(done)} of `;
    say(this.#progress, `${progress}${counted(replay.records, 'record')}${left}${skipped}`);
    say(this.#failure, replay.failure ?? '');
    show(this.#failure, replay.failure !== null);
    // A replay stores the description of its destination, not the name: find the only destination that has it.
    const matching = status?.destinations.filter((one) => one.description === replay.destination) ?? [];
    this.target = matching.length === 1 ? matching[0].name : null;
    show(this.again, ['stopped', 'failed'].includes(replay.state) && this.target !== null);
    say(this.discard, replay.state === 'running' ? 'Stop…' : 'Discard…');
  }

  async #resume() {
    await post('/v1/replays', { id: this.id, destination: this.target });
    toast(`${this.id} is resumed.`);
    this.changed();
  }

  #discard() {
    const isRunning = this.replay.state === 'running';
    ask({
      title: isRunning ? `Stop ${this.id}?` : `Discard ${this.id}?`,
      action: isRunning ? 'Stop and delete it' : 'Discard it',
      kind: 'danger',
      content: h('p', {}, isRunning
        ? `${counted(this.replay.records - (this.replay.done ?? 0), 'record')} will not be delivered. `
          + 'This cannot be undone. '
        : 'The service deletes its progress: a replay with the same name would start from the beginning. ',
              'Delivered records are not affected.'),
      act: async () => {
        await remove(`/v1/replays/${encodeURIComponent(this.id)}`);
        toast(`${this.id} is discarded.`);
        this.changed();
      },
    });
  }
}

const pair = (...fields) => h('div', { class: 'fields' }, fields);

/** Takes a window, counts it, and starts the replay. */
class ReplayForm {
  #destination = h('select', { required: true });
  #by = choice([['time', 'Append time'], ['event', 'Event time (ts)'], ['offset', 'Offset']]);
  #from = h('input', { type: 'datetime-local', step: '1' });
  #to = h('input', { type: 'datetime-local', step: '1' });
  #first = number({ value: '0' });
  #end = number();
  #name = h('input', { type: 'text', maxlength: '40', autocomplete: 'off', spellcheck: 'false' });
  #rate = number({ min: '1', placeholder: 'unlimited' });
  #gaps = h('input', { type: 'checkbox' });
  #untimed = choice([['skip', 'Leave out'], ['include', 'Include'], ['append-time', 'Use the append time']]);
  #result = h('div', { role: 'status' });
  #counted = null;

  constructor(wanted, changed) {
    this.wanted = wanted;
    this.changed = changed;
    this.count = button('Count (dry run)', () => this.#count());
    this.begin = button('Start the replay', () => this.#ask(), { kind: 'primary' });
    this.begin.disabled = true;
    const gaps = h('label', { class: 'check' }, this.#gaps, 'Skip lost records instead of stopping at them');
    const open = 'Empty: up to the end of the log.';
    this.times = pair(field('From', this.#from, zone()), field('To (exclusive)', this.#to, open));
    this.untimed = pair(field('Events without a readable time', this.#untimed));
    this.offsets = pair(field('First offset', this.#first), field('End offset (exclusive)', this.#end, open));
    const presets = [['Last hour', 1], ['Last 24 hours', 24], ['Last 7 days', 168], ['Everything', null]]
      .map(([label, hours]) => button(label, () => this.#preset(hours), { kind: 'small' }));
    const form = h('form', { class: 'panel', 'aria-labelledby': 'form-title', novalidate: true },
      h('h2', { id: 'form-title' }, 'A new replay'),
      pair(field('Destination', this.#destination), field('Window by', this.#by)),
      h('div', { class: 'presets', role: 'group', 'aria-label': 'Windows' }, presets),
      this.times, this.untimed, this.offsets,
      pair(field('Name', this.#name, 'Letters, digits, . _ -'), field('Maximum records a second', this.#rate)),
      gaps, this.#result, h('div', { class: 'form-actions' }, this.count, this.begin));
    form.addEventListener('submit', (event) => { event.preventDefault(); this.count.click(); });
    form.addEventListener('input', () => this.#forget());
    this.element = form;
    this.#preset(1);
    this.#rename();
  }

  #rename() {
    const time = new Date().toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-');
    this.#name.value = `replay-${time}`;
  }

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
    const bound = (input, otherwise) => input.value ? mark + new Date(input.value).toISOString() : otherwise;
    const window = { from: bound(this.#from, 'beginning'), to: bound(this.#to, 'end') };
    // Without a bound it is not a window of event times: it contains every record.
    return mark && (this.#from.value || this.#to.value) ? { ...window, untimed: this.#untimed.value } : window;
  }

  #body(more) {
    const rate = Number(this.#rate.value);
    return { destination: this.#destination.value, ...(rate ? { recordsPerSecond: rate } : {}), ...more };
  }

  async #count() {
    this.#forget();
    try {
      const request = this.#window();
      const estimate = await post('/v1/replays', this.#body({ dryRun: true, ...request }));
      this.#show(estimate, request);
    } catch (error) {
      fill(this.#result, notice('bad', error.message));
    }
  }

  #show(estimate, request) {
    const { window, eventWindow, events, eventBytes, untimed, missing, batches, seconds } = estimate;
    const left = untimed > 0 && `${counted(untimed, 'record')} without a readable time among the offsets`;
    if (events === 0) {
      const what = eventWindow ? 'event' : 'record';
      fill(this.#result, notice('info', `There is no ${what} in this window.${left ? ` ${left}.` : ''}`));
      return;
    }
    this.#counted = { ...estimate, request };
    this.begin.disabled = false;
    fill(this.#result, notice('info', facts([
      [eventWindow ? 'Events' : 'Records', count(events)],
      ['Bytes', eventWindow ? bytes(eventBytes) : `about ${bytes(eventBytes)}`], ['Batches', `about ${count(batches)}`],
      ['Offsets', offsets(window)],
      left && ['Without a time', left],
      ['Duration', seconds === null ? 'as long as the destination needs' : `at least ${age(seconds)}`],
      missing > 0 && ['Lost', counted(missing, 'record')],
    ])));
  }

  #ask() {
    const { window, eventWindow, events, request } = this.#counted;
    const [name, destination] = [this.#name.value.trim(), this.#destination.value];
    ask({
      title: `Replay ${counted(events, eventWindow ? 'event' : 'record')} to ${destination}?`,
      action: 'Start the replay', kind: 'primary',
      content: h('p', {}, `The replay delivers them again, marked with the name ${name}. A receiver that has stored `,
        'them and ignores the mark will have them twice. You can stop the replay at any time.'),
      act: async () => {
        // The offsets that were counted, not those that the window has now. A window by event time keeps its times,
        // because offsets alone would include every record between them.
        const end = String(window.end);
        const counted = eventWindow
          ? { ...request, to: request.to === 'end' ? end : request.to }
          : { from: String(window.first), to: end };
        await post('/v1/replays', this.#body({ id: name, ...counted, skipGaps: this.#gaps.checked }));
        toast(`${name} has started.`);
        this.#rename();
        this.#forget();
        this.changed();
      },
    });
  }
}

// The overview: the headline, four figures, every destination, and the newest segments.

import { get } from './api.js';
import { condensed, Sparkline } from './chart.js';
import { fill, h, hint, muted, pageOf, say, section, show, table, tag } from './dom.js';
import { age, bytes, count, counted, duration, rate, ratio, time } from './format.js';
import {
  Badge, lagText, headline, LagFigures, stateOf, SteeringButtons, TroubleLine, whereTo,
} from './parts.js';

class Figure {
  #value = h('span', { class: 'value' }, '–');
  #unit = h('span', { class: 'unit' });
  #more = h('p', { class: 'more' });
  constructor(label, chart = null) {
    this.element = h('div', { class: 'figure' },
      h('h2', {}, label), h('p', { class: 'big' }, this.#value, ' ', this.#unit), this.#more, chart);
  }
  set(value, unit, more) {
    say(this.#value, value);
    say(this.#unit, unit);
    say(this.#more, more);
  }
}

class DestinationCard {
  #badge = new Badge();
  #lag = new LagFigures();
  #trouble = new TroubleLine();
  #spark = new Sparkline();
  #where = h('p', { class: 'where' });
  #dead = h('a', { class: 'dead', hidden: true });

  constructor({ name, kind }, context) {
    this.name = name;
    this.context = context;
    this.#dead.href = pageOf(name);
    this.buttons = context.maySteer ? new SteeringButtons(name) : null;
    this.element = h('article', { class: 'destination', 'aria-label': `Destination ${name}` },
      h('div', { class: 'destination-head' },
        h('div', { class: 'destination-name' },
          h('h3', {}, h('a', { href: pageOf(name) }, name)), this.#badge.element, tag(kind)),
        h('div', { class: 'actions' }, this.buttons?.elements ?? []),
        this.#where),
      h('div', { class: 'destination-body' }, this.#lag.element, h('div', { class: 'spark-box' }, this.#spark.element)),
      this.#trouble.element, this.#dead);
  }

  set(destination, store) {
    const state = stateOf(destination);
    this.element.dataset.kind = state.kind;
    this.#badge.set(state);
    this.#lag.set(destination);
    this.#trouble.set(destination, store.status.now);
    this.buttons?.set(destination);
    say(this.#where, whereTo(destination));
    say(this.#dead, `${counted(destination.deadLetters ?? 0, 'dead letter')} since the start`);
    show(this.#dead, this.context.mayRead && (destination.deadLetters ?? 0) > 0);
    const lags = store.lags(this.name);
    this.#spark.draw(condensed(lags, 90), lagText(lags, store.reach));
  }
}

export class Overview {
  title = 'Overview';
  #headline = h('h1', { 'aria-live': 'polite' }, 'Overview');
  #dot = h('span', { class: 'dot', 'aria-hidden': 'true' });
  #sub = h('p', { class: 'sub' });
  #rate = new Sparkline('accent');
  #figures = {
    rate: new Figure('Rate in', this.#rate.element), end: new Figure('Durable end'), disk: new Figure('On disk'),
    refused: new Figure('Refused'),
  };
  #list = h('div', { class: 'destinations' });
  #empty = h('div', { class: 'empty', hidden: true });
  #segments = h('div', { class: 'segments' }, muted('Reading the indexes…'));
  #cards = new Map();
  #compression = null;
  #segmentsKey = '';
  #isReading = false;

  constructor(context) {
    this.context = context;
    this.element = h('div', { class: 'page' },
      h('div', { class: 'headline' }, this.#dot, h('div', {}, this.#headline, this.#sub)),
      h('section', { class: 'figures', 'aria-label': 'The log' },
        Object.values(this.#figures).map((figure) => figure.element)),
      section('Destinations', [this.#empty, this.#list]), section('Segments', this.#segments));
  }

  update(store) {
    const { status } = store;
    const { text, kind } = headline(status);
    say(this.#headline, text);
    this.#dot.dataset.kind = kind;
    const up = (Date.parse(status.now) - Date.parse(status.startedAt)) / 1000;
    const recovery = ['clean', 'created'].includes(status.recovery) ? '' : ` · recovery: ${status.recovery}`;
    say(this.#sub, `${location.host} · up ${duration(Math.floor(up))}${recovery}`);
    this.#updateFigures(store);
    this.#updateDestinations(store);
    const key = `${status.segments} ${Math.floor(Date.parse(status.now) / 10_000)}`;
    if (key !== this.#segmentsKey && !this.#isReading) this.#readSegments(key);
  }

  #updateFigures(store) {
    const { status } = store;
    const { ingest } = status;
    const byHTTP = store.bytesIn === null ? 'measuring…' : `${bytes(Math.round(store.bytesIn))}/s by HTTP`;
    this.#figures.rate.set(rate(store.rateIn), 'events/s', byHTTP);
    const stored = counted(status.end - status.first, 'record');
    this.#figures.end.set(count(status.end), '', `${stored} stored, from offset ${count(status.first)}`);
    const compressed = this.#compression ? `, ${this.#compression} compressed` : '';
    const [size, unit] = bytes(status.bytesOnDisk).split(' ');
    this.#figures.disk.set(size, unit, `${counted(status.segments, 'segment')}${compressed}`);
    const refused = ingest.refused + ingest.pushedBack + ingest.failed;
    this.#figures.refused.set(count(refused), refused === 1 ? 'request' : 'requests',
      refused === 0 ? `of ${counted(ingest.requests, 'request')} since the start`
        : `${count(ingest.refused)} bad, ${count(ingest.pushedBack)} asked to wait, ${count(ingest.failed)} failed`);
    const rates = store.ratesIn;
    const now = `now ${rate(rates.at(-1))} events a second, at most ${rate(Math.max(...rates))}`;
    this.#rate.draw(condensed(rates, 90),
      rates.length < 2 ? 'Rate in: not enough data yet' : `Rate in over the last ${age(store.reach)}: ${now}`);
  }

  #updateDestinations(store) {
    const { destinations } = store.status;
    show(this.#empty, destinations.length === 0);
    if (destinations.length === 0 && !this.#empty.firstChild) {
      fill(this.#empty, h('p', {}, 'No destination is configured: events are stored and not delivered.'),
        muted(
          'Add one under ', h('code', {}, 'destinations'), ' in the configuration file, then restart the service.'));
    }
    for (const destination of destinations) {
      let card = this.#cards.get(destination.name);
      if (!card) {
        card = new DestinationCard(destination, this.context);
        this.#cards.set(destination.name, card);
        this.#list.append(card.element);
      }
      card.set(destination, store);
    }
  }

  async #readSegments(key) {
    this.#isReading = true;
    try {
      const { count: total, segments } = await get('/v1/segments?limit=12');
      const measured = segments.filter((one) => one.recordBytes !== null);
      const sum = (name) => measured.reduce((all, one) => all + one[name], 0);
      this.#compression = measured.length ? ratio(sum('storedBytes'), sum('recordBytes')) : null;
      fill(this.#segments, segments.length === 0 || (total === 1 && segments[0].end === segments[0].first)
        ? emptyLog(this.context.me.needsKey) : segmentTable(total, segments));
    } catch (error) {
      fill(this.#segments, muted(`The segments cannot be shown: ${error.message}`));
    } finally {
      this.#segmentsKey = key;
      this.#isReading = false;
    }
  }
}

function emptyLog(needsKey) {
  const key = needsKey ? "-H 'Authorization: Bearer psk_…' " : '';
  return h('div', { class: 'empty' }, h('p', {}, 'The log is empty. Send the first event:'),
    h('pre', { tabindex: '0', 'aria-label': 'A command that sends an event' },
      `curl ${key}-H 'Content-Type: application/json' -d '{"event":"Home Page"}' ${location.origin}/v1/events`));
}

function segmentTable(total, segments) {
  const columns = [
    ['Segment'], ['Records', 'number'], ['Offsets', 'number wide'], ['Stored', 'number'], ['Ratio', 'number'],
    ['Since', 'wide'], ['State'],
  ];
  const rows = segments.map((one) => [
    one.sequence, count(one.end - one.first), `${count(one.first)} – ${count(Math.max(one.first, one.end - 1))}`,
    bytes(one.storedBytes), ratio(one.storedBytes, one.recordBytes), time(one.since),
    one.isOpen ? 'filling' : one.missing ? `${counted(one.missing, 'record')} missing` : 'full',
  ]);
  const part = total > segments.length ? `The newest ${segments.length} of ${count(total)}. ` : '';
  return [
    table('The newest segments, newest first', columns, rows),
    hint(`${part}Ratios are estimated from up to three blocks of each.`),
  ];
}

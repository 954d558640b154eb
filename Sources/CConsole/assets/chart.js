// Line charts over time, as SVG.

const space = 'http://www.w3.org/2000/svg';

function svg(tag, attributes) {
  const element = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** A line with the area below it. The style sheet sets its size; the width of the line does not scale. */
export class Sparkline {
  constructor(kind = '') {
    this.element = svg('svg', {
      class: `spark ${kind}`, viewBox: '0 0 100 30', preserveAspectRatio: 'none', role: 'img',
      'aria-label': 'no data yet',
    });
    this.area = svg('path', { class: 'spark-area' });
    this.line = svg('path', { class: 'spark-line', 'vector-effect': 'non-scaling-stroke' });
    this.element.append(this.area, this.line);
  }

  /** @param values Numbers, oldest first; null where unknown. @param text The text that describes the line. */
  draw(values, text) {
    this.element.setAttribute('aria-label', text);
    const top = Math.max(1e-9, ...values.map((value) => value ?? 0));
    const step = values.length > 1 ? 100 / (values.length - 1) : 0;
    const points = values
      .map((value, index) => value === null ? null : [index * step, 29 - 27 * value / top])
      .filter((point) => point !== null)
      .map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`);
    const line = points.length > 1 ? `M${points.join('L')}` : '';
    this.line.setAttribute('d', line);
    const [first] = (points[0] ?? '0').split(',');
    this.area.setAttribute('d', line && `${line}L100,30L${first},30Z`);
  }
}

/** At most `most` values, each the maximum of the values it replaces. */
export function condensed(values, most) {
  if (values.length <= most) return values;
  const size = values.length / most;
  return Array.from({ length: most }, (_, index) => {
    const part = values.slice(Math.floor(index * size), Math.floor((index + 1) * size))
      .filter((value) => value !== null);
    return part.length ? Math.max(...part) : null;
  });
}

// Colours of points: a number of a palette for each, and a legend.

// Ten that differ on light and on dark paper, and for people who confuse red and green.
const TEN = [
  '#4477aa', '#ee7733', '#228833', '#cc3366', '#7755bb',
  '#11999e', '#b58900', '#d65fb8', '#7a6a53', '#4fa3e0',
];
const NONE = '#8a8f98';
const OF_CHANGE = [
  '#9fb8a8', '#0a8f4a', '#d7263d', '#c9a3a3', '#b7791f', '#a5adb8', '#2f6fdb', NONE,
];
const STEPS = 32;

function classColours(n) {
  if (n <= TEN.length) return TEN.slice(0, n);
  const shade = [46, 62, 36];
  return Array.from({length: n}, (_, k) => {
    const hue = (k * 137.508) % 360, light = shade[k % 3] / 100, part = 0.62 * Math.min(light, 1 - light);
    const channel = at => {
      const turn = (at + hue / 30) % 12;
      return Math.round(255 * (light - part * Math.max(-1, Math.min(turn - 3, 9 - turn, 1))));
    };
    return '#' + [0, 8, 4].map(at => channel(at).toString(16).padStart(2, '0')).join('');
  });
}

// From yellow-green over blue-green to violet: dark ends stay visible on dark paper.
const RAMP = [[94, 60, 153], [52, 110, 178], [28, 150, 150], [120, 180, 70], [222, 170, 30]];

function rampColour(share) {
  const place = Math.min(share, 0.9999) * (RAMP.length - 1), k = Math.floor(place), part = place - k;
  const mixed = RAMP[k].map((value, c) => Math.round(value + (RAMP[k + 1][c] - value) * part));
  return '#' + mixed.map(value => value.toString(16).padStart(2, '0')).join('');
}

const ramp = Array.from({length: STEPS}, (_, k) => rampColour(k / (STEPS - 1)));

function byClass(pair, numbers, none) {
  const palette = [...classColours(pair.classes.length), NONE];
  const names = [...pair.classes, none];
  return named(pair, Array.from(numbers, k => (k < 0 ? pair.classes.length : k)), palette, names);
}

function named(pair, places, palette, names) {
  const counts = new Array(palette.length).fill(0);
  for (const k of places) counts[k]++;
  const legend = names.map((name, k) => ({name, colour: palette[k], count: counts[k]}))
    .filter(one => one.count);
  return {places, palette, legend};
}

function graded(values, low, high, format) {
  const width = Math.max(high - low, 1e-12);
  const places = Array.from(values, value =>
    Number.isNaN(value) ? STEPS : Math.max(0, Math.min(STEPS - 1, Math.round((value - low) / width * (STEPS - 1)))));
  return {places, palette: [...ramp, NONE], range: [format(low), format(high)]};
}

function spread(values) {
  const sorted = Float32Array.from(values).sort();
  const at = share => sorted[Math.round(share * (sorted.length - 1))];
  return [at(0.01), at(0.99)];
}

const percent = value => `${Math.round(100 * value)} %`;
const short = value => value.toPrecision(3);

// Name of a colouring -> [its name in the menu, whether it needs labels, how points get it].
const COLOURINGS = {
  label: ['true class', true, (pair) => byClass(pair, pair.label, 'no label')],
  prediction: ['prediction', false, (pair, view) => byClass(pair, view.prediction, 'no prediction')],
  confidence: ['confidence', false, (pair, view) =>
    graded(Array.from(view.confidence, (c, i) => (view.prediction[i] < 0 ? NaN : c / 65535)), 0, 1, percent)],
  right: ['right or wrong', true, (pair, view) => named(
    pair,
    Array.from(pair.label, (label, i) =>
      (label < 0 || view.prediction[i] < 0 ? 2 : label === view.prediction[i] ? 0 : 1)),
    ['#3a8f6b', '#d7263d', NONE], ['right', 'wrong', 'no label'])],
  change: ['what changed', false, (pair, view) => named(pair, Array.from(view.change), OF_CHANGE, CHANGES)],
  doubt: ['guard doubts', false, (pair, view) => named(
    pair, Array.from(view.doubt), [NONE, '#e0701b'], ['no doubt', 'guard doubts'])],
  ood: ['OOD score of the features', false, (pair) =>
    graded(pair.oodScore, ...spread(pair.oodScore), short)],
  logit: ['OOD score of the head', false, (pair, view) => {
    const scores = view.head.oodScore;
    return scores ? graded(scores, ...spread(scores), short)
      : graded(new Float32Array(pair.n).fill(NaN), 0, 1, short);
  }],
  set: ['set', false, (pair) => named(
    pair, Array.from(pair.set), classColours(pair.datasets.length),
    pair.datasets.map(one => `${about.datasets[one.number].name} (${one.role})`))],
};

function showLegend(colouring) {
  const legend = byId('legend');
  legend.replaceChildren();
  if (colouring.range) {
    const bar = document.createElement('span');
    bar.className = 'ramp';
    bar.style.backgroundImage = `linear-gradient(to right, ${ramp.join(',')})`;
    legend.append(colouring.range[0], bar, colouring.range[1]);
    return;
  }
  const most = 24;
  const listed = [...colouring.legend].sort((a, b) => (colouring.legend.length > most ? b.count - a.count : 0));
  for (const one of listed.slice(0, most)) {
    const item = document.createElement('span');
    const dot = document.createElement('i');
    dot.style.background = one.colour;
    item.append(dot, `${one.name} `, Object.assign(document.createElement('small'), {textContent: one.count.toLocaleString('en')}));
    legend.append(item);
  }
  if (listed.length > most) legend.append(`and ${listed.length - most} more, whose colours are alike`);
}

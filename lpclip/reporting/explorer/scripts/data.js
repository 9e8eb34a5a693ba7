// The data of the page: decoded once, looked up by the number of a point.

const byId = id => document.getElementById(id);
const about = JSON.parse(byId('about').textContent);
const ARRAYS = {Int16Array, Int32Array, Uint16Array, Float32Array};
const pairs = [];

function decoded(value) {
  const text = atob(value.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new ARRAYS[value.type](bytes.buffer);
}

function readHead(head) {
  return {
    ...head,
    rounds: head.rounds.map(round => ({
      number: round.number,
      prediction: decoded(round.prediction),
      confidence: decoded(round.confidence),
    })),
    top: decoded(head.top),
    topShares: decoded(head.topShares),
    oodScore: head.oodScore && decoded(head.oodScore),
  };
}

function readPair(number) {
  if (pairs[number]) return pairs[number];
  const stored = JSON.parse(byId(`pair-${number}`).textContent);
  const n = decoded(stored.label).length;
  const pair = {
    ...stored,
    n,
    set: new Uint8Array(n),
    rank: new Int32Array(n),
    methods: stored.methods.map(readHead),
    zeroShot: readHead(stored.zeroShot),
  };
  for (const key of ['x', 'y', 'label', 'oodScore', 'neighbours']) pair[key] = decoded(stored[key]);
  let i = 0;
  pair.datasets.forEach((dataset, place) => {
    for (let rank = 0; rank < dataset.points; rank++, i++) {
      pair.set[i] = place;
      pair.rank[i] = rank;
    }
  });
  pair.isLabelled = pair.label.some(label => label >= 0);
  return (pairs[number] = pair);
}

const datasetOf = (pair, i) => about.datasets[pair.datasets[pair.set[i]].number];
const pathOf = (pair, i) => datasetOf(pair, i).paths[pair.rank[i]];
const idOf = (pair, i) => (datasetOf(pair, i).ids || datasetOf(pair, i).paths)[pair.rank[i]];
const className = (pair, number) => (number < 0 ? '' : pair.classes[number]);
const neighboursOf = (pair, i) =>
  Array.from(pair.neighbours.subarray(i * pair.nNeighbours, (i + 1) * pair.nNeighbours))
    .filter(other => other >= 0);

// What a round changed, by number.
const CHANGES = [
  'right as before', 'fixed', 'broken', 'wrong as before', 'another wrong class',
  'unchanged', 'changed', 'no prediction',
];
const CHANGED = new Set([1, 2, 4, 6]);

/** Prediction, confidence and change of a round of a method against another. */
function viewOf(pair, method, roundPlace, base) {
  const head = pair.methods[method];
  const round = head.rounds[roundPlace];
  const isLast = roundPlace === head.rounds.length - 1;
  const before = base === 'previous' && roundPlace > 0
    ? head.rounds[roundPlace - 1] : pair.zeroShot.rounds[0];
  const change = new Uint8Array(pair.n);
  const doubt = new Uint8Array(pair.n);
  const zero = pair.zeroShot.rounds[0].prediction;
  for (let i = 0; i < pair.n; i++) {
    const now = round.prediction[i], was = before.prediction[i], label = pair.label[i];
    if (now < 0) change[i] = 7;
    else if (label < 0) change[i] = now === was ? 5 : 6;
    else if (now === label) change[i] = was === label ? 0 : 1;
    else change[i] = was === label ? 2 : now === was ? 3 : 4;
    if (now >= 0 && now !== zero[i]) {
      const near = neighboursOf(pair, i);
      doubt[i] = 2 * near.filter(other => zero[other] === now).length <= near.length ? 1 : 0;
    }
  }
  return {head, round, before, isLast, change, doubt,
    prediction: round.prediction, confidence: round.confidence};
}

// Sheets of pictures become addresses when one of their pictures is first shown.
const sheets = new Map();

function sheetOf(dataset, place) {
  const key = `sheet-${dataset}-${place}`;
  if (!sheets.has(key)) {
    const text = atob(byId(key).textContent);
    const bytes = Uint8Array.from(text, letter => letter.charCodeAt(0));
    sheets.set(key, URL.createObjectURL(new Blob([bytes], {type: about.datasets[dataset].mime})));
  }
  return sheets.get(key);
}

/** An element with the picture of a point; null where there is none. */
function pictureOf(pair, i, pixels) {
  const number = pair.datasets[pair.set[i]].number;
  const {side, pictures} = about.datasets[number];
  const rank = pair.rank[i];
  if (rank >= pictures) return null;
  const place = rank % about.perSheet, scale = pixels / side;
  const element = document.createElement('span');
  element.className = 'picture';
  element.style.width = element.style.height = `${pixels}px`;
  element.style.backgroundImage = `url(${sheetOf(number, Math.floor(rank / about.perSheet))})`;
  element.style.backgroundSize = `${about.columns * pixels}px auto`;
  const left = (place % about.columns) * pixels, top = Math.floor(place / about.columns) * pixels;
  element.style.backgroundPosition = `${-left}px ${-top}px`;
  if (scale >= 2) element.classList.add('enlarged');
  return element;
}

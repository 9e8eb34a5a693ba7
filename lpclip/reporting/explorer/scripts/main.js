// Menus, filters and keys: what the page shows, and what happens when something is chosen.

const state = {pair: null, view: null, colouring: null, filtered: [], selected: null, pinned: null, cursor: null};

function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, name]) => new Option(name, value)));
  if (chosen !== undefined && entries.some(([value]) => String(value) === String(chosen))) select.value = chosen;
}

const listed = () => (state.selected ? state.selected.filter(i => state.isShown[i]) : state.filtered);

async function usePair(number) {
  const pair = (state.pair = readPair(number));
  Object.assign(state, {selected: null, pinned: null, cursor: null});
  const usual = pair.methods.findLastIndex(one => one.kind === 'guarded');
  options(byId('method'), pair.methods.map((one, k) => [k, one.name]), Math.max(usual, 0));
  options(byId('colour'), Object.entries(COLOURINGS).filter(([, [, needs]]) => !needs || pair.isLabelled)
    .map(([key, [name]]) => [key, name]), pair.isLabelled ? 'label' : 'prediction');
  options(byId('set'), [['', 'all'], ...pair.datasets.map((one, k) => [k, `${about.datasets[one.number].name} (${one.role})`])]);
  const classes = pair.classes.map((name, k) => [k, name]);
  options(byId('class'), [['', 'all'], ...classes, [-1, 'no label']]);
  options(byId('prediction'), [['', 'all'], ...classes]);
  for (const field of document.querySelectorAll('.labelled')) field.hidden = !pair.isLabelled;
  const changes = pair.isLabelled ? [[1, 'fixed'], [2, 'broken'], ['changed', 'changed'], ['same', 'unchanged']]
    : [['changed', 'changed'], ['same', 'unchanged']];
  options(byId('change'), [['', 'all'], ...changes]);
  byId('intro').textContent = introOf(pair);
  await useMethod();
}

function introOf(pair) {
  const all = pair.datasets.reduce((sum, one) => sum + one.images, 0);
  const pictures = pair.datasets.reduce((sum, one) => sum + Math.min(one.points, about.datasets[one.number].pictures), 0);
  const count = n => n.toLocaleString('en');
  const parts = [`${pair.title}: ${count(pair.n)} images. ${pair.axes}.`];
  if (pair.n < all) parts.push(`These are a random sample of ${count(all)}: more would make the file too large.`);
  if (pictures === 0) parts.push('There are no pictures.');
  else if (pictures < pair.n) parts.push(`${count(pictures)} of them have a picture here.`);
  return parts.join(' ');
}

async function useMethod() {
  const head = state.pair.methods[byId('method').value];
  const names = head.rounds.map((one, k) => [k, k === head.rounds.length - 1 ? `${one.number} (last)` : `${one.number}`]);
  options(byId('round'), names, names.length - 1);
  await useRound();
}

async function useRound() {
  const {pair} = state;
  state.view = viewOf(pair, Number(byId('method').value), Number(byId('round').value), byId('base').value);
  const pairsOf = new Map();
  pair.label.forEach((label, i) => {
    const found = state.view.prediction[i];
    if (label >= 0 && found >= 0 && label !== found) {
      const key = `${label}>${found}`;
      pairsOf.set(key, (pairsOf.get(key) || 0) + 1);
    }
  });
  const most = [...pairsOf].sort((a, b) => b[1] - a[1]).slice(0, 60);
  options(byId('confusion'), [['', 'all'], ...most.map(([key, n]) => {
    const [label, found] = key.split('>');
    return [key, `${pair.classes[label]} as ${pair.classes[found]} (${n})`];
  })], byId('confusion').value);
  await useColour();
}

async function useColour() {
  const {pair, view} = state;
  const [, , colour] = COLOURINGS[byId('colour').value];
  state.colouring = colour(pair, view);
  showLegend(state.colouring);
  explain();
  await drawPoints(pair, state.colouring);
  await useFilters();
}

function explain() {
  const {head, round} = state.view;
  const seen = head.labels ? `It saw ${head.labels.toLocaleString('en')} labels.` : 'It saw no label.';
  const lines = [`${head.name}, seed ${head.seed}, round ${round.number}. ${seen}`];
  if (state.pair.isLabelled) {
    lines.push('Class, right or wrong, fixed, broken and confusions come from labels, which are used for this alone.');
  } else lines.push('Without labels nothing is right or wrong here, fixed or broken.');
  lines.push('Guard doubts: the method and zero-shot differ, and zero-shot gives at most half of the nearest images the new class. '
    + 'OOD scores: high means in-distribution.');
  byId('explanation').textContent = lines.join(' ');
}

async function useFilters() {
  const {pair, view} = state;
  const value = id => byId(id).value;
  const wanted = value('path').trim().toLowerCase();
  const [label, found] = value('confusion') ? value('confusion').split('>').map(Number) : [null, null];
  const tests = [];
  if (value('set') !== '') tests.push(i => pair.set[i] === Number(value('set')));
  if (value('class') !== '') tests.push(i => pair.label[i] === Number(value('class')));
  if (value('prediction') !== '') tests.push(i => view.prediction[i] === Number(value('prediction')));
  if (label !== null) tests.push(i => pair.label[i] === label && view.prediction[i] === found);
  const change = value('change');
  if (change === 'changed') tests.push(i => CHANGED.has(view.change[i]));
  else if (change === 'same') tests.push(i => !CHANGED.has(view.change[i]) && view.change[i] !== 7);
  else if (change) tests.push(i => view.change[i] === Number(change));
  if (byId('doubts').checked) tests.push(i => view.doubt[i] === 1);
  if (wanted) tests.push(i => pathOf(pair, i).toLowerCase().includes(wanted));
  state.isShown = new Uint8Array(pair.n);
  state.filtered = [];
  for (let i = 0; i < pair.n; i++) {
    if (tests.every(test => test(i))) {
      state.isShown[i] = 1;
      state.filtered.push(i);
    }
  }
  on.out();
  await showOnly(tests.length ? state.filtered : null);
  update();
}

/** Show again what depends on filters, the selection and the pinned image. */
function update() {
  const {pair, view} = state, points = listed();
  fillTable(pair, view, points);
  const count = n => n.toLocaleString('en');
  byId('status').textContent = state.selected
    ? `${count(points.length)} selected of ${count(state.filtered.length)} shown`
    : `${count(points.length)} of ${count(pair.n)} shown`;
  byId('clear').disabled = !state.selected;
  mark(state.selected || (state.pinned === null ? [] : [state.pinned]));
  showDetails(pair, view, state.pinned, on);
  markRow(state.pinned);
}

const on = {
  over: i => showTip(state.pair, state.view, i),
  out: hideTip,
  pin: i => {
    Object.assign(state, {pinned: i, cursor: i});
    if (!state.selected) mark([i]);
    showDetails(state.pair, state.view, i, on);
    markRow(i);
  },
  select: points => { state.selected = points; update(); },
  deselect: () => { if (state.selected || state.pinned !== null) clear(); },
  page: () => { showPage(state.pair, state.view); markRow(state.pinned); },
};

function clear() {
  Object.assign(state, {selected: null, pinned: null, cursor: null});
  hideTip();
  update();
}

function useKeys(event) {
  if (event.target !== byId('map')) return;
  if (event.key.startsWith('Arrow')) {
    event.preventDefault();
    const points = listed();
    const isThere = state.cursor !== null && state.isShown[state.cursor];
    const next = isThere ? inDirection(state.pair, points, state.cursor, event.key) : inMiddle(state.pair, points);
    if (next < 0) return;
    state.cursor = next;
    if (plot.scatter) {
      plot.scatter.hover(next, {preventEvent: true});
      showTip(state.pair, state.view, next);
    }
    byId('reached').textContent = `${pathOf(state.pair, next)}: ${summary(state.pair, state.view, next).join(', ')}`;
  } else if (event.key === 'Enter' && state.cursor !== null) on.pin(state.cursor);
  else if (event.key === 'Escape') clear();
  else if (event.key === '+') zoom(1.5);
  else if (event.key === '-') zoom(1 / 1.5);
}

function useMode(mode) {
  for (const button of document.querySelectorAll('[data-mode]')) {
    button.setAttribute('aria-pressed', String(button.dataset.mode === mode));
  }
  if (!plot.scatter) return;
  plot.mode = mode;
  useTouch();
  plot.scatter.set(mode === 'panZoom' ? {mouseMode: 'panZoom'}
    : {mouseMode: 'lasso', lassoType: mode === 'box' ? 'rectangle' : 'freeform'});
}

function download() {
  const blob = new Blob([csvOf(state.pair, state.view, table.points)], {type: 'text/csv'});
  const link = Object.assign(document.createElement('a'), {
    href: URL.createObjectURL(blob),
    download: `${state.pair.benchmark}_${state.pair.model}_${state.view.head.name}.csv`,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

let pending = 0;

/** Do what a person chose; the page is busy until all of it is shown. */
async function run(task) {
  const main = document.querySelector('main');
  pending++;
  main.ariaBusy = 'true';
  try {
    await task();
  } finally {
    pending--;
    main.ariaBusy = String(pending > 0);
  }
}

async function start() {
  byId('filters').open = matchMedia('(min-width: 760px)').matches;
  byId('pair-field').hidden = about.pairs.length === 1;
  options(byId('pair'), about.pairs.map((name, k) => [k, name]));
  startPlot(on);
  startTable(on);
  byId('pair').onchange = () => run(() => usePair(Number(byId('pair').value)));
  byId('method').onchange = () => run(useMethod);
  byId('round').onchange = byId('base').onchange = () => run(useRound);
  byId('colour').onchange = () => run(useColour);
  for (const id of ['set', 'class', 'prediction', 'confusion', 'change', 'doubts']) {
    byId(id).onchange = () => run(useFilters);
  }
  byId('path').oninput = () => run(useFilters);
  byId('reset').onclick = () => {
    for (const id of ['set', 'class', 'prediction', 'confusion', 'change', 'path']) byId(id).value = '';
    byId('doubts').checked = false;
    run(useFilters);
  };
  for (const button of document.querySelectorAll('[data-mode]')) button.onclick = () => useMode(button.dataset.mode);
  byId('in').onclick = () => zoom(1.5);
  byId('out').onclick = () => zoom(1 / 1.5);
  byId('fit').onclick = () => {
    const points = listed();
    if (!plot.scatter || !points.length || points.length === state.pair.n) showWhole();
    else plot.scatter.zoomToPoints(points, {padding: 0.1});
  };
  byId('clear').onclick = clear;
  byId('download').onclick = download;
  document.addEventListener('keydown', useKeys);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => requestAnimationFrame(setInk));
  await run(() => usePair(0));
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

start();

// The map itself, by regl-scatterplot; without WebGL all calls do nothing.

const plot = {scatter: null, pair: null, shown: null, isQuiet: false, mode: 'panZoom', last: Promise.resolve()};

/** Run a task when the one before is done: the library refuses to draw while it draws. */
function inTurn(task) {
  plot.last = plot.last.then(task);
  return plot.last;
}

function hasWebgl() {
  const canvas = document.createElement('canvas');
  return Boolean(canvas.getContext('webgl'));
}

function paper() {
  return getComputedStyle(document.body).getPropertyValue('--map').trim();
}

function startPlot(on) {
  const canvas = byId('canvas');
  if (!hasWebgl()) {
    canvas.hidden = true;
    byId('no-map').hidden = false;
    return;
  }
  const {clientWidth: width, clientHeight: height} = byId('map');
  const scatter = createScatterplot({
    canvas, width, height,
    colorBy: 'valueA', opacity: 0.85, pointColor: ['#000000'],
    pointColorActive: '#ffffff', pointColorHover: '#ffffff', backgroundColor: paper(),
    pointOutlineWidth: 3, pointSizeSelected: 4, lassoColor: '#2f6fdb',
    actionKeyMap: {lasso: 'shift', merge: 'ctrl'}, spatialIndexUseWorker: false,
  });
  plot.scatter = scatter;
  setInk();
  scatter.subscribe('pointOver', i => on.over(i));
  scatter.subscribe('pointOut', () => on.out());
  scatter.subscribe('select', ({points}) => {
    if (plot.isQuiet) return;
    if (points.length === 1) on.pin(points[0]);
    else on.select(Array.from(points));
  });
  scatter.subscribe('deselect', () => { if (!plot.isQuiet) on.deselect(); });
  scatter.subscribe('view', () => { on.out(); useTouch(); });
  startTouch(canvas);
  new ResizeObserver(() => {
    const {clientWidth: wide, clientHeight: high} = byId('map');
    if (wide && high) scatter.set({width: wide, height: high});
  }).observe(byId('map'));
}

// A finger that drags scrolls the page, unless it selects or moves a map that is zoomed in: then it
// does what a mouse does, which is all that the library listens to.
function useTouch() {
  const isZoomed = plot.scatter.get('cameraDistance') < 0.98;
  byId('map').style.touchAction = plot.mode === 'panZoom' && !isZoomed ? 'auto' : 'none';
}

function startTouch(canvas) {
  const asMouse = {pointerdown: 'mousedown', pointermove: 'mousemove', pointerup: 'mouseup', pointercancel: 'mouseup'};
  let isDown = false;
  for (const [kind, other] of Object.entries(asMouse)) {
    canvas.addEventListener(kind, event => {
      if (event.pointerType !== 'touch' || byId('map').style.touchAction !== 'none') return;
      if (kind === 'pointerdown') isDown = true;
      if (!isDown) return;
      if (kind === 'pointerdown') canvas.dispatchEvent(new MouseEvent('mouseenter'));
      const {clientX, clientY} = event;
      canvas.dispatchEvent(new MouseEvent(other, {clientX, clientY, bubbles: true, buttons: 1}));
      if (other === 'mouseup') isDown = false;
    });
  }
}

function setInk() {
  if (!plot.scatter) return;
  const ink = getComputedStyle(document.body).getPropertyValue('--ink').trim();
  plot.scatter.set({backgroundColor: paper(), pointColorActive: ink, pointColorHover: ink});
}

/** Draw all points in a colouring; resolves when they are there. */
function drawPoints(pair, colouring) {
  return inTurn(() => plot.scatter && drawNow(pair, colouring));
}

async function drawNow(pair, colouring) {
  const isNew = plot.pair !== pair;
  plot.pair = pair;
  const size = pair.n > 15000 ? 3 : pair.n > 5000 ? 4 : pair.n > 1500 ? 5 : 7;
  plot.scatter.set({pointColor: colouring.palette, pointSize: size});
  const options = {zDataType: 'categorical', preventFilterReset: true};
  if (!isNew) options.spatialIndex = plot.scatter.get('spatialIndex');
  await plot.scatter.draw({x: pair.x, y: pair.y, z: colouring.places}, options);
  if (isNew) {
    plot.shown = null;
    // Sets come in order, unlabelled and test set first: these come last, above all others.
    plot.scatter.set({pointOrder: Array.from({length: pair.n}, (_, i) => pair.n - 1 - i)});
  }
  if (isNew) await showWhole();
}

/** Show the whole map, in a frame of any shape. */
async function showWhole() {
  const {clientWidth: width, clientHeight: height} = byId('map');
  if (plot.scatter) await plot.scatter.zoomToLocation([0, 0], Math.max(1, height / width));
}

/** Hide all points but these; null shows all. */
function showOnly(points) {
  return inTurn(async () => {
    if (!plot.scatter) return;
    plot.shown = points;
    if (points) await plot.scatter.filter(points, {preventEvent: true});
    else await plot.scatter.unfilter({preventEvent: true});
  });
}

function mark(points) {
  if (!plot.scatter) return;
  plot.isQuiet = true;
  const visible = plot.shown && new Set(plot.shown);
  const marked = visible ? points.filter(i => visible.has(i)) : points;
  if (marked.length) plot.scatter.select(marked, {preventEvent: true});
  else plot.scatter.deselect({preventEvent: true});
  plot.isQuiet = false;
}

function zoom(factor) {
  if (!plot.scatter) return;
  const [x, y] = plot.scatter.get('cameraTarget');
  const distance = plot.scatter.get('cameraDistance') / factor;
  plot.scatter.zoomToLocation([x, y], distance, {transition: false});
}

/** The nearest shown point in the direction of an arrow key. */
function inDirection(pair, shown, from, key) {
  const [dx, dy] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[key];
  let best = -1, least = Infinity;
  for (const i of shown) {
    const x = pair.x[i] - pair.x[from], y = pair.y[i] - pair.y[from];
    const along = x * dx + y * dy, across = Math.abs(x * dy) + Math.abs(y * dx);
    if (along <= 0 || across > along) continue;
    const far = along + 2 * across;
    if (far < least) [best, least] = [i, far];
  }
  return best;
}

/** The point nearest to the middle of the map, where keys start; -1 where there is none. */
function inMiddle(pair, shown) {
  const far = i => pair.x[i] ** 2 + pair.y[i] ** 2;
  return shown.reduce((best, i) => (best < 0 || far(i) < far(best) ? i : best), -1);
}

// The table of images: sorted, a page at a time, its rows reached by keys.

const PAGE = 50;
const table = {points: [], page: 0, key: 'set', isUp: true, on: null};

const fixed = value => (Number.isFinite(value) ? value.toFixed(3) : '');

// Key -> [heading, needs labels, text of a cell, value to sort by].
function columnsOf(pair, view) {
  const zero = pair.zeroShot.rounds[0].prediction;
  const name = numbers => i => className(pair, numbers[i]);
  const logit = view.head.oodScore;
  return {
    set: ['Set', false, i => datasetOf(pair, i).name, i => pair.set[i]],
    path: ['Path', false, i => pathOf(pair, i)],
    label: ['Class', true, name(pair.label)],
    prediction: ['Prediction', false, name(view.prediction)],
    confidence: ['Confidence', false, i => (view.prediction[i] < 0 ? '' : fixed(view.confidence[i] / 65535)), i => view.confidence[i]],
    zeroShot: ['Zero-shot', false, name(zero)],
    change: ['Change', false, i => CHANGES[view.change[i]]],
    ood: ['OOD score', false, i => fixed(pair.oodScore[i]), i => pair.oodScore[i]],
    logit: ['Max logit', false, i => (logit ? fixed(logit[i]) : ''), i => (logit ? logit[i] : 0)],
  };
}

function shownColumns(pair, view) {
  return Object.entries(columnsOf(pair, view)).filter(([, [, needsLabels]]) => !needsLabels || pair.isLabelled);
}

function fillTable(pair, view, points) {
  const columns = columnsOf(pair, view);
  if (!columns[table.key] || (columns[table.key][1] && !pair.isLabelled)) table.key = 'set';
  const [, , text, value] = columns[table.key];
  const keys = new Map(points.map(i => [i, (value || text)(i)]));
  const compare = (a, b) => {
    const one = keys.get(a), other = keys.get(b);
    return (one < other ? -1 : one > other ? 1 : a - b) * (table.isUp ? 1 : -1);
  };
  table.points = [...points].sort(compare);
  table.page = 0;
  showHead(pair, view);
  showPage(pair, view);
}

function showHead(pair, view) {
  const cells = shownColumns(pair, view).map(([key, [heading]]) => {
    const cell = document.createElement('th');
    cell.scope = 'col';
    const button = Object.assign(document.createElement('button'), {type: 'button', textContent: heading});
    if (key === table.key) cell.ariaSort = table.isUp ? 'ascending' : 'descending';
    button.onclick = () => {
      table.isUp = key === table.key ? !table.isUp : true;
      table.key = key;
      fillTable(pair, view, table.points);
      byId('head').querySelector('th[aria-sort] button').focus();
    };
    cell.append(button);
    return cell;
  });
  const first = Object.assign(document.createElement('th'), {scope: 'col'});
  first.append(Object.assign(document.createElement('span'), {className: 'unseen', textContent: 'Picture'}));
  byId('head').replaceChildren(first, ...cells);
}

function showPage(pair, view) {
  const start = table.page * PAGE, part = table.points.slice(start, start + PAGE);
  byId('rows').replaceChildren(...part.map((i, place) => row(pair, view, i, place)));
  const pages = Math.max(1, Math.ceil(table.points.length / PAGE));
  byId('page').textContent = `Page ${table.page + 1} of ${pages.toLocaleString('en')}`;
  byId('back').disabled = table.page === 0;
  byId('next').disabled = table.page >= pages - 1;
}

function row(pair, view, i, place) {
  const line = document.createElement('tr');
  line.tabIndex = place === 0 ? 0 : -1;
  line.dataset.point = i;
  const first = document.createElement('td');
  const picture = pictureOf(pair, i, 32);
  if (picture) first.append(picture);
  line.append(first);
  for (const [key, [, , text]] of shownColumns(pair, view)) {
    const cell = document.createElement('td');
    cell.textContent = text(i);
    cell.className = key;
    if (key === 'change') cell.dataset.change = view.change[i];
    line.append(cell);
  }
  return line;
}

function markRow(i) {
  for (const line of byId('rows').children) {
    const isPinned = Number(line.dataset.point) === i;
    line.classList.toggle('pinned', isPinned);
    if (isPinned) line.setAttribute('aria-current', 'true');
    else line.removeAttribute('aria-current');
  }
}

function startTable(on) {
  const rows = byId('rows');
  rows.addEventListener('click', event => {
    const line = event.target.closest('tr');
    if (line) on.pin(Number(line.dataset.point));
  });
  rows.addEventListener('keydown', event => {
    const line = event.target.closest('tr');
    const other = {ArrowDown: line.nextElementSibling, ArrowUp: line.previousElementSibling}[event.key];
    if (event.key === 'Enter') on.pin(Number(line.dataset.point));
    if (other) {
      line.tabIndex = -1;
      other.tabIndex = 0;
      other.focus();
    }
    if (event.key.startsWith('Arrow') || event.key === 'Enter') event.preventDefault();
  });
  byId('back').onclick = () => { table.page--; on.page(); };
  byId('next').onclick = () => { table.page++; on.page(); };
}

/** Text of a CSV file; cells that a spreadsheet would run as formulas are quoted as text. */
function csvOf(pair, view, points) {
  const cell = value => {
    let text = String(value);
    if (/^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text))) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const columns = [
    ['dataset', i => datasetOf(pair, i).name],
    ['id', i => idOf(pair, i)],
    ['path', i => pathOf(pair, i)],
    ...(pair.isLabelled ? [['label', i => className(pair, pair.label[i])]] : []),
    ['prediction', i => className(pair, view.prediction[i])],
    ['confidence', i => (view.prediction[i] < 0 ? '' : (view.confidence[i] / 65535).toFixed(4))],
    ['zero_shot', i => className(pair, pair.zeroShot.rounds[0].prediction[i])],
    ['change', i => CHANGES[view.change[i]]],
    ['guard_doubts', i => view.doubt[i]],
    ['ood_score', i => pair.oodScore[i]],
    ['max_logit', i => (view.head.oodScore ? view.head.oodScore[i] : '')],
    ['x', i => pair.x[i]],
    ['y', i => pair.y[i]],
    ['benchmark', () => pair.benchmark],
    ['model', () => pair.model],
    ['method', () => view.head.name],
    ['round', () => view.round.number],
    ['seed', () => view.head.seed],
  ];
  const lines = [columns.map(([name]) => name), ...points.map(i => columns.map(([, text]) => text(i)))];
  return lines.map(line => line.map(cell).join(',')).join('\n') + '\n';
}

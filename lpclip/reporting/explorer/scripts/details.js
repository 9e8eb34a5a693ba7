// What is shown of one image: at the pointer in short, and of a pinned one all that there is.

function text(tag, content, className) {
  const element = document.createElement(tag);
  element.textContent = content;
  if (className) element.className = className;
  return element;
}

function summary(pair, view, i) {
  const label = pair.label[i];
  const lines = [datasetOf(pair, i).name + ', ' + pair.datasets[pair.set[i]].role];
  if (label >= 0) lines.push(`class: ${className(pair, label)}`);
  if (view.prediction[i] >= 0) {
    lines.push(`prediction: ${className(pair, view.prediction[i])}, ${percent(view.confidence[i] / 65535)}`);
  }
  return lines;
}

let resting; // timer: an image's neighbours are shown where the pointer rests

function showTip(pair, view, i) {
  const tip = byId('tip');
  tip.replaceChildren();
  const picture = pictureOf(pair, i, 64);
  if (picture) tip.append(picture);
  const box = document.createElement('div');
  box.append(text('strong', pathOf(pair, i)), ...summary(pair, view, i).map(line => text('div', line)));
  if (view.prediction[i] >= 0) box.append(topOf(pair, view.head, i));
  tip.append(box);
  tip.hidden = false;
  placeTip(i);
  clearTimeout(resting);
  resting = setTimeout(() => {
    const near = text('div', '', 'row');
    near.append(...neighboursOf(pair, i).map(other => pictureOf(pair, other, 24)).filter(Boolean));
    if (!near.children.length) return;
    box.append(text('div', 'Nearest images:'), near);
    placeTip(i);
  }, 150);
}

function hideTip() {
  clearTimeout(resting);
  byId('tip').hidden = true;
}

/** Put the tip next to a point, inside the frame of the map. */
function placeTip(i) {
  const tip = byId('tip'), [x, y] = plot.scatter.getScreenPosition(i);
  const frame = byId('map').getBoundingClientRect(), own = tip.getBoundingClientRect();
  const left = x + 14 + own.width > frame.width ? x - own.width - 14 : x + 14;
  const top = y + 14 + own.height > frame.height ? y - own.height - 14 : y + 14;
  tip.style.transform = `translate(${Math.max(0, left)}px, ${Math.max(0, top)}px)`;
}

function topOf(pair, head, i) {
  const k = head.top.length / pair.n;
  const list = text('ol', '', 'top');
  for (let j = 0; j < k; j++) {
    const share = head.topShares[i * k + j] / 65535;
    if (j && share < 0.0005) break;
    const item = document.createElement('li');
    const bar = document.createElement('i');
    bar.style.width = `${Math.max(1, 100 * share)}%`;
    if (head.top[i * k + j] === pair.label[i]) item.className = 'true';
    item.append(bar, text('span', className(pair, head.top[i * k + j])), text('small', `${(100 * share).toFixed(1)} %`));
    list.append(item);
  }
  return list;
}

function showDetails(pair, view, i, on) {
  const panel = byId('details');
  if (i === null) {
    panel.replaceChildren(
      text('h2', 'No image is pinned'),
      text('p', 'Click or tap a point or a row of the table, or press Enter on one.', 'note'));
    return;
  }
  const about = document.createElement('dl');
  const add = (name, value) => { if (value !== '') about.append(text('dt', name), text('dd', value)); };
  add('Set', `${datasetOf(pair, i).name}, ${pair.datasets[pair.set[i]].role}`);
  add('Class', className(pair, pair.label[i]));
  add('Prediction', view.prediction[i] < 0 ? 'none' : `${className(pair, view.prediction[i])}, ${percent(view.confidence[i] / 65535)}`);
  add('Zero-shot', className(pair, pair.zeroShot.rounds[0].prediction[i]));
  add('Change', CHANGES[view.change[i]]);
  if (view.doubt[i]) add('Guard', 'doubts: few neighbours are of the new class by zero-shot');
  add('OOD score', `${fixed(pair.oodScore[i])} (features)` + (view.head.oodScore ? `, ${fixed(view.head.oodScore[i])} (max logit)` : ''));
  const parts = [text('h2', pathOf(pair, i)), about];
  const picture = pictureOf(pair, i, 144);
  if (picture) parts.splice(1, 0, picture);
  const last = view.head.rounds[view.head.rounds.length - 1];
  if (last.prediction[i] >= 0) {
    parts.push(text('h3', `${view.head.name}${view.isLast ? '' : `, round ${last.number}`}`), topOf(pair, view.head, i));
  }
  if (view.head.kind !== 'zero_shot') parts.push(text('h3', 'zero_shot'), topOf(pair, pair.zeroShot, i));
  if (view.head.rounds.length > 1) {
    const rounds = [[0, pair.zeroShot.rounds[0].prediction], ...view.head.rounds.map(one => [one.number, one.prediction])];
    parts.push(text('h3', 'Round by round'), text('p', rounds.map(([k, found]) => `${k}: ${className(pair, found[i])}`).join(' · ')));
  }
  const near = neighboursOf(pair, i);
  if (near.length) {
    const list = text('div', '', 'near');
    for (const other of near) {
      const button = Object.assign(document.createElement('button'), {type: 'button'});
      const small = pictureOf(pair, other, 48);
      const name = className(pair, pair.label[other] >= 0 ? pair.label[other] : view.prediction[other]);
      button.title = `${pathOf(pair, other)}: ${summary(pair, view, other).join('; ')}`;
      button.append(...(small ? [small] : []), text('span', name || 'OOD'));
      button.onclick = () => on.pin(other);
      list.append(button);
    }
    parts.push(text('h3', 'Nearest images by their features'), list);
  }
  panel.replaceChildren(...parts);
}

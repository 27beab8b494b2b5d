'use strict';
(() => {
  const { data, columns, make, theme } = page;
  // Bars that have their names below them; those of more are told under the pointer.
  const MOST_NAMED = 20;
  const COLOURS = { light: '#0b62b8', dark: '#6cb2f5' };
  const isOfFew = (row) => row.difference.images < data.fewest_told;
  const few = `of fewer than ${data.fewest_told} frames, which tell no difference`;
  const verdict = (row) => row.verdict || (isOfFew(row) ? few : 'not told from zero');
  // In the order of the table: real differences first, then by their size in half widths.
  const effect = (measure) => {
    const { mean, low, high } = measure.difference;
    if (mean === null || low === null || high === low) return 0;
    return Math.abs(mean) / (high - low);
  };
  const other = (row) => `judged between other depths, ${row.depths}, so over other pixels: no verdict`;
  const rows = data.measures.map((measure, index) => ({ ...measure, index, effect: effect(measure) }));
  const HEADINGS = [
    ['data', (row) => row.source], ['method', (row) => row.method],
    ['measure', (row) => columns[row.key].heading], ['frames', (row) => row.difference.images],
    ['A', (row) => row.first.mean], ['B', (row) => row.second.mean],
    ['B − A', (row) => row.difference.mean],
    ['', (row) => (row.verdict ? 1e6 : 0) + row.effect],
  ];
  const VERDICT = HEADINGS.length - 1;
  let order = { column: VERDICT, down: true };
  let chosen = 0;
  let shown = 0;
  let plot = null;

  const inUnit = (key, value) => (columns[key].unit === '%' ? 100 * value : value);
  const text = (key, value, sign = false) => {
    if (value === null || value === undefined) return '-';
    const number = inUnit(key, value);
    const digits = { '': 4, m: 3 }[columns[key].unit] ?? 2;
    return (sign && number > 0 ? '+' : '') + number.toFixed(digits);
  };
  const interval = (key, { mean, low, high }) => text(key, mean, true) +
    (low === null ? '' : ` [${text(key, low)}, ${text(key, high)}]`);

  function sorted() {
    const value = HEADINGS[order.column][1];
    const found = [...rows].sort((a, b) => {
      const [one, other] = [value(a), value(b)];
      const by = typeof one === 'string' ? one.localeCompare(other) : (one ?? -1e9) - (other ?? -1e9);
      return by || a.index - b.index;
    });
    return order.down ? found.reverse() : found;
  }

  function words() {
    const list = make('ul', { className: 'findings', id: 'real' });
    const real = rows.filter((row) => row.verdict).sort((a, b) => b.effect - a.effect);
    for (const row of real) {
      list.append(make('li', { className: row.verdict === 'worse' ? 'error' : 'ok' },
        make('b', {}, `${columns[row.key].heading} ${row.verdict}: `),
        `${row.method} on ${row.source}: ${text(row.key, row.first.mean)} to ` +
        `${text(row.key, row.second.mean)}, B − A ${interval(row.key, row.difference)}, ` +
        `${row.difference.images} frames`));
    }
    for (const line of new Set(rows.filter((row) => row.depths).map((row) =>
      `${row.method} on ${row.source}: ${other(row)}.`))) {
      list.append(make('li', { className: 'warn' }, line));
    }
    const others = rows.filter((row) => !row.depths && !row.verdict);
    if (others.length) {
      const ofFew = others.filter(isOfFew).length;
      const why = ofFew === others.length ? `they are ${few}` :
        `their intervals hold zero${ofFew ? `, or they are ${few}` : ''}`;
      list.append(make('li', { className: 'warn' }, real.length ?
        `${others.length} other measures: ${why}, so no difference is shown.` :
        `No difference is shown by ${others.length} measures: ${why}.`));
    }
    return make('section', {}, make('h2', {}, 'Which differences are real'), list,
      make('p', { className: 'dim' }, `A: ${data.files[0].name}. B: ${data.files[1].name}. ` +
        'Differences are paired: the same frames in both files, with 95 % intervals over frames. ' +
        'Frames of a recording resemble each other, so that these intervals are too narrow, ' +
        'as are those of few frames. Of many measures, one in twenty seems real by chance.'));
  }

  function table() {
    const head = make('tr');
    HEADINGS.forEach(([name], index) => {
      const cell = make('th', {}, make('button', {
        type: 'button', onclick: () => {
          order = { column: index, down: order.column === index ? !order.down : index === VERDICT };
          render();
          document.querySelectorAll('#differences th button')[index].focus();
        },
      }, name || 'difference'));
      cell.setAttribute('aria-sort',
        index !== order.column ? 'none' : order.down ? 'descending' : 'ascending');
      head.append(cell);
    });
    const body = make('tbody');
    for (const row of sorted()) {
      const line = make('tr', {}, make('td', {}, row.source), make('td', {}, row.method),
        make('td', {}, make('abbr', { title: columns[row.key].meaning, tabIndex: 0 },
          columns[row.key].heading)),
        make('td', {}, String(row.difference.images)),
        make('td', {}, text(row.key, row.first.mean)), make('td', {}, text(row.key, row.second.mean)),
        make('td', { className: row.verdict ? 'real' : '' }, interval(row.key, row.difference)),
        make('td', {}, make('button', {
          type: 'button', onclick: () => { chosen = row.index; render(true); },
        }, row.verdict || 'show')));
      body.append(line);
    }
    return make('section', {}, make('h2', {}, 'All measures'),
      make('div', { className: 'scroll', tabIndex: 0 },
        make('table', { id: 'differences' }, make('thead', {}, head), body)));
  }

  function frames() {
    const row = rows[chosen];
    const column = columns[row.key];
    const picker = make('select', { id: 'measure', onchange: () => { chosen = Number(picker.value); render(); } });
    picker.setAttribute('aria-label', 'Measure');
    for (const one of rows) {
      picker.append(make('option', { value: one.index },
        `${columns[one.key].heading}, ${one.method}, ${one.source}`));
    }
    picker.value = chosen;
    const body = make('tbody');
    const pictures = data.pictures[row.source] || [];
    for (const [name, index, first, second] of row.changed) {
      const place = pictures.findIndex((frame) => frame.index === index);
      const label = place < 0 ? name : make('button', {
        type: 'button', onclick: () => { show(place); document.getElementById('viewer').scrollIntoView(); },
      }, name);
      body.append(make('tr', {}, make('td', {}, label), make('td', {}, text(row.key, first)),
        make('td', {}, text(row.key, second)), make('td', {}, text(row.key, second - first, true))));
    }
    const head = make('tr', {}, ...['most changed', 'A', 'B', 'B − A'].map((name) => make('th', {}, name)));
    const note = row.stride > 1 ? `One of ${row.stride} frames is drawn. ` : '';
    return make('section', { id: 'frames' }, make('h2', {}, 'By frame'), picker,
      make('p', { className: 'dim' }, `${column.meaning}. B − A in ${column.unit || 'its own unit'}; ` +
        `${row.depths ? other(row) : verdict(row)}. ${note}`),
      make('div', { className: 'plot', id: 'plot' }, make('h3', {}, `B − A: ${column.heading}`)),
      make('p', { id: 'under', className: 'dim', ariaLive: 'polite' }, ' '),
      row.changed.length ? make('div', { className: 'scroll', tabIndex: 0 },
        make('table', { id: 'changed' }, make('thead', {}, head), body)) :
        make('p', {}, 'No frame changed.'));
  }

  const KINDS = {
    disparity: 'disparity', error: '|error|: blue 0, red 5 px, white a hole',
    consistency: 'left-right difference: blue 0, red 3 px', confidence: 'confidence: red 1, blue 0',
  };

  function viewer() {
    const frames = data.pictures[rows[chosen].source] || [];
    if (!frames.length) return null;
    shown = Math.min(shown, frames.length - 1);
    const slider = make('input', {
      type: 'range', id: 'scrubber', min: 0, max: frames.length - 1, value: shown,
      oninput: () => show(Number(slider.value)),
    });
    slider.setAttribute('aria-label', 'Frame');
    return make('section', { id: 'viewer' }, make('h2', {}, 'Side by side'),
      make('div', { className: 'scrubber' }, slider),
      make('p', { id: 'caption', className: 'dim', ariaLive: 'polite' }),
      make('div', { id: 'pictures', className: 'pictures pairs' }));
  }

  function show(place) {
    const row = rows[chosen];
    const frames = data.pictures[row.source] || [];
    if (!frames.length) return;
    shown = Math.min(frames.length - 1, Math.max(0, place));
    const frame = frames[shown];
    document.getElementById('scrubber').value = shown;
    const at = row.changed.find(([, index]) => index === frame.index);
    document.getElementById('caption').textContent = `Frame ${frame.index} at ${frame.time_s.toFixed(2)} s, ` +
      `${row.method}` + (at ? `: ${columns[row.key].heading} ${text(row.key, at[2])} to ${text(row.key, at[3])}` : '');
    const figure = (uri, caption) => make('figure', {},
      make('img', { src: uri, alt: caption }), make('figcaption', {}, caption));
    const both = row.methods.map((method, side) => frame.methods[side][method] || {});
    const pictures = [];
    for (const [kind, caption] of Object.entries(KINDS)) {
      both.forEach((kinds, side) => {
        if (kinds[kind]) pictures.push(figure(kinds[kind], `${'AB'[side]}: ${caption}`));
      });
    }
    document.getElementById('pictures').replaceChildren(figure(frame.left, 'left image'), ...pictures);
  }

  function draw() {
    const box = document.getElementById('plot');
    const row = rows[chosen];
    const timed = row.times_s.every((time) => time !== null);
    const xs = timed ? row.times_s : row.names.map((name, index) => index);
    const style = getComputedStyle(document.documentElement);
    const line = style.getPropertyValue('--line').trim();
    const axis = {
      stroke: style.getPropertyValue('--text').trim(), grid: { stroke: line, width: 1 },
      ticks: { stroke: line, width: 1 }, font: '12px system-ui', size: 56,
    };
    const under = document.getElementById('under');
    const options = {
      width: Math.max(200, box.clientWidth - 20), height: 220, padding: [8, 8, timed || xs.length <= MOST_NAMED ? 0 : 10, 0],
      scales: { x: timed ? { time: false } : { time: false, range: [-0.7, Math.max(xs.length - 0.3, 0.7)] } },
      cursor: { bind: { dblclick: () => null } },
      axes: [timed ? { ...axis, size: 34, values: (u, ticks) => ticks.map((t) => `${t} s`) } : {
        ...axis, size: 90, rotate: -35, show: xs.length <= MOST_NAMED, splits: () => xs,
        values: (u, ticks) => ticks.map((t) => row.names[t]),
      }, axis],
      series: [{}, timed ? {
        stroke: COLOURS[theme()], width: 1.5, points: { show: xs.length < 80, size: 4 },
      } : {
        stroke: COLOURS[theme()], fill: COLOURS[theme()],
        paths: uPlot.paths.bars({ size: [0.7, 40] }), points: { show: false },
      }],
      hooks: {
        setCursor: [(u) => {
          const at = u.cursor.idx;
          under.textContent = at === null || at === undefined ? ' ' :
            `${row.names[at]}: ${text(row.key, row.differences[at], true)}`;
        }],
        draw: [(u) => {
          const zero = u.valToPos(0, 'y', true);
          if (zero < u.bbox.top || zero > u.bbox.top + u.bbox.height) return;
          u.ctx.save();
          u.ctx.strokeStyle = style.getPropertyValue('--dim').trim();
          u.ctx.beginPath();
          u.ctx.moveTo(u.bbox.left, zero);
          u.ctx.lineTo(u.bbox.left + u.bbox.width, zero);
          u.ctx.stroke();
          u.ctx.restore();
        }],
      },
    };
    if (plot) plot.destroy();
    plot = new uPlot(options, [xs, row.differences.map((v) => inUnit(row.key, v))], box);
  }

  function about() {
    const list = make('dl');
    data.files.forEach((file, index) => {
      list.append(make('dt', {}, 'AB'[index]), make('dd', {}, file.name, make('br'),
        make('code', {}, file.command)));
    });
    return make('section', {}, make('h2', {}, 'Run'), make('p', {}, make('code', {}, data.command)), list);
  }

  function render(scrolls = false) {
    if (plot) plot.destroy();
    plot = null;
    document.getElementById('main').replaceChildren(
      ...[words(), table(), frames(), viewer(), about()].filter((part) => part !== null));
    draw();
    show(shown);
    if (scrolls) {
      document.getElementById('frames').scrollIntoView();
      document.getElementById('measure').focus();
    }
  }

  document.title = 'dtp-stereo comparison';
  document.querySelector('h1').textContent = 'Stereo comparison';
  chosen = sorted()[0].index;
  page.start({
    render, drawPlots: draw, step: (by) => show(shown + by),
    footer: `dtp-stereo ${data.version}. Plots by uPlot (MIT licence, in the source of this page).`,
  });
})();

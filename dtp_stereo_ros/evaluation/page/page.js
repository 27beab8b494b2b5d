'use strict';
(() => {
  const { data, columns, make, theme } = page;
  columns.latency_ms = {
    key: 'latency_ms', heading: 'ms', unit: 'ms', meaning: 'time of one frame on this machine',
  };
  const COLOURS = {
    light: ['#0b62b8', '#b45309', '#047857', '#9d174d', '#5b21b6', '#374151'],
    dark: ['#6cb2f5', '#f0a35c', '#5fd3a0', '#f48fb1', '#b79cf7', '#cbd5e1'],
  };
  const KINDS = {
    disparity: 'disparity',
    error: '|error|: blue 0, red 5 px, white a hole',
    consistency: 'left-right difference: blue 0, red 3 px, black not judged',
    confidence: 'confidence: red 1, blue 0',
  };
  let current = 0;
  let shown = 0;
  let plots = [];
  let chosen = '';

  const colour = (index) => COLOURS[theme()][index % COLOURS[theme()].length];
  const inUnit = (key, value) => (columns[key].unit === '%' ? 100 * value : value);
  const text = (key, value, sign = false) => {
    if (value === null || value === undefined) return '-';
    const number = inUnit(key, value);
    const digits = key === 'latency_ms' ? 0 : { '': 4, m: 3 }[columns[key].unit] ?? 2;
    return (sign && number > 0 ? '+' : '') + number.toFixed(digits);
  };
  const recording = () => data.recordings[current];
  const methods = () => Object.keys(recording().series);

  function findings() {
    const list = make('ul', { className: 'findings' });
    for (const finding of recording().findings) {
      const item = make('li', { className: finding.level },
        make('b', {}, { ok: '', warn: 'Look at: ', error: 'Wrong: ' }[finding.level] + finding.subject),
        ` ${finding.text}`);
      if (finding.mend) item.append(make('span', { className: 'mend' }, `→ ${finding.mend}`));
      list.append(item);
    }
    for (const line of data.left_out) {
      list.append(make('li', { className: 'error' }, make('b', {}, 'Not judged:'), ` ${line}`));
    }
    return make('section', {}, make('h2', {}, 'Findings'), list);
  }

  function summary() {
    const measures = recording().measures;
    const keys = Object.keys(measures[0].values);
    const head = make('tr', {}, make('th', {}, 'method'), make('th', {}, 'frames'),
      make('th', {}, 'ms'));
    for (const key of keys) {
      const column = columns[key];
      head.append(make('th', {}, make('abbr', { title: column.meaning, tabIndex: 0 }, column.heading)));
    }
    const body = make('tbody');
    for (const row of measures) {
      const line = make('tr', {}, make('td', {}, row.method), make('td', {}, String(row.frames)),
        make('td', {}, row.latency_ms.toFixed(0)));
      for (const key of keys) {
        const { mean, low, high, images } = row.values[key];
        const cell = make('td', {}, text(key, mean));
        // Frames with a truth in which nothing was found have no such measure.
        const judged = row.values.bad_3?.images;
        if (columns[key].needs_truth && images > 0 && images < judged) {
          cell.append(make('small', {}, `${images} of ${judged} frames`));
        }
        if (low !== null) cell.append(make('small', {}, `${text(key, low)} to ${text(key, high)}`));
        line.append(cell);
      }
      body.append(line);
    }
    const notes = `Means over frames with 95 % intervals over frames; frames of a recording resemble
      each other, so the intervals are too narrow. Holes are filled from the background before
      a method is judged; where nothing was found all is wrong.`;
    const shared = data.jobs > 1 ? ` ${data.jobs} processes shared the machine: times are
      comparable with no others.` : '';
    return make('section', {}, make('h2', {}, 'Summary'),
      make('div', { className: 'scroll', tabIndex: 0 },
        make('table', { id: 'summary' }, make('thead', {}, head), body)),
      make('p', { className: 'dim' }, notes + shared), meanings(keys));
  }

  function meanings(keys) {
    const list = make('dl');
    for (const key of keys) {
      list.append(make('dt', {}, columns[key].heading), make('dd', {}, columns[key].meaning));
    }
    return make('details', {}, make('summary', {}, 'Meaning of the measures'), list);
  }

  const RANGE_KEYS = ['bad_3', 'epe_px', 'depth_abs_rel', 'depth_rmse_m'];

  function places() {
    const { by_range: ranges, by_region: regions } = recording();
    if (!ranges.length && !regions.length) return null;
    const section = make('section', { id: 'places' }, make('h2', {}, 'Errors by range and region'));
    if (ranges.length) section.append(byRange(ranges));
    if (regions.length) section.append(byRegion(regions));
    section.append(make('p', { className: 'dim' },
      'Of the pixels of all frames together; holes are filled from the background.'));
    return section;
  }

  function byRange(ranges) {
    const bins = [...new Map(ranges.map((r) => [r.from_m, r])).values()].sort((a, b) => a.from_m - b.from_m);
    const pixels = ranges.reduce((sum, r) => sum + r.pixels, 0);
    const head = make('tr', {}, make('th', {}, 'range'),
      ...bins.map((bin) => make('th', {}, `${bin.from_m} to ${bin.to_m} m`)));
    const body = make('tbody');
    const line = (name, title, cell) => body.append(make('tr', {},
      make('td', {}, title ? make('abbr', { title, tabIndex: 0 }, name) : name), ...bins.map((bin) => make('td', {}, cell(bin)))));
    for (const key of RANGE_KEYS) {
      for (const method of methods()) {
        const own = new Map(ranges.filter((r) => r.method === method).map((r) => [r.from_m, r]));
        line(`${columns[key].heading}, ${method}`, columns[key].meaning, (bin) => text(key, own.get(bin.from_m)?.[key]));
      }
    }
    line('pixels with a truth %', '', (bin) => (100 * ranges.filter((r) => r.from_m === bin.from_m)
      .reduce((sum, r) => sum + r.pixels, 0) / pixels).toFixed(1));
    return make('div', { className: 'scroll', tabIndex: 0 },
      make('table', { id: 'ranges' }, make('thead', {}, head), body));
  }

  function byRegion(regions) {
    const most = Math.max(...regions.map((r) => r.bad_3 ?? 0), 1e-9);
    const boxes = make('div', { className: 'plots' });
    for (const method of methods()) {
      const own = regions.filter((r) => r.method === method);
      if (!own.length) continue;
      const body = make('tbody');
      for (let row = 0; row <= Math.max(...own.map((r) => r.row)); row += 1) {
        body.append(make('tr', {}, ...own.filter((r) => r.row === row).map((region) => make('td', {
          style: `background: color-mix(in srgb, var(--error) ${Math.round(60 * (region.bad_3 ?? 0) / most)}%, transparent)`,
        }, text('bad_3', region.bad_3)))));
      }
      boxes.append(make('div', { className: 'plot' }, make('h3', {}, `bad-3 % in the image, ${method}`),
        make('table', { className: 'regions' }, body)));
    }
    return boxes;
  }

  function legendOf(names) {
    return make('ul', { className: 'legend' }, ...names.map((name, index) =>
      make('li', {}, make('i', { style: `background:${colour(index)}` }), name)));
  }

  function series() {
    const names = methods();
    const legend = legendOf(names);
    const grid = make('div', { className: 'plots' });
    const keys = new Set(names.flatMap((name) => Object.keys(recording().series[name].values)));
    const main = recording().ordered_by;
    const order = [main, ...[...keys].filter((key) => key !== main && columns[key])];
    const section = make('section', {}, make('h2', {}, 'Over time'), legend, grid);
    const first = recording().series[names[0]];
    for (const key of order) {
      if (!keys.has(key)) continue;
      const lines = names.map((name) => {
        const values = recording().series[name].values[key];
        return values ? values.map((v) => (v === null ? null : inUnit(key, v))) : null;
      });
      if (Math.max(...lines.map((l) => (l ? l.filter((v) => v !== null).length : 0))) < 2) continue;
      grid.append(plotBox(key, columns[key].heading, first.time_s, names, lines));
    }
    if (recording().rows.length > 1) {
      const at = new Map(first.index.map((index, place) => [index, first.time_s[place]]));
      const rows = recording().rows.filter((row) => at.has(row.index));
      const box = plotBox('rows_px', 'row offset of the views px',
        rows.map((row) => at.get(row.index)), ['mean', 'rms'],
        [rows.map((row) => row.rows_px), rows.map((row) => row.rows_rms_px)]);
      box.append(legendOf(['mean', 'root mean square']));
      grid.append(box);
    }
    return section;
  }

  const REPLAY_PERCENTILES = [
    ['arrival_to_result_ms', 'last image sent to result', 'ms', 'wall time'],
    ['stamp_to_result_ms', 'stamp to result', 'ms', 'in the time of the bag'],
    ['age_ms', 'age of results', 'ms', 'when the node published them, as it tells'],
    ['cpu_percent', 'CPU of the node', '%', '100 % is one core'],
    ['memory_mib', 'memory of the node', 'MiB', 'resident'],
    ['sent_late_ms', 'messages sent late', 'ms', 'by the player, behind the rate'],
  ];
  const REPLAY_PLOTS = [
    ['answers', 'arrival_ms', 'last image sent to result ms'],
    ['answers', 'stamp_ms', 'stamp to result ms'],
    ['loads', 'age_ms', 'age of results ms'],
    ['loads', 'cpu_percent', 'CPU of the node %'],
    ['loads', 'memory_mib', 'memory of the node MiB'],
  ];

  function replay() {
    const one = recording().replay;
    if (!one) return null;
    const list = make('dl', { id: 'replay' });
    const add = (name, value) => list.append(make('dt', {}, name), make('dd', {}, value));
    add('mode', one.rate === null ? 'lockstep: each result was waited for' : `rate ${one.rate}`);
    if (one.ended) add('ended early', one.ended);
    if (one.loops > 1) add('loops', String(one.loops));
    add('pairs', `${one.sent} sent, ${one.answered} answered, ${one.lost} lost`);
    const causes = Object.entries(one.dropped).map(([cause, count]) => `${cause} ${count}`);
    if (causes.length) add('lost by cause', causes.join(', '));
    if (one.rate_in_hz !== null) {
      add('rate', `${one.rate_in_hz.toFixed(1)} Hz in, ${one.rate_out_hz.toFixed(1)} Hz out`);
    }
    if (one.sha256) {
      const same = new Set(one.sha256_of_loops).size === 1;
      add('SHA-256 of all disparities', one.sha256 +
        (one.loops === 1 ? '' : same ? ', the same in all loops' : ', not the same in all loops'));
    }
    const body = make('tbody');
    for (const [key, name, unit, meaning] of REPLAY_PERCENTILES) {
      const found = one[key];
      if (!found) continue;
      body.append(make('tr', {},
        make('td', {}, make('abbr', { title: meaning, tabIndex: 0 }, `${name} ${unit}`)),
        ...['mean', 'p50', 'p95', 'p99', 'max'].map((part) => make('td', {}, found[part].toFixed(1)))));
    }
    const head = make('tr', {}, ...['', 'mean', 'p50', 'p95', 'p99', 'largest'].map(
      (name) => make('th', {}, name)));
    const grid = make('div', { className: 'plots' });
    for (const [part, key, heading] of REPLAY_PLOTS) {
      const times = one[part].time_s;
      const line = one[part][key];
      if (line.filter((value) => value !== null).length < 2) continue;
      grid.append(plotBox(key, heading, times, [heading], [line], false));
    }
    return make('section', {}, make('h2', {}, 'Replay through the node'), list,
      make('div', { className: 'scroll', tabIndex: 0 },
        make('table', {}, make('thead', {}, head), body)), grid,
      make('p', { className: 'dim' }, 'Plots over the wall time since the start of the play.'));
  }

  function plotBox(key, heading, times, names, lines, ofFrames = true) {
    const box = make('div', { className: 'plot', title: columns[key] ? columns[key].meaning : '' },
      make('h3', {}, heading));
    const hidden = lines.map((line) => line === null);
    const style = getComputedStyle(document.documentElement);
    const axis = {
      stroke: style.getPropertyValue('--text').trim(),
      grid: { stroke: style.getPropertyValue('--line').trim(), width: 1 },
      ticks: { stroke: style.getPropertyValue('--line').trim(), width: 1 },
      font: '12px system-ui', size: 56,
    };
    const dots = times.length < 80;
    const options = {
      width: 300, height: 170, padding: [8, 8, 0, 0],
      scales: { x: { time: false } },
      cursor: { bind: { dblclick: () => null } },
      axes: [{ ...axis, size: 34, values: (u, ticks) => ticks.map((t) => `${t} s`) }, axis],
      series: [{}, ...names.map((name, index) => ({
        label: name, stroke: colour(index), width: 1.5, spanGaps: true,
        points: { show: dots, size: 4 },
      }))],
      hooks: {
        ready: [(u) => u.over.addEventListener('click', () => {
          if (ofFrames && u.cursor.idx !== null && u.cursor.idx !== undefined) showTime(times[u.cursor.idx]);
        })],
      },
    };
    const content = [times, ...lines.map((line, i) => (hidden[i] ? times.map(() => null) : line))];
    plots.push({ box, build: () => new uPlot(options, content, box), options, plot: null });
    return box;
  }

  function drawPlots() {
    for (const item of plots) {
      if (item.plot) item.plot.destroy();
      item.options.width = Math.max(200, item.box.clientWidth - 20);
      item.plot = item.build();
    }
  }

  function viewer() {
    const frames = recording().pictures;
    if (!frames.length) return null;
    const slider = make('input', {
      type: 'range', id: 'scrubber', min: 0, max: frames.length - 1, value: shown,
      oninput: () => show(Number(slider.value)),
    });
    slider.setAttribute('aria-label', 'Frame');
    const picker = make('select', { id: 'method', onchange: () => { chosen = picker.value; show(shown); } });
    picker.setAttribute('aria-label', 'Method');
    for (const name of methods()) picker.append(make('option', { value: name }, name));
    picker.value = chosen;
    const step = (by) => make('button', {
      type: 'button', onclick: () => show(shown + by), ariaLabel: by < 0 ? 'Frame before' : 'Next frame',
    }, by < 0 ? '◀' : '▶');
    const section = make('section', { id: 'viewer' }, make('h2', {}, 'Frames'));
    for (const [name, indices] of Object.entries(recording().extremes)) {
      if (!indices.length) continue;
      const row = make('div', { className: 'frames' },
        `${name} by ${columns[recording().ordered_by].heading}:`);
      for (const index of indices) {
        const place = frames.findIndex((frame) => frame.index === index);
        if (place < 0) continue;
        row.append(make('button', { type: 'button', onclick: () => show(place) },
          `${frames[place].time_s.toFixed(2)} s`));
      }
      section.append(row);
    }
    section.append(make('div', { className: 'scrubber' }, step(-1), slider, step(1), picker),
      make('p', { id: 'caption', className: 'dim', ariaLive: 'polite' }),
      make('div', { id: 'pictures', className: 'pictures' }));
    if (recording().calibration) section.append(cloudBox());
    return section;
  }

  // One context of WebGL for the whole page: browsers end the oldest of many.
  const canvas = make('canvas', { id: 'cloud', tabIndex: 0 });
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', 'Point cloud of the frame; arrow keys turn it, + and - zoom, 0 resets');
  const cloud = pointCloud(canvas);

  function cloudBox() {
    const hint = cloud ? `Point cloud of the method that is chosen, of every
      ${recording().pictures[0].cloud.step}th pixel. Drag or arrow keys turn it, wheel or + and - change the
      distance, 0 goes back.` : 'This browser has no WebGL: no point cloud.';
    return make('div', { className: 'cloud' }, make('h3', {}, '3D'), cloud ? canvas : null,
      make('p', { className: 'dim' }, hint));
  }

  function show(place) {
    const frames = recording().pictures;
    if (!frames.length) return;
    shown = Math.min(frames.length - 1, Math.max(0, place));
    const frame = frames[shown];
    document.getElementById('scrubber').value = shown;
    const own = recording().series[chosen];
    const at = own ? own.index.indexOf(frame.index) : -1;
    const values = at < 0 ? [] : Object.entries(own.values)
      .filter(([key, column]) => columns[key] && column[at] !== null)
      .map(([key, column]) => `${columns[key].heading} ${text(key, column[at])}`);
    document.getElementById('caption').textContent =
      `Frame ${frame.index} at ${frame.time_s.toFixed(2)} s. ${values.join(', ')}`;
    const pictures = [figure(frame.left, 'left image')];
    for (const [kind, uri] of Object.entries(frame.methods[chosen] || {})) {
      pictures.push(figure(uri, KINDS[kind]));
    }
    document.getElementById('pictures').replaceChildren(...pictures);
    if (cloud && recording().calibration) {
      cloud.show(frame.left, frame.cloud, chosen, recording().calibration)
        .then(() => { canvas.dataset.frame = frame.index; });
    }
  }

  const figure = (uri, caption) => make('figure', {},
    make('img', { src: uri, alt: caption }), make('figcaption', {}, caption));

  function showTime(time) {
    const gaps = recording().pictures.map((frame) => Math.abs(frame.time_s - time));
    if (gaps.length) show(gaps.indexOf(Math.min(...gaps)));
  }

  function about() {
    const one = recording();
    const list = make('dl');
    const add = (name, value) => list.append(make('dt', {}, name), make('dd', {}, value));
    add('bag', one.bag);
    for (const [part, topic] of Object.entries(one.topics)) if (topic) add(part, topic);
    if (one.calibration) {
      const c = one.calibration;
      add('calibration', `${c.width_px}x${c.height_px} px, f ${c.fx_px.toFixed(2)} px, baseline
        ${c.baseline_m.toFixed(4)} m`);
    }
    add('pairs', one.selection.every > 1 ?
      `${one.pairs}, one of ${one.selection.every} judged` : `${one.pairs}, all judged`);
    for (const [name, method] of Object.entries(one.methods)) {
      add(name, (method.sha256 ? `sha256 ${method.sha256.slice(0, 16)}; ` : '') +
        Object.entries(method.settings).map(([key, value]) => `${key} ${value}`).join(', '));
    }
    add('machine', Object.entries(one.machine).map(([k, v]) => `${k} ${v}`).join(', '));
    add('node settings', Object.entries(one.node).map(([k, v]) => `${k} ${v}`).join(', '));
    return make('section', {}, make('h2', {}, 'Run'),
      make('p', {}, make('code', {}, data.command)),
      make('details', {}, make('summary', {}, 'Topics, calibration, settings and machine'), list));
  }

  function render() {
    plots = [];
    if (!methods().includes(chosen)) chosen = methods()[0];
    const parts = [findings(), summary(), replay(), viewer(), series(), places(), about()];
    document.getElementById('main').replaceChildren(...parts.filter((part) => part !== null));
    drawPlots();
    show(shown);
    const tabs = data.recordings.length > 1 ? data.recordings.map((one, index) => {
      const tab = make('button', { type: 'button', onclick: () => { current = index; shown = 0; render(); } },
        one.name);
      tab.setAttribute('aria-pressed', String(index === current));
      return tab;
    }) : [make('span', { className: 'dim' }, recording().name)];
    document.getElementById('cameras').replaceChildren(...tabs);
  }

  page.start({
    render, drawPlots, step: (by) => show(shown + by),
    footer: `dtp-stereo ${data.version}. Plots by uPlot, points by regl (MIT licences, in the source of this page).`,
  });
})();

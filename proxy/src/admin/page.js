// The status page. Everything that comes from outside goes in by textContent or as an attribute that is only drawn: names
// and titles are whatever strangers made them.
'use strict';

const POLL = 2000;
const EVENTS = 300;
const $ = (id) => document.getElementById(id);

// ---- making elements ----

const SVG = 'http://www.w3.org/2000/svg';
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === true) node.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, String(value));
  }
  for (const child of children) {
    if (child !== null && child !== undefined) node.append(child);
  }
  return node;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// ---- words for numbers ----

const whole = new Intl.NumberFormat('en');
const tenth = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const count = (n) => whole.format(n);
function bytes(n) {
  for (const [unit, size] of [['TB', 1e12], ['GB', 1e9], ['MB', 1e6], ['kB', 1e3]]) {
    if (n >= size) return `${tenth.format(n / size)} ${unit}`;
  }
  return `${count(n)} ${n === 1 ? 'byte' : 'bytes'}`;
}
const perSecond = (n) => `${bytes(n).replace(' bytes', ' B').replace(' byte', ' B')}/s`;
function span(seconds) {
  const t = Math.max(0, Math.round(seconds));
  if (t < 120) return `${t} s`;
  if (t < 7200) return `${Math.round(t / 60)} min`;
  if (t < 172800) return `${Math.round(t / 3600)} h`;
  return `${Math.round(t / 86400)} days`;
}
const clock = (ms) => new Date(ms).toLocaleTimeString('en-GB');
const brief = (epoch) => epoch.slice(0, 6) + '…';
const many = (n, one, more) => `${count(n)} ${n === 1 ? one : more || one + 's'}`;

// ---- at one glance ----

const tiles = {};
function tile(key, label, value, note, tone) {
  if (!tiles[key]) {
    const box = h('div', { class: 'tile', id: `tile-${key}` }, h('div', { class: 'label' }, label));
    tiles[key] = { box, value: h('div', { class: 'value' }), note: h('div', { class: 'note' }) };
    box.append(tiles[key].value, tiles[key].note);
    $('glance').append(box);
  }
  say(tiles[key].value, value);
  say(tiles[key].note, note || '');
  tiles[key].box.className = `tile ${tone || ''}`;
}

const last = (list) => (list && list.length ? list[list.length - 1] : 0);
function glance(status) {
  const t = status.totals;
  const gaps = t.misses === 0 ? 'no listener missed a byte' : `in ${many(t.misses, 'miss', 'misses')}` +
    (t.lost_unknown ? `, ${count(t.lost_unknown)} of unknown length` : '');
  tile('lost', 'Lost', bytes(t.lost_bytes), gaps, t.misses ? 'bad' : 'good');
  tile('listeners', 'Listeners', count(t.listeners), t.relays ? `and ${many(t.relays, 'relay feed')}` : '');
  tile('resumes', 'Resumes', count(t.resumes), 'went on at the exact byte');
  tile('joins', 'Joins', count(t.joins), `${many(t.connections, 'connection')} in all`);
  const rate = status.mounts.reduce((sum, mount) => sum + (mount.history ? last(mount.history.sent) : 0), 0);
  tile('sent', 'Going out', perSecond(rate), `${bytes(t.sent_bytes)} in all`);
  tile('memory', 'Memory', bytes(status.process.resident_bytes), `${many(status.process.open_fds, 'open file')}`);
}

function health(status) {
  const { status: word, reasons, warnings } = status.health;
  const pill = $('health');
  say(pill, word === 'ok' ? (warnings.length ? 'ok, with warnings' : 'all is well') : 'failing');
  pill.className = `pill ${word === 'ok' ? (warnings.length ? 'warned' : 'ok') : 'failing'}`;
  trouble(reasons.concat(warnings).join('\n'), reasons.length === 0);
  const about = `${status.server.version}, up ${span((status.server.now - status.server.started) / 1000)}`;
  say($('about'), about + (status.upstream ? `, in front of ${status.upstream}` : ', an origin'));
}
function trouble(text, mild) {
  const banner = $('trouble');
  say(banner, text);
  banner.className = `banner ${mild ? 'warned' : ''}`;
  banner.hidden = !text;
}

// ---- the tree ----

function node(x, y, w, title, sub, kind, hint) {
  const fit = (text, per) => (text.length * per > w - 20 ? text.slice(0, Math.floor((w - 26) / per)) + '…' : text);
  return s('g', { class: `node ${kind || ''}`, transform: `translate(${x} ${y})` },
    s('title', {}, hint || `${title}, ${sub}`),
    s('rect', { width: w, height: 48, rx: 10 }),
    s('text', { x: w / 2, y: 20, 'text-anchor': 'middle' }, fit(title, 7.3)),
    s('text', { x: w / 2, y: 37, 'text-anchor': 'middle', class: 'sub' }, fit(sub, 6)));
}
function edge(x1, y1, x2, y2, kind, width) {
  const level = Math.abs(x2 - x1) >= Math.abs(y2 - y1);
  const mid = level ? (x1 + x2) / 2 : (y1 + y2) / 2;
  const d = level ? `M${x1} ${y1}C${mid} ${y1} ${mid} ${y2} ${x2} ${y2}` : `M${x1} ${y1}C${x1} ${mid} ${x2} ${mid} ${x2} ${y2}`;
  const line = (more) => s('path', { d, class: `edge ${more}`, 'stroke-width': width || 1.5 });
  return kind === 'flows' ? s('g', {}, line('bed'), line('flows')) : line(kind);
}
const thick = (rate) => (rate > 0 ? Math.min(9, 2 + Math.log10(1 + rate / 2000) * 2) : 1.5);

function tree(status) {
  const box = $('tree');
  const width = Math.max(260, box.clientWidth);
  const wide = width >= 620;
  const w = wide ? Math.min(190, width * 0.27) : Math.min(230, width * 0.62);
  const mounts = status.mounts;
  const lost = mounts.filter((mount) => mount.supply.state === 'lost').length;
  const live = mounts.filter((mount) => mount.supply.state === 'live').length;
  const received = mounts.reduce((sum, mount) => sum + (mount.history ? last(mount.history.received) : 0), 0);
  const sent = mounts.reduce((sum, mount) => sum + (mount.history ? last(mount.history.sent) : 0), 0);
  const shown = status.children.slice(0, 5);
  const more = status.children.length - shown.length;
  const right = [[many(status.totals.listeners, 'listener'), perSecond(sent), 'people', sent, '']];
  for (const child of shown) {
    right.push([child.address, `relay, ${many(child.mounts, 'mount')}`, '', sent, `${child.address}, ${child.agent}`]);
  }
  if (more > 0) right.push([`${count(more)} more`, 'relays', '', sent, '']);
  const siblings = status.relays.slice(0, 4);
  const up = status.upstream ? [status.upstream.replace(/^https?:\/\//, ''), lost ? `${many(lost, 'mount')} lost` : many(live, 'mount')]
    : ['sources', many(live, 'mount')];
  const feeds = lost ? 'cut' : live ? 'flows' : '';
  const me = ['this relay', `${location.hostname}, ${many(mounts.length, 'mount')}`];
  const drawing = [];
  let height;
  if (wide) {
    const rows = Math.max(right.length, 1);
    const gap = 62;
    height = rows * gap + (siblings.length ? 78 : 0);
    const cy = (rows * gap) / 2 - 7;
    const cx = (width - w) / 2;
    drawing.push(edge(w, cy, cx, cy, feeds, thick(received)));
    right.forEach(([title, sub, kind, rate, hint], i) => {
      const y = i * gap + 17;
      drawing.push(edge(cx + w, cy, width - w, y + 7, rate > 0 ? 'flows' : '', thick(rate)));
      drawing.push(node(width - w, y - 17, w, title, sub, kind, hint));
    });
    siblings.forEach((url, i) => {
      const each = width / siblings.length;
      const x = each * i + each / 2;
      drawing.push(edge(cx + w / 2, cy + 24, x, height - 50, 'aside'));
      drawing.push(node(x - w / 2, height - 50, w, url.replace(/^https?:\/\//, ''), 'the same streams', 'aside', url));
    });
    drawing.push(node(0, cy - 24, w, up[0], up[1], lost ? 'lost' : ''), node(cx, cy - 24, w, me[0], me[1], 'me'));
  } else {
    const cx = (width - w) / 2;
    const all = right.map((one) => [...one, false]).concat(siblings.map((url) => [url.replace(/^https?:\/\//, ''), 'the same streams', 'aside', 0, url, true]));
    height = 190 + all.length * 58;
    drawing.push(edge(width / 2, 48, width / 2, 88, feeds, thick(received)));
    all.forEach(([title, sub, kind, rate, hint, aside], i) => {
      const y = 184 + i * 58;
      const d = `M${cx + 12} 136V${y + 14}q0 10 10 10H${cx + 30}`;
      const line = (more) => s('path', { d, class: `edge ${more}`, 'stroke-width': aside ? 1.2 : Math.min(5, thick(rate)) });
      drawing.push(...(aside ? [line('aside')] : rate > 0 ? [line('bed'), line('flows')] : [line('')]));
      drawing.push(node(cx + 30, y, w - 30, title, sub, kind, hint));
    });
    drawing.push(node(cx, 0, w, up[0], up[1], lost ? 'lost' : ''), node(cx, 88, w, me[0], me[1], 'me'));
  }
  const words = `${up[0]} feeds this relay (${up[1]}); it feeds ${many(status.totals.listeners, 'listener')} and ` +
    `${many(status.children.length, 'relay')}; ${many(status.relays.length, 'other relay')} of the same streams`;
  box.replaceChildren(s('svg', { viewBox: `0 0 ${width} ${height}`, height, role: 'img', 'aria-label': words }, ...drawing));
}

// ---- a mount ----

const cards = new Map();
function card(mount) {
  const parts = {};
  const make = (name, tag, attributes, ...children) => (parts[name] = h(tag, attributes, ...children));
  const stat = (name, label) => {
    const value = h('dd', {});
    parts[name] = value;
    return h('div', {}, h('dt', {}, label), value);
  };
  const box = h('article', { class: 'card', 'data-mount': mount.mount },
    h('div', { class: 'head' },
      make('play', 'button', { type: 'button', class: 'play', 'aria-pressed': 'false' }, '▶'),
      h('div', { class: 'names' }, h('h3', { class: 'mount' }, h('bdi', {}, mount.mount)), make('name', 'bdi', { class: 'quiet' })),
      make('chips', 'div', { class: 'chips' }),
      make('badge', 'span', { class: 'badge' })),
    h('div', { class: 'now' }, h('span', { 'aria-hidden': 'true' }, '♪'), make('title', 'bdi', { dir: 'auto' }), make('since', 'span', { class: 'quiet' })),
    make('window', 'div', { class: 'window-bar' }),
    h('dl', { class: 'numbers' }, stat('listeners', 'Listeners'), stat('joins', 'Joins'), stat('resumes', 'Resumes'),
      stat('misses', 'Misses'), stat('lost', 'Lost'), stat('sent', 'Sent'), stat('pull', 'Upstream lost')),
    make('sparks', 'div', { class: 'sparks' }),
    h('details', {}, h('summary', {}, 'Epochs, titles, and how listeners left'), make('more', 'div', { class: 'scroll' })));
  parts.play.addEventListener('click', () => toggle(mount.mount));
  parts.box = box;
  return parts;
}

const SUPPLY = { live: 'live', starting: 'starting', lost: 'upstream lost', 'no-source': 'no source', refused: 'refused' };
const FORMAT = { mpeg: 'MP3', adts: 'AAC', ogg: 'Ogg', webm: 'WebM', opaque: 'unknown format' };

function show(parts, mount) {
  const c = mount.counts;
  say(parts.name, [mount.name, mount.description].filter((text) => text && text !== 'Unspecified name' && text !== 'no name').join(', '));
  const state = mount.supply.state;
  say(parts.badge, SUPPLY[state] + (mount.supply.lost_seconds !== null ? ` for ${span(mount.supply.lost_seconds)}` : ''));
  parts.badge.title = mount.upstream === null ? '' : `from ${mount.upstream}`;
  parts.badge.className = `badge ${state}`;
  const chips = [FORMAT[mount.format] || mount.format, mount.bitrate ? `${mount.bitrate} kbit/s` : null, mount.rate ? perSecond(mount.rate) : null];
  parts.chips.replaceChildren(...chips.filter(Boolean).map((text) => h('span', { class: 'chip' }, text)));
  say(parts.title, mount.title && mount.title.title ? mount.title.title : 'no title');
  parts.title.classList.toggle('quiet', !(mount.title && mount.title.title));
  say(parts.since, mount.title && mount.title.title ? `since ${mount.title.at ? clock(mount.title.at) : '?'}, from byte ${count(mount.title.offset)} of ${brief(mount.title.epoch)}` : '');
  bar(parts.window, mount);
  const here = mount.listeners;
  say(parts.listeners, count(here.plain + here.icy) + (here.feed ? ` + ${many(here.feed, 'relay')}` : ''));
  say(parts.joins, count(c.joins));
  say(parts.resumes, count(c.resumes));
  say(parts.misses, count(c.misses));
  say(parts.lost, bytes(c.lost_bytes));
  say(parts.sent, bytes(c.sent_bytes));
  say(parts.pull, c.pull_losses ? `${count(c.pull_losses)}×` + (c.heals ? `, ${count(c.heals)} healed` : '') : 'never');
  for (const name of ['misses', 'lost']) parts[name].parentNode.className = c.misses ? 'bad' : 'good';
  const on = wanted === mount.mount;
  say(parts.play, on ? '■' : '▶');
  parts.play.className = on ? 'play on' : 'play';
  parts.play.setAttribute('aria-pressed', String(on));
  parts.play.setAttribute('aria-label', `${on ? 'Stop' : 'Play'} ${mount.mount}`);
  if (mount.history) {
    parts.sparks.replaceChildren(
      spark('Listeners', mount.history.listeners, mount.history.seconds, count, ''),
      spark('Going out', mount.history.sent, mount.history.seconds, perSecond, 'second'));
  }
  details(parts.more, mount);
}

// What is held, as a picture: the oldest byte on the left, the edge on the right, who stands where above it.
function bar(box, mount) {
  const width = Math.max(240, box.clientWidth || 600);
  const total = mount.runs.reduce((sum, run) => sum + run.next - run.first, 0);
  const window_ = mount.window;
  if (!window_ || total === 0) {
    box.replaceChildren(h('p', { class: 'quiet' }, 'nothing is held yet'));
    return;
  }
  const top = 34, thickness = 26, bottom = top + thickness;
  const starts = [];
  let sum = 0;
  for (const run of mount.runs) {
    starts.push(sum);
    sum += run.next - run.first;
  }
  const inner = width - 10;
  const x = (along) => (along / total) * inner;
  const place = (epoch, offset) => {
    for (let i = mount.runs.length - 1; i >= 0; i -= 1) {
      const run = mount.runs[i];
      if (run.epoch === epoch && offset >= run.first && offset <= run.next) return x(starts[i] + offset - run.first);
    }
    return null;
  };
  const out = [];
  const most = Math.max(1, ...mount.places);
  mount.places.forEach((n, i) => {
    if (!n) return;
    const tall = 4 + (n / most) * (top - 10);
    const each = inner / mount.places.length;
    out.push(s('rect', { class: 'who', x: i * each + 1, y: top - tall - 2, width: Math.max(2, each - 2), height: tall, rx: 2 }, s('title', {}, `${many(n, 'listener')} here`)));
  });
  mount.runs.forEach((run, i) => {
    out.push(s('rect', { class: `run ${i % 2 ? 'odd' : ''}`, x: x(starts[i]), y: top, width: Math.max(1, x(run.next - run.first)), height: thickness, rx: 3 },
      s('title', {}, `epoch ${run.epoch}, bytes ${count(run.first)} to ${count(run.next)}`)));
  });
  const live = window_.live && place(window_.live.epoch, window_.live.offset);
  if (live !== null && live !== undefined) {
    out.push(s('rect', { class: 'burst', x: live, y: top, width: Math.max(0, inner - live), height: thickness, rx: 3 }, s('title', {}, 'what a new listener is sent at once')));
  }
  mount.runs.forEach((run, i) => {
    for (const title of run.titles) {
      const at = place(run.epoch, Math.max(title.offset, run.first));
      if (at === null || title.offset < run.first || !title.title) continue;
      out.push(s('g', {}, s('line', { class: 'title-mark', x1: at, x2: at, y1: top + 4, y2: bottom }), s('circle', { class: 'title-dot', cx: at, cy: top + 4, r: 3.5 }),
        s('title', {}, `${title.title} (from byte ${count(title.offset)})`)));
    }
    if (i > 0) {
      const declared = mount.runs[i - 1].spliced === true;
      out.push(s('line', { class: `splice ${declared ? '' : 'undeclared'}`, x1: x(starts[i]), x2: x(starts[i]), y1: top - 5, y2: bottom + 5 },
        s('title', {}, declared ? 'a new epoch follows without a gap' : 'a new epoch, and nobody knows what is missing')));
    }
  });
  const behind = (bytes_) => (mount.rate ? `−${tenth.format(bytes_ / mount.rate)} s` : bytes(bytes_));
  out.push(s('text', { class: 'sub', x: 0, y: bottom + 16 }, `−${tenth.format(window_.seconds)} s, byte ${count(mount.runs[0].first)}`));
  out.push(s('text', { class: 'sub', x: inner, y: bottom + 16, 'text-anchor': 'end' }, `edge: byte ${count(window_.next)}`));
  if (live !== null && live !== undefined) {
    out.push(s('line', { class: 'live', x1: live, x2: live, y1: top - 4, y2: bottom + 6 }));
    const lag = total - (live / inner) * total;
    if (inner > 420 && live > 260) out.push(s('text', { class: 'live-text', x: Math.min(live - 6, inner - 150), y: bottom + 16, 'text-anchor': 'end' }, `live ${behind(lag)}`));
  }
  out.push(s('path', { class: 'edge-mark', d: `M${inner} ${top}l9 ${thickness / 2}l-9 ${thickness / 2}z` }));
  const words = `The back buffer of ${mount.mount} holds ${bytes(window_.bytes)}, ${span(window_.seconds)} of ${span(window_.configured_seconds)}, in ` +
    `${many(mount.runs.length, 'epoch')}`;
  box.replaceChildren(
    h('p', { class: 'caption quiet' },
      h('span', {}, `holds ${bytes(window_.bytes)}, ${span(window_.seconds)} of ${span(window_.configured_seconds)}` + (mount.runs.length > 1 ? `, ${many(mount.runs.length, 'epoch')}` : '')),
      h('span', { class: 'legend', 'aria-hidden': 'true' }, h('i', { class: 'who' }), 'where listeners stand', h('i', { class: 'burst' }), 'sent at once to who joins', h('i', { class: 'dot' }), 'title')),
    s('svg', { viewBox: `0 0 ${width} ${bottom + 22}`, height: bottom + 22, role: 'img', 'aria-label': words }, ...out));
}

function spark(label, values, seconds, format, kind) {
  const width = 300, height = 44;
  const most = Math.max(1, ...values);
  const shown = values.length > 1 ? values : [0, 0];
  const slots = Math.max(shown.length, 30);
  const x = (i) => width - ((shown.length - 1 - i) / (slots - 1)) * width;
  const y = (value) => height - 3 - (value / most) * (height - 8);
  const points = shown.map((value, i) => `${x(i).toFixed(1)} ${y(value).toFixed(1)}`);
  const words = `${label}: now ${format(last(values))}, at most ${format(Math.max(0, ...values))} in ${span(values.length * seconds)}`;
  return h('div', { class: `spark ${kind}` },
    h('p', {}, h('span', {}, label, ' ', h('b', {}, format(last(values)))), h('span', {}, `most ${format(Math.max(0, ...values))} in ${span(values.length * seconds)}`)),
    s('svg', { viewBox: `0 0 ${width} ${height}`, height, preserveAspectRatio: 'none', role: 'img', 'aria-label': words },
      s('line', { class: 'base', x1: 0, x2: width, y1: height - 2, y2: height - 2 }),
      s('path', { class: 'area', d: `M${x(0).toFixed(1)} ${height - 2}L${points.join('L')}L${width} ${height - 2}Z` }),
      s('path', { class: 'stroke', d: `M${points.join('L')}`, 'vector-effect': 'non-scaling-stroke' })));
}

function details(box, mount) {
  if (!box.parentNode.open && box.firstChild) return;
  const head = (...names) => h('tr', {}, ...names.map((name) => h('th', { scope: 'col' }, name)));
  const cell = (text, mono) => h('td', { class: mono ? 'mono' : null }, h('bdi', { dir: 'auto' }, text));
  const epochs = mount.runs.map((run) => h('tr', {}, cell(run.epoch, true), cell(count(run.first)), cell(count(run.next)),
    cell(run.since ? clock(run.since) : ''), cell(run.spliced === null ? 'goes on' : run.spliced ? 'spliced into the next' : 'a gap follows')));
  const titles = mount.runs.flatMap((run) => run.titles).reverse().slice(0, 50)
    .map((title) => h('tr', {}, cell(title.at ? clock(title.at) : ''), cell(count(title.offset)), cell(title.title)));
  const left = Object.entries(mount.counts.left).map(([reason, n]) => h('tr', {}, cell(reason), cell(count(n))));
  box.replaceChildren(
    h('table', {}, head('Epoch', 'From byte', 'To byte', 'Since', ''), ...epochs),
    h('table', {}, head('Time', 'Byte', 'Title'), ...titles),
    h('table', {}, head('Left because', 'Listeners'), ...left));
}

function mounts(status) {
  const names = new Set(status.mounts.map((mount) => mount.mount));
  for (const [name, parts] of cards) {
    if (!names.has(name)) {
      parts.box.remove();
      cards.delete(name);
    }
  }
  for (const mount of status.mounts) {
    let parts = cards.get(mount.mount);
    if (!parts) {
      parts = card(mount);
      cards.set(mount.mount, parts);
      $('mounts').append(parts.box);
    }
    show(parts, mount);
  }
  $('none').hidden = names.size > 0;
}

// ---- the player ----

let current = null;
let wanted = null;
let retry = 0;
const audio = $('audio');

function start() {
  const mount = current && current.mounts.find((one) => one.mount === wanted);
  const url = mount ? current.stream_base + mount.href : '';
  if (!/^https?:\/\//.test(url)) return;
  audio.src = url;
  audio.volume = Number($('volume').value);
  audio.play().catch((error) => { if (error.name !== 'AbortError') say($('elapsed'), `cannot play: ${error.message}`); });
}
function stop() {
  wanted = null;
  clearTimeout(retry);
  audio.pause();
  audio.removeAttribute('src');
  audio.load();
  $('player').hidden = true;
}
function toggle(name) {
  const same = wanted === name;
  stop();
  if (!same) {
    wanted = name;
    $('player').hidden = false;
    say($('elapsed'), 'connecting…');
    start();
  }
  if (current) render(current);
}
function again() {
  if (wanted === null) return;
  say($('elapsed'), 'the stream broke; trying again…');
  clearTimeout(retry);
  retry = setTimeout(start, 1000);
}
audio.addEventListener('ended', again);
audio.addEventListener('error', () => { if (audio.getAttribute('src')) again(); });
audio.addEventListener('timeupdate', () => {
  const t = Math.floor(audio.currentTime);
  const ahead = audio.buffered.length ? audio.buffered.end(audio.buffered.length - 1) - audio.currentTime : 0;
  say($('elapsed'), `${Math.floor(t / 60)}:${String(t % 60).padStart(2, '0')} played, ${tenth.format(Math.max(0, ahead))} s ahead`);
});
$('stop').addEventListener('click', () => toggle(wanted));
$('volume').addEventListener('input', () => { audio.volume = Number($('volume').value); });

// ---- what happened ----

// A stranger's words stay by themselves, whichever way they are written.
const theirs = (text) => h('bdi', { dir: 'auto' }, text);
const who = (event) => (event.agent ? [`${event.address} (`, theirs(event.agent), ')'] : [event.address]);
const kinds = { feed: 'a relay', icy: 'with titles', plain: '' };
const TELL = {
  joined: (e) => ['+', 'minor', ...who(e), [' joined', e.aware ? 'aware' : '', kinds[e.kind]].filter(Boolean).join(', ')],
  resumed: (e) => ['↻', 'good', ...who(e), ` went on at byte ${count(e.offset)}`],
  missed: (e) => ['!', 'bad', ...who(e), ` lost ${e.lost === null ? 'an unknown number of bytes' : bytes(e.lost)}`],
  left: (e) => ['−', 'minor', `${e.address} left after ${span(e.seconds)}, ${bytes(e.bytes)}: ${e.reason}`],
  crowd: (e) => ['⋯', e.missed ? 'bad' : 'minor', ['joined', 'resumed', 'missed', 'left'].filter((k) => e[k]).map((k) => `${count(e[k])} ${k}`).join(', ') + (e.lost ? `, ${bytes(e.lost)} lost` : '')],
  title: (e) => ['♪', 'note', e.title ? theirs(e.title) : 'no title any more'],
  epoch: (e) => ['◆', 'note', `epoch ${brief(e.epoch)} begins${e.declared ? ', spliced without a gap' : ''}`],
  'upstream-lost': (e) => ['✕', 'bad', 'lost: ', theirs(e.why)],
  'upstream-live': (e) => ['✓', 'good', e.lost_seconds === null ? 'bytes come' : `bytes come again after ${tenth.format(e.lost_seconds)} s`],
  healed: () => ['✓', 'good', 'healed: the epoch goes on'],
  limit: (e) => ['✋', 'bad', `limit ${e.limit} turned ${many(e.times, 'request')} away`],
  reload: (e) => ['⟳', e.ok ? 'note' : 'bad', 'configuration: ', theirs(e.note)],
  upgrade: (e) => ['⇪', 'note', 'upgrade: ', theirs(e.note)],
};
let newest = 0;
function happened(event) {
  newest = event.id;
  const tell = TELL[event.event];
  if (!tell) return;
  const [sign, tone, ...words] = tell(event);
  const list = $('events');
  list.prepend(h('li', { class: tone, 'data-event': event.event },
    h('time', { datetime: new Date(event.at).toISOString() }, clock(event.at)), h('span', { class: 'sign', 'aria-hidden': 'true' }, sign),
    h('span', { class: 'text' }, event.mount ? h('bdi', { class: 'where' }, event.mount) : null, h('span', { class: 'what' }, ...words))));
  while (list.childElementCount > EVENTS) list.lastElementChild.remove();
}
$('all').addEventListener('change', () => $('events').classList.toggle('few', !$('all').checked));

// ---- asking ----

let soon = 0;
let asking = false;
function render(status) {
  current = status;
  health(status);
  glance(status);
  tree(status);
  mounts(status);
  const mount = status.mounts.find((one) => one.mount === wanted);
  if (wanted !== null) say($('playing'), mount && mount.title ? `${wanted}  ${mount.title.title}` : wanted);
}
async function ask() {
  if (asking) return;
  asking = true;
  try {
    const answer = await fetch('/status.json', { cache: 'no-store' });
    if (!answer.ok) throw new Error(`the relay answered ${answer.status}`);
    render(await answer.json());
  } catch (error) {
    const pill = $('health');
    say(pill, 'no answer');
    pill.className = 'pill failing';
    trouble(`No answer from the relay at ${clock(Date.now())}; what you see is old. Trying again.`, false);
  }
  asking = false;
}
function hurry() {
  clearTimeout(soon);
  soon = setTimeout(ask, 250);
}
function listen() {
  const source = new EventSource(`/events?after=${newest}`);
  source.addEventListener('message', (message) => {
    happened(JSON.parse(message.data));
    hurry();
  });
  source.addEventListener('error', () => {
    // A stream that was refused is not tried again by the browser.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  });
}
let resized = 0;
addEventListener('resize', () => {
  clearTimeout(resized);
  resized = setTimeout(() => { if (current) render(current); }, 100);
});
document.addEventListener('visibilitychange', () => { if (!document.hidden) ask(); });
setInterval(() => { if (!document.hidden) ask(); }, POLL);
ask();
listen();

"use strict";
(() => {
const data = JSON.parse(document.getElementById("episode").textContent);
const $ = id => document.getElementById(id);
const SPEEDS = [1, 2, 4, 8, 15, 30];
// cividis, which looks alike with and without red and green
const MAP = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102],
             [254, 232, 56]];
const state = { now: 0, back: null, layer: null, head: null, speed: 3, timer: null, past: [] };
const last = data.steps.length - 1;
let bytes = null;  // of the attention, once they are unpacked

// --- small helpers ---

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const percent = share => (100 * share).toFixed(share < 0.0995 ? 1 : 0) + " %";
const short = value => Number(value.toPrecision(4)).toString();
function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}
function option(select, value, text) {
  const one = make("option", "", text);
  one.value = value;
  select.append(one);
}
/** The kept moment that shows timestep t: the last one that is not later. */
function momentOf(t) {
  let found = 0;
  data.steps.forEach((step, index) => { if (step <= t) found = index; });
  return found;
}
function shade(share) {
  const place = clamp(share, 0, 1) * (MAP.length - 1);
  const low = Math.min(Math.floor(place), MAP.length - 2);
  const mixed = MAP[low].map((c, i) => Math.round(c + (MAP[low + 1][i] - c) * (place - low)));
  return `rgb(${mixed.join(",")})`;
}
/** A canvas as wide as the page lets it, sharp on every screen: [context, width, height]. */
function canvas(element, height) {
  const width = element.clientWidth, dots = window.devicePixelRatio || 1;
  element.width = Math.round(width * dots);
  element.height = Math.round(height * dots);
  element.style.height = height + "px";
  const context = element.getContext("2d");
  context.scale(dots, dots);
  context.font = "12px system-ui, sans-serif";
  return [context, width, height];
}

// --- bars ---

function bar(name, value, range, chosen, expected) {
  const row = make("div", chosen ? "bar chosen" : "bar");
  const label = make("span", "", name), track = make("div", "track"), fill = make("i");
  label.title = name;
  const place = v => 100 * clamp((v - range[0]) / (range[1] - range[0]), 0, 1);
  const zero = place(Math.max(0, range[0])), tip = place(value);
  fill.style.left = Math.min(zero, tip) + "%";
  fill.style.width = Math.abs(tip - zero) + "%";
  track.append(fill);
  if (expected !== undefined) {
    const mark = make("b");
    mark.style.left = place(expected) + "%";
    track.append(mark);
  }
  row.append(label, track, make("span", "value", value.toFixed(2)));
  return row;
}
function showDecision() {
  const { names, taken, shares, about } = data.actions, action = taken[state.now], rows = [];
  $("decides").textContent = action === null ? "No decision: the film is over" : about;
  if (action !== null) names.forEach((name, i) => {
    if (data.actions.kind === "continuous") rows.push(bar(name, action[i], [-1, 1], true));
    else {
      const share = shares ? shares[state.now][i] : Number(i === action);
      rows.push(bar(name, share, [0, 1], i === action));
    }
  });
  $("bars").className = names.length > 9 ? "many" : "";
  $("bars").replaceChildren(...rows);
}

// --- expected and observed ---

const views = {
  grid(seen, expected) {
    const wrong = expected ? seen.filter((cell, i) => cell !== expected[i]).length : null;
    $("error").textContent = wrong === null ? "" : `${wrong} of 49 cells are not as expected` +
      (wrong ? " (framed)." : ".");
    return pair(grid(seen, null), expected && grid(expected, seen));
  },
  image(seen, expected) {
    $("error").textContent = "";
    return pair(picture(seen), expected && picture(expected));
  },
  vector(seen, expected) {
    const { names, ranges } = data.observed;
    $("error").textContent = expected ? "Bars: observed. Orange lines: expected." :
      "Bars: observed. Nothing was expected.";
    const rows = seen.map((v, i) => bar(names[i], v, ranges[i], true, expected ? expected[i] :
      undefined));
    $("observations").className = "vector" + (names.length > 9 ? " many" : "");
    return rows;
  },
};
function pair(seen, expected) {
  const box = make("div", "pair");
  const nothing = make("p", "note", state.now ? "nothing" : "nothing yet");
  for (const [name, content] of [["expected", expected || nothing], ["observed", seen]]) {
    const figure = make("figure");
    figure.append(content, make("figcaption", "", name));
    box.append(figure);
  }
  return [box];
}
function picture(source) {
  const image = make("img");
  image.src = source;
  image.alt = "the newest frame that the model sees";
  return image;
}
/** Seven by seven cells out of the atlas; those unlike `truth` get a frame. */
function grid(cells, truth) {
  const size = data.observed.cell, element = make("canvas"), wide = 7 * size;
  element.width = element.height = wide;
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", "seven by seven cells, the agent below in the middle");
  const context = element.getContext("2d");
  cells.forEach((cell, place) => {
    const x = place % 7 * size, y = Math.floor(place / 7) * size;
    context.drawImage(atlas, cell * size, 0, size, size, x, y, size, size);
    if (truth && truth[place] !== cell) {
      context.strokeStyle = "#e69f00";
      context.lineWidth = 2;
      context.strokeRect(x + 1, y + 1, size - 3, size - 3);
    }
  });
  return element;
}
const atlas = new Image();
function showObservations() {
  const { kind, seen, expected } = data.observed, there = seen[state.now] !== null;
  $("observations").replaceChildren(
    ...(there ? views[kind](seen[state.now], expected[state.now]) : []));
  if (!there) $("error").textContent = "The film is over.";
}

// --- attention ---

/** The weights' bytes, out of what zlib packed. */
async function unpack(text) {
  const packed = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
/** weights[layer * heads + head][token], oldest token first; null where nothing was decided. */
function weightsOf(index) {
  const { rows, tokens, starts } = data.attention, count = tokens[index];
  if (!count || !bytes) return null;
  return Array.from({ length: rows }, (_, row) => {
    const start = starts[index] + row * count;
    return Array.from(bytes.subarray(start, start + count), v => (v / 255) ** 2);
  });
}
function mean(rows) {
  return rows[0].map((_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length);
}
function chosen(rows) {
  const heads = data.attention.heads;
  return mean(rows.filter((_, i) => (state.layer === null || Math.floor(i / heads) === state.layer)
    && (state.head === null || i % heads === state.head)));
}
/** [{t, observation, action}], the newest last. */
function byTimestep(weights) {
  const now = data.steps[state.now], steps = [];
  for (let ago = 0; 2 * ago - 1 < weights.length; ago++) {
    const at = weights.length - 1 - 2 * ago;
    const action = ago ? weights[at + 1] : 0, observation = at >= 0 ? weights[at] : 0;
    steps.unshift({ t: now - ago, observation, action });
  }
  return steps;
}
const LEFT = 64;  // pixels of the labels, the same in both drawings
function columns(width) {
  const count = Math.max(16, state.past.length), wide = (width - LEFT - 4) / count;
  return { wide, left: i => LEFT + (count - state.past.length + i) * wide };
}
function drawTimeline() {
  const [c, width, height] = canvas($("timeline"), 150), base = 92, { wide, left } = columns(width);
  const most = Math.max(1e-6, ...state.past.flatMap(p => [p.observation, p.action]));
  c.fillStyle = colour("--muted");
  c.fillText(percent(most), 4, 14);
  c.fillText("0", 4, base + 4);
  c.fillStyle = colour("--line");
  c.fillRect(LEFT, base, width - LEFT, 1);
  const every = Math.ceil(44 / wide);
  state.past.forEach((p, i) => {
    const ago = state.past.length - 1 - i, x = left(i), thick = Math.max(1, wide - 2);
    if (p.t === state.back) {
      c.fillStyle = colour("--line");
      c.fillRect(x - 1, 0, wide, height - 18);
    }
    c.fillStyle = colour("--observation");
    c.fillRect(x, base - 82 * p.observation / most, thick, 82 * p.observation / most);
    c.fillStyle = colour("--action");
    c.fillRect(x, base + 1, thick, 36 * p.action / most);
    if (ago % every === 0) {
      c.fillStyle = colour("--muted");
      c.textAlign = ago ? "center" : "right";
      c.fillText(ago ? "t " + p.t : "now", ago ? x + wide / 2 : x + wide, height - 4);
      c.textAlign = "left";
    }
  });
}
function drawHeads(rows) {
  const { heads } = data.attention, high = rows.length <= 32 ? 14 : 6;
  const [c, width] = canvas($("heads"), rows.length * high + Math.ceil(rows.length / heads) * 3);
  const { wide, left } = columns(width);
  rows.forEach((row, i) => {
    const layer = Math.floor(i / heads), y = i * high + layer * 3, steps = byTimestep(row);
    const most = Math.max(...steps.map(s => s.observation + s.action));
    const picked = (state.layer === null || state.layer === layer) &&
      (state.head === null || state.head === i % heads);
    c.fillStyle = colour(picked ? "--ink" : "--muted");
    if (high > 10) c.fillText(`L${layer} H${i % heads}`, 4, y + 11);
    else if (i % heads === 0) c.fillText(`L${layer}`, 4, y + 11);
    steps.forEach((s, k) => {
      c.fillStyle = shade(most ? (s.observation + s.action) / most : 0);
      c.fillRect(left(k), y, Math.max(1, wide - 0.5), high - 1);
    });
    if (picked && (state.layer !== null || state.head !== null)) {
      c.fillStyle = colour("--observation");
      c.fillRect(LEFT - 7, y, 4, high - 1);
    }
  });
}
function showAttention() {
  const rows = data.attention && weightsOf(state.now);
  state.past = rows ? byTimestep(chosen(rows)) : [];
  if (!data.attention) return;
  for (const id of ["timeline", "heads"]) $(id).hidden = !rows;
  if (!rows) {
    if (bytes) $("hovered").textContent = "The film is over: nothing was decided here.";
    return;
  }
  drawTimeline();
  drawHeads(rows);
  const whose = `${state.layer === null ? "mean of all layers" : "layer " + state.layer}, ` +
    (state.head === null ? "mean of all heads" : "head " + state.head);
  const found = state.past.find(p => p.t === state.back);
  $("hovered").textContent = found ? `Timestep ${found.t}, ${whose}: ` +
    `${percent(found.observation)} to its observation, ${percent(found.action)} to its action.` :
    `Shown: ${whose}.`;
  $("timeline").setAttribute("aria-label", describe(whose));
  $("heads").setAttribute("aria-label", "Attention of each head to each past timestep");
}
function describe(whose) {
  const most = state.past.reduce((a, b) => b.observation > a.observation ? b : a);
  return `Attention over ${state.past.length} timesteps, ${whose}; ` +
    `most to timestep ${most.t}, ${percent(most.observation)}`;
}

// --- the page ---

function showFrame() {
  const index = state.back === null ? state.now : momentOf(state.back), tag = $("back");
  $("frame").src = data.frames[index];
  $("frame").alt = `${data.task} at timestep ${data.steps[index]}`;
  tag.hidden = state.back === null;
  tag.textContent = `looking back at t ${data.steps[index]}`;
}
function show() {
  const step = data.steps[state.now], scrubber = $("scrubber");
  scrubber.value = state.now;
  scrubber.setAttribute("aria-valuetext", `timestep ${step} of ${data.length}`);
  $("step").textContent = `${step} / ${data.length}`;
  $("return").textContent = short(data.returns[state.now]);
  $("reward").textContent = short(data.rewards[state.now]);
  $("ending").textContent = state.now === last ? data.ending : "";
  $("play").textContent = state.timer ? "Pause" : state.now === last ? "Replay" : "Play";
  showFrame();
  showDecision();
  showObservations();
  showAttention();
}
function go(index) {
  state.now = clamp(index, 0, last);
  state.back = null;
  show();
}
function pause() {
  clearInterval(state.timer);
  state.timer = null;
}
function tick() {
  if (state.now + 1 >= last) pause();
  go(state.now + 1);
}
function play() {
  pause();
  if (state.now === last) state.now = 0;
  state.timer = setInterval(tick, 1000 / SPEEDS[state.speed]);
  show();
}
function toggle() {
  if (state.timer) { pause(); show(); } else play();
}
function setSpeed(index) {
  state.speed = clamp(index, 0, SPEEDS.length - 1);
  $("speed").value = state.speed;
  if (state.timer) play();
}
function stepTo(index) {
  pause();
  go(index);
}

// --- what the reader does ---

function hover(event) {
  const box = event.currentTarget.getBoundingClientRect(), { wide, left } = columns(box.width);
  const at = Math.floor((event.clientX - box.left - left(0)) / wide);
  const t = at >= 0 && at < state.past.length ? state.past[at].t : null;
  if (t === state.back) return;
  state.back = t;
  showFrame();
  showAttention();
}
function pick(event) {
  const { heads, rows } = data.attention, high = rows <= 32 ? 14 : 6;
  const y = event.clientY - event.currentTarget.getBoundingClientRect().top;
  const layer = clamp(Math.floor(y / (heads * high + 3)), 0, rows / heads - 1);
  const head = clamp(Math.floor((y - layer * (heads * high + 3)) / high), 0, heads - 1);
  const again = state.layer === layer && state.head === head;
  [state.layer, state.head] = again ? [null, null] : [layer, head];
  $("layer").value = again ? "" : layer;
  $("head").value = again ? "" : head;
  showAttention();
}
const KEYS = {
  " ": toggle,
  ArrowLeft: () => stepTo(state.now - 1), ArrowRight: () => stepTo(state.now + 1),
  Home: () => stepTo(0), End: () => stepTo(last),
  "[": () => setSpeed(state.speed - 1), "]": () => setSpeed(state.speed + 1),
};
function press(event) {
  const at = event.target.tagName;
  if (event.ctrlKey || event.altKey || event.metaKey || !KEYS[event.key]) return;
  if (at === "SELECT" || (at === "BUTTON" && event.key === " ")) return;
  event.preventDefault();
  KEYS[event.key]();
}

function begin() {
  $("task").textContent = data.task;
  $("about").textContent = data.about;
  $("mission").textContent = data.mission;
  $("mission").hidden = !data.mission;
  $("frame").className = data.crisp ? "crisp" : "";
  $("scrubber").max = last;
  SPEEDS.forEach((speed, i) => option($("speed"), i, `${speed} a second`));
  $("speed").value = state.speed;
  if (data.attention) beginAttention();
  $("scrubber").addEventListener("input", event => stepTo(Number(event.target.value)));
  $("previous").addEventListener("click", KEYS.ArrowLeft);
  $("next").addEventListener("click", KEYS.ArrowRight);
  $("play").addEventListener("click", toggle);
  $("speed").addEventListener("change", event => setSpeed(Number(event.target.value)));
  document.addEventListener("keydown", press);
  let width = 0;  // a frame of a notebook is laid out after its page is loaded
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width !== width) { width = contentRect.width; showAttention(); }
  }).observe($("attention"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showAttention);
  if (data.observed.kind === "grid") {
    atlas.addEventListener("load", showObservations);
    atlas.src = data.observed.atlas;
  }
  show();
}
async function beginAttention() {
  const { rows, heads, kinds, tokens, weights } = data.attention;
  $("attention").hidden = false;
  $("actions-key").textContent = data.attention.hidden ?
    "actions (none: hidden from this agent)" : "actions";
  for (const [id, count] of [["layer", rows / heads], ["head", heads]]) {
    option($(id), "", "mean");
    for (let i = 0; i < count; i++) {
      option($(id), i, id === "layer" && kinds[i] ? `${i}: ${kinds[i]}` : i);
    }
    $(id).addEventListener("change", event => {
      state[id] = event.target.value === "" ? null : Number(event.target.value);
      showAttention();
    });
  }
  for (const id of ["timeline", "heads"]) {
    $(id).addEventListener("pointermove", hover);
    $(id).addEventListener("pointerleave", () => {
      state.back = null;
      showFrame();
      showAttention();
    });
  }
  $("heads").addEventListener("click", pick);
  let start = 0;
  data.attention.starts = tokens.map(count => [start, start += rows * count][0]);
  try {
    bytes = await unpack(weights);
    showAttention();
  } catch {
    $("hovered").textContent = "This browser is too old to show the attention.";
  }
}
begin();
})();

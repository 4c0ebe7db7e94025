"use strict";
(() => {
const data = JSON.parse(document.getElementById("scores").textContent);
const $ = id => document.getElementById(id);
const HIGH = 17, NAMES = 190, RIGHT = 54;  // pixels: of a row, its name, and the values beyond
const state = { domain: data.domains[0], scale: "expert", task: null };

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const short = value => Number(value.toPrecision(4)).toLocaleString("en");
function make(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
function options(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, text]) => {
    const one = document.createElement("option");
    [one.value, one.textContent] = [value, text];
    return one;
  }));
  select.value = chosen;
}
function drawRow(task, index, x) {
  const [score, half] = task.scores[state.scale], [low, high] = data.limits[state.scale];
  const y = index * HIGH, middle = y + HIGH / 2, at = x(clamp(score, low, high));
  const ends = [score - half, score + half].map(value => x(clamp(value, low, high)));
  const row = make("g", { class: task === state.task ? "row picked" : "row" });
  row.append(make("rect", { x: 0, y, width: "100%", height: HIGH }),
    make("text", { x: NAMES - 8, y: y + 13, "text-anchor": "end" }, task.short),
    make("line", { x1: ends[0], x2: ends[1], y1: middle, y2: middle, stroke: "var(--observation)",
                   "stroke-width": 2, opacity: 0.55 }),
    make("circle", { cx: at, cy: middle, r: 4, fill: "var(--observation)" }),
    make("title", {}, `${task.name}: ${score.toFixed(2)} ± ${half.toFixed(2)}`));
  if (score < low || score > high) {
    row.append(make("text", { x: at + 8, y: y + 13, class: "quiet" }, short(score)));
  }
  row.addEventListener("click", () => { state.task = task; show(); });
  return row;
}
function drawRows() {
  const svg = $("rows"), width = svg.clientWidth, [low, high] = data.limits[state.scale];
  const x = value => NAMES + (value - low) / (high - low) * (width - NAMES - RIGHT);
  const scored = state.domain.tasks.filter(task => task.scores[state.scale])
    .sort((a, b) => b.scores[state.scale][0] - a.scores[state.scale][0]);
  const tall = scored.length * HIGH, marks = [[0, "random"], [1, data.references[state.scale]]];
  svg.style.height = tall + 22 + "px";
  svg.replaceChildren(...marks.flatMap(([value, words]) => [
    make("line", { x1: x(value), x2: x(value), y1: 0, y2: tall, class: "axis" }),
    make("text", { x: x(value), y: tall + 16, "text-anchor": "middle", class: "quiet" }, words),
  ]), ...scored.map((task, index) => drawRow(task, index, x)));
  $("heading").textContent = `${state.domain.title}: ${scored.length} tasks, the best on top`;
  svg.setAttribute("aria-label", `${scored.length} rows, from ${scored[0].short} at ` +
    `${scored[0].scores[state.scale][0].toFixed(2)} down`);
}
function drawTask() {
  const svg = $("one"), width = svg.clientWidth, rows = state.task.returns, tall = 24;
  const low = Math.min(...rows.map(r => r[2] - r[3])), high = Math.max(...rows.map(r => r[2] + r[4]));
  const x = value => NAMES + (value - low) / (high - low || 1) * (width - NAMES - RIGHT - 20) + 8;
  svg.style.height = rows.length * tall + "px";
  svg.replaceChildren(...rows.flatMap(([who, colour, mean, below, above], index) => {
    const y = index * tall + tall / 2, dark = colour === "#1b1d22" ? "var(--ink)" : colour;
    return [make("text", { x: NAMES - 8, y: y + 4, "text-anchor": "end" }, who),
      make("line", { x1: x(mean - below), x2: x(mean + above), y1: y, y2: y, stroke: dark,
                     "stroke-width": 2 }),
      make("circle", { cx: x(mean), cy: y, r: 5, fill: dark }),
      make("text", { x: x(mean + above) + 9, y: y + 4, class: "quiet" }, short(mean))];
  }));
  $("name").textContent = state.task.name;
  svg.setAttribute("aria-label", rows.map(r => `${r[0]} ${short(r[2])}`).join(", "));
}
function show() {
  $("task").value = state.task.name;
  drawTask();
  drawRows();
}
function choose(domain) {
  state.domain = domain;
  const humans = domain.tasks.some(task => task.scores.human);
  if (!humans) state.scale = "expert";
  $("scale").disabled = !humans;
  $("scale").value = state.scale;
  state.task = domain.tasks[0];
  options($("task"), domain.tasks.map(task => [task.name, task.short]), state.task.name);
  show();
}
options($("domain"), data.domains.map(one => [one.name, one.title]), state.domain.name);
options($("scale"), Object.entries(data.references), state.scale);
$("domain").addEventListener("change", event =>
  choose(data.domains.find(one => one.name === event.target.value)));
$("scale").addEventListener("change", event => { state.scale = event.target.value; show(); });
$("task").addEventListener("change", event => {
  state.task = state.domain.tasks.find(one => one.name === event.target.value);
  show();
});
let width = 0;
new ResizeObserver(([{ contentRect }]) => {
  if (contentRect.width !== width) { width = contentRect.width; show(); }
}).observe(document.body);
choose(state.domain);
})();

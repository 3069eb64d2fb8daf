// What all pages use: their data, elements, colours, numbers, tables and charts.

const DATA = JSON.parse(document.getElementById("data").textContent);

// --- elements ---

const byId = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of [children ?? []].flat()) element.append(child);  // text is never read as HTML
  return element;
}
const tag = (name, attributes, children) => fill(document.createElement(name), attributes, children);
const svgTag = (name, attributes, children) => fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

// --- dark and light ---

const themeListeners = [];
function setTheme(dark) {
  document.documentElement.classList.toggle("dark", dark);
  for (const listener of themeListeners) listener();
}
const isDark = () => document.documentElement.classList.contains("dark");
setTheme(matchMedia("(prefers-color-scheme: dark)").matches);
byId("theme").addEventListener("click", () => setTheme(!isDark()));
addEventListener("keydown", (event) => {
  if (event.key === "t" && !typing(event)) setTheme(!isDark());
});
const typing = (event) => event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);

// --- colours that colour-blind people can tell apart (Okabe and Ito 2008; cividis by Nunez et al. 2018) ---

const CATEGORIES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800", "#7a7a7a"];
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];  // so that lines differ without any colour, too
const category = (number) => CATEGORIES[number % CATEGORIES.length];
const dash = (number) => DASHES[Math.floor(number / CATEGORIES.length) % DASHES.length];
const CIVIDIS = [[0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115], [138, 134, 120], [165, 156, 116],
  [195, 179, 105], [225, 204, 85], [254, 232, 56]];
function shade(share) {  // 0..1
  const place = Math.max(0, Math.min(1, share)) * (CIVIDIS.length - 1), low = Math.min(Math.floor(place), CIVIDIS.length - 2);
  const mixed = CIVIDIS[low].map((value, i) => Math.round(value + (CIVIDIS[low + 1][i] - value) * (place - low)));
  return `rgb(${mixed.join(",")})`;
}

// --- numbers ---

function number(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "-";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(digits)));
}
const percent = (share) => share === null || share === undefined ? "-" : `${(100 * share).toFixed(1)} %`;

function decode(packed) {  // of packed.column
  const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
  return {f4: (b) => new Float32Array(b.buffer), u1: (b) => b, i4: (b) => new Int32Array(b.buffer)}[packed.kind](bytes);
}

// --- pictures, of packed.sheets ---

const loaded = (packed) => packed.images.map((url) => Object.assign(new Image(), {src: url}));
function drawTile(pen, packed, images, row, [x, y, width, height]) {
  const {across, down} = packed, place = row % (across * down), sheet = images[Math.floor(row / (across * down))];
  if (!sheet.complete || !sheet.naturalWidth) return;
  pen.imageSmoothingEnabled = false;
  pen.drawImage(sheet, place % across * packed.width, Math.floor(place / across) * packed.height, packed.width, packed.height, x, y, width, height);
}

// --- tables ---

// columns: [{name, of: row => value, show: (value, row) => text, about}]; choose: row => void makes rows something to press.
function makeTable(columns, rows, choose, isChosen) {
  const state = {by: null, down: true};
  const body = tag("tbody");
  const numeric = columns.map((column) => rows.some((row) => typeof column.of(row) === "number"));
  function draw() {
    const sorted = state.by === null ? rows : [...rows].sort((a, b) => {
      const [x, y] = [state.by.of(a), state.by.of(b)], order = x === y ? 0 : x === null ? 1 : y === null ? -1 : x < y ? -1 : 1;
      return state.down ? -order : order;
    });
    body.replaceChildren(...sorted.map((row) => {
      const cells = columns.map((column, i) => {
        const value = column.of(row), shown = column.show ? column.show(value, row) : number(value);
        return tag("td", {class: numeric[i] ? "number" : ""}, shown);
      });
      const press = choose && {tabindex: 0, class: isChosen && isChosen(row) ? "chosen" : "", onclick: () => choose(row),
        onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(row); } }};
      return tag("tr", press || {}, cells);
    }));
  }
  const heads = columns.map((column, i) => tag("th", {class: numeric[i] ? "number" : "", title: column.about, scope: "col"},
    tag("button", {onclick: () => { state.down = state.by === column ? !state.down : true; state.by = column; draw(); }}, column.name)));
  draw();
  const table = tag("table", {}, [tag("thead", {}, tag("tr", {}, heads)), body]);
  table.redraw = draw;
  return table;
}

// --- what the pointer is over ---

function showTip(event, children) {
  const tip = byId("tip");
  tip.replaceChildren(...[children].flat());
  tip.style.display = "block";
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
}
const hideTip = () => { byId("tip").style.display = "none"; };

// --- charts ---

function ticks(low, high, most = 5) {
  const raw = (high - low || 1) / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(Math.abs(value) < step * 1e-9 ? 0 : value);
  return found;
}
const short = (value) => Math.abs(value) >= 1e6 ? `${number(value / 1e6)}M` : Math.abs(value) >= 1e3 ? `${number(value / 1e3)}k` : number(value);

// series: [{name, color, dash, x, y, low, high, marks}], nulls are gaps; low and high: of an interval; marks: points, no line.
// spans: parts of the x axis that are shaded, [from, to] each; rules: places on it that get a line.
function lineChart(series, {height = 230, yLow = null, yHigh = null, label = "", spans = [], rules = []} = {}) {
  const width = 560, left = 46, right = 10, top = 8, bottom = 26;
  const all = (key) => series.flatMap((one) => one[key] || []).filter((value) => value !== null);
  const xs = all("x"), ys = [...all("y"), ...all("low"), ...all("high")];
  if (!ys.length) return tag("p", {class: "soft"}, "nothing was logged");
  const x0 = Math.min(...xs), x1 = Math.max(...xs);
  let y0 = yLow ?? Math.min(...ys), y1 = yHigh ?? Math.max(...ys);
  if (y0 === y1) [y0, y1] = [y0 - 0.5, y1 + 0.5];
  const px = (x) => left + (x - x0) / (x1 - x0 || 1) * (width - left - right);
  const py = (y) => height - bottom - (Math.max(y0, Math.min(y1, y)) - y0) / (y1 - y0) * (height - top - bottom);
  const path = (x, y) => {
    let pen = "M", d = "";
    x.forEach((value, i) => { if (y[i] === null) { pen = "M"; } else { d += `${pen}${px(value).toFixed(1)} ${py(y[i]).toFixed(1)}`; pen = "L"; } });
    return d;
  };
  const parts = spans.map(([from, to]) => svgTag("rect", {class: "span", x: px(from), width: Math.max(1, px(to) - px(from)), y: top, height: height - top - bottom, fill: "var(--line)", opacity: 0.6}));
  for (const x of rules) parts.push(svgTag("line", {class: "axis", x1: px(x), x2: px(x), y1: top, y2: height - bottom, "stroke-dasharray": "2 3"}));
  for (const y of ticks(y0, y1)) parts.push(svgTag("line", {class: "axis", x1: left, x2: width - right, y1: py(y), y2: py(y)}),
    svgTag("text", {x: left - 6, y: py(y) + 4, "text-anchor": "end"}, short(y)));
  for (const x of ticks(x0, x1)) parts.push(svgTag("text", {x: px(x), y: height - 8, "text-anchor": "middle"}, short(x)));
  for (const one of series) {
    if (one.low) {
      const held = one.x.map((_, i) => i).filter((i) => one.low[i] !== null);
      const around = [...held.map((i) => `${px(one.x[i])},${py(one.high[i])}`), ...held.reverse().map((i) => `${px(one.x[i])},${py(one.low[i])}`)];
      parts.push(svgTag("polygon", {points: around.join(" "), fill: one.color, opacity: 0.18}));
    }
    if (one.marks) one.x.forEach((x, i) => { if (one.y[i] !== null) parts.push(svgTag("circle", {cx: px(x), cy: py(one.y[i]), r: 2.5, fill: one.color})); });
    else parts.push(svgTag("path", {class: "series", d: path(one.x, one.y), stroke: one.color, "stroke-dasharray": one.dash || null}));
  }
  const line = svgTag("line", {class: "axis", y1: top, y2: height - bottom, visibility: "hidden"});
  const chart = svgTag("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, width: "100%"}, [...parts, line]);
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect(), x = x0 + ((event.clientX - box.left) / box.width * width - left) / (width - left - right) * (x1 - x0);
    const near = series.map((one) => {
      let best = -1;
      one.x.forEach((value, i) => { if (one.y[i] !== null && (best < 0 || Math.abs(value - x) < Math.abs(one.x[best] - x))) best = i; });
      return best < 0 ? null : {one, i: best};
    }).filter((found) => found);
    if (!near.length) return;
    line.setAttribute("visibility", "visible");
    line.setAttribute("x1", px(near[0].one.x[near[0].i]));
    line.setAttribute("x2", px(near[0].one.x[near[0].i]));
    showTip(event, [tag("div", {class: "soft"}, number(near[0].one.x[near[0].i])), ...near.map(({one, i}) => tag("div", {}, [
      tag("span", {class: "swatch", style: `background:${one.color}`}), `${one.name}: ${number(one.y[i])}` +
      (one.low && one.low[i] !== null ? ` [${number(one.low[i])}, ${number(one.high[i])}]` : "")]))]);
  });
  chart.addEventListener("pointerleave", () => { hideTip(); line.setAttribute("visibility", "hidden"); });
  return chart;
}

// Shares over time, one on top of the other. series: [{name, color, y}] over the same x.
function stackChart(x, series, {height = 190, label = ""} = {}) {
  const width = 560, left = 46, right = 10, top = 8, bottom = 26, x0 = x[0], x1 = x[x.length - 1];
  const px = (value) => left + (value - x0) / (x1 - x0 || 1) * (width - left - right), py = (share) => height - bottom - share * (height - top - bottom);
  const sum = x.map(() => 0), parts = [];
  for (const one of series) {
    const below = [...sum];
    one.y.forEach((value, i) => { sum[i] += value ?? 0; });
    const around = [...x.map((value, i) => `${px(value)},${py(sum[i])}`), ...x.map((value, i) => `${px(value)},${py(below[i])}`).reverse()];
    parts.push(svgTag("polygon", {points: around.join(" "), fill: one.color, stroke: "var(--card)"}, svgTag("title", {}, one.name)));
  }
  for (const y of [0, 0.5, 1]) parts.push(svgTag("text", {x: left - 6, y: py(y) + 4, "text-anchor": "end"}, `${100 * y} %`));
  for (const value of ticks(x0, x1)) parts.push(svgTag("text", {x: px(value), y: height - 8, "text-anchor": "middle"}, short(value)));
  return svgTag("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, width: "100%"}, parts);
}

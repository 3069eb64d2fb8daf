// The map: a point a step, clusters as a graph over it; zoom, lasso, hover.

const PLANES = Object.fromEntries(["tsne", "pca"].filter((name) => DATA[name]).map((name) => [name, decode(DATA[name])]));
const PLANE_NAMES = {tsne: "t-SNE", pca: "principal components"};
const view = {scale: 1, x: 0, y: 0, lasso: false, graph: true, drawing: null, hover: -1};
let at = null;  // (2 ROWS) where each point is, in 0..1

function startMap() {
  byId("plane").append(...Object.keys(PLANES).map((name) => tag("option", {value: name}, PLANE_NAMES[name])));
  byId("colour").append(...[...Object.keys(KINDS), ...Object.keys(NUMBERS)].map((name) => tag("option", {}, name)));
  byId("plane").addEventListener("change", () => { placePoints(); wholeMap(); });
  byId("colour").addEventListener("change", drawMap);
  byId("lasso").addEventListener("click", toggleLasso);
  byId("graph").addEventListener("click", toggleGraph);
  byId("whole").addEventListener("click", wholeMap);
  placePoints();
  const canvas = byId("map");
  let from = null, moved = false;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    from = [event.offsetX, event.offsetY];
    moved = false;
    if (view.lasso) view.drawing = [from];
  });
  canvas.addEventListener("pointermove", (event) => {
    const here = [event.offsetX, event.offsetY];
    if (!from) return hover(event);
    moved ||= Math.hypot(here[0] - from[0], here[1] - from[1]) > 4;
    if (view.drawing) view.drawing.push(here);
    else if (moved) { view.x += event.movementX; view.y += event.movementY; }
    hideTip();
    drawMap();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (view.drawing && moved) endLasso();
    else if (!moved) { const near = nearest(event.offsetX, event.offsetY); if (near >= 0) choose(near); }
    from = view.drawing = null;
    drawMap();
  });
  canvas.addEventListener("pointerleave", hideTip);
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const factor = Math.exp(-event.deltaY / 500), scale = Math.max(0.5, Math.min(60, view.scale * factor)), grown = scale / view.scale;
    view.x = event.offsetX - (event.offsetX - view.x) * grown;
    view.y = event.offsetY - (event.offsetY - view.y) * grown;
    view.scale = scale;
    drawMap();
  }, {passive: false});
  const kept = DATA.neighbours;
  byId("mapnote").textContent = `Of the 15 nearest neighbours of a step, ${Object.keys(PLANES).map((name) => `${PLANE_NAMES[name]} keeps ${percent(kept[name][0])}`).join(", ")} ` +
    `(chance: ${percent(kept.pca[1])}). Maps are for the eye; clusters are of the components. Lines: the episode of the chosen step. ` +
    "Graph: width is probability, blue the best move by the model, dashed orange moves that only failures make.";
}

function placePoints() {
  const plane = PLANES[byId("plane").value], low = [Infinity, Infinity], high = [-Infinity, -Infinity];
  plane.forEach((value, i) => { low[i % 2] = Math.min(low[i % 2], value); high[i % 2] = Math.max(high[i % 2], value); });
  const span = Math.max(high[0] - low[0], high[1] - low[1]) || 1;
  at = plane.map((value, i) => 0.5 + (value - (low[i % 2] + high[i % 2]) / 2) / span);
}
const size = () => Math.min(byId("map").clientWidth, byId("map").clientHeight) * 0.94 * view.scale;
const screenX = (i) => byId("map").clientWidth / 2 + (at[2 * i] - 0.5) * size() + shift(0);
const screenY = (i) => byId("map").clientHeight / 2 - (at[2 * i + 1] - 0.5) * size() + shift(1);
const shift = (axis) => {  // zooming keeps what is under the pointer where it is
  const side = axis ? byId("map").clientHeight : byId("map").clientWidth;
  return (axis ? view.y : view.x) + (view.scale - 1) * side / 2;
};
function wholeMap() { Object.assign(view, {scale: 1, x: 0, y: 0}); drawMap(); }
function toggleLasso() { view.lasso = !view.lasso; byId("lasso").setAttribute("aria-pressed", view.lasso); byId("map").style.cursor = view.lasso ? "crosshair" : ""; }
function toggleGraph() { view.graph = !view.graph; byId("graph").setAttribute("aria-pressed", view.graph); drawMap(); }

function positions() {
  const x = new Float32Array(ROWS), y = new Float32Array(ROWS), s = size();
  const x0 = byId("map").clientWidth / 2 + shift(0) - 0.5 * s, y0 = byId("map").clientHeight / 2 + shift(1) + 0.5 * s;
  for (let i = 0; i < ROWS; i++) { x[i] = x0 + at[2 * i] * s; y[i] = y0 - at[2 * i + 1] * s; }
  return [x, y];
}
function nearest(px, py, within = 14) {
  const [x, y] = positions();
  let best = -1, least = within * within;
  for (let i = 0; i < ROWS; i++) {
    const away = (x[i] - px) ** 2 + (y[i] - py) ** 2 - (selected[i] ? 0.5 : 0);
    if (away < least) [best, least] = [i, away];
  }
  return best;
}
function hover(event) {
  const near = nearest(event.offsetX, event.offsetY);
  if (near < 0) { view.hover = -1; return hideTip(); }
  if (near !== view.hover || byId("tip").style.display === "none") {
    view.hover = near;
    const picture = tag("canvas", {width: 120, height: 120});
    drawRow(picture.getContext("2d"), near, 0, 0, 120, 120);
    showTip(event, [picture, tag("div", {}, `episode ${EPISODE[near]}, step ${NUMBERS.step[near]}, cluster ${clusterName(CLUSTER[near])}`),
      tag("div", {}, `value ${number(NUMBERS.value[near])}, ${DATA.options[KINDS.option[near]]}, ${NAMES.success[SUCCESS[near]]}`)]);
  }
}
function endLasso() {
  const [x, y] = positions(), around = view.drawing, inside = new Uint8Array(ROWS);
  for (let i = 0; i < ROWS; i++) {
    for (let a = 0, b = around.length - 1; a < around.length; b = a++) {
      if ((around[a][1] > y[i]) !== (around[b][1] > y[i])
        && x[i] < (around[b][0] - around[a][0]) * (y[i] - around[a][1]) / (around[b][1] - around[a][1]) + around[a][0]) inside[i] ^= 1;
    }
  }
  setFilter({lasso: inside.includes(1) ? inside : null});
}

// How rows are coloured now: a function from row to colour, and the legend.
function colouring() {
  const name = byId("colour").value;
  if (KINDS[name]) {
    const found = [...new Set(KINDS[name])].sort((a, b) => a - b);
    const called = (value) => name === "cluster" ? `cluster ${clusterName(value)}` : NAMES[name][value];
    const hue = (value) => name === "success" ? CATEGORIES[value ? 0 : 5] : category(value);
    const filter = name === "success" ? "outcome" : name;  // actions alone are no filter
    const press = (value) => filter in state ? {onclick: () => setFilter({[filter]: state[filter] === `${value}` ? "" : `${value}`})} : {disabled: true};
    return [(i) => hue(KINDS[name][i]), found.map((value) => tag("button", press(value),
      [tag("span", {class: "swatch", style: `background:${hue(value)}`}), called(value)]))];
  }
  const of = NUMBERS[name], known = Array.from(of).filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  const low = known[Math.floor(0.01 * known.length)] ?? 0, high = known[Math.floor(0.99 * (known.length - 1))] ?? 1;
  const ramp = `linear-gradient(90deg, ${[0, 0.25, 0.5, 0.75, 1].map(shade).join(",")})`;
  return [(i) => Number.isNaN(of[i]) ? "#888" : shade((of[i] - low) / (high - low || 1)),
    [tag("span", {}, [`${number(low)} `, tag("span", {class: "swatch", style: `width:180px;background:${ramp}`}), `${number(high)}  ${name}`])]];
}

function drawMap() {
  const [pen, width, height] = sharp(byId("map")), [x, y] = positions(), [colour, legend] = colouring();
  pen.clearRect(0, 0, width, height);
  const dot = Math.max(2.5, Math.min(7, 2.2 * Math.sqrt(view.scale) + 1));
  for (const on of [0, 1]) {
    pen.globalAlpha = on ? 0.85 : 0.12;
    for (let i = 0; i < ROWS; i++) if (selected[i] === on) {
      pen.fillStyle = on ? colour(i) : "#999";
      pen.fillRect(x[i] - dot / 2, y[i] - dot / 2, dot, dot);
    }
  }
  pen.globalAlpha = 1;
  if (view.graph) drawGraph(pen, x, y);
  const [first, end] = bounds(state.chosen), ink = colourOf("--ink");
  pen.strokeStyle = ink;
  pen.lineWidth = 1.2;
  pen.beginPath();
  for (let i = first; i < end; i++) pen.lineTo(x[i], y[i]);
  pen.stroke();
  pen.fillStyle = ink;
  for (let i = first + 1; i < end; i++) arrowHead(pen, x[i - 1], y[i - 1], x[i], y[i], 5);
  pen.lineWidth = 3;
  pen.beginPath();
  pen.arc(x[state.chosen], y[state.chosen], 8, 0, 7);
  pen.stroke();
  if (view.drawing) {
    pen.strokeStyle = colourOf("--mark");
    pen.setLineDash([5, 4]);
    pen.beginPath();
    for (const [px, py] of view.drawing) pen.lineTo(px, py);
    pen.closePath();
    pen.stroke();
    pen.setLineDash([]);
  }
  byId("legend").replaceChildren(...legend);
}

function arrowHead(pen, x0, y0, x1, y1, side) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  if (length < 3 * side) return;
  const [dx, dy] = [(x1 - x0) / length * side, (y1 - y0) / length * side], [mx, my] = [(x0 + x1) / 2, (y0 + y1) / 2];
  pen.beginPath();
  pen.moveTo(mx + dx, my + dy);
  pen.lineTo(mx - dx - dy * 0.7, my - dy + dx * 0.7);
  pen.lineTo(mx - dx + dy * 0.7, my - dy - dx * 0.7);
  pen.fill();
}

// Nodes: clusters at their medoid, the two ends where episodes end so.
function nodes(x, y) {
  const found = new Map();
  for (const one of DATA.clusters) if (one.medoid !== null) found.set(one.cluster, {x: x[one.medoid], y: y[one.medoid], r: 9 + 16 * Math.sqrt(one.size / DATA.steps)});
  for (const [end, won] of [[END, 1], [END + 1, 0]]) {
    const lasts = [...Array(ROWS).keys()].filter((i) => SUCCESS[i] === won && (i === ROWS - 1 || EPISODE[i + 1] !== EPISODE[i]));
    if (lasts.length) found.set(end, {x: lasts.reduce((sum, i) => sum + x[i], 0) / lasts.length, y: lasts.reduce((sum, i) => sum + y[i], 0) / lasts.length - 26, r: 12, end: true});
  }
  return found;
}
function drawGraph(pen, x, y) {
  const found = nodes(x, y), [card, ink, soft, mark, bad] = ["--card", "--ink", "--soft", "--mark", "--bad"].map(colourOf);
  for (const edge of [...DATA.edges].sort((a, b) => a.greedy - b.greedy)) {
    const a = found.get(edge.source), b = found.get(edge.target);
    if (!a || !b || (edge.p < 0.1 && !edge.bad)) continue;
    const bend = 0.14, cx = (a.x + b.x) / 2 - (b.y - a.y) * bend, cy = (a.y + b.y) / 2 + (b.x - a.x) * bend;
    const faint = state.cluster !== "" && Number(state.cluster) !== edge.source && Number(state.cluster) !== edge.target;
    pen.globalAlpha = faint ? 0.08 : edge.greedy || edge.bad ? 0.85 : 0.35;
    pen.strokeStyle = pen.fillStyle = edge.bad ? bad : edge.greedy ? mark : soft;
    pen.lineWidth = 1 + 5 * edge.p;
    pen.setLineDash(edge.bad ? [6, 4] : []);
    pen.beginPath();
    pen.moveTo(a.x, a.y);
    pen.quadraticCurveTo(cx, cy, b.x, b.y);
    pen.stroke();
    pen.setLineDash([]);
    arrowHead(pen, (a.x + cx) / 2, (a.y + cy) / 2, (cx + b.x) / 2, (cy + b.y) / 2, 6 + 3 * edge.p);
  }
  pen.globalAlpha = 1;
  pen.font = "600 12px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  for (const [k, node] of found) {
    pen.beginPath();
    if (node.end) pen.rect(node.x - 28, node.y - 11, 56, 22);
    else pen.arc(node.x, node.y, node.r, 0, 7);
    pen.fillStyle = card;
    pen.fill();
    pen.lineWidth = 3;
    pen.strokeStyle = node.end ? CATEGORIES[k === END ? 0 : 5] : category(k);
    pen.stroke();
    pen.fillStyle = ink;
    pen.fillText(clusterName(k), node.x, node.y);
  }
}

// The page of `h-dqn explain`: one state (filters and the chosen step), and views that are drawn anew when it changes.

const ROWS = DATA.rows.count;
const EPISODE = decode(DATA.rows.episode), Q = decode(DATA.rows.q), DUE = decode(DATA.rows.due);
const NUMBERS = Object.fromEntries(Object.entries(DATA.rows.numbers).map(([name, packed]) => [name, decode(packed)]));
const KINDS = Object.fromEntries(Object.entries(DATA.rows.categories).map(([name, packed]) => [name, decode(packed)]));
const NAMES = {option: DATA.options, action: DATA.actions, success: ["failure", "success"]};
const OUTPUTS = DATA.rows.q.columns, SUCCESS = KINDS.success, CLUSTER = KINDS.cluster;
const END = DATA.chosen.k;  // the end "success"; END + 1 is "failure"
const clusterName = (k) => k === END ? "success" : k === END + 1 ? "failure" : `${k}`;

const state = {lasso: null, outcome: "", option: "", cluster: "", low: null, high: null, chosen: 0, playing: null};
const selected = new Uint8Array(ROWS).fill(1);
const isFiltered = () => state.lasso || state.outcome || state.option || state.cluster || state.low !== null || state.high !== null;

function applyFilters() {
  for (let i = 0; i < ROWS; i++) selected[i] = (!state.lasso || state.lasso[i])
    && (state.outcome === "" || SUCCESS[i] === Number(state.outcome))
    && (state.option === "" || KINDS.option[i] === Number(state.option))
    && (state.cluster === "" || CLUSTER[i] === Number(state.cluster))
    && (state.low === null || NUMBERS.value[i] >= state.low) && (state.high === null || NUMBERS.value[i] <= state.high) ? 1 : 0;
  byId("outcome").value = state.outcome;
  byId("option").value = state.option;
  byId("cluster").value = state.cluster;
  byId("low").value = state.low ?? "";
  byId("high").value = state.high ?? "";
  if (!selected[state.chosen] && selected.includes(1)) state.chosen = selected.indexOf(1);
  drawSelection();
  drawTables();
  drawChosen();
}
function setFilter(change) { Object.assign(state, change); applyFilters(); }
function choose(row) { state.chosen = Math.max(0, Math.min(ROWS - 1, row)); drawChosen(); }
function drawChosen() { drawMap(); drawFilm(); }

const bounds = (row) => {  // first row of its episode, and the first after it
  let first = row, end = row;
  while (first > 0 && EPISODE[first - 1] === EPISODE[row]) first--;
  while (end < ROWS && EPISODE[end] === EPISODE[row]) end++;
  return [first, end];
};

// What is said of the selection: how much it is, how it ends, and in what it differs most from all.
function drawSelection() {
  const rows = [...selected.keys()].filter((i) => selected[i]);
  const episodes = new Set(rows.map((i) => EPISODE[i])), won = new Set(rows.filter((i) => SUCCESS[i]).map((i) => EPISODE[i]));
  const mean = (of, some) => some.reduce((sum, i) => sum + of[i], 0) / some.length;
  const parts = [`${number(rows.length)} of ${number(ROWS)} steps shown, of ${number(episodes.size)} episodes`];
  if (rows.length) {
    parts.push(`${percent(won.size / episodes.size)} of these succeed`, `mean value ${number(mean(NUMBERS.value, rows))}`);
    if (isFiltered()) {
      const every = [...Array(ROWS).keys()];
      const told = Object.entries(NUMBERS).filter(([name]) => name !== "value").map(([name, of]) => {
        const known = every.filter((i) => !Number.isNaN(of[i])), here = rows.filter((i) => !Number.isNaN(of[i]));
        if (!here.length) return {name, z: 0};
        const all = mean(of, known), spread = Math.sqrt(known.reduce((sum, i) => sum + (of[i] - all) ** 2, 0) / known.length);
        return {name, here: mean(of, here), all, z: spread > 1e-9 ? (mean(of, here) - all) / spread : 0};
      }).filter((one) => Math.abs(one.z) > 0.4).sort((a, b) => Math.abs(b.z) - Math.abs(a.z)).slice(0, 4);
      parts.push(...told.map((one) => `${one.name} ${number(one.here)} (all: ${number(one.all)})`));
    }
  }
  byId("selection").textContent = parts.join(" · ");
}

function start() {
  const [rate, low, high] = DATA.success;
  byId("about").textContent = `${percent(rate)} [${percent(low)}, ${percent(high)}] of ${number(DATA.episodes)} unseen episodes, seed ${DATA.seed}; ` +
    `h-dqn ${DATA.versions["h-dqn"]} ${DATA.versions.revision}`;
  byId("warnings").append(...DATA.warnings.map((text) => tag("p", {class: "bad"}, `Note: ${text}.`)));
  byId("option").append(tag("option", {value: ""}, "any option"), ...DATA.options.map((name, i) => tag("option", {value: i}, name)));
  byId("cluster").append(tag("option", {value: ""}, "any"), ...DATA.clusters.map((one) => tag("option", {value: one.cluster}, clusterName(one.cluster))));
  for (const id of ["outcome", "option", "cluster"]) byId(id).addEventListener("change", (event) => setFilter({[id]: event.target.value}));
  for (const id of ["low", "high"]) byId(id).addEventListener("change", (event) => setFilter({[id]: event.target.value === "" ? null : Number(event.target.value)}));
  const clear = () => setFilter({lasso: null, outcome: "", option: "", cluster: "", low: null, high: null});
  byId("clear").addEventListener("click", clear);
  startMap();
  startFilm();
  startTables();
  const keys = {ArrowLeft: () => move(-1), ArrowRight: () => move(1), " ": togglePlay, l: toggleLasso, g: toggleGraph, c: () => turn("colour"),
    m: () => turn("plane"), s: () => turn("saliency"), 0: wholeMap, n: nextFailure, Escape: clear};
  addEventListener("keydown", (event) => {
    if (typing(event) || !keys[event.key] || (event.key === " " && /^(BUTTON|TR)$/.test(event.target.tagName))) return;
    event.preventDefault();
    keys[event.key]();
  });
  themeListeners.push(drawChosen);
  addEventListener("resize", drawChosen);
  applyFilters();
}
function turn(id) {  // to the next entry of a list
  const list = byId(id);
  list.selectedIndex = (list.selectedIndex + 1) % list.options.length;
  list.dispatchEvent(new Event("change"));
}
addEventListener("DOMContentLoaded", start);

// A canvas as sharp as the screen; returns its context and its size in CSS pixels.
function sharp(canvas) {
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [pen, width, height];
}
const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

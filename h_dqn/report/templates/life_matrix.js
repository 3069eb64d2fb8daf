// The task-by-time matrix as a heat map, and where changes were told and noticed.

const view = {ends: SEEN.length > 240, row: 0, column: 0};
const shownColumns = () => SEEN.map((_, i) => i).filter((i) => !view.ends || SEEN[i].end);

function drawMatrix() {
  const columns = shownColumns(), left = 110, top = 34, tall = 22, wide = Math.max(5, Math.min(44, Math.floor(1150 / columns.length)));
  view.row = Math.max(0, Math.min(TASKS.length - 1, view.row));
  view.column = Math.max(0, Math.min(columns.length - 1, view.column));
  const width = left + wide * columns.length + 12, height = top + tall * TASKS.length + 8, parts = [];
  const shortName = (name, most) => name.length > most ? `${name.slice(0, most - 1)}…` : name;
  TASKS.forEach((name, task) => parts.push(svgTag("text", {x: left - 8, y: top + tall * task + 15, "text-anchor": "end"}, [shortName(name, 15), svgTag("title", {}, name)])));
  columns.forEach((i, column) => {
    const one = SEEN[i], x = left + wide * column;
    TASKS.forEach((name, task) => {
      const y = top + tall * task, own = one.phase >= 0 && PHASES[one.phase].task === task, share = one.success[task];
      parts.push(svgTag("rect", {class: "cell", x, y, width: wide - 1, height: tall - 1, fill: shade(share), "data-row": task, "data-column": column}));
      if (wide >= 30) parts.push(svgTag("text", {x: x + wide / 2, y: y + 15, "text-anchor": "middle", "pointer-events": "none",
        style: `fill:${share > 0.55 ? "#000" : "#fff"}`}, Math.round(100 * share)));
      if (own) parts.push(svgTag("path", {d: `M${x} ${y + 0.5}h${wide - 1}M${x} ${y + tall - 1.5}h${wide - 1}`, stroke: "var(--bad)", "stroke-width": 2, "pointer-events": "none"}));
    });
  });
  for (let phase = 0; phase < PHASES.length; phase++) {
    const own = columns.map((i, column) => [i, column]).filter(([i]) => SEEN[i].phase === phase).map(([, column]) => column);
    if (!own.length) continue;
    const x = left + wide * own[0], x1 = left + wide * (own[own.length - 1] + 1);
    parts.push(svgTag("line", {x1: x - 0.5, x2: x - 0.5, y1: top - 18, y2: height - 6, stroke: "var(--ink)", "stroke-width": 1, "stroke-dasharray": PHASES[phase].announced ? null : "3 3"}));
    if (x1 - x >= 14) parts.push(svgTag("text", {x: x + 3, y: top - 8}, [x1 - x >= 70 ? shortName(`${phase + 1} ${taskOf(phase)}`, Math.floor((x1 - x) / 7)) : `${phase + 1}`, svgTag("title", {}, phaseName(phase))]));
  }
  const mark = svgTag("rect", {x: left + wide * view.column, y: top + tall * view.row, width: wide - 1, height: tall - 1, fill: "none", stroke: "var(--ink)", "stroke-width": 2, "pointer-events": "none"});
  const map = svgTag("svg", {viewBox: `0 0 ${width} ${height}`, width, height, tabindex: 0, role: "img",
    "aria-label": "success of each task (rows) at each evaluation (columns); arrow keys choose one, which is read out below"}, [...parts, mark]);
  const placeOf = (event) => event.target.classList.contains("cell") ? [Number(event.target.dataset.row), Number(event.target.dataset.column)] : null;
  map.addEventListener("pointermove", (event) => {
    const place = placeOf(event);
    if (place) showTip(event, tellCell(...place)); else hideTip();
  });
  map.addEventListener("pointerleave", hideTip);
  map.addEventListener("click", (event) => {
    const place = placeOf(event);
    if (place) chooseCell(...place);
  });
  map.addEventListener("keydown", (event) => {
    const by = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
    if (!by) return;
    event.preventDefault();
    chooseCell(view.row + by[0], view.column + by[1]);
    byId("matrix").querySelector("svg").focus();
  });
  byId("matrix").replaceChildren(map);
  byId("readout").textContent = tellCell(view.row, view.column);
  byId("ends").setAttribute("aria-pressed", view.ends);
}
function tellCell(row, column) {
  const one = SEEN[shownColumns()[column]];
  return `${TASKS[row]}: ${percent(one.success[row])} [${percent(one.low[row])}, ${percent(one.high[row])}] of ${one.episodes} unseen episodes, after ` +
    `${number(one.env_steps)} steps; ${one.phase < 0 ? phaseName(-1) : `${one.end ? "end of " : `${number(one.phase_steps)} steps into `}${phaseName(one.phase)}`}`;
}
function chooseCell(row, column) {
  Object.assign(view, {row, column});
  drawMatrix();
}
function turnEnds() {
  view.ends = !view.ends;
  drawMatrix();
}

function startMatrix() {
  byId("ends").addEventListener("click", turnEnds);
  addEventListener("keydown", (event) => { if (event.key === "e" && !typing(event)) turnEnds(); });
  const swatches = [0, 0.25, 0.5, 0.75, 1].map((share) => tag("span", {}, [tag("span", {class: "swatch", style: `background:${shade(share)};margin-left:10px`}), percent(share)]));
  byId("matrixnote").replaceChildren("Success: ", ...swatches, tag("span", {}, ". Lines between columns: a phase begins (dashed: it is not announced). Framed above and below: the task that is learned then. " +
    "Always the same unseen episodes, with weights as they are."));
}

function drawChanges() {
  const width = 1100, left = 10, right = 10, px = (x) => left + x / (lastStep || 1) * (width - left - right), noticed = DATA.noticed.env_steps || [];
  const parts = [svgTag("line", {class: "axis", x1: left, x2: width - right, y1: 40, y2: 40})];
  PHASES.forEach((phase, i) => {
    const x = px(beginOf(i)), wide = px(endOf(i).env_steps) - x;
    if (i) parts.push(svgTag("line", {x1: x, x2: x, y1: 18, y2: 62, stroke: "var(--ink)", "stroke-width": 2, "stroke-dasharray": phase.announced ? null : "4 3"}));
    if (wide > 14) parts.push(svgTag("text", {x: x + wide / 2, y: 14, "text-anchor": "middle"}, wide > 60 ? taskOf(i) : i + 1));
  });
  for (const x of noticed) parts.push(svgTag("path", {d: `M${px(x)} 34l6 12h-12z`, fill: "var(--bad)"}, svgTag("title", {}, `noticed after ${number(x)} steps`)));
  for (const x of ticks(0, lastStep, 8)) parts.push(svgTag("text", {x: px(x), y: 78, "text-anchor": "middle"}, short(x)));
  byId("changes").replaceChildren(svgTag("svg", {viewBox: `0 0 ${width} 84`, width: "100%", role: "img", "aria-label": "where phases begin, and where the agent noticed a change"}, parts));
  const told = PHASES.slice(1).filter((phase) => phase.announced).length, {precision, recall} = DATA.noticed;
  byId("changenote").textContent = `${number(PHASES.length - 1)} changes, ${number(told)} of them announced by the sequence (whole lines)` +
    (DATA.plan.regime === "hidden" ? "; this agent was told none. " : DATA.plan.regime === "id" ? "; this agent was told all of them. " : ". ") +
    (noticed.length ? `Noticed ${number(noticed.length)} (triangles): precision ${percent(precision)}, recall ${percent(recall)}.` : "It noticed none by itself.");
}

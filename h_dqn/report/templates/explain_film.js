// The episode through the chosen step: film strip, frame with saliency, Q-values.

const SHEETS = loaded(DATA.frames);
const MAPS = Object.fromEntries(Object.entries(DATA.saliency.kinds).map(([name, packed]) => [name, decode(packed)]));

const drawRow = (pen, row, ...box) => drawTile(pen, DATA.frames, SHEETS, row, box);

function startFilm() {
  for (const sheet of SHEETS) sheet.addEventListener("load", drawFilm);  // of one that is there already nothing is told
  byId("saliency").append(...["none", ...Object.keys(MAPS)].map((name) => tag("option", {}, name)));
  byId("saliency").addEventListener("change", drawFilm);
  byId("back").addEventListener("click", () => move(-1));
  byId("on").addEventListener("click", () => move(1));
  byId("play").addEventListener("click", togglePlay);
  byId("time").addEventListener("input", (event) => choose(bounds(state.chosen)[0] + Number(event.target.value)));
  byId("strip").addEventListener("click", (event) => {
    const [first, count] = stripRows(byId("strip").clientWidth), row = first + Math.floor(event.offsetX / 64);
    if (row < first + count) choose(row);
  });
}
function move(by) {
  const [first, end] = bounds(state.chosen);
  choose(Math.max(first, Math.min(end - 1, state.chosen + by)));
}
function togglePlay() {
  if (state.playing) {
    clearInterval(state.playing);
    state.playing = null;
  } else {
    const [first, end] = bounds(state.chosen);
    if (state.chosen === end - 1) choose(first);
    state.playing = setInterval(() => (state.chosen === bounds(state.chosen)[1] - 1 ? togglePlay() : move(1)), 180);
  }
  byId("play").textContent = state.playing ? "pause" : "play";
}

// Which part of the episode fits the strip: the first row shown, and how many.
function stripRows(width) {
  const [first, end] = bounds(state.chosen), fits = Math.max(1, Math.floor(width / 64)), count = Math.min(fits, end - first);
  return [Math.max(first, Math.min(end - count, state.chosen - Math.floor(count / 2))), count];
}

function drawFilm() {
  const row = state.chosen, [first, end] = bounds(row);
  byId("time").max = end - first - 1;
  byId("time").value = row - first;
  byId("where").textContent = `${EPISODE[row]} (${NAMES.success[SUCCESS[row]]}), step ${NUMBERS.step[row]} of ${end - first}, cluster ${clusterName(CLUSTER[row])}`;
  drawStrip(row);
  drawFrame(row);
  const values = Array.from(Q.slice(row * OUTPUTS, (row + 1) * OUTPUTS)), low = Math.min(...values), span = Math.max(...values) - low || 1;
  byId("bars").replaceChildren(...values.map((q, i) => tag("div", {style: "display:grid;grid-template-columns:minmax(70px,130px) 1fr 52px;gap:6px;align-items:center"}, [
    tag("span", {style: `overflow-wrap:anywhere;font-weight:${KINDS.option[row] === i ? 700 : 400}`}, DATA.options[i]),
    tag("div", {style: `height:10px;border-radius:3px;width:${8 + 92 * (q - low) / span}%;background:${q === low + span ? "var(--mark)" : "var(--line)"}`}),
    tag("span", {style: "text-align:right"}, number(q))])));
  const told = Object.entries(NUMBERS).filter(([name]) => name !== "step").map(([name, of]) => `${name} ${number(of[row])}`);
  byId("truth").replaceChildren(tag("p", {}, `${DUE[row] ? "chose" : "goes on with"} ${DATA.options[KINDS.option[row]]}: ${DATA.actions[KINDS.action[row]]}`),
    tag("p", {class: "soft"}, told.join(" · ")));
}

function drawStrip(row) {
  const [pen, width, height] = sharp(byId("strip")), [from, count] = stripRows(width);
  pen.clearRect(0, 0, width, height);
  for (let i = 0; i < count; i++) {
    pen.globalAlpha = selected[from + i] ? 1 : 0.35;
    drawRow(pen, from + i, i * 64 + 2, 2, 60, 60);
    pen.globalAlpha = 1;
    pen.fillStyle = category(CLUSTER[from + i]);
    pen.fillRect(i * 64 + 2, 65, 60, 4);
    if (from + i === row) {
      pen.strokeStyle = colourOf("--mark");
      pen.lineWidth = 3;
      pen.strokeRect(i * 64 + 1.5, 1.5, 61, 61);
    }
  }
}

// The map is of all that the network sees, the strip of past actions and the dial above the picture included.
function drawFrame(row) {
  const canvas = byId("frame"), pen = canvas.getContext("2d"), kind = byId("saliency").value, maps = DATA.saliency;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  drawRow(pen, row, 0, 0, canvas.width, canvas.height);
  let note = "The picture; the agent sees it in grey.";
  if (kind !== "none" && row >= maps.rows) note = `Maps of saliency are of the first ${number(maps.rows)} steps shown; this one has none.`;
  else if (kind !== "none") {
    const of = MAPS[kind].subarray(row * maps.height * maps.width, (row + 1) * maps.height * maps.width);
    const scale = canvas.width / maps.pixels[1], cell = maps.cell * scale, above = maps.above * scale;
    let hidden = 0, all = 0;
    of.forEach((value, i) => {
      const x = i % maps.width * cell, y = Math.floor(i / maps.width) * cell - above;
      all += value;
      if (y + cell / 2 < 0) hidden += value;
      pen.fillStyle = `rgba(255, 210, 0, ${0.75 * value / 255})`;
      pen.fillRect(x, y, cell, cell);
    });
    note = `${kind}: the brighter, the more it matters to the network, here. Strip and dial above the picture: ${percent(all ? hidden / all : 0)} of all. ` +
      "Exploratory; the table of cues is the test.";
  }
  byId("framenote").textContent = note;
}

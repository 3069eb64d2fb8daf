// The page of a life (`h-dqn lifelong`): what all of its parts use, and its tables.

const {tasks: TASKS, phases: PHASES, evaluations: SEEN, stages: STAGES} = DATA;
const inWords = (name) => name.replaceAll("_", " ");
const card = (title, ...inside) => tag("section", {class: "card"}, [tag("h2", {}, title), ...inside]);
const note = (text) => tag("p", {class: "soft"}, text);
const taskOf = (phase) => TASKS[PHASES[phase].task];
const phaseName = (phase) => phase < 0 ? "before any learning" : `phase ${phase + 1} (${taskOf(phase)})`;
const endOf = (phase) => SEEN.find((one) => one.end && one.phase === phase);
const lastStep = SEEN.length ? SEEN[SEEN.length - 1].env_steps : 0;
const beginOf = (phase) => endOf(phase - 1).env_steps;
const isDict = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

function drawSummary() {
  const {task, agent, regime, preset, seed} = DATA.plan, told = {id: "it is told which task it plays", announced: "it is told where a task begins, not which",
    hidden: "it is told nothing"}[regime] ?? regime;
  byId("about").textContent = `h-dqn ${DATA.versions["h-dqn"]} ${DATA.versions.revision}`;
  byId("summary").textContent = `Agent ${agent} through ${task}: ${PHASES.length} ${PHASES.length === 1 ? "phase" : "phases"} of ${TASKS.length} ` +
    `${TASKS.length === 1 ? "task" : "tasks"}, ${number(lastStep)} environment steps; regime ${regime}: ${told}. Preset ${preset}, seed ${seed}.`;
}

function drawMetrics() {
  const bracket = (one) => one.low === null ? "one seed" : `${number(one.low)} to ${number(one.high)}`;
  byId("metrics").replaceChildren(makeTable([{name: "metric", of: (one) => inWords(one.name)}, {name: "value", of: (one) => one.value},
    {name: "95 % interval", of: (one) => one.low, show: (_, one) => bracket(one)}, {name: "what it is", of: (one) => one.about}], DATA.metrics));
  byId("metricnote").textContent = "Intervals are over the episodes of the evaluations (bootstrap); what another seed would do is not in them. " +
    "Several seeds, or other agents: h-dqn report FOLDER FOLDER ...";
}

function drawLedger() {
  const about = {env_steps: "environment steps of the life, trials included", trial_steps: "of these, trials and the making of lessons",
    evaluation_steps: "environment steps of evaluations, apart", probe_steps: "environment steps of plasticity probes, apart",
    seconds: "learning, with trials and distillation", evaluation_seconds: "evaluations", probe_seconds: "plasticity probes",
    updates: "gradient steps of the learner", weights: "numbers in the networks that play all tasks", kept_bytes: "frames, importances, teachers that are kept beside these"};
  const rows = Object.entries(DATA.ledger).map(([name, value]) => ({name, value}));
  byId("ledger").replaceChildren(makeTable([{name: "what", of: (row) => inWords(row.name)}, {name: "how much", of: (row) => row.value},
    {name: "what it is", of: (row) => about[row.name] ?? ""}], rows));
}

// What the agent noted of a stage stands at the last of its phases; where it began anew within one, all starts stand there.
function drawPhases() {
  const startText = (text) => {
    const found = /^skill (\d+)$/.exec(text);
    return found && TASKS[found[1]] ? `the skill of ${TASKS[found[1]]}` : text;
  };
  const together = (stages) => Object.assign({}, ...stages, stages.some((stage) => stage.start) &&
    {start: stages.filter((stage) => stage.start).map((stage) => startText(String(stage.start))).join(", then ")});
  const rows = PHASES.map((phase, i) => ({i, phase, notes: together(STAGES.filter((stage) => stage.phase === i)), end: endOf(i)}));
  const tell = (value) => isDict(value) ? Object.entries(value).map(([name, one]) => `${TASKS[name] ?? (name === "None" ? "chance" : inWords(name))} ${tell(one)}`).join(", ")
    : Array.isArray(value) ? value.map(tell).join(", ") : number(value);
  const list = (name) => (row) => (DATA.lists[name] || [])[row.i] ?? null;
  const columns = [{name: "phase", of: (row) => row.i + 1}, {name: "task", of: (row) => TASKS[row.phase.task]}, {name: "steps", of: (row) => row.phase.env_steps},
    {name: "told", of: (row) => row.phase.announced ? "yes" : "no", about: "whether the sequence announces that it begins"},
    {name: "success at its end", of: (row) => row.end.success[row.phase.task], show: percent},
    {name: "at the end of the life", of: (row) => SEEN[SEEN.length - 1].success[row.phase.task], show: percent},
    {name: "mean while it was learned", of: list("areas"), show: percent}];
  const known = ["phase", "features", "options"], notes = [...new Set(rows.flatMap((row) => Object.keys(row.notes)))].filter((name) => !known.includes(name));
  for (const name of notes) columns.push({name: inWords(name), of: (row) => typeof row.notes[name] === "number" ? row.notes[name] : row.notes[name] === undefined ? null : tell(row.notes[name]),
    show: (value) => number(value)});
  byId("phases").replaceChildren(makeTable(columns, rows));
}

// Skills as options: shares of the decisions of each stage, where the agent notes them.
function stageOptions() {
  const noted = STAGES.filter((stage) => isDict(stage.options));
  if (!noted.length) return [];
  const names = [...new Set(noted.flatMap((stage) => Object.keys(stage.options)))], wide = 62 + 30 * noted.length;
  const legend = tag("div", {class: "legend"}, names.map((name, i) => tag("span", {}, [tag("span", {class: "swatch", style: `background:${category(i)}`}), optionName(name)])));
  const parts = noted.map((stage, column) => {
    let sum = 0;
    return names.map((name, i) => {
      const share = stage.options[name] ?? 0, y = 150 - 140 * (sum + share);
      sum += share;
      return svgTag("rect", {x: 46 + 30 * column, y, width: 24, height: Math.max(0, 140 * share), fill: category(i), stroke: "var(--card)"},
        svgTag("title", {}, `${phaseName(stage.phase)}: ${optionName(name)} ${percent(share)}`));
    });
  });
  const labels = [...[0, 0.5, 1].map((share) => svgTag("text", {x: 40, y: 154 - 140 * share, "text-anchor": "end"}, `${100 * share} %`)),
    ...noted.map((stage, column) => svgTag("text", {x: 58 + 30 * column, y: 166, "text-anchor": "middle"}, stage.phase + 1))];
  return [card("Options: share of the decisions of each phase", legend, svgTag("svg", {viewBox: `0 0 ${wide} 172`, width: Math.min(wide, 900), role: "img",
    "aria-label": "share of decisions by option, for each phase"}, [...parts.flat(), ...labels]))];
}
const optionName = (name) => {
  const found = /^skill[: ](\d+)$/.exec(name);
  return found && TASKS[found[1]] ? `skill of ${TASKS[found[1]]}` : name;
};

function drawPaths() {
  const bounds = (metric) => /success|share|eliminated|epsilon/.test(metric) ? {yLow: 0, yHigh: 1} : {};
  const line = (chart) => chart.curves.map((one) => ({...one, name: chart.title, color: category(0)}));
  byId("paths").replaceChildren(...DATA.curves.map((chart) => card(chart.title, lineChart(line(chart), {...bounds(chart.metric), label: chart.title, rules: boundaries()}))));
  if (!DATA.curves.length) byId("paths").replaceChildren(note("nothing was logged"));
  byId("options").replaceChildren(...stageOptions(), ...DATA.options.map((one) => {
    const colours = one.options.map((option, i) => ({...option, color: category(i)}));
    return card(`Options, share of ${one.of}`, tag("div", {class: "legend"}, colours.map((option) => tag("span", {}, [tag("span", {class: "swatch", style: `background:${option.color}`}), optionName(option.name)]))),
      stackChart(one.x, colours, {label: `share of ${one.of} by option`}));
  }));
}
const boundaries = () => PHASES.map((_, i) => i).filter((i) => i).map(beginOf);

function drawTasks() {
  const x = SEEN.map((one) => one.env_steps), every = (of) => SEEN.map((one) => of(one.success));
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const all = {name: "mean of all tasks", color: category(0), x, y: every(mean)};
  const charts = TASKS.map((name, task) => {
    const own = PHASES.map((_, i) => i).filter((i) => PHASES[i].task === task).map((i) => [beginOf(i), endOf(i).env_steps]);
    const series = [{name, color: category(0), x, y: SEEN.map((one) => one.success[task]), low: SEEN.map((one) => one.low[task]), high: SEEN.map((one) => one.high[task])}];
    return card(name, lineChart(series, {yLow: 0, yHigh: 1, height: 170, label: `success on ${name} over environment steps`, spans: own}));
  });
  if (TASKS.length > 1) charts.unshift(card(all.name, lineChart([all], {yLow: 0, yHigh: 1, height: 170, label: all.name, rules: boundaries()})));
  byId("tasks").replaceChildren(...charts);
}

function drawPlasticity() {
  const noted = STAGES.filter((stage) => isDict(stage.features)), cards = [];
  const at = (stages) => stages.map((stage) => endOf(stage.phase)?.env_steps ?? lastStep);
  for (const [name, title] of [["dormant", "dormant units of the torso, share"], ["effective_rank", "effective rank of its features"]]) {
    const y = noted.map((stage) => stage.features[name] ?? null);
    if (y.some((value) => value !== null)) cards.push(card(title, lineChart([{name: title, color: category(0), x: at(noted), y}], {yLow: 0, height: 170, label: title})));
  }
  const areas = DATA.lists.areas || [];
  if (areas.length > 1) cards.push(card("mean success while the newest task is learned, by phase", lineChart([{name: "area", color: category(0), x: areas.map((_, i) => i + 1), y: areas}],
    {yLow: 0, yHigh: 1, height: 170, label: "area of the newest task"}), note("It holds transfer as well as plasticity; tasks differ in how hard they are.")));
  const probes = DATA.lists.probe_areas || [], {probe_task: task, probe_steps: budget} = DATA.probe;
  if (probes.length) {
    const slope = DATA.metrics.find((one) => one.name === "probe_slope");
    cards.push(card(`probe: a clone with a fresh head learns ${task} for ${number(budget)} steps`,
      lineChart([{name: "mean success while it learns", color: category(0), x: DATA.probes.map((one) => one.env_steps), y: probes}], {yLow: 0, yHigh: 1, height: 170, label: "area of the plasticity probe"}),
      note(`The first is of the untrained network. ${slope && slope.value !== null ? `Slope from the second on: ${number(slope.value)} a probe.` : "Too few for a slope."}`)));
  } else cards.push(card("probe", note("not measured: --probe-every STEPS lets a clone learn a task of no phase now and then")));
  byId("plasticity").replaceChildren(...cards);
}

// Tables: clusters, failures and edges follow the selection and change it; cues, alarm and criteria are of all.

function startTables() {
  byId("causes").append(makeTable([
    {name: "what is different", of: (one) => one.cause},
    {name: "the task is about it", of: (one) => one.matters ? "yes" : "no"},
    {name: "shift of the choice", of: (one) => one.shift, show: percent, about: "mean total variation between the softmaxes"},
    {name: "another is best", of: (one) => one.flips, show: percent},
    {name: "change of Q", of: (one) => one.change},
    {name: "states", of: (one) => one.states}], DATA.causes));
  const cue = DATA.causes.find((one) => !one.matters);
  byId("causenote").textContent = cue ? `The strongest cue that the task is not about: ${cue.cause}. The choice shifts by ${percent(cue.shift)} where it differs.` : "";
  const chosen = DATA.chosen;
  byId("chosen").textContent = `${chosen.k} clusters with ${chosen.window} steps before and after: the one that all criteria rank high. ` +
    `VMSE ${number(chosen.vmse)}, correlation of values ${number(chosen.correlation)}; agreement with two other seeds ${DATA.stability.map((one) => number(one)).join(", ")}.`;
  byId("criteria").append(makeTable(["k", "window", "vmse", "correlation", "inertia", "entropy", "intensity", "likelihood"].map((name) => ({name, of: (one) => one[name]})),
    DATA.criteria, () => {}, (one) => one.k === chosen.k && one.window === chosen.window));
  drawSubgoals();
  drawAlarm();
}

function drawSubgoals() {
  const {steps, events, together, every_change: every, candidates, no_word_for: wordless, held_out: held} = DATA.subgoals;
  const said = (one) => `precision ${percent(one.precision)}, recall ${percent(one.recall)}, F1 ${number(one.f1)}`;
  byId("agreement").textContent = !events.length ? "Nothing that a goal could say happens on the way in half of the successes." :
    `Within ${steps} steps${held ? ", in held-out episodes" : ""}: moves that go with an event, against all events, ${said(together)}; every change of cluster, ${said(every)}.`;
  if (events.length) byId("events").append(makeTable([
    {name: "what becomes true", of: (one) => one.event},
    {name: "moves that go with it", of: (one) => one.moves},
    {name: "how often", of: (one) => one.true},
    {name: "precision", of: (one) => one.precision, show: percent, about: "share of these moves at which it happens"},
    {name: "recall", of: (one) => one.recall, show: percent, about: "share of the times it happens at which there is such a move"},
    {name: "F1", of: (one) => one.f1}], events));
  byId("candidates").append(candidates.length ? makeTable([
    {name: "goal", of: (one) => one.says},
    {name: "as a task", of: (one) => one.toml ? `${one.name}.toml` : `none: ${one.problem}`}], candidates) :
    tag("p", {class: "soft"}, "There is none: no event that a goal could say goes with a strong move, and the task has no stages."));
  byId("nowords").textContent = (candidates.some((one) => one.toml) ? "h-dqn explain --export FOLDER writes them as task files, which h-dqn skills add takes. Whether they are worth learning is not tried here. " : "") +
    (wordless.length ? `Moves also go with what goals have no word for: ${wordless.join(", ")}.` : "");
}

function drawAlarm() {
  const alarm = DATA.alarm;
  if (!alarm) { byId("alarm").append(tag("p", {class: "soft"}, "There is none: it needs successes and failures to learn from, and fresh episodes.")); return; }
  const facts = [
    ["built on, tried on", `${number(alarm.built_on)} recorded, ${number(alarm.fresh)} fresh episodes (seed ${alarm.seed})`],
    [`area under the curve, ${alarm.ahead} steps before the end`, `${number(alarm.area)} (the clock alone: ${number(alarm.area_clock)})`],
    ["the same at a quarter of the time limit, where the clock says nothing", number(alarm.area_half)],
    ["it rings in", percent(alarm.rings)],
    ["success as it plays", percent(alarm.success)],
    ["of the episodes in which it is quiet (selection, not control)", `${percent(alarm.success_quiet)} at a coverage of ${percent(alarm.coverage)}`],
    [`handed over to a softmax at ${number(alarm.temperature)} when it rings`, percent(alarm.success_handed_over)],
    ["difference, same episodes, 95 % interval", `${percent(alarm.difference)} [${alarm.interval.map(percent).join(", ")}]`]];
  byId("alarm").append(tag("p", {}, alarm.of_use ? "To hand over helps." : "To hand over is of no use here: the interval of the difference is not above 0."),
    makeTable([{name: "what", of: (one) => one[0]}, {name: "how much", of: (one) => one[1]}], facts));
}

function drawTables() {
  const inside = new Map(), episodes = new Set();
  for (let i = 0; i < ROWS; i++) if (selected[i]) { inside.set(CLUSTER[i], (inside.get(CLUSTER[i]) || 0) + 1); episodes.add(EPISODE[i]); }
  byId("clusters").replaceChildren(makeTable([
    {name: "cluster", of: (one) => one.cluster, show: clusterName},
    {name: "selected", of: (one) => inside.get(one.cluster) || 0},
    {name: "steps", of: (one) => one.size, about: "of all that was played"},
    {name: "v", of: (one) => one.value, about: "of the model"},
    {name: "v of the network", of: (one) => one.v_dqn},
    {name: "dwell", of: (one) => one.dwell, about: "steps until the next cluster"},
    {name: "failed", of: (one) => one.failed, show: percent, about: "steps of episodes that fail"},
    {name: "what is true there", of: (one) => one.caption.map((fact) => `${fact.says} (${fact.lift.toFixed(1)}x)`).join(", ")}],
  DATA.clusters, (one) => { if (one.medoid !== null) state.chosen = one.medoid; setFilter({cluster: state.cluster === `${one.cluster}` ? "" : `${one.cluster}`}); },
  (one) => state.cluster === `${one.cluster}`));
  byId("edges").replaceChildren(makeTable([
    {name: "from", of: (one) => one.source, show: clusterName}, {name: "to", of: (one) => one.target, show: clusterName},
    {name: "how often", of: (one) => one.count}, {name: "probability", of: (one) => one.p}, {name: "steps", of: (one) => one.steps},
    {name: "reward", of: (one) => one.reward}, {name: "worth", of: (one) => one.worth, about: "reward + discounted value of the next"},
    {name: "", of: (one) => [one.greedy && "best", one.bad && "only failures"].filter(Boolean).join(", ")},
    {name: "goes with", of: (one) => one.event ? `${one.event.event} (${percent(one.event.share)}, anywhere ${percent(one.event.base)})` : "-",
      about: "what becomes true within two steps of this move, and how often it does so within two steps of any step"},
    {name: "greedy moves pay", of: (one) => one.follows, about: "over episodes, correlation of the share of best moves out of this cluster with the return"}],
  DATA.edges.filter((one) => inside.has(one.source)), (one) => { chooseEdge(one); setFilter({cluster: `${one.source}`}); }));
  byId("failures").replaceChildren(DATA.failures.length ? makeTable([
    {name: "episode", of: (one) => one.episode, show: String}, {name: "steps", of: (one) => one.steps},
    {name: "first bad move at step", of: (one) => one.first_bad},
    {name: "move", of: (one) => one.edge ? one.edge.map(clusterName).join(" → ") : "-"},
    {name: "mostly in cluster", of: (one) => one.most_in, show: clusterName}, {name: "share", of: (one) => one.share, show: percent},
    {name: "value at the end", of: (one) => one.value_at_end}],
  DATA.failures.filter((one) => !isFiltered() || episodes.has(one.episode)), (one) => goTo(one.episode, Math.max(0, (one.first_bad ?? one.steps) - 1)),
  (one) => one.episode === EPISODE[state.chosen]) : tag("p", {class: "soft"}, "no episode failed"));
}

function goTo(episode, step) {
  const first = EPISODE.indexOf(episode);
  if (first < 0) return;
  state.lasso = null;
  state.chosen = Math.min(first + step, bounds(first)[1] - 1);
  drawTables();
  drawChosen();
}
function chooseEdge(edge) {  // the first step shown at which it is gone
  for (let i = 0; i + 1 < ROWS; i++) if (CLUSTER[i] === edge.source && EPISODE[i] === EPISODE[i + 1] && CLUSTER[i + 1] === edge.target) { state.chosen = i; return; }
}
let failure = -1;
function nextFailure() {
  if (!DATA.failures.length) return;
  failure = (failure + 1) % DATA.failures.length;
  goTo(DATA.failures[failure].episode, 0);
}

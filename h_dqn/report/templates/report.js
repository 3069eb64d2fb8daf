// The page of `h-dqn report`: arms, each one or several seeds; what is left out of the legend is left out everywhere.

const hidden = new Set();
const armNumber = Object.fromEntries(DATA.arms.map((arm, i) => [arm.name, i]));
const withHalf = (one) => !one || one.mean === null ? "-" : number(one.mean) + (one.half === null ? "" : ` ± ${number(one.half, 2)}`);
const shareHalf = (one) => !one || one.mean === null ? "-" : percent(one.mean) + (one.half === null ? "" : ` ± ${(100 * one.half).toFixed(1)}`);

function drawReport() {
  byId("legend").replaceChildren(...DATA.arms.map((arm, i) => tag("button", {"aria-pressed": !hidden.has(arm.name), onclick: () => {
    if (!hidden.delete(arm.name)) hidden.add(arm.name);
    drawReport();
  }}, [tag("span", {class: "swatch", style: `background:${category(i)}`}), `${arm.name} (${arm.runs.length} ${arm.runs.length === 1 ? "run" : "runs"})`])));
  const shown = (list, of) => list.filter((one) => !hidden.has(of(one)));
  const by = (name) => ({of: (one) => one[name] && one[name].mean !== undefined ? one[name].mean : one[name]});
  const measured = (name, column, show, about) => ({name: column, about, of: (one) => one[name].mean, show: (_, one) => show(one[name])});
  const columns = [{name: "arm", of: (one) => one.arm}, {name: "seeds", ...by("runs")},
    measured("evaluated", "success, evaluated", shareHalf, "on unseen episodes, at the end"), measured("level", "success at the end of training", shareHalf, "mean over the last tenth of the steps, exploration included"),
    measured("area", "area", shareHalf, "mean success while training, over environment steps"), measured("to_95", "steps to 95 %", withHalf), measured("seconds", "seconds", withHalf), measured("steps", "environment steps", withHalf)];
  const rows = shown(DATA.table, (one) => one.arm);
  byId("table").replaceChildren(makeTable(columns, rows));
  const lines = (chart) => shown(chart.curves, (one) => one.name).map((one) => ({...one, color: category(armNumber[one.name]), dash: dash(armNumber[one.name])}));
  const card = (title, inside) => tag("section", {class: "card"}, [tag("h2", {}, title), inside]);
  drawLives(lines, card, shown);
  const bounds = (metric) => /success|share|eliminated|epsilon/.test(metric) ? {yLow: 0, yHigh: 1} : {};
  for (const id of ["curves", "paths"]) byId(id).replaceChildren(...DATA[id].map((chart) => card(chart.title, lineChart(lines(chart), {...bounds(chart.metric), label: chart.title}))));
  byId("options").replaceChildren(...shown(DATA.options, (one) => one.arm).filter((one) => one.options.length).map((one) => {
    const colours = one.options.map((option, i) => ({...option, color: category(i)}));
    return card(`Options, share of ${one.of}: ${one.arm}`, tag("div", {}, [
      tag("div", {class: "legend"}, colours.map((option) => tag("span", {}, [tag("span", {class: "swatch", style: `background:${option.color}`}), option.name]))),
      stackChart(one.x, colours, {label: `share of ${one.of} by option`})]));
  }));
  byId("runs").replaceChildren(makeTable([{name: "run", of: (one) => one.folder}, {name: "arm", of: (one) => one.arm}, {name: "seed", of: (one) => one.seed},
    {name: "environment steps", of: (one) => one.env_steps}, {name: "seconds", of: (one) => one.seconds}, {name: "success at the end of training", of: (one) => one.level, show: percent},
    {name: "success, evaluated", of: (one) => one.success, show: percent}], shown(DATA.runs, (one) => one.arm)));
}
// Lives among the runs: metrics over seeds, and success on all tasks over time.
function drawLives(lines, card, shown) {
  if (!DATA.lives) return;
  const columns = [{name: "arm", of: (one) => one.arm}, {name: "lives", of: (one) => one.lives},
    ...DATA.lives.metrics.map(({name, about}) => ({name: name.replaceAll("_", " "), about, of: (one) => one[name].mean, show: (_, one) => withHalf(one[name])}))];
  byId("lives").replaceChildren(card("Lives", tag("div", {}, [makeTable(columns, shown(DATA.lives.table, (one) => one.arm)),
    tag("p", {class: "soft"}, "Mean over seeds and half its 95 % interval (Student's t); one seed has none. What is relative to scratch is so to a life of the agent scratch among these runs. " +
      "The pointer on a column's head says what it is.")])),
    tag("div", {class: "grid", style: "margin-bottom:12px"}, DATA.lives.curves.map((chart) => card(chart.title, lineChart(lines(chart), {yLow: 0, yHigh: 1, label: chart.title})))));
}
byId("about").textContent = `h-dqn ${DATA.versions["h-dqn"]} ${DATA.versions.revision}`;
drawReport();

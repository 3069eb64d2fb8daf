// Films: an episode each, a picture a step.

function filmOf(film) {
  const pictures = loaded(film.pictures), count = film.captions.length, at = {step: 0, playing: null};
  const canvas = tag("canvas", {width: 320, height: 320, role: "img", "aria-label": `an episode of ${film.task}`});
  const time = tag("input", {type: "range", min: 0, max: count - 1, value: 0, "aria-label": `step of the episode of ${film.task}`, style: "flex:1"});
  const caption = tag("p", {class: "soft"}), play = tag("button", {}, "play");
  function draw() {
    drawTile(canvas.getContext("2d"), film.pictures, pictures, at.step, [0, 0, canvas.width, canvas.height]);
    time.value = at.step;
    caption.textContent = `${at.step} of ${count - 1}: ${film.captions[at.step]}`;
  }
  function stop() {
    clearInterval(at.playing);
    at.playing = null;
    play.textContent = "play";
  }
  function turn() {
    if (at.playing) return stop();
    if (at.step === count - 1) at.step = 0;
    at.playing = setInterval(() => {
      at.step++;
      draw();
      if (at.step >= count - 1) stop();
    }, 170);
    play.textContent = "pause";
    draw();
  }
  play.addEventListener("click", turn);
  time.addEventListener("input", () => { at.step = Number(time.value); draw(); });
  for (const picture of pictures) picture.addEventListener("load", draw);
  draw();
  return tag("div", {class: "film", style: "width:320px"}, [tag("h3", {}, `${film.task}: ${film.success ? "reached" : "not reached"}`), canvas, tag("div", {class: "bar"}, [play, time]), caption]);
}

function drawFilms() {
  byId("films").replaceChildren(...DATA.films.map(filmOf));
  if (!DATA.films.length) byId("films").replaceChildren(note("none were kept"));
}

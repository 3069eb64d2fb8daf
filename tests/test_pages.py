"""Pages: safe whatever their data say, and alive in a browser that has no network."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import h_dqn
from h_dqn.experiment.explain import ExplainConfig
from h_dqn.experiment.lifelong_page import write_page
from h_dqn.experiment.report import names_of, report_data, write_report
from h_dqn.report import column, page, plain, sheets
from h_dqn.report.curves import curve, level, share_of_area, summary
from tests.firefox import Firefox
from tests.helpers import Capture, last_json, life_folder, refused
from tests.helpers import h_dqn as cli

EVIL = "</script><script>alert(1)</script>\u2028<!-- {{data}} &amp;"
OLD = Path(__file__).parent / "data/old_format/runs"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def data_of(text: str) -> Any:
    """What the page's script reads."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found.group(1))


# --- the shell ---


def test_no_text_ends_a_script() -> None:
    data = {"title": EVIL, EVIL: [EVIL], "numbers": [float("nan"), float("inf"), np.float32(0.5), np.arange(2)]}
    text = page("report", EVIL, data)
    assert data_of(text) == {"title": EVIL, EVIL: [EVIL], "numbers": [None, None, 0.5, [0, 1]]}
    assert "alert(1)</script>" not in text
    assert text.count("</script>") == 2


def test_a_page_asks_for_nothing() -> None:
    for kind in ("report", "explain", "life"):
        text = page(kind, "x", {})
        assert "default-src 'none'" in text
        assert not re.search(r"\b(fetch|import|XMLHttpRequest|Worker|innerHTML|eval)\b", text)
        assert re.findall(r"https?://[^\"' ]+", text) == ["http://www.w3.org/2000/svg"]


def test_columns_and_sheets_can_be_read_again() -> None:
    packed = column(np.array([[1.5, 2], [3, 4]]))
    assert (packed["kind"], packed["columns"]) == ("f4", 2)
    assert np.frombuffer(base64.b64decode(packed["data"]), "<f4").tolist() == [1.5, 2, 3, 4]
    assert base64.b64decode(column(np.array([True, False]))["data"]) == b"\x01\x00"
    pictures = np.repeat(np.arange(50, dtype=np.uint8) * 5, 512 * 512 * 3).reshape(50, 512, 512, 3)
    found = sheets(pictures)
    assert (found["across"], found["down"], len(found["images"])) == (4, 4, 4)
    for number in (0, 5, 17, 49):
        sheet = base64.b64decode(found["images"][number // 16].partition(",")[2])
        image = cv2.imdecode(np.frombuffer(sheet, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        row, col = divmod(number % 16, 4)
        assert abs(int(image[row * 512 + 200, col * 512 + 200, 0]) - number * 5) <= 2


# --- the report ---


def rows_of(steps: list[float], values: list[float]) -> list[dict[str, float]]:
    return [{"env_steps": step, "train_success": value} for step, value in zip(steps, values, strict=True)]


def test_curves_are_means_at_the_same_steps() -> None:
    one, other = rows_of([0, 10], [0, 1]), rows_of([0, 5, 20], [0.5, 0.5, 0.5])
    found = curve([one, other], "train_success")
    assert found is not None
    assert (found["x"][0], found["x"][-1], found["seeds"]) == (0, 10, 2)
    assert found["y"] == pytest.approx(np.linspace(0.25, 0.75, len(found["x"])))
    assert found["high"][-1] - found["y"][-1] == pytest.approx(12.706 * 0.25, rel=1e-3)  # t of one degree; s / sqrt 2
    alone = curve([one], "train_success")
    assert alone is not None
    assert alone["low"] is None
    assert curve([one], "loss") is None
    assert curve([rows_of([1], [1])], "train_success") is None


def test_levels_and_areas() -> None:
    rows = rows_of([0, 50, 95, 100], [0, 1, 0.5, 0.7])
    assert level(rows, "train_success") == pytest.approx(0.6)
    assert share_of_area(rows, "train_success") == pytest.approx((25 + 45 * 0.75 + 3) / 100)
    assert summary([level(rows, "loss")]) == {"mean": None, "half": None, "seeds": 0}
    assert summary([1.0]) == {"mean": 1.0, "half": None, "seeds": 1}


def test_seeds_are_one_arm_and_settings_are_not() -> None:
    plan: dict[str, Any] = {"kind": "flat", "task": "exit", "seed": 1, "config": {"learner": {"discount": 0.9}}}
    other = {**plan, "config": {"learner": {"discount": 0.99}}}
    found = names_of([plan, {**plan, "seed": 2}, other, {}])
    assert found == ["flat exit, discount 0.9", "flat exit, discount 0.9", "flat exit, discount 0.99", ""]


def test_a_report_of_old_runs(tmp_path: Path) -> None:
    data = plain(report_data([OLD]))
    assert len(data["arms"]) == 3
    assert {one["metric"] for one in data["curves"]} >= {"train_success", "loss"}
    assert any(option["name"] == "skill:navigation1" for one in data["options"] for option in one["options"])
    assert data_of(write_report([OLD / "flat"], tmp_path / "page.html", EVIL).read_text())["runs"][0]["env_steps"] > 0


def test_the_command(in_tmp: Path, capsys: Capture) -> None:
    assert cli(f"report {OLD / 'ctl'} {OLD / 'flat'} --out both.html --json") == 0
    assert last_json(capsys) == {"page": "both.html"}
    refused(capsys, "report .", "no run is kept here")
    refused(capsys, f"report {OLD} --out page.txt", "must end in .html")
    (in_tmp / "broken").mkdir()
    (in_tmp / "broken/metrics.jsonl").write_text('{"env_steps": NaN}\n')
    refused(capsys, "report broken", "line 1")


# --- in a browser ---


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"none of these browsers is installed: {', '.join(BROWSERS)}")
    with api.sync_playwright() as play:
        launched = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


class Opened:
    """A page from the disk, without a network. What it says on the console and asks for is kept."""

    def __init__(self, browser: Any, path: Path) -> None:
        context = browser.new_context(viewport={"width": 1400, "height": 1000}, offline=True, color_scheme="light")
        self.page = context.new_page()
        self.page.set_default_timeout(15000)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())

    def check(self, path: Path) -> None:
        assert self.said == []
        assert [url for url in self.asked if not url.startswith("data:")] == [path.as_uri()]


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explain") / "explain.html"
    path.write_text(h_dqn.explain("navigation1", config=ExplainConfig(60, 70001, 800, 800, 20)).page())
    return path


def shown(opened: Opened) -> tuple[int, int]:
    """Steps that are selected, and all."""
    found = re.match(r"([\d,]+) of ([\d,]+) steps", opened.text("#selection"))
    assert found
    some, every = (int(number.replace(",", "")) for number in found.groups())
    return some, every


def test_explain_in_a_browser(browser: Any, explained: Path) -> None:
    opened = Opened(browser, explained)
    page = opened.page
    some, every = shown(opened)
    assert some == every > 100
    # Filters: what fails and what succeeds are all there is.
    page.select_option("#outcome", "1")
    won = shown(opened)[0]
    page.select_option("#outcome", "0")
    assert 0 < won < every
    assert won + shown(opened)[0] == every
    page.keyboard.press("Escape")
    page.locator("#clear").click()
    assert shown(opened) == (every, every)
    # A row of the table of clusters is a filter, and the row says how many there are.
    row = page.locator("#clusters tbody tr").first
    inside = int(row.locator("td").nth(1).inner_text().replace(",", ""))
    row.click()
    assert shown(opened)[0] == inside
    assert page.locator("#clusters tbody tr.chosen").count() == 1
    page.locator("#clear").click()
    # The lasso: around the left half of the map.
    page.locator("#lasso").click()
    box = page.locator("#map").bounding_box()
    left, top, middle, bottom = box["x"] + 2, box["y"] + 2, box["x"] + box["width"] / 2, box["y"] + box["height"] - 2
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((middle, top), (middle, bottom), (left, bottom)):
        page.mouse.move(x, y, steps=4)
    page.mouse.up()
    assert 0 < shown(opened)[0] < every
    page.locator("#lasso").click()
    page.locator("#clear").click()
    # The film: along the episode and on its slider.
    page.locator("#time").fill("0")
    place = opened.text("#where")
    page.keyboard.press("ArrowRight")
    assert opened.text("#where") != place
    page.keyboard.press("ArrowLeft")
    assert opened.text("#where") == place
    page.locator("#time").fill("0")
    page.locator("#strip").click(position={"x": 150, "y": 20})
    assert "step 2 " in opened.text("#where")
    # The pointer shows a frame; keys turn colours, maps and saliency.
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tips = 0
    for x in range(0, int(box["width"]), 12):
        page.mouse.move(box["x"] + x, box["y"] + box["height"] / 2)
        tips += page.locator("#tip canvas").is_visible()
    assert tips > 0
    for key, selector in (("c", "#colour"), ("s", "#saliency")):
        before = page.input_value(selector)
        page.keyboard.press(key)
        assert page.input_value(selector) != before
    assert "gradient" in opened.text("#framenote")
    assert "no word for: " in opened.text("#nowords")  # to reach the exit is the task itself
    page.keyboard.press("t")
    assert page.locator("html.dark").count() == 1
    opened.check(explained)


def test_report_in_a_browser(browser: Any, tmp_path: Path) -> None:
    path = write_report([OLD], tmp_path / "report.html", EVIL)
    opened = Opened(browser, path)
    assert opened.text("h1") == EVIL.replace("\u2028", opened.text("h1")[len("</script><script>alert(1)</script>")])
    lines = opened.page.locator("#curves path.series").count()
    opened.page.locator("#legend button").first.click()
    assert 0 < opened.page.locator("#curves path.series").count() < lines
    opened.page.locator("#curves svg").first.hover()
    assert opened.page.locator("#tip").is_visible()
    opened.check(path)


def test_a_life_in_a_browser(browser: Any, tmp_path: Path) -> None:
    path = write_page(life_folder(tmp_path / "life", tasks=("exit", EVIL), task=f"{EVIL}.toml"))
    opened = Opened(browser, path)
    page = opened.page
    assert "{{data}}" in opened.text("h1")
    # Rows are tasks, columns evaluations; what is chosen by the keyboard or a click is told below.
    assert page.locator("#matrix rect.cell").count() == 2 * 7
    page.locator("#matrix svg").focus()
    for key in ("ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert opened.text("#readout").startswith(
        "exit: 100.0 % [91.2 %, 100.0 %] of 40 unseen episodes, after 100 steps; end of phase 1 (exit)"
    )
    page.keyboard.press("e")
    assert page.locator("#matrix rect.cell").count() == 2 * 4
    page.locator("#matrix rect.cell").nth(1).click()
    assert "before any learning" in opened.text("#readout")
    page.locator("#matrix rect.cell").first.hover()
    assert page.locator("#tip").is_visible()
    # What it began with, options, changes, discount, plasticity, ledger, and what the metrics are.
    assert "the skill of exit" in opened.text("#phases")
    assert "chance 0.1" in opened.text("#phases")
    assert "skill of exit" in opened.text("#options")
    assert "precision 100.0 %, recall 50.0 %" in opened.text("#changenote")
    assert "1 of them announced" in opened.text("#changenote")
    assert {"discount", "share of options eliminated"} <= set(page.locator("#paths h2").all_inner_texts())
    assert "navigation1 for 60 steps" in opened.text("#plasticity")
    assert page.locator("#tasks rect.span").count() == 3
    assert "weights" in opened.text("#ledger")
    assert "mean success on all tasks at the end" in opened.text("#metrics")
    # A film: on its slider, and played to its end.
    film = page.locator("#films .film").first
    film.locator("input").fill("1")
    assert "1 of 2: forward" in film.inner_text()
    film.locator("button").click()
    film.get_by_text("2 of 2: forward   reached").wait_for()
    page.keyboard.press("t")
    assert page.locator("html.dark").count() == 1
    opened.check(path)


@pytest.mark.parametrize("changes", [{"metrics": {}, "stages": [], "probes": [], "intervals": {}}, {"noticed": {}, "ledger": {}}])
def test_a_life_of_one_task_in_a_browser(browser: Any, tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = life_folder(tmp_path / "life", (0,), ("exit",), **changes)
    for name in ("metrics.jsonl", "films.json"):
        (folder / name).unlink()
    opened = Opened(browser, path := write_page(folder))
    assert opened.page.locator("#matrix rect.cell").count() == 3
    assert "none were kept" in opened.text("#films")
    opened.check(path)


def test_lives_side_by_side_in_a_browser(browser: Any, tmp_path: Path) -> None:
    for agent in ("library", "scratch"):
        life_folder(tmp_path / agent, agent=agent)
    opened = Opened(browser, path := write_report([tmp_path], tmp_path / "lives.html"))
    assert "average performance" in opened.text("#lives")
    opened.check(path)


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_page_of_almost_nothing_in_a_browser(browser: Any, tmp_path: Path, outputs: int) -> None:
    """One episode, no success, one action or three that nobody trained."""
    from h_dqn.experiment.agent import Agent
    from tests.helpers import saved_policy

    policy = saved_policy(EVIL[:40], outputs)
    path = tmp_path / "nothing.html"
    path.write_text(h_dqn.explain(Agent(policy, policy.heads[0]), config=ExplainConfig(1, 1, 50, 3, 0)).page())
    opened = Opened(browser, path)
    assert "Note" in opened.text("#warnings")
    opened.check(path)


@pytest.fixture
def firefox(tmp_path: Path) -> Iterator[Firefox]:
    pytest.importorskip("websockets", reason="websockets is not installed")
    found = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
    if found is None:
        pytest.skip("Firefox is not installed")
    launched = Firefox(found, tmp_path)
    yield launched
    launched.close()


def test_explain_in_firefox(firefox: Firefox, explained: Path) -> None:
    firefox.open(explained)

    def shown() -> list[int]:
        said = str(firefox.run("document.getElementById('selection').textContent"))
        return [int(number.replace(",", "")) for number in re.findall(r"[\d,]+", said)[:2]]

    def middle(selector: str) -> tuple[int, int]:
        box = f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}}); const b = "
        box += "e.getBoundingClientRect(); return `${Math.round(b.x + b.width / 2)} ${Math.round(b.y + b.height / 2)}`; })()"
        x, y = str(firefox.run(box)).split()
        return int(x), int(y)

    some, every = shown()
    assert some == every > 100
    firefox.drag(middle("#clusters tbody tr"))  # a click: the row is a filter
    assert 0 < shown()[0] < every
    firefox.drag(middle("#clear"))
    assert shown() == [every, every]
    firefox.drag(middle("#lasso"))
    x, y = middle("#map")
    firefox.drag((x, y - 200), (x - 200, y - 200), (x - 200, y + 200), (x, y + 200))
    assert 0 < shown()[0] < every
    firefox.press("\ue00c")  # escape
    assert shown() == [every, every]
    firefox.run(
        "(() => { const e = document.getElementById('time'); e.value = 0; e.dispatchEvent(new Event('input')); return 0; })()"
    )
    place = firefox.run("document.getElementById('where').textContent")
    firefox.press("\ue014")  # to the right, along the film
    assert firefox.run("document.getElementById('where').textContent") != place
    firefox.press("t")
    assert firefox.run("document.documentElement.classList.contains('dark')") is True
    assert firefox.said == []
    assert {url for url in firefox.asked if not url.startswith("data:")} <= {explained.as_uri()}

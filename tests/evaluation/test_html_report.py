"""The HTML report: each value in its place, well formed, escaped, nothing from elsewhere."""

import base64
import dataclasses
import html.parser
import json
import math
import pathlib
import re
from typing import Any

import evaluations
import numpy as np
import pytest

from dfd_jax.evaluation.report import picture_grid, tables
from dfd_jax.evaluation.report.html_report import write_html
from dfd_jax.evaluation.results import Evaluation


@pytest.fixture
def evaluation() -> Evaluation:
    return evaluations.example()


class Page(html.parser.HTMLParser):
    """Collects text, attributes and unclosed tags of a page."""

    VOID = frozenset({"meta", "img", "br", "line", "path"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.lines: list[list[str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.lines.append([])

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:  # the parser also reports the end of <line/>
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.lines[-1].append(data)


def written(path: pathlib.Path, *args: Any) -> tuple[str, Page]:
    write_html(path, *args)
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def test_any_figure_may_be_missing(tmp_path: pathlib.Path) -> None:
    empty = evaluations.typed(evaluations.without_figures(evaluations.plain()))
    text = " ".join(written(tmp_path / "r.html", empty)[1].words)
    assert tables.MISSING in text
    assert not re.search(r"\b(nan|None|null)\b", text)


@pytest.mark.parametrize("name", ["crop_sizes", "channels", "detectors"])
def test_a_whole_part_may_be_missing(
    evaluation: Evaluation, name: str, tmp_path: pathlib.Path
) -> None:
    without = dataclasses.replace(evaluation, **{name: ()})
    assert not written(tmp_path / "r.html", without)[1].open


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(
    evaluation: Evaluation, tmp_path: pathlib.Path
) -> None:
    picture_grid.save_grid(tmp_path / "grid.png", [{"x": np.zeros((64, 64, 3), np.uint8)}])
    history = [{"step": s, "loss": 1.0 / s} for s in (1, 2, 3)]
    text, page = written(tmp_path / "r.html", evaluation, [tmp_path / "grid.png"], history)
    assert not page.open
    assert "://" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert not {tag for tag, _, _ in page.attributes} & {"script", "link", "iframe"}
    sources = [v for _, name, v in page.attributes if name in ("src", "href", "data", "srcset")]
    assert len(sources) == 1
    embedded = base64.b64decode(sources[0].removeprefix("data:image/png;base64,"))
    assert embedded == (tmp_path / "grid.png").read_bytes()


def test_the_page_has_intervals_counts_and_provenance(
    evaluation: Evaluation, tmp_path: pathlib.Path
) -> None:
    _, page = written(tmp_path / "r.html", evaluation)
    one = ["stargan", "Male", "xception *", "0.97", "0.96", "0.04", "[0.02, 0.07]", "0.96", "0.97"]
    one += ["0.97", "0.65", "0.98", "0.88", "61", "2", "1234", "4321"]
    assert one in page.lines
    distance = ["stargan", "Male", "63", "0.214", "[0.171, 0.257]", "0.193", "98"]
    assert [*distance, "[93, 98]", "0.321", "89", "0"] in page.lines
    words = set(page.words)
    assert words >= {"abc1234", "ffee", "aa11", "bb22", "dd44", "3", "StarGAN at 64 px"}


def test_text_from_the_run_is_escaped(tmp_path: pathlib.Path) -> None:
    attack = "<script>alert(1)</script>"
    hostile = evaluations.plain()
    hostile["command"] = hostile["device"] = hostile["commit"] = hostile["created"] = attack
    hostile["perturber"]["model"] = hostile["photos"]["split"] = attack
    hostile["protects_against"] = [attack]
    hostile["rows"][1]["row"] = hostile["channels"][0]["channel"] = attack
    text = json.dumps(hostile).replace("stargan", attack).replace("xception", attack)
    hostile = evaluations.typed(json.loads(text))
    history = [{"step": 0, attack: 1.0}, {"step": 1, attack: 2.0}]
    text, page = written(tmp_path / "r.html", hostile, (), history)
    assert "<script" not in text
    assert not page.open
    assert attack in page.words


def test_flags_are_marked_by_more_than_colour(
    evaluation: Evaluation, tmp_path: pathlib.Path
) -> None:
    text, _ = written(tmp_path / "r.html", evaluation)
    assert '<td class="worse" title="worse than no protection">0.80!</td>' in text


def test_training_curves_reach_from_the_lowest_to_the_highest_value(
    evaluation: Evaluation, tmp_path: pathlib.Path
) -> None:
    history = [{"step": s, "time": 7.0, "loss": v} for s, v in ((10, 4.0), (20, 1.0), (30, 2.0))]
    history += [{"step": 40, "loss": math.nan, "single": 1.0, "note": "text"}]
    text, page = written(tmp_path / "r.html", evaluation, (), history)
    captions = [v for _, name, v in page.attributes if name == "aria-label"]
    assert captions == ["loss over steps"]
    path = next(v for tag, name, v in page.attributes if (tag, name) == ("path", "d"))
    points = [tuple(map(float, p.split(","))) for p in path[1:].split("L")]
    heights = [y for _, y in points]
    assert heights[0] == min(heights)  # SVG's y points down
    assert heights[1] == max(heights)
    assert points[1][0] == pytest.approx((points[0][0] + points[2][0]) / 2)
    assert {"4", "1", "step 30"} <= set(page.words)
    assert "Training" not in written(tmp_path / "r.html", evaluation)[0]
    assert "Training" in text


def test_a_long_history_is_thinned_but_keeps_its_ends(
    evaluation: Evaluation, tmp_path: pathlib.Path
) -> None:
    history = [{"step": s, "loss": float(s)} for s in range(5000)]
    _, page = written(tmp_path / "r.html", evaluation, (), history)
    path = next(v for tag, name, v in page.attributes if (tag, name) == ("path", "d"))
    assert 200 < path.count("L") < 350
    assert {"0", "step 4999"} <= set(page.words)

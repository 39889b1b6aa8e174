"""What a run's tables say in a terminal and in Markdown: each value in its place, nothing cut."""

import io
import math
import re
from typing import Any

import evaluations
import pytest
from rich.console import Console

from dfd_jax.evaluation.report import tables, text_report


@pytest.fixture
def evaluation() -> dict[str, Any]:
    return evaluations.example()


def printed(evaluation: dict[str, Any], width: int = 110, encoding: str = "utf-8") -> str:
    buffer = io.BytesIO()
    file = io.TextIOWrapper(buffer, encoding=encoding)
    text_report.print_evaluation(evaluation, Console(file=file, width=width, color_system=None))
    file.flush()
    return buffer.getvalue().decode(encoding)


def line_of(text: str, *words: str) -> list[str]:
    """The columns of the first printed line that begins with `words`."""
    lines = (line.split() for line in text.splitlines())
    return next(line for line in lines if line[: len(words)] == list(words))


def test_the_terminal_shows_every_pooled_number_in_its_column(evaluation: dict[str, Any]) -> None:
    text = printed(evaluation)
    header = "detector row L2 % dis R R' q prec. rec. F1 floor…cap PSNR SSIM L∞"
    assert line_of(text, "detector") == header.split()
    expected = "xception * P 0.214 98 0.97 0.96 0.04 0.96 0.97 0.97 0.65…0.98 35.2 0.971 6.0"
    assert line_of(text, "xception", "*", "P") == expected.split()


def test_a_photo_that_is_unchanged_has_infinite_psnr(evaluation: dict[str, Any]) -> None:
    line = line_of(printed(evaluation), "xception", "*", "no", "protection")
    assert line[-3:] == ["∞", "1.000", "0.0"]
    evaluation["rows"][2]["psnr"] = None  # P changes the photo, so null is "not measured" here
    assert line_of(printed(evaluation), "xception", "*", "P")[-3] == tables.MISSING


def test_q_under_a_condition_stands_beside_the_unprotected_q(evaluation: dict[str, Any]) -> None:
    expected = "Black_Hair 63 0.214 98 0.321 89 0.87 → 0.04 0.75 → 0.80!"
    assert line_of(printed(evaluation), "Black_Hair") == expected.split()


def test_only_values_worse_than_no_protection_are_flagged(evaluation: dict[str, Any]) -> None:
    summary = tables.summary(evaluation)[0]
    flagged = {
        (row.cells[0].text, row.cells[1].text, header)
        for row in summary.rows
        for header, cell in zip(summary.headers, row.cells, strict=True)
        if cell.is_worse
    }
    lost_r = {("resnet18", r, "R'") for r in ("no protection", "random noise", "P")}  # .90 of .94
    assert flagged == lost_r | {("resnet18", "P", h) for h in ("q", "prec.", "F1")}


def test_r_may_fall_by_the_tolerance_and_not_more(evaluation: dict[str, Any]) -> None:
    found = evaluation["rows"][2]["cells"][2]["detectors"]["xception"]
    for kept, is_flagged in ((0.95, False), (0.94, True)):
        cell = tables.judged("R_protected", found | {"R_protected": kept}, {})
        assert cell.is_worse is is_flagged


def test_channels_are_flagged_against_the_unprotected_row(evaluation: dict[str, Any]) -> None:
    expected = "JPEG 75 0.123 77 0.31 0.99! 0.95 0.50!"
    assert line_of(printed(evaluation), "JPEG", "75") == expected.split()


def test_several_channels_end_in_their_mean_and_their_worst(evaluation: dict[str, Any]) -> None:
    mild = {"q": {"xception": 0.11, "resnet18": 0.5}, "R_protected": {"xception": 0.97}}
    mild |= {"channel": "JPEG 95", "generator": "stargan", "l2": 0.2, "disrupted": 0.97}
    evaluation["channels"].append(mild)
    text = printed(evaluation)
    assert line_of(text, "mean")[1:5] == ["0.162", "87", "0.21", "0.74"]
    assert line_of(text, "worst")[1:] == ["0.123", "77", "0.31", "0.99!", "0.95", "0.50!"]


def test_each_generator_has_its_own_tables(evaluation: dict[str, Any]) -> None:
    other = [dict(line, generator="fomm", l2=0.5) for line in evaluation["regions"]]
    evaluation["regions"] += other
    assert [t.title for t in tables.regions(evaluation)] == [
        "stargan: larger photos",
        "fomm: larger photos",
    ]


def test_whole_clips_are_shown_where_there_are_any(evaluation: dict[str, Any]) -> None:
    assert tables.clips(evaluation) == []
    for row, q in zip(evaluation["rows"], (0.9, 0.9, 0.1), strict=True):
        clips = {"n": 63, "frames": 8, "disrupted": 0.95, "detectors": {"xception": {"q": q}}}
        row["cells"][0]["clips"] = clips
    line = line_of(printed(evaluation), "Black_Hair", "63", "8")
    assert line == [
        "Black_Hair",
        "63",
        "8",
        "95",
        "0.90",
        "→",
        "0.10",
        tables.MISSING,
        "→",
        tables.MISSING,
    ]


def test_regions_and_speed_are_printed(evaluation: dict[str, Any]) -> None:
    text = printed(evaluation)
    assert line_of(text, "256", "px")[4:] == ["0.181", "93", "6.0", tables.MISSING]
    assert "11.4 ms per photo, one at a time; 4.3 ms per photo in batches of 16 (cpu)" in text


@pytest.mark.parametrize("width", [40, 72, 100, 120])
def test_no_table_is_cut_in_a_narrow_terminal(evaluation: dict[str, Any], width: int) -> None:
    text = printed(evaluation, width)
    assert max(len(line) for line in text.splitlines()) <= width
    for value in ("0.65…0.98", "35.2", "0.971", "0.87 → 0.04", "0.75 → 0.80!", "floor…cap"):
        assert value in text
    names = [header for table in tables.summary(evaluation) for header in table.headers]
    assert all(name in text for name in names)


def test_a_table_that_fits_is_printed_in_one_part(evaluation: dict[str, Any]) -> None:
    table = tables.summary(evaluation)[0]
    assert text_report.split(table, 110) == [table]
    assert len(text_report.split(table, 60)) > 1


def test_a_log_without_unicode_gets_plain_characters(evaluation: dict[str, Any]) -> None:
    text = printed(evaluation, encoding="ascii")
    assert "0.65-0.98" in text
    assert "0.87 > 0.04" in text
    assert "inf" in text


def test_the_headline_speaks_of_the_detector_in_the_loop(evaluation: dict[str, Any]) -> None:
    assert tables.headline(evaluation) == (
        "P breaks 98 % of the stargan fakes and xception now lets 4 % of them pass as real "
        "instead of 87 %, at 35.2 dB."
    )


def test_a_run_without_p_says_so() -> None:
    assert "no pooled result" in tables.headline({})
    assert "no pooled result" in printed({})
    assert "no pooled result" in text_report.markdown_table({})


@pytest.mark.parametrize("blank", [None, math.nan])
def test_any_value_may_be_missing(evaluation: dict[str, Any], blank: float | None) -> None:
    empty = evaluations.without_numbers(evaluation, blank)
    for text in (printed(empty), text_report.markdown_table(empty)):
        assert tables.MISSING in text
        assert not re.search(r"\b(nan|None|null)\b", text)


@pytest.mark.parametrize("name", ["rows", "regions", "channels", "speed", "photos", "detectors"])
def test_a_whole_part_may_be_missing(evaluation: dict[str, Any], name: str) -> None:
    assert "PSNR (dB)" in printed(evaluation | {name: None})
    del evaluation[name]
    assert "PSNR (dB)" in printed(evaluation)


def test_the_markdown_table_is_a_table(evaluation: dict[str, Any]) -> None:
    evaluation["rows"][1]["row"] = "noise | 6"
    lines = [x for x in text_report.markdown_table(evaluation).splitlines() if x.startswith("|")]
    columns = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert {len(c) for c in columns} == {14}
    assert len(lines) == 2 + 6
    protected = next(c for c in columns if c[0].startswith(" xception") and c[1] == " P ")
    assert [c.strip() for c in protected[2:7]] == ["0.214", "98", "0.97", "0.96", "0.04"]


def test_the_perceptual_distance_has_a_column_and_a_legend_only_where_it_was_measured(
    evaluation: dict[str, Any],
) -> None:
    for text in (printed(evaluation), text_report.markdown_report(evaluation)):
        assert "LPIPS" not in text
    evaluation["rows"][2]["lpips"] = 0.1234
    text = printed(evaluation, width=130)
    assert line_of(text, "detector")[-1] == "LPIPS-like"
    assert line_of(text, "xception", "*", "P")[-1] == "0.1234"
    assert line_of(text, "xception", "*", "no", "protection")[-1] == tables.MISSING
    assert "Not comparable with published LPIPS" in " ".join(text.split())
    assert "LPIPS-like" in text_report.markdown_report(evaluation)

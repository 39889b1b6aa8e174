"""What a run's tables say in a terminal and in Markdown: each value in its place, nothing cut."""

import dataclasses
import io
import math
import re
from typing import Any

import evaluations
import pytest
from rich.console import Console

from dfd_jax.evaluation.report import formatting, tables, text_report
from dfd_jax.evaluation.report.formatting import Worse
from dfd_jax.evaluation.results import ClipFigures, ClipVerdict, Counts, Evaluation


@pytest.fixture
def evaluation() -> Evaluation:
    return evaluations.example()


def printed(evaluation: Evaluation, width: int = 110, encoding: str = "utf-8") -> str:
    buffer = io.BytesIO()
    file = io.TextIOWrapper(buffer, encoding=encoding)
    text_report.print_evaluation(evaluation, Console(file=file, width=width, color_system=None))
    file.flush()
    return buffer.getvalue().decode(encoding)


def with_row(evaluation: Evaluation, index: int = 2, **changes: Any) -> Evaluation:
    """The same with a changed row; by default P's."""
    rows = list(evaluation.rows)
    rows[index] = dataclasses.replace(rows[index], **changes)
    return dataclasses.replace(evaluation, rows=tuple(rows))


def line_of(text: str, *words: str) -> list[str]:
    """The columns of the first printed line that begins with `words`."""
    lines = (line.split() for line in text.splitlines())
    return next(line for line in lines if line[: len(words)] == list(words))


def test_the_terminal_shows_every_pooled_number_in_its_column(evaluation: Evaluation) -> None:
    text = printed(evaluation)
    header = "detector row L2 % dis R R' q prec. rec. F1 floor…cap PSNR SSIM L∞"
    assert line_of(text, "detector") == header.split()
    expected = "xception * P 0.214 98 0.97 0.96 0.04 0.96 0.97 0.97 0.65…0.98 35.2 0.971 6.0"
    assert line_of(text, "xception", "*", "P") == expected.split()


def test_a_photo_that_is_unchanged_has_infinite_psnr(evaluation: Evaluation) -> None:
    line = line_of(printed(evaluation), "xception", "*", "no", "protection")
    assert line[-3:] == ["∞", "1.000", "0.0"]
    unknown = with_row(evaluation, psnr=math.nan)  # P changes the photo: not measured, not infinite
    assert line_of(printed(unknown), "xception", "*", "P")[-3] == formatting.MISSING


def test_q_under_a_condition_stands_beside_the_unprotected_q(evaluation: Evaluation) -> None:
    expected = "Black_Hair 63 0.214 98 0.321 89 0.87 → 0.04 0.75 → 0.80!"
    assert line_of(printed(evaluation), "Black_Hair") == expected.split()


def test_only_values_worse_than_no_protection_are_flagged(evaluation: Evaluation) -> None:
    summary = tables.summary(evaluation)[0]
    flagged = {
        (line.cells[0], line.cells[1], header)
        for line in summary.lines
        for header, cell in zip(summary.headers, line.cells, strict=True)
        if isinstance(cell, Worse)
    }
    lost_r = {("resnet18", r, "R'") for r in ("no protection", "random noise", "P")}  # .90 of .94
    assert flagged == lost_r | {("resnet18", "P", h) for h in ("q", "prec.", "F1")}


def test_r_may_fall_by_the_tolerance_and_not_more() -> None:
    assert tables.kept_real(0.95, 0.97) == "0.95"
    assert tables.kept_real(0.94, 0.97) == Worse("0.94") == "0.94!"


def test_channels_are_flagged_against_the_unprotected_row(evaluation: Evaluation) -> None:
    expected = "JPEG 75 0.123 77 0.31 0.99! 0.95 0.50!"
    assert line_of(printed(evaluation), "JPEG", "75") == expected.split()


def test_several_channels_end_in_their_mean_and_their_worst(evaluation: Evaluation) -> None:
    mild = dataclasses.replace(
        evaluation.channels[0],
        channel="JPEG 95",
        l2=0.2,
        disrupted=0.97,
        q={"xception": 0.11, "resnet18": 0.5},
        R_protected={"xception": 0.97, "resnet18": math.nan},
    )
    text = printed(dataclasses.replace(evaluation, channels=(*evaluation.channels, mild)))
    assert line_of(text, "mean")[1:5] == ["0.162", "87", "0.21", "0.74"]
    assert line_of(text, "worst")[1:] == ["0.123", "77", "0.31", "0.99!", "0.95", "0.50!"]


def test_each_generator_has_its_own_tables(evaluation: Evaluation) -> None:
    other = dataclasses.replace(evaluation.crop_sizes[0], generator="fomm", l2=0.5)
    both = dataclasses.replace(evaluation, crop_sizes=(*evaluation.crop_sizes, other))
    assert [t.title for t in tables.crop_sizes(both)] == [
        "stargan: larger photos",
        "fomm: larger photos",
    ]


def test_whole_clips_are_shown_where_there_are_any(evaluation: Evaluation) -> None:
    assert tables.clips(evaluation) == []
    for index, q in enumerate((0.9, 0.9, 0.1)):
        counts = Counts(tp=1, fn=1, fp=1, tn=1)
        seen = ClipVerdict(q=q, precision=0.5, f1=0.5, counts=counts)
        unknown = dataclasses.replace(seen, q=math.nan)
        detectors = {"xception": seen, "resnet18": unknown}
        clips = ClipFigures(n=63, frames=8, disrupted=0.95, detectors=detectors)
        first, *others = evaluation.rows[index].cells
        cells = (dataclasses.replace(first, clips=clips), *others)
        evaluation = with_row(evaluation, index, cells=cells)
    line = line_of(printed(evaluation), "Black_Hair", "63", "8")
    assert line == [
        "Black_Hair",
        "63",
        "8",
        "95",
        "0.90",
        "→",
        "0.10",
        formatting.MISSING,
        "→",
        formatting.MISSING,
    ]


def test_crop_sizes_and_speed_are_printed(evaluation: Evaluation) -> None:
    text = printed(evaluation)
    assert line_of(text, "256", "px")[4:] == ["0.181", "93", "6.0", formatting.MISSING]
    assert "11.4 ms per photo, one at a time; 4.3 ms per photo in batches of 16 (cpu)" in text


@pytest.mark.parametrize("width", [40, 72, 100, 120])
def test_no_table_is_cut_in_a_narrow_terminal(evaluation: Evaluation, width: int) -> None:
    text = printed(evaluation, width)
    assert max(len(line) for line in text.splitlines()) <= width
    for value in ("0.65…0.98", "35.2", "0.971", "0.87 → 0.04", "0.75 → 0.80!", "floor…cap"):
        assert value in text
    names = [header for table in tables.summary(evaluation) for header in table.headers]
    assert all(name in text for name in names)


def test_a_table_that_fits_is_printed_in_one_part(evaluation: Evaluation) -> None:
    table = tables.summary(evaluation)[0]
    assert text_report.split(table, 110) == [table]
    assert len(text_report.split(table, 60)) > 1


def test_a_log_without_unicode_gets_plain_characters(evaluation: Evaluation) -> None:
    text = printed(evaluation, encoding="ascii")
    assert "0.65-0.98" in text
    assert "0.87 > 0.04" in text
    assert "inf" in text


def test_the_headline_speaks_of_the_detector_in_the_loop(evaluation: Evaluation) -> None:
    assert tables.headline(evaluation) == (
        "P breaks 98 % of the stargan fakes and xception now lets 4 % of them pass as real "
        "instead of 87 %, at 35.2 dB."
    )


def test_a_run_without_p_says_so(evaluation: Evaluation) -> None:
    without = dataclasses.replace(evaluation, rows=evaluation.rows[:2])
    with pytest.raises(ValueError, match="no row 'P'; the rows are no protection, random noise"):
        printed(without)


def test_any_figure_may_be_missing() -> None:
    empty = evaluations.typed(evaluations.without_figures(evaluations.plain()))
    for text in (printed(empty), text_report.markdown_report(empty)):
        assert formatting.MISSING in text
        assert not re.search(r"\b(nan|None|null)\b", text)


@pytest.mark.parametrize("name", ["crop_sizes", "channels", "detectors"])
def test_a_whole_part_may_be_missing(evaluation: Evaluation, name: str) -> None:
    assert "PSNR (dB)" in printed(dataclasses.replace(evaluation, **{name: ()}))


def test_the_markdown_table_is_a_table(evaluation: Evaluation) -> None:
    renamed = with_row(evaluation, 1, name="noise | 6")
    text = text_report.markdown_of(tables.summary(renamed)[0])
    lines = [x for x in text.splitlines() if x.startswith("|")]
    columns = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert {len(c) for c in columns} == {14}
    assert len(lines) == 2 + 6
    protected = next(c for c in columns if c[0].startswith(" xception") and c[1] == " P ")
    assert [c.strip() for c in protected[2:7]] == ["0.214", "98", "0.97", "0.96", "0.04"]


def test_the_perceptual_distance_has_a_column_and_a_legend_only_where_it_was_measured(
    evaluation: Evaluation,
) -> None:
    for text in (printed(evaluation), text_report.markdown_report(evaluation)):
        assert "LPIPS" not in text
    evaluation = with_row(evaluation, lpips=0.1234)
    text = printed(evaluation, width=130)
    assert line_of(text, "detector")[-1] == "LPIPS-like"
    assert line_of(text, "xception", "*", "P")[-1] == "0.1234"
    assert line_of(text, "xception", "*", "no", "protection")[-1] == formatting.MISSING
    assert "Not comparable with published LPIPS" in " ".join(text.split())
    assert "LPIPS-like" in text_report.markdown_report(evaluation)

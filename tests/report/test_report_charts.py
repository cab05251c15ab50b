"""Forest plots, curves and heatmaps: what they show, that they leave nothing out, and that they are inert."""

from __future__ import annotations

import re

import pytest
from markupsafe import Markup

from fmaudit.report import html as pages
from fmaudit.report.charts import MAX_ROWS, forest_figures
from fmaudit.report.curve_charts import curve_charts
from fmaudit.report.curves import MAX_LEVELS, curve_set, places_of
from fmaudit.report.figures import forest_panels, rows_of
from fmaudit.report.heatmap import (
    MAX_LEVELS as MOST_ROWS,
)
from fmaudit.report.heatmap import (
    PALETTE,
    best_of,
    heatmap_figure,
    heatmap_set,
    step_of,
    steps_of,
)
from fmaudit.report.index import AuditIndex, without_paths
from fmaudit.report.slice_grids import numeric_levels, slice_grids
from fmaudit.report.slope_charts import slope_chart
from fmaudit.report.slopes import slopes
from fmaudit.resources import shipped_folder
from tests.report.page_parser import Page

PAGE = """{% import "charts.html.j2" as c with context %}
{{ c.charts(forests, drawing, found) }}{{ c.curves(curves, drawings) }}{{ c.heatmaps(heat) }}"""
RATE = "memorization.extraction/greedy_match_rate"


def index_of(audit) -> AuditIndex:
    return AuditIndex(without_paths(audit))


def rendered(audit, limits=None) -> str:
    index = index_of(audit)
    curves = curve_set(index)
    return (
        pages._environment()
        .from_string(PAGE)
        .render(
            region=pages.RegionLabels(),
            forests=forest_figures(forest_panels(index, limits)),
            drawing=slope_chart(slopes(index)),
            found=slopes(index),
            curves=curves,
            drawings=[curve_charts(figure) for figure in curves.figures],
            heat=heatmap_set(index),
        )
    )


def repeated(make_audit, levels=("0", "1", "4", "16", "64"), **options):
    """One rate by how often a text was repeated, in two models."""
    made = make_audit(**options)
    made.metric(RATE, "Greedy match", headline=True)
    for subject in made.names:
        measurement = made.measure("memorization.extraction", "records", subject)
        made.estimate(measurement, RATE, 0.3, 0.03)
        for place, level in enumerate(levels):
            value = min(0.95, 0.1 + place / 10) if subject != "base" else 0.1
            made.estimate(measurement, RATE, value, 0.05, slice={"repeats": level})
    return made


def many(make_audit, count=9):
    names = {"base": "b", **{f"adapted-{place}": f"child {place}" for place in range(count)}}
    made = repeated(make_audit, names=names)
    for place in range(count):
        made.compare(f"adapted-{place}/memorization.extraction@records", RATE, 0.1, 0.1 + place / 20, 0.04)
    return made


def test_a_change_shows_the_margin_that_its_verdict_used(rich_audit):
    panels = forest_panels(index_of(rich_audit))
    change = next(panel for panel in panels if panel.kind == "change" and panel.unit == "points")
    group = next(group for group in change.groups if "preferred" in group.title)
    assert group.zone == pytest.approx(5.0)
    assert group.rows[0].value == pytest.approx(-1.5)
    assert group.margins.replace("\u00a0", " ") == "changes up to 5 points do not matter"
    levels = next(panel for panel in panels if panel.kind == "level" and panel.unit == "%")
    target = next(group for group in levels.groups if "preferred" in group.title)
    assert target.ideal == pytest.approx(50.0)
    assert target.ticks == pytest.approx((45.0, 55.0))
    defect = next(group for group in levels.groups if "Greedy" in group.title)
    assert defect.ticks == pytest.approx((5.0,))


def test_units_and_kinds_never_share_an_axis(rich_audit, family_audit):
    for audit in (rich_audit, family_audit):
        panels = forest_panels(index_of(audit))
        assert len({(panel.kind, panel.unit, panel.zero) for panel in panels if panel.unit}) == len(
            [panel for panel in panels if panel.unit]
        )
        for panel in panels:
            assert panel.zero == (panel.kind != "level")
            for row in (row for group in panel.groups for row in group.rows):
                assert not panel.unit or row.text.removesuffix(" ◇").endswith(panel.unit)


def test_a_margin_that_models_do_not_share_is_not_drawn(make_audit):
    made = many(make_audit)
    made.data["comparisons"][0]["margins"] = {"eps": 0.05, "delta": 0.2, "source": "the policy"}
    change = next(panel for panel in forest_panels(index_of(made.build())) if panel.kind == "change")
    assert change.groups[0].zone is None


def test_a_limit_of_a_policy_is_drawn_and_said(rich_audit):
    page = rendered(rich_audit, {RATE: (0.05, "max")})
    assert "policy: at most 5" in Page(page).text.replace("\u00a0", " ")
    assert "Limit of the policy" in page
    assert "Limit of the policy" not in rendered(rich_audit)


def test_many_models_become_small_multiples_and_none_is_dropped(make_audit):
    made = many(make_audit, 60)
    panels = forest_panels(index_of(made.build()))
    figures = forest_figures(panels)
    assert rows_of(panels) == 61 + 60
    for figure in figures:
        assert figure.multiples
        assert not figure.charts
        drawn = sum(svg.count("child ") for svg in map(texts_of, figure.multiples))
        assert drawn == sum(len(group.rows) for group in figure.groups if group) - (figure.kind == "level")
        assert len(figure.multiples) == -(-len(figure.groups[0].rows) // MAX_ROWS)


def texts_of(svg: str) -> str:
    return " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))


def test_a_figure_of_few_models_has_both_forms(rich_audit):
    for figure in forest_figures(forest_panels(index_of(rich_audit))):
        assert figure.charts
        assert not figure.multiples
        for chart in figure.charts:
            assert chart.wide != chart.narrow


def test_every_slope_is_shown(family_audit):
    index = index_of(family_audit)
    own = [
        found
        for found in family_audit.comparisons
        if found.step == "from_base" and not found.slice and index.metrics.of(found).headline
    ]
    ends = sum(len(slope.ends) for slope in slopes(index))
    without = [found for found in own if found.base_value is None or found.adapted_value is None]
    assert 0 < ends <= len(own)
    assert ends >= len(own) - len(without) - sum(found.state != "measured" for found in own)


def test_places_are_logarithmic_where_levels_span_more_than_twenty_times():
    assert places_of([1, 2, 3]) == ([0.0, 0.5, 1.0], False, False)
    assert places_of([-1, 0, 100])[1] is False
    places, steep, apart = places_of([1, 8, 64])
    assert steep
    assert not apart
    assert places == pytest.approx([0, 0.5, 1])
    places, steep, apart = places_of([0, 1, 8, 64])
    assert steep
    assert apart
    assert places[0] == 0 < places[1]
    assert places[2] - places[1] == pytest.approx(places[3] - places[2])


def test_levels_are_numbers_only_where_each_is_plain_and_different():
    assert numeric_levels(["0", "1", "4.5", "-2"]) == [0, 1, 4.5, -2]
    for levels in (["1", "1.0"], ["1", "nan"], ["1", "1e400"], ["1", "١"], ["1_0"], ["inf"], ["1", ""]):
        assert numeric_levels(levels) is None


def test_a_numeric_column_is_a_curve_and_no_heatmap(make_audit):
    index = index_of(repeated(make_audit).build())
    figure = curve_set(index).figures[0]
    assert figure.logarithmic
    assert figure.zero_apart
    assert [level for level, _ in figure.places] == ["0", "1", "4", "16", "64"]
    assert len(figure.panels) == 1
    assert [line.role for line in figure.panels[0].lines] == ["base", "adapted"]
    assert figure.panels[0].lines[1].dots[4].value == pytest.approx(50)
    assert not heatmap_set(index).views
    assert all(str(value) in curve_charts(figure)[0] for value in ("repeats 64", "50.0"))


def test_two_numeric_levels_or_words_are_a_heatmap(make_audit):
    for levels in (("0", "1"), ("a", "b", "c")):
        index = index_of(repeated(make_audit, levels=levels).build())
        assert not curve_set(index).figures
        assert [row.level for row in heatmap_set(index).views[0].rows] == list(levels)


def test_levels_with_too_few_items_are_marked_in_curves_and_heatmaps(make_audit):
    for levels in (("1", "2", "3"), ("a", "b")):
        made = repeated(make_audit, levels=levels)
        for estimate in made.data["estimates"]:
            if estimate["slice"] == {"repeats": levels[0]}:
                estimate |= {"conclusive": False, "reason": "8 clusters, 30 needed"}
        page = rendered(made.build())
        assert page.count("◇") > rendered(repeated(make_audit, levels=levels).build()).count("◇")
    assert "heat-open" in page
    figure = curve_set(index_of(repeated(make_audit, n=5, levels=("1", "2", "3")).build())).figures[0]
    assert figure.inconclusive


def test_a_level_without_a_number_is_named(make_audit):
    made = repeated(make_audit)
    for estimate in made.data["estimates"]:
        if estimate["slice"] == {"repeats": "0"}:
            estimate |= {"state": "unmeasured", "value": None, "lower": None, "upper": None, "reason": "none"}
    figure = curve_set(index_of(made.build())).figures[0]
    assert not figure.zero_apart
    assert "No model has a number at 0" in figure.note
    assert figure.rows[0].level == "0"


def test_many_levels_are_thinned_and_said(make_audit):
    figure = curve_set(index_of(repeated(make_audit, levels=tuple(map(str, range(100)))).build())).figures[0]
    assert len(figure.places) == MAX_LEVELS
    assert (figure.places[0][0], figure.places[-1][0]) == ("0", "99")
    assert f"{MAX_LEVELS} of 100 levels" in figure.note
    assert len(figure.rows) == 100


def test_a_large_family_has_a_panel_a_child(make_audit):
    figure = curve_set(index_of(many(make_audit).build())).figures[0]
    assert [panel.only for panel in figure.panels] == [f"child {place}" for place in range(9)]
    assert all([line.role for line in panel.lines] == ["base", "adapted"] for panel in figure.panels)
    assert len(set(curve_charts(figure))) == 9


def test_steps_count_the_distance_from_the_best(rich_audit):
    metric = next(m for m in rich_audit.metrics if m.id.endswith("pct_stereotype"))
    edges = steps_of(metric, [])
    assert edges == pytest.approx((0.05, 0.075, 0.175, 0.325))
    values = (0.5, 0.549, 0.55, 0.6, 0.7, 0.9, 0.45, 0.1)
    assert [step_of(metric, value, edges) for value in values] == [0, 0, 1, 2, 3, 4, -1, -4]
    rate = next(m for m in rich_audit.metrics if m.id == RATE)
    assert best_of(rate) == 0
    assert [step_of(rate, value, steps_of(rate, [])) for value in (0.0, 0.05, 0.2, 0.5, 1.0)] == [
        0,
        1,
        2,
        3,
        4,
    ]
    high = rate.model_copy(update={"direction": "higher_is_better", "ideal": 1.0})
    assert [step_of(high, value, steps_of(high, [])) for value in (1.0, 0.9, 0.0)] == [0, 1, 4]
    free = rate.model_copy(update={"range": (None, None)})
    assert [step_of(free, value, steps_of(free, [4.0, -9.0])) for value in (4.0, -9.0)] == [3, 0]
    assert best_of(rate.model_copy(update={"direction": "none"})) is None


def test_a_large_heatmap_says_how_many_levels_are_left(make_audit):
    made = repeated(make_audit, levels=tuple(f"group {place}" for place in range(50)))
    for estimate in made.data["estimates"]:
        if estimate["slice"]:
            estimate["n"] = 10 + int(estimate["slice"]["repeats"].split()[1])
    view = heatmap_set(index_of(made.build())).views[0]
    assert len(view.rows) == MOST_ROWS
    assert [view.rows[0].level, view.rows[-1].level] == ["group 10", "group 49"]
    assert "10 more are in the table" in view.note


def test_what_was_not_asked_is_hatched(make_audit):
    made = repeated(make_audit, levels=("a", "b"))
    made.data["estimates"] = [
        found
        for found in made.data["estimates"]
        if not (found["subject"] == "adapted" and found["slice"] == {"repeats": "b"})
    ]
    assert 'class="state-unasked"' in rendered(made.build())


def test_a_metric_without_a_best_value_is_named_not_coloured(make_audit):
    made = repeated(make_audit, levels=("a", "b"))
    made.data["metrics"][0]["direction"] = "none"
    found = heatmap_set(index_of(made.build()))
    assert not found.views
    assert "Greedy match by repeats" in found.note


def test_the_notebook_draws_the_same_heatmap(rich_audit):
    view = heatmap_set(index_of(rich_audit)).views[0]
    figure = heatmap_figure(view)
    cells = [cell for row in view.rows for cell in row.cells]
    patches = figure.axes[0].patches
    from matplotlib.colors import to_hex

    assert [to_hex(patch.get_facecolor()) for patch in patches] == [PALETTE[cell.step] for cell in cells]
    assert {text.get_text() for text in figure.axes[0].texts} >= {cells[0].number.value}


def test_slices_of_two_columns_are_left_to_the_tables(make_audit):
    made = repeated(make_audit, levels=("a", "b"))
    for estimate in made.data["estimates"]:
        if estimate["slice"]:
            estimate["slice"] |= {"other": "x"}
    assert not slice_grids(index_of(made.build()))


def test_colours_of_cells_carry_text_and_hatching_in_both_themes():
    style = (shipped_folder("templates") / "report" / "charts.css").read_text()
    page = (shipped_folder("templates") / "report" / "report.css").read_text()
    for place in (0, 1):
        cells = dict(re.findall(r"--(heat-[a-z0-9]+): (#[0-9a-f]{6})", style.split("}")[place]))
        colors = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", page.split("}")[place]))
        assert len(cells) == len(PALETTE) + 1
        for name, color in cells.items():
            if name != "heat-hatch":
                assert contrast(colors["ink"], color) >= 4.5, name
        for paper in ("surface", "paper"):
            assert contrast(cells["heat-hatch"], colors[paper]) >= 3, paper
            for mark in ("base", "adapted", "reference", "muted", "ink"):
                assert contrast(colors[mark], colors[paper]) >= 3
        steps = [cells[f"heat-a{step}"] for step in range(5)]
        assert len({round(contrast(colors["ink"], color), 1) for color in steps}) == 5
        if place == 0:
            names = {f"heat-{'b' if step < 0 else 'a'}{abs(step)}": color for step, color in PALETTE.items()}
            assert {name: color for name, color in cells.items() if name != "heat-hatch"} == names


def contrast(one: str, other: str) -> float:
    def luminance(color: str) -> float:
        parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_drawings_are_lean_themed_described_and_unique(make_audit, rich_audit, family_audit):
    for audit in (rich_audit, family_audit, many(make_audit).build()):
        page = rendered(audit)
        drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
        assert drawings
        for drawing in drawings:
            assert not re.search(r"#[0-9a-fA-F]{6}\b", drawing)
            assert re.search(r"<title[^>]*>[^<]+</title><desc[^>]*>[^<]+</desc>", drawing)
            assert len(drawing) < 40_000
        ids = [attributes["id"] for _, attributes in Page(page).elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        assert page.count("<details><summary>The same as a table") == page.count("<figure") - page.count(
            'class="heat"'
        )


def test_two_renderings_are_equal(family_audit):
    assert rendered(family_audit) == rendered(family_audit)


def test_hostile_titles_levels_and_names_are_inert(hostile_audit, make_audit, hostile_strings):
    text = "".join(part.replace("\ud800", "") for part in hostile_strings)
    made = repeated(make_audit, levels=("1", "2", "3"), names={"base": text, "adapted": text})
    made.data["metrics"][0]["title"] = text
    for estimate in made.data["estimates"]:
        estimate["slice"] = dict.fromkeys([text] * len(estimate["slice"]), *estimate["slice"].values())
        estimate |= {"reason": text}
    for audit in (hostile_audit, made.build()):
        page = rendered(audit)
        parsed = Page(page)
        assert not {"script", "img", "a", "iframe"} & {name for name, _ in parsed.elements}
        for _, attributes in parsed.elements:
            assert not any(name.startswith("on") for name in attributes)
        assert "\x1b" not in page
        assert "\u202e" not in page
        assert "\x00" not in page
        assert isinstance(curve_set(index_of(audit)).note, str)
        figures = curve_set(index_of(audit)).figures
        assert all(isinstance(svg, Markup) for figure in figures for svg in curve_charts(figure))


def test_the_tables_say_where_their_numbers_stand(rich_audit):
    places = re.findall(r'data-at="(/(?:estimates|comparisons|contrasts)/\d+)"', rendered(rich_audit))
    assert len(places) > 10

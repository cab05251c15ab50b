"""Figures of a run: the page's drawings in real colours, the same bytes every time."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fmaudit.api import Run
from fmaudit.errors import UsageError
from fmaudit.notebook.figures import palette
from fmaudit.report.drawing import VARIABLES
from tests.report.family_audit import family_factory, hostile_family
from tests.report.report_audits import HOSTILE, AuditFactory

NAMED = {"forest": (), "slopes": (), "matrix": (), "severity": (), "failures": ("bias",), "doses": ()}
DRAWN = {"svg", "title", "defs", "g", "path", "text", "tspan", "use", "clipPath", "rect", "pattern"}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run():
    return Run(Path("family"), family_factory().build())


@pytest.fixture(scope="module")
def drawn(run):
    return {name: getattr(run.plot, name)(*names) for name, names in NAMED.items()}


def texts(figure):
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize("name", NAMED)
def test_figure_is_bare_and_in_real_colours(drawn, name):
    from matplotlib.figure import Figure

    figure = drawn[name]
    assert type(figure) is Figure
    svg = figure._repr_svg_()
    assert not [placeholder for placeholder in VARIABLES if placeholder in svg.lower()]
    assert palette()["--muted"] in svg
    assert figure.get_facecolor()[:3] == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("name", NAMED)
def test_same_run_same_bytes(run, drawn, name):
    again = getattr(run.plot, name)(*NAMED[name])
    assert again is not drawn[name]
    assert again._repr_svg_() == drawn[name]._repr_svg_() == drawn[name]._repr_svg_()


def test_drawing_again_brings_no_placeholder_back(drawn, tmp_path):
    figure = drawn["slopes"]
    figure.axes[0].set_ylim(-500, 900)
    figure.savefig(tmp_path / "again.svg")
    svg = (tmp_path / "again.svg").read_text()
    assert not [placeholder for placeholder in VARIABLES if placeholder in svg.lower()]


def test_names_select(run):
    titles = texts(run.plot.forest("toxicity.prompted"))
    assert any("Toxic continuations" in title for title in titles)
    assert not any("Trigger obeyed" in title for title in titles)
    assert any("Trigger obeyed" in title for title in texts(run.plot.forest()))


def test_matrix_has_every_verdict(run, drawn):
    said = " ".join(text.replace("\n", " ") for text in texts(drawn["matrix"]))
    for found in run.comparisons.where(step="from_base"):
        assert found.verdict in said
    assert said.count("not compared") == 2


def test_severity_has_every_change_and_its_n(run, drawn):
    rows = [text for text in texts(drawn["severity"]) if text.endswith(", n 211")]
    assert len(rows) == len(run.comparisons.where(step="from_base"))


def test_nothing_to_draw_says_why(run):
    with pytest.raises(UsageError, match=r"nothing to draw of bias\.none: no headline number"):
        run.plot.forest("bias.none")
    with pytest.raises(UsageError, match="several would be drawn: name a probe or metric"):
        run.plot.failures()
    with pytest.raises(UsageError, match="nothing to draw of bias: no dose-response"):
        run.plot.doses("bias")


def test_hostile_names_are_inert():
    text = " ".join(part.replace("\ud800", "") for part in HOSTILE)
    run = Run(Path("family"), hostile_family(text))
    for name in ("forest", "slopes", "matrix", "severity"):
        tree = ElementTree.fromstring(getattr(run.plot, name)()._repr_svg_())
        for element in tree.iter():
            assert element.tag.rpartition("}")[2] in DRAWN
            for attribute, value in element.attrib.items():
                assert not attribute.startswith("on")
                assert not attribute.endswith("href") or value.startswith("#")


def test_figures_leave_pyplot_alone():
    code = (
        "import sys; from pathlib import Path; from fmaudit.api import Run;"
        "from tests.report.family_audit import family_factory;"
        "run = Run(Path('family'), family_factory().build()); run.plot.forest()._repr_svg_();"
        "run._repr_html_(); run.estimates.to_frame();"
        "print(sorted({'matplotlib.pyplot', 'torch', 'IPython'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_run_is_opened_without_pandas_and_matplotlib():
    code = "import sys, fmaudit.api; print(sorted({'pandas', 'matplotlib', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_charts_of_slices_and_scores_are_those_of_the_page(run, tmp_path):
    from fmaudit.api import open_run
    from tests.report.large_run import write_large_run

    with pytest.raises(UsageError, match="open the run"):
        Run(None, run.audit).plot.scores()
    found = open_run(write_large_run(tmp_path / "run", items=200, audited=True))
    for name in ("heatmaps", "scores"):
        figures = getattr(found.plot, name)("bias")
        assert figures
        for figure in figures:
            figure.savefig(tmp_path / "drawn.svg")
            assert "<svg" in (tmp_path / "drawn.svg").read_text("utf-8")
    with pytest.raises(UsageError, match="nothing to draw"):
        found.plot.curves("bias")


def test_curves_follow_ordered_slices():
    made = AuditFactory({"base": "Base", "adapted": "Tuned"})
    made.metric("memorization.x/rate", "Rate", headline=True)
    for subject in ("base", "adapted"):
        measurement = made.measure("memorization.x", "records", subject)
        made.estimate(measurement, "memorization.x/rate", 0.4, 0.05)
        for place, level in enumerate(("1", "4", "16", "64")):
            made.estimate(
                measurement, "memorization.x/rate", 0.1 + 0.2 * place, 0.05, slice={"repetitions": level}
            )
    figures = Run(Path("x"), made.build()).plot.curves()
    assert figures
    assert any("64" in text for text in texts(figures[0]))

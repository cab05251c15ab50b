"""How often the gate is right, study by study.

A study is a module with a :class:`benchmarks.studies.gate.study.GateStudy` named ``STUDY``;
:mod:`benchmarks.studies.gate.registry` lists them, and the page is written by

    python -m benchmarks.studies.gate docs/studies/gate.md
    python -m benchmarks.studies.gate docs/studies/gate.md --only means --only contrasts
"""

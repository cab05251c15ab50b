"""Audits and rows of evidence that the tests of the report share."""

from __future__ import annotations

import pytest

from fmaudit.report.flips import FlipSample
from fmaudit.schema import Audit
from tests.report.family_audit import family_factory, flips_of
from tests.report.report_audits import HOSTILE, AuditFactory, hostile_audit, rich_factory


@pytest.fixture(scope="session")
def rich_audit() -> Audit:
    return rich_factory().build()


@pytest.fixture(scope="session")
def tiny_audit() -> Audit:
    return rich_factory(n=2).build()


@pytest.fixture(scope="session")
def cut_audit() -> Audit:
    return rich_factory(n=2, partial=True).build()


@pytest.fixture(scope="session", name="hostile_audit")
def _hostile() -> Audit:
    return hostile_audit()


@pytest.fixture(scope="session")
def hostile_strings() -> list[str]:
    return HOSTILE


@pytest.fixture
def make_audit() -> type[AuditFactory]:
    return AuditFactory


@pytest.fixture(scope="session")
def family_audit() -> Audit:
    """A base, four children in two generations, three references, five defects."""
    return family_factory().build()


@pytest.fixture(scope="session")
def family_flips(family_audit) -> list[FlipSample]:
    """Flipped items of every cell of the family, with a text each."""
    return flips_of(family_audit)


@pytest.fixture
def make_family():
    """The builder of the family, to be changed before it is built."""
    return family_factory

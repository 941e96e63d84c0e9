"""The catalogue is complete, and its marks are true."""

from __future__ import annotations

import importlib
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from counterpoint import catalog, methods
from counterpoint.apps.card import card, public, reference_methods
from counterpoint.apps.fit import fit
from counterpoint.data import load
from counterpoint.errors import SettingError

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "counterpoint"
SHARED = ROOT.parent / "shared"
ENTRIES = catalog.entries()


def with_status(status: str) -> list[catalog.Entry]:
    return [entry for entry in ENTRIES if entry.status == status]


def golden_cases(id: str) -> list[Path]:
    """The file that maps a system's golden cases onto the public API."""
    return list((ROOT / "tests" / "golden_cases").glob(f"{id.replace('-', '_')}.py"))


def test_sixty_three_systems_in_order_and_complete() -> None:
    ids = [entry.id for entry in ENTRIES]
    assert len(ids) == len(set(ids)) == 63
    assert ids == sorted(ids)
    assert all(entry.title and entry.venue and entry.kind and entry.modality for entry in ENTRIES)


@pytest.fixture(scope="module")
def golden_lines() -> list[str]:
    files = [SHARED / "goldens" / f"{entry.id}.json" for entry in ENTRIES if entry.code]
    recorded = [str(file) for file in files if file.is_file()]
    command = [sys.executable, str(ROOT / "tests" / "goldens.py"), *recorded]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the goldens are not beside the checkout")
@pytest.mark.parametrize(
    "entry", with_status("ready") + with_status("function"), ids=lambda entry: entry.id
)
def test_what_is_here_passes_its_goldens(entry: catalog.Entry, golden_lines: list[str]) -> None:
    if not (SHARED / "goldens" / f"{entry.id}.json").is_file():
        pytest.skip("the authors' code recorded nothing for it")
    lines = [line for line in golden_lines if line.split()[1:2] == [entry.id]]
    assert lines
    assert [line for line in lines if not line.startswith("ok")] == []


@pytest.mark.parametrize("id", reference_methods())
def test_methods_outside_the_catalogue_have_cards(id: str) -> None:
    found = card(id)
    assert found["status"] == "ready"
    assert found["parts"][0]["sections"]["Source"]
    assert all(argument["about"] for argument in found["parts"][0]["arguments"][1:])


def test_unknown_system_offers_the_nearest() -> None:
    with pytest.raises(SettingError, match="Did you mean dcl"):
        catalog.find("dcll")
    with pytest.raises(SettingError, match="Did you mean dcl"):
        card("dcll")


def test_select_is_by_whole_id_and_by_words() -> None:
    assert [entry.id for entry in catalog.select("dcl")] == ["dcl"]
    assert all("graph" in entry.modality for entry in catalog.select(modality="graph"))
    assert all("loss" in entry.kinds for entry in catalog.select(kind="loss"))
    assert catalog.select() == ENTRIES


def test_reading_the_catalogue_needs_no_torch() -> None:
    code = "import sys, counterpoint.catalog as c; c.entries(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

"""The catalogue is complete, and its marks are true."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from counterpoint import catalog
from counterpoint.apps.card import card, public
from counterpoint.errors import SettingError

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "counterpoint"
SHARED = ROOT.parent / "shared"
ENTRIES = catalog.entries()


def with_status(status: str) -> list[catalog.Entry]:
    return [entry for entry in ENTRIES if entry.status == status]


def code_files(entry: catalog.Entry) -> list[Path]:
    """Files a system would have by the naming rule, whatever its row says."""
    stem = entry.id.replace("-", "_")
    rooms = ("methods/*", "objectives", "probes", "curation", "pairs", "views")
    return [file for room in rooms for file in SOURCE.glob(f"{room}/{stem}.py")]


def test_sixty_three_systems_in_order_and_complete() -> None:
    ids = [entry.id for entry in ENTRIES]
    assert len(ids) == len(set(ids)) == 63
    assert ids == sorted(ids)
    assert all(entry.title and entry.venue and entry.kind and entry.modality for entry in ENTRIES)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the specifications are not beside the checkout")
def test_rows_equal_the_specification() -> None:
    ours = (SOURCE / "catalog.tsv").read_text(encoding="utf-8").splitlines()
    theirs = (SHARED / "catalog.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t")[:8] for line in ours] == [line.split("\t") for line in theirs]


@pytest.mark.parametrize("entry", with_status("planned"), ids=lambda entry: entry.id)
def test_planned_means_no_code(entry: catalog.Entry) -> None:
    assert entry.code == ()
    assert code_files(entry) == [], "there is code: the row should say function or ready"


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.code], ids=lambda entry: entry.id)
def test_named_code_exists_and_cites_its_paper(entry: catalog.Entry) -> None:
    modules = [importlib.import_module(f"counterpoint.{name}") for name in entry.code]
    assert all(public(module) for module in modules)
    assert entry.arxiv in "".join(Path(str(m.__file__)).read_text() for m in modules)


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

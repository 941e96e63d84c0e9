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


@pytest.mark.skipif(not SHARED.is_dir(), reason="the specifications are not beside the checkout")
def test_rows_equal_the_specification() -> None:
    ours = (SOURCE / "catalog.tsv").read_text(encoding="utf-8").splitlines()
    theirs = (SHARED / "catalog.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t")[:8] for line in ours] == [line.split("\t") for line in theirs]


@pytest.mark.parametrize("entry", with_status("planned"), ids=lambda entry: entry.id)
def test_planned_means_neither_method_nor_goldens(entry: catalog.Entry) -> None:
    assert entry.code == ()
    assert entry.id not in methods.names(), "there is a method: the row should say ready"
    assert golden_cases(entry.id) == [], "it has golden cases: the row should say function"


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.code], ids=lambda entry: entry.id)
def test_named_code_exists_and_names_its_source(entry: catalog.Entry) -> None:
    modules = [importlib.import_module(f"counterpoint.{name}") for name in entry.code]
    assert all(public(module) for module in modules)
    assert "Source:" in "".join(Path(str(module.__file__)).read_text() for module in modules)


@pytest.mark.parametrize("entry", with_status("ready"), ids=lambda entry: entry.id)
def test_ready_means_real_data_end_to_end(entry: catalog.Entry, tmp_path: Path) -> None:
    parts = card(entry.id)["parts"]
    trains = [part for part in parts if part["kind"] == "method"]
    scores = [part for part in parts if part["kind"] == "probe" and part["class"]]
    applies = [part for part in parts if part["module"].endswith(f".apps.{part['name']}")]
    assert trains or scores or applies
    if trains:
        assert trains[0]["module"].rpartition(".")[2] == entry.id.replace("-", "_")
        trained(entry.id, tmp_path)
    for part in scores:
        probe = getattr(importlib.import_module(part["module"]), part["name"])
        if hasattr(probe, "score"):
            assert digits_accuracy(probe()) > 0.8
    for part in applies:
        assert wrong_labels_found(getattr(importlib.import_module(part["module"]), part["name"]))


def trained(id: str, folder: Path) -> None:
    """Two real steps; the model embeds held-out samples afterwards."""
    modality = methods.find(id).modalities[0]
    data = load("digits" if modality == "images" else "docstrings", limit=200)
    model = fit(id, data=data, steps=2, batch_size=32, out=folder)
    assert math.isfinite(model.about["results"]["final_loss"])
    assert model.embed(data.test.items).std() > 0


def wrong_labels_found(reannotate: Any) -> bool:
    """Whether most of twenty wrong digits are flagged."""
    data = load("digits").train.take(range(400))
    labels = data.labels.clone()
    labels[:20] = (labels[:20] + 1) % 10
    found = reannotate(data.items, labels.numpy())
    return bool(found["flagged"][:20].mean() > 0.5)


def digits_accuracy(probe: Any) -> float:
    data = load("digits")
    rows = []
    for split in (data.train, data.test):
        rows += [split.gather(range(len(split))).flatten(1).float(), split.labels]
    return float(probe.score(*rows))


@pytest.mark.parametrize("entry", with_status("function"), ids=lambda entry: entry.id)
def test_function_means_proved_formulas(entry: catalog.Entry) -> None:
    kinds = {part["kind"] for part in card(entry.id)["parts"]}
    assert kinds & {"objective", "pair", "geometry", "probe", "curation"}
    assert "method" not in kinds, "there is a method: the row should say ready"
    own_test = list((ROOT / "tests").glob(f"*/test_{entry.id.replace('-', '_')}.py"))
    recorded = (SHARED / "goldens" / f"{entry.id}.json").is_file()
    proofs = golden_cases(entry.id) if recorded else golden_cases(entry.id) + own_test
    assert proofs, "neither a golden case nor a test of its own"


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

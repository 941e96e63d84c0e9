import subprocess
import sys

import pytest

from counterpoint import methods
from counterpoint.errors import SettingError
from counterpoint.methods.image.simclr import SimCLR


def test_names_need_no_torch():
    code = "import sys; from counterpoint import methods; print(methods.names()); "
    code += "sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "simclr" in done.stdout


def test_names_by_modality():
    assert "simcse" in methods.names("text")
    assert "simcse" not in methods.names("images")
    assert {"supcon"} <= set(methods.names("text")) & set(methods.names("images"))


def test_find_offers_the_nearest():
    assert methods.find("simclr") is SimCLR
    with pytest.raises(SettingError, match="Did you mean simclr"):
        methods.find("simlcr")


def test_arguments_tell_type_default_and_meaning():
    temperature = next(a for a in methods.arguments("simclr") if a.name == "temperature")
    assert (temperature.type, temperature.default) == ("PositiveFloat", 0.1)
    assert temperature.doc.startswith("divides similarities")


def test_values_are_converted_and_wrong_ones_refused():
    assert methods.check("simclr", {"temperature": "0.2"})["temperature"] == 0.2
    assert methods.check("simclr", {})["objective"] == "nt_xent"
    with pytest.raises(SettingError, match=r"temperature='warm'.*temperature: PositiveFloat = 0.1"):
        methods.check("simclr", {"temperature": "warm"})
    with pytest.raises(SettingError, match="Did you mean temperature"):
        methods.check("simclr", {"temprature": 0.2})


def test_modality_must_fit(encoder_of):
    with pytest.raises(SettingError, match=r"Methods for images: .*simclr"):
        methods.build("simcse", encoder_of("images"))


def test_objective_must_take_two_views(encoder_of):
    methods.build("simclr", encoder_of("images"), objective="dcl")
    with pytest.raises(SettingError, match=r"takes labels.*nt_xent"):
        methods.build("simclr", encoder_of("images"), objective="supcon")
    with pytest.raises(SettingError, match="Unknown objective"):
        methods.build("simclr", encoder_of("images"), objective="nt_xnt")


@pytest.mark.parametrize("name", methods.names())
def test_settings_out_of_range_are_refused_before_anything_is_built(name):
    for argument in methods.arguments(name):
        if argument.type.startswith(("PositiveFloat", "PositiveInt")):
            with pytest.raises(SettingError, match="greater than 0"):
                methods.check(name, {argument.name: 0})
        if argument.type.startswith("Fraction"):
            with pytest.raises(SettingError, match="less than or equal to 1"):
                methods.check(name, {argument.name: 1.5})
        if argument.name == "temperature":
            assert argument.type.startswith("PositiveFloat")

import pytest

from counterpoint.errors import SettingError
from counterpoint.training import TrainSettings


def test_unknown_name_and_wrong_value():
    with pytest.raises(SettingError, match="Did you mean batch_size"):
        TrainSettings.of(batchsize=3)
    with pytest.raises(SettingError, match=r"batch_size=1: .*greater than or equal to 2"):
        TrainSettings.of(batch_size=1)
    with pytest.raises(SettingError, match="lamb"):
        TrainSettings.of(optimizer="lamb")
    with pytest.raises(SettingError, match="not both"):
        TrainSettings.of(epochs=1, steps=1)
    with pytest.raises(SettingError, match="groups_of=2 must divide devices=3"):
        TrainSettings.of(devices=3, groups_of=2)


def test_defaults_are_filled_in_by_modality():
    assert TrainSettings.of().resolved("images").lr == 1e-3
    assert TrainSettings.of().resolved("text").lr == 3e-5
    sgd = TrainSettings.of(optimizer="sgd").resolved("images")
    assert (sgd.lr, sgd.weight_decay, sgd.epochs) == (0.06, 5e-4, 20)
    assert TrainSettings.of(steps=9).resolved("images").epochs is None
    assert TrainSettings.of(lr=0.5).resolved("text").lr == 0.5


def test_total_steps():
    assert TrainSettings.of().total_steps(7) == 140
    assert TrainSettings.of(epochs=3).total_steps(7) == 21
    assert TrainSettings.of(steps=5).total_steps(7) == 5


def test_learning_rate_warms_up_and_falls_to_zero():
    settings = TrainSettings.of(lr=1.0, warmup=0.1)
    rates = [settings.learning_rate(step, 100) for step in range(100)]
    assert rates[:11] == sorted(rates[:11])
    assert rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.5, abs=0.01)
    assert 0 < rates[0] < 0.1
    assert 0 < rates[99] < 0.001
    flat = TrainSettings.of(lr=1.0, warmup=0, schedule="constant")
    assert {flat.learning_rate(step, 100) for step in range(100)} == {1.0}
    with pytest.raises(SettingError):
        TrainSettings.of().learning_rate(0, 10)

import pytest

from jatlab import JatConfig


def test_a_configuration_survives_the_trip_through_its_dict():
    config = JatConfig.preset("nano", num_heads=4)
    assert JatConfig.from_dict(config.to_dict()) == config
    assert config.num_heads == 4 and JatConfig.preset("nano").num_heads == 6


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: JatConfig.preset("tiny"),
            "unknown preset 'tiny'; there are nano, mini, paper, medium, large",
        ),
        (lambda: JatConfig.preset("nano", hiden_size=3), "no field hiden_size"),
        (
            lambda: JatConfig(hidden_size=100, num_heads=3),
            "hidden_size 100 must be a multiple of num_heads 3",
        ),
        (lambda: JatConfig(num_layers=3), "describes 12 layers, num_layers is 3"),
        (
            lambda: JatConfig(attention_types=[[["global", "lokal"], 6]]),
            "expected a list of 'global' and 'local'",
        ),
        (
            lambda: JatConfig().check_windows({"mujoco": 1}),
            "windows: 1 timesteps of mujoco; expected 2 to 256",
        ),
        (lambda: JatConfig(hidden_size=32, num_heads=2), "set discrete_bottleneck"),
        (
            lambda: JatConfig(discrete_gates=4, max_discrete_value=148),
            "discrete_gates need mission tokens",
        ),
        (lambda: JatConfig(window_size=0), "window_size is 0: expected 1 to 1,048,576"),
        (lambda: JatConfig(activation_function="relu"), "only 'gelu_new'"),
    ],
)
def test_impossible_configurations_are_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()

"""`config.json` in both layouts: what is read, and what is refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jatlab
from jatlab.model.checkpoint.official import official_values, read_config


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"hidden_size": 3', "the file is damaged"),
        ("", "the file is damaged"),
        ("[768]", "expected an object of fields"),
        (b"\xff\xfe{}", "the file is damaged"),
        (
            '{"model_type": "llama", "hidden_size": 768}',
            "model_type is 'llama': this is another kind of model",
        ),
        ('{"model_type": "jat", "rope_theta": 10000.0}', "no field rope_theta"),
        ('{"model_type": "jat", "activation_function": "relu"}', "activation_function 'relu'"),
        (
            '{"model_type": "jat", "attention_layers": ["global", "global"]}',
            "describes 2 layers, num_layers is 12",
        ),
        (
            '{"num_layers": 1, "attention_types": [[["local"], 1]], '
            '"attention_layers": ["global"]}',
            "are not what attention_types",
        ),
        ('{"hidden_size": "768"}', "config.json"),
        ('{"jatlab": ["waves"]}', "config.json"),
        ('{"jatlab": {"continuous_ripples": true}}', "no field continuous_ripples"),
    ],
)
def test_configurations_not_understood_are_refused(tmp_path, text, message):
    (tmp_path / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(
        ValueError, match=f"config.json: .*{message}" if message != "config.json" else message
    ):
        jatlab.load_agent(tmp_path)


def test_a_damaged_configuration_is_told(tmp_path):
    (tmp_path / "config.json").write_text('{"hidden_size": 3')
    with pytest.raises(ValueError, match="config.json: Expecting"):
        jatlab.load_agent(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"hiden_size": 3}))
    with pytest.raises(ValueError, match="no field hiden_size"):
        jatlab.load_agent(tmp_path)


@settings(max_examples=50)
@given(
    layers=st.lists(st.sampled_from(["global", "local"]), min_size=1, max_size=5),
    heads=st.integers(1, 8),
    size=st.integers(7, 40),
    window=st.integers(1, 600),
    gates=st.sampled_from([0, 3, 48]),
    bottleneck=st.sampled_from([None, 4]),
    fourier=st.booleans(),
    epsilon=st.sampled_from([1e-5, 1e-6]),
    hidden=st.booleans(),
)
def test_every_configuration_survives_the_published_file(
    tmp_path_factory, layers, heads, size, window, gates, bottleneck, fourier, epsilon, hidden
):
    config = jatlab.JatConfig(
        num_layers=len(layers),
        attention_types=[[layers, 1]],
        num_heads=heads,
        hidden_size=heads * 50,
        window_size=window,
        max_continuous_size=size,
        discrete_gates=gates,
        discrete_bottleneck=bottleneck,
        continuous_fourier_features=fourier,
        layer_norm_epsilon=epsilon,
        hide_past_actions=hidden,
    )
    path = tmp_path_factory.mktemp("config") / "config.json"
    path.write_text(json.dumps(official_values(config, "float32", 0)))
    assert read_config(path) == config

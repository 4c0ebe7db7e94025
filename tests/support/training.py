"""What tests of training share: a tiny model, and what a log says."""

from jatlab.training.log import read_log

TINY = dict(
    hidden_size=32,
    num_heads=2,
    num_layers=2,
    attention_types=[[["global", "local"], 1]],
    max_position_embeddings=32,
    window_size=8,
    discrete_bottleneck=2,
    max_continuous_size=40,
    max_discrete_value=156,
    image_channels=(8, 8, 8),
    image_pool=2,
    discrete_encoder_layers=0,
    image_size=32,
    hide_past_actions=False,
    resid_dropout=0.1,
)


def told(output):
    """What the log says, without what the clock says."""
    return [
        {k: v for k, v in line.items() if k not in ("seconds", "timesteps_per_second")}
        for line in read_log(output)
    ]

"""The published JAT a second time: functions on the checkpoint's own tensors, written from the fact
sheet alone.

Nothing of `jatlab` is used, so that two readings of the same facts can be compared. `run(w, config,
**batch)`: `w` are the tensors by their official names, `config` the official fields. It knows no
speed.
"""

import torch
import torch.nn.functional as F


def run(w, config, **batch):
    """What the model predicts for a batch, and its losses: a dict with the names of our own
    output's fields.
    """
    if "input_ids" in batch or "pixel_values" in batch:
        return text(w, config, **batch)
    return timesteps(w, config, **batch)


# --- batches


def text(w, config, input_ids, pixel_values=None, attention_mask=None):
    mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    tokens, seen = w["transformer.wte.weight"][input_ids], mask
    if pixel_values is not None:
        patches = (
            F.conv2d(
                pixel_values, *affine(w, "vit_encoder.projection"), stride=config["patch_size"]
            )
            .flatten(2)
            .mT
        )
        tokens, seen = (
            torch.cat([patches, tokens], 1),
            torch.cat([torch.ones(patches.shape[:2]), mask], 1),
        )
    hidden = trunk(w, config, tokens, seen)
    logits = hidden @ w["single_discrete_decoder.weight"].T
    nats = [
        -row[i].log_softmax(-1)[ids[i + 1]]
        for row, ids, real in zip(logits[:, -input_ids.shape[1] :], input_ids, mask, strict=True)
        for i in range(len(ids) - 1)
        if real[i + 1]
    ]
    return {"last_hidden_state": hidden, "logits": logits, "loss": torch.stack(nats).mean()}


def timesteps(w, config, rewards, attention_mask=None, loss_weight=None, **batch):
    mask = torch.ones_like(rewards) if attention_mask is None else attention_mask.float()
    weight = torch.ones_like(rewards) if loss_weight is None else loss_weight
    observed = next(value for key, value in batch.items() if key.endswith("observations"))
    acted = next(value for key, value in batch.items() if key.endswith("actions"))
    kind = next(key for key in batch if key.endswith("observations")).split("_")[0]
    observation, with_reward = embed_observation(w, config, kind, observed, rewards)
    action = (
        continuous(w, config, acted)
        if acted.is_floating_point()
        else w["transformer.wte.weight"][acted]
    )
    tokens = torch.stack([observation, action], 2).flatten(1, 2)  # o0 a0 o1 a1 …
    hidden = trunk(w, config, tokens, mask.repeat_interleave(2, 1))
    output = {"last_hidden_state": hidden}
    output["pred_actions"], output["action_loss"] = score_action(
        w, config, hidden[:, ::2], acted, mask, weight
    )
    output["pred_observations"], output["observation_loss"] = score_observation(
        w, config, kind, hidden[:, 1::2], with_reward, mask, weight
    )
    if kind == "continuous":
        output["pred_observations"] = output["pred_observations"][..., : observed.shape[-1]]
    output["loss"] = (
        config["observation_loss_coef"] * output["observation_loss"]
        + config["action_loss_coef"] * output["action_loss"]
    )
    return output


# --- from inputs to tokens


def embed_observation(w, config, kind, x, rewards):
    """The token of each observation, and what is to be predicted: the observation, with its reward
    where that is a vector's last value.
    """
    if kind == "continuous":
        x = torch.cat([x, rewards[..., None]], -1)
        return continuous(w, config, x), x
    return (discrete(w, x, rewards) if kind == "discrete" else image(w, x)), x


def continuous(w, config, x):
    return F.linear(cyclic(x, config["max_continuous_size"]), *affine(w, "continuous_encoder"))


def cyclic(x, size):
    return torch.cat([x] * (size // x.shape[-1] + 1), -1)[..., :size]


def discrete(w, x, rewards):
    x = F.relu(F.linear(w["transformer.wte.weight"][x], *affine(w, "multi_discrete_encoder.1")))
    return torch.cat(
        [F.linear(x.flatten(2), *affine(w, "multi_discrete_encoder.4")), rewards[..., None]], -1
    )


def image(w, x):
    shape, x = x.shape[:2], x.flatten(0, 1)
    for i in (1, 2, 3):
        x = F.conv2d(x, *affine(w, f"image_encoder.module.conv{i}"), stride=2, padding=1)
        x = gate(w, f"image_encoder.module.att{i}", F.leaky_relu(normalise(x), 0.01))
    return F.linear(x.flatten(1), *affine(w, "image_encoder.module.fc")).reshape(*shape, -1)


# --- trunk


def trunk(w, config, x, mask):
    """`mask` is 1 for tokens that exist; layers are global, local, global, local …"""
    count = x.shape[1]
    x = x + w["transformer.wpe.weight"][:count]
    back = torch.arange(count)[:, None] - torch.arange(count)  # how many tokens ago
    for layer in range(config["num_layers"]):
        name, reach = f"transformer.h.{layer}", count if layer % 2 == 0 else config["window_size"]
        hidden = ((back < 0) | (back >= reach)) | (mask[:, None, :] == 0)  # (batch, query, key)
        y = F.layer_norm(x, x.shape[-1:], *affine(w, f"{name}.ln_1"), 1e-5)
        x = x + attend(w, f"{name}.attn.attention", config["num_heads"], y, hidden[:, None])
        y = F.layer_norm(x, x.shape[-1:], *affine(w, f"{name}.ln_2"), 1e-5)
        y = F.linear(y, *affine(w, f"{name}.mlp.c_fc"))
        y = 0.5 * y * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (y + 0.044715 * y**3)))
        x = x + F.linear(y, *affine(w, f"{name}.mlp.c_proj"))
    return F.layer_norm(x, x.shape[-1:], *affine(w, "transformer.ln_f"), 1e-5)


def attend(w, name, heads, y, hidden):
    query, key, value = (
        (y @ w[f"{name}.{part}_proj.weight"].T).unflatten(-1, (heads, -1)).transpose(1, 2)
        for part in "qkv"
    )
    scores = (query @ key.mT).masked_fill(
        hidden, torch.finfo(torch.float32).min
    )  # not divided by sqrt(head_dim)
    return F.linear(
        (scores.softmax(-1) @ value).transpose(1, 2).flatten(2), *affine(w, f"{name}.out_proj")
    )


# --- from hidden states to predictions and losses


def score_action(w, config, hidden, actions, mask, weight):
    if actions.is_floating_point():
        predicted = F.linear(hidden, *affine(w, "continuous_decoder"))
        error = (predicted - cyclic(actions, config["max_continuous_size"])).square().mean(-1)
        return predicted[..., : actions.shape[-1]], (error * weight * mask).sum() / mask.sum()
    logits = hidden @ w["single_discrete_decoder.weight"].T
    surprise = -logits.log_softmax(-1).gather(-1, actions[..., None])[..., 0]
    return logits, (surprise * mask).sum() / mask.sum() * (weight * mask).sum() / mask.sum()


def score_observation(w, config, kind, hidden, target, mask, weight):
    """The observation that follows each action; what is after the last one is not known."""
    if kind == "discrete":
        return None, torch.zeros(())  # switched off by the authors
    if kind == "continuous":
        predicted, target = (
            F.linear(hidden, *affine(w, "continuous_decoder")),
            cyclic(target, config["max_continuous_size"]),
        )
    else:
        predicted = frames(w, hidden)
    error = (predicted[:, :-1] - target[:, 1:]).square().flatten(2).mean(-1)
    return predicted, (error * weight[:, 1:] * mask[:, 1:]).sum() / mask[:, 1:].sum()


def frames(w, hidden):
    x = F.linear(hidden, *affine(w, "image_decoder.module.fc")).reshape(-1, 128, 11, 11)
    for i in (1, 2, 3):
        x = F.conv_transpose2d(
            x, *affine(w, f"image_decoder.module.deconv{i}"), stride=2, padding=1, output_padding=1
        )
        if i < 3:
            x = F.leaky_relu(normalise(x), 0.01)
            x = F.interpolate(x, (21, 21), mode="nearest") if i == 1 else x
            x = gate(w, f"image_decoder.module.att{i}", x)
    return torch.tanh(x).reshape(*hidden.shape[:2], 4, 84, 84)


# --- parts


def affine(w, name):
    return w[f"{name}.weight"], w[f"{name}.bias"]


def normalise(x):
    """InstanceNorm without weights: each channel of each picture to mean 0 and variance 1."""
    variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


def gate(w, name, x):
    """Squeeze-and-excite."""
    open_ = torch.sigmoid(
        F.relu(x.mean((2, 3)) @ w[f"{name}.fc.0.weight"].T) @ w[f"{name}.fc.2.weight"].T
    )
    return x * open_[:, :, None, None]

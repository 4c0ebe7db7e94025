"""Lesson 06: solutions pass, and typical wrong answers are told their mistake."""

import math

import numpy as np
import torch

from jatlab.lessons.lesson06 import clip, hours
from jatlab.lessons.lesson06_build import backward, fit, update
from jatlab.lessons.lesson06_build import cosine as schedule
from tests.support.exercises import exercise_tests


def cosine(done):
    return (1 + math.cos(math.pi * done)) / 2


def warmed_up(then):
    """A rate that rises as it should, and falls as `then(progress, warmup)` says."""

    def rate(progress, peak, warmup):
        return peak * (progress / warmup if progress < warmup else then(progress, warmup))

    return rate


def decayed(progress, warmup):
    return (progress - warmup) / (1 - warmup)


def norm(gradients):
    return torch.cat([gradient.flatten() for gradient in gradients]).norm()


def shortened(gradients, limit, length):
    return [gradient * limit / length for gradient in gradients]


def clipped_one_by_one(gradients, limit):
    return [gradient / max(1.0, float(gradient.norm()) / limit) for gradient in gradients]


def clipped_by_norms(gradients, limit):
    return shortened(gradients, limit, sum(float(gradient.norm()) for gradient in gradients))


def clipped_without_root(gradients, limit):
    return shortened(gradients, limit, sum(float((g**2).sum()) for g in gradients))


def always_clipped(gradients, limit):
    return shortened(gradients, limit, norm(gradients))


def clipped_like_torch(gradients, limit):
    return [gradient * min(1, limit / (norm(gradients) + 1e-6)) for gradient in gradients]


def weighted(gradients, weights):
    return (torch.stack(gradients) * torch.tensor(weights)[:, None]).sum(0)


def combined_inversely(gradients, timesteps):
    inverse = [1 / n for n in timesteps]
    return weighted(gradients, inverse) / sum(inverse)


def rate_in_torch(progress, peak, warmup):
    progress = torch.tensor(progress, dtype=torch.float64)
    fall = (1 + torch.cos(torch.pi * (progress - warmup) / (1 - warmup))) / 2
    return peak * torch.where(progress < warmup, progress / warmup, fall)


def clipped_in_place(gradients, limit):
    leaves = [torch.zeros_like(gradient) for gradient in gradients]
    for leaf, gradient in zip(leaves, gradients, strict=True):
        leaf.grad = gradient
    torch.nn.utils.clip_grad_norm_(leaves, limit)
    return [leaf.grad for leaf in leaves]


def clipped_in_numpy(gradients, limit):
    arrays = [gradient.numpy().astype(float) for gradient in gradients]
    length = np.sqrt(sum(np.square(one).sum() for one in arrays))
    return tuple(one * min(1, limit / length) for one in arrays)


def combined_in_double(gradients, timesteps):
    total = torch.zeros_like(gradients[0], dtype=torch.float64)
    for gradient, count in zip(gradients, timesteps, strict=True):
        total += gradient.double() * count / sum(timesteps)
    return total


def combined_in_lists(gradients, timesteps):
    columns = zip(*(gradient.tolist() for gradient in gradients), strict=True)
    return [
        sum(g * n for g, n in zip(column, timesteps, strict=True)) / sum(timesteps)
        for column in columns
    ]


def combined_in_numpy(gradients, timesteps):
    return np.average([gradient.numpy() for gradient in gradients], axis=0, weights=timesteps)


# --- 06.3: the training loop built


def backward_by_autograd(model, inputs, share):
    loss = model(**inputs).loss
    weights = list(model.parameters())
    found = torch.autograd.grad(share * loss, weights, allow_unused=True)
    for weight, gradient in zip(weights, found, strict=True):
        weight.grad = gradient
    return loss


def update_by_hand(model, optimizer, rate, limit):
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    norm = torch.sqrt(sum(g.square().sum() for g in grads))
    for gradient in grads:
        gradient *= min(1.0, limit / float(norm))
    optimizer.param_groups[0]["lr"] = rate
    optimizer.step()
    for p in model.parameters():
        p.grad = None
    return norm


def fit_with_while(model, optimizer, batches, peak, limit):
    left, losses = list(batches), []
    while left:
        inputs, share = left.pop(0)
        losses.append(backward_by_autograd(model, inputs, share).item())
        update_by_hand(model, optimizer, schedule(len(losses[1:]) / len(batches), peak), limit)
    return np.array(losses)


def without_share(model, inputs, share):
    return backward(model, inputs, 1.0)


def loss_only(model, inputs, share):
    return model(**inputs).loss.item()


def shared_loss(model, inputs, share):
    return backward(model, inputs, share) * share


def updated(rate=True, clip=True, step=True, zero=True):
    def answer(model, optimizer, wanted, limit):
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), limit if clip else 1e9)
        if rate:
            optimizer.param_groups[0]["lr"] = wanted
        if step:
            optimizer.step()
        if zero:
            optimizer.zero_grad()
        return norm

    return answer


def fitted(rate_at, move=True):
    def answer(model, optimizer, batches, peak, limit):
        losses = []
        for number, (inputs, share) in enumerate(batches):
            losses.append(backward(model, inputs, share))
            if move:
                update(model, optimizer, rate_at(number, len(batches), peak), limit)
        return losses

    return answer


def last_loss(model, optimizer, batches, peak, limit):
    return fit(model, optimizer, batches, peak, limit)[-1]


WRONG = {
    "06.3": [
        (loss_only, "no gradient has arrived"),
        (without_share, "not multiplied by the share"),
        (shared_loss, "return the loss itself"),
        ((backward, updated(step=False)), "no weight has moved"),
        ((backward, updated(clip=False)), "clip first"),
        ((backward, updated(rate=False)), "the learning rate is not set"),
        ((backward, updated(zero=False)), "the gradients are still there"),
        ((backward, update, fitted(lambda k, n, peak: peak)), "at its peak all the time"),
        (
            (backward, update, fitted(lambda k, n, peak: schedule((k + 1) / n, peak))),
            "one step late",
        ),
        ((backward, update, fitted(None, move=False)), "does not learn"),
        ((backward, update, last_loss), "return 6 losses"),
    ],
    "06.1": [
        (lambda progress, peak, warmup: peak * cosine(progress), "warm-up is missing"),
        (warmed_up(lambda progress, _: cosine(progress)), "begins where the warm-up ends"),
        (warmed_up(lambda *args: 1 - decayed(*args)), "a straight line"),
        (warmed_up(lambda *args: math.cos(math.pi * decayed(*args))), "moved up by 1"),
    ],
    "06.2": [
        (clipped_one_by_one, "each was clipped for itself"),
        (clipped_by_norms, "not the sum of the norms"),
        (clipped_without_root, "the root is missing"),
        (always_clipped, "small gradients stay"),
        (lambda gradients, limit: clip(gradients, 1.0), "wrong for 2"),
        (lambda g, limit: torch.cat([one.flatten() for one in clip(g, limit)]), "as many tensors"),
    ],
    "06.4": [
        (lambda gradients, _: [sum(gradients).tolist()], "of the shape of each that went in"),
        (lambda gradients, timesteps: sum(gradients), "this is the sum"),
        (lambda gradients, _: sum(gradients) / len(gradients), "every batch counts the same"),
        (weighted, "divide by the number of all timesteps"),
        (combined_inversely, "the wrong way round"),
    ],
    "06.5": [
        (lambda *numbers: hours(*numbers) * 3600, "these are seconds"),
        (lambda f, s, n, peak, use: hours(f, s, n, peak, 1), "divide by the utilisation"),
        (lambda f, s, n, peak, use: hours(f, s, 1, peak, use), "share the work"),
        (lambda f, s, n, peak, use: hours(f, s, n, peak, 1 / use), "multiplied by the utilisation"),
    ],
}
RIGHT = {
    "06.3": [
        (backward_by_autograd, update_by_hand, fit_with_while),
        (backward, update_by_hand, fit),
    ],
    "06.1": [
        rate_in_torch,
        lambda p, peak, w: np.float32(min(p / w, cosine(max(0, p - w) / (1 - w))) * peak),
        warmed_up(lambda *args: math.cos(math.pi * decayed(*args) / 2) ** 2),
    ],
    "06.2": [clipped_like_torch, clipped_in_place, clipped_in_numpy],
    "06.4": [
        lambda gradients, timesteps: weighted(gradients, timesteps) / sum(timesteps),
        combined_in_double,
        combined_in_lists,
        combined_in_numpy,
    ],
    "06.5": [
        lambda f, s, n, peak, use: np.float32(f * s / n / peak / use / 3600),
        lambda f, s, n, peak, use: torch.tensor(f / (peak * use) * s / n / 60 / 60),
    ],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("06", WRONG, RIGHT)
)

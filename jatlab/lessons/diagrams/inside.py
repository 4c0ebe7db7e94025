"""The diagrams of lessons 00 to 06: from the loop of acting to the loop of training."""

from __future__ import annotations

from jatlab.lessons.diagrams.drawing import BLUE, GREEN, GREY, ORANGE, PINK, Drawing


def acting() -> Drawing:
    """Lesson 00: observation, action, and round again."""
    d = Drawing(
        760,
        230,
        "A loop: the world gives an observation to the agent, the agent gives an action back. "
        "The agent keeps the observations and actions of the past.",
    )
    d.box(30, 85, 190, 100, "the world:\na room, a robot arm,\na game", GREEN)
    d.box(530, 85, 200, 100, "the agent:\none network,\none set of weights", BLUE)
    d.line([(220, 110), (530, 110)])
    d.text(375, 96, "an observation: a grid, numbers, frames")
    d.line([(530, 160), (220, 160)])
    d.text(375, 178, "an action: a button, or numbers")
    d.text(375, 208, "no rule says which world it is in", 12, GREY)
    names = ["o0", "a0", "o1", "a1", "…"]
    last = d.tokens(512, 20, names, 36)[-1]
    d.text(500, 38, "what it remembers", 12, GREY, "end")
    d.line([(630, 85), (630, 60)])
    assert last < 760
    return d


def two_tokens() -> Drawing:
    """Lesson 01: a timestep becomes two tokens, whatever it consists of."""
    d = Drawing(
        760,
        290,
        "Three kinds of observation, a vector with a reward, a grid with a mission and four "
        "frames, each go through an encoder and become one token. Actions become one token as "
        "well. The tokens stand in one row: o0 a0 o1 a1 o2 a2.",
    )
    kinds = ["39 numbers and a reward", "a grid, a mission, a reward", "four frames of 84 × 84"]
    for row, words in enumerate(kinds):
        y = 20 + 44 * row
        d.box(20, y, 210, 34, words, GREEN)
        d.line([(230, y + 17), (300, 81)])
    d.box(300, 52, 150, 58, "an encoder\nfor each kind", GREY)
    d.box(20, 158, 210, 34, "a button, or four numbers", GREEN)
    d.line([(230, 175), (300, 175)])
    d.box(300, 152, 150, 46, "an encoder", GREY)
    d.box(560, 60, 150, 42, "observation token", BLUE)
    d.box(560, 154, 150, 42, "action token", ORANGE)
    d.line([(450, 81), (560, 81)])
    d.line([(450, 175), (560, 175)])
    d.text(505, 68, "one vector", 12, GREY)
    d.text(505, 162, "one vector", 12, GREY)
    d.tokens(220, 232, ["o0", "a0", "o1", "a1", "o2", "a2", "…"])
    d.text(205, 251, "an episode is a row of tokens", 12, GREY, "end")
    d.text(530, 251, "two for each timestep", 12, GREY, "start")
    return d


def two_masks() -> Drawing:
    """Lesson 02: who may look at whom, in a global and in a local layer."""
    d = Drawing(
        760,
        270,
        "Two grids of eight by eight tokens. In a global layer each token sees itself and all "
        "earlier ones, a triangle. In a local layer with a window of three it sees itself and "
        "the two before it, a diagonal band.",
    )
    names = [f"{'oa'[i % 2]}{i // 2}" for i in range(8)]
    for left, title, window in ((70, "global layer: all of the past", 8), (440, "local", 3)):
        words = title if window == 8 else "local layer: a window, here three tokens"
        d.text(left + 92, 18, words, 13, bold=True)
        for i, name in enumerate(names):
            d.text(left - 14, 46 + 23 * i + 11, name, 11, GREY)
            d.text(left + 23 * i + 11, 240, name, 11, GREY)
            for j in range(8):
                seen = 0 <= i - j < window
                colour = (BLUE if i % 2 == 0 else ORANGE) if seen else "#f4f5f6"
                d.cell(left + 23 * j, 46 + 23 * i, 22, colour)
        d.text(left + 92, 258, "token looked at", 11, GREY)
    d.text(340, 100, "a row is the\ntoken that looks", 12, GREY)
    d.text(340, 160, "blue: an observation\norange: an action", 12, GREY)
    return d


def whole_model() -> Drawing:
    """Lesson 03: encoders, one trunk, heads."""
    d = Drawing(
        760,
        280,
        "Inputs on the left, vector, grid, frames, picture and words, each enter their encoder. "
        "All encoders lead into one trunk of blocks. Heads on the right predict a vector, a "
        "grid, frames, or words and buttons.",
    )
    inputs = ["vector, real action", "grid and mission", "four frames", "picture", "words, buttons"]
    for row, words in enumerate(inputs):
        y = 16 + 52 * row
        d.box(10, y, 150, 36, words, GREEN)
        d.box(200, y, 110, 36, "encoder", BLUE)
        d.line([(160, y + 18), (200, y + 18)])
        d.line([(310, y + 18), (358, y + 18)])
    d.box(
        358,
        16,
        124,
        244,
        "the trunk\n\npositions,\nblocks of\nattention\nand MLP,\na last norm",
        PINK,
    )
    heads = [(0, "vector, action"), (1, "grid"), (2, "frames"), (4, "words, buttons")]
    for row, words in heads:
        y = 16 + 52 * row
        d.line([(482, y + 18), (530, y + 18)])
        d.box(530, y, 90, 36, "head", ORANGE)
        d.line([(620, y + 18), (644, y + 18)])
        d.text(650, y + 18, words, 12, anchor="start")
    return d


def auxiliary_loss() -> Drawing:
    """Lesson 04: an observation token predicts the action, an action token what comes next."""
    d = Drawing(
        760,
        250,
        "A row of tokens o0 a0 o1 a1 o2. An arrow leads from each observation token up to the "
        "action that it predicts. An arrow leads from each action token down to the next "
        "observation that it predicts, which is compared with the one that came.",
    )
    middles = d.tokens(150, 106, ["o0", "a0", "o1", "a1", "o2", "a2"], 62)
    for place, x in enumerate(middles):
        t = place // 2
        if place % 2 == 0:
            d.line([(x, 106), (x, 66)], BLUE)
            d.box(x - 48, 34, 96, 30, f"action {t}?", BLUE)
        elif place < 5:
            d.line([(x, 168), (x, 198)], ORANGE)
            d.box(x - 63, 200, 126, 30, f"observation {t + 1}?", ORANGE)
            d.line([(x + 56, 200), (middles[place + 1], 170)], GREY, dashed=True)
    d.text(120, 49, "acting", 13, BLUE, "end", bold=True)
    d.text(115, 215, "foreseeing", 13, ORANGE, "end", bold=True)
    d.text(575, 134, "dashed: compared with\nwhat really came", 12, GREY, "start")
    d.text(575, 215, "0.5 % of the loss", 12, GREY, "start")
    return d


def windows() -> Drawing:
    """Lesson 05: an episode, its windows, and a batch with padding."""
    d = Drawing(
        760,
        250,
        "An episode of twenty timesteps is a row of cells. It is cut into windows of eight, "
        "eight and four. In the batch the windows stand one below the other; the short one is "
        "filled with padding that the mask leaves out.",
    )
    colours = [BLUE, ORANGE, GREEN]
    d.text(20, 30, "an episode of 20 timesteps", 13, anchor="start")
    for t in range(20):
        d.cell(230 + 25 * t, 18, 24, colours[t // 8], "#ffffff")
    d.text(20, 90, "cut into windows of at most 8", 13, anchor="start")
    for t in range(20):
        d.cell(230 + 25 * t + 10 * (t // 8), 78, 24, colours[t // 8], "#ffffff")
    d.text(20, 180, "side by side: a batch (3, 8)", 13, anchor="start")
    for row in range(3):
        for t in range(8):
            there = 8 * row + t < 20
            d.cell(
                230 + 25 * t, 138 + 30 * row, 24, colours[row] if there else "#eeeff1", "#ffffff"
            )
    d.line([(470, 210), (434, 210)])
    d.text(478, 210, "padding: the mask says 0,\nand no loss is counted there", 12, GREY, "start")
    d.line([(330, 46), (330, 74)])
    d.line([(330, 106), (330, 134)])
    return d


def training_loop() -> Drawing:
    """Lesson 06: the five parts of a step."""
    d = Drawing(
        760,
        190,
        "A row of boxes joined by arrows: a batch, forward to a loss, backward to gradients, "
        "clip and learning rate, AdamW moves the weights. An arrow leads back from the last to "
        "the first.",
    )
    parts = [
        ("a batch\nof windows", GREEN),
        ("forward:\nthe loss", BLUE),
        ("backward:\ngradients", BLUE),
        ("clip them, set the\nlearning rate", ORANGE),
        ("AdamW moves\nthe weights", PINK),
    ]
    for place, (words, colour) in enumerate(parts):
        x = 16 + 149 * place
        d.box(x, 40, 130, 58, words, colour)
        if place:
            d.line([(x - 19, 69), (x, 69)])
    d.line([(677, 98), (677, 136), (81, 136), (81, 98)])
    d.text(380, 153, "again: 400 times here, 250,000 times for the published agent", 12, GREY)
    d.text(81, 22, "data", 12, GREY)
    d.text(677, 22, "what has been learnt", 12, GREY)
    return d

"""The diagrams of lessons 07 to 13: judging an agent, and making one's own."""

from __future__ import annotations

from jatlab.lessons.diagrams.drawing import BLUE, GREEN, GREY, ORANGE, PALE, PINK, Drawing


def scale() -> Drawing:
    """Lesson 07: returns in unlike units on one scale."""
    d = Drawing(
        760,
        240,
        "Two scales with unlike units, points of a game and reward of a robot. On each the "
        "random policy and the teacher are marked. Both are laid on one scale, on which the "
        "random policy is 0 and the teacher 1; an agent's return lies between.",
    )
    rows = [
        (34, "a game: points won", 0.78, "+14"),
        (94, "a robot: rewards added up", 0.55, "+290"),
    ]
    for y, name, agent, value in rows:
        d.text(20, y, name, 13, anchor="start")
        d.line([(250, y), (720, y)], head=False)
        d.dot(300, y, GREY)
        d.dot(640, y, GREEN)
        x = 300 + 340 * agent
        d.dot(x, y, BLUE, 6)
        d.text(x, y - 17, value, 12, BLUE)
        d.line([(x, y + 8), (x, 168)], BLUE, dashed=True)
    d.text(300, 128, "random policy", 12, GREY)
    d.text(640, 128, "teacher", 12, GREEN)
    d.text(20, 178, "one scale for both", 13, anchor="start", bold=True)
    d.line([(250, 178), (720, 178)], head=False)
    for x, label in ((300, "0"), (640, "1")):
        d.line([(x, 171), (x, 185)], head=False)
        d.text(x, 200, label)
    for _, _, agent, _ in rows:
        d.dot(300 + 340 * agent, 178, BLUE, 6)
        d.text(300 + 340 * agent, 200, f"{agent:.2f}", 12, BLUE)
    d.text(470, 226, "score = (return − random) / (teacher − random)", 12, GREY)
    return d


def deciding() -> Drawing:
    """Lesson 08: what is to be seen of one decision."""
    d = Drawing(
        760,
        250,
        "On the left a strip of past frames, shaded by the attention that each gets. In the "
        "middle the agent. On the right bars of probability for four actions, one of which is "
        "drawn. Frames older than the context are crossed out.",
    )
    shades = ["#f4f5f6", "#cfe3f1", "#f4f5f6", "#8fbfdf", "#e6f0f7", BLUE]
    d.text(175, 22, "the past, and how much it is looked at", 13)
    for place, shade in enumerate(shades):
        d.cell(36 + 46 * place, 44, 42, shade)
        d.text(57 + 46 * place, 100, f"{place - 5}" if place < 5 else "now", 11, GREY)
    d.line([(8, 44), (28, 86)], ORANGE, head=False)
    d.line([(28, 44), (8, 86)], ORANGE, head=False)
    d.text(20, 130, "older frames no longer fit:\nthey are forgotten", 12, ORANGE, "start")
    d.line([(318, 65), (366, 65)])
    d.box(366, 36, 130, 58, "the agent", BLUE)
    d.line([(496, 65), (540, 65)])
    d.text(640, 22, "probabilities of actions", 13)
    for row, (name, share) in enumerate(
        (("forward", 0.62), ("left", 0.24), ("right", 0.1), ("pick up", 0.04))
    ):
        y = 44 + 26 * row
        d.text(608, y + 9, name, 12, anchor="end")
        d.box(616, y, 130 * share, 18, "", BLUE, full=True)
    d.line([(640, 152), (640, 182)])
    d.box(560, 184, 160, 36, "one is drawn", ORANGE)
    d.text(540, 202, "temperature makes the bars\nmore alike, or less", 12, GREY, "end")
    return d


def patches_and_words() -> Drawing:
    """Lesson 09: a picture's patches and the words behind it are one sequence."""
    d = Drawing(
        760,
        240,
        "A picture cut into nine patches. The patches become nine tokens in a row, and the "
        "tokens of a question follow them. From each word an arrow leads to the next word, the "
        "last one to the answer.",
    )
    fills = ["#f4f5f6"] * 9
    fills[1], fills[5], fills[6] = ORANGE, BLUE, GREEN
    for place, fill in enumerate(fills):
        d.cell(20 + 32 * (place % 3), 30 + 32 * (place // 3), 30, fill)
        d.cell(150 + 32 * place, 110, 30, fill)
        d.text(165 + 32 * place, 152, f"p{place}", 11, GREY)
    d.text(66, 16, "a picture", 12, GREY)
    d.line([(118, 76), (146, 118)])
    d.text(292, 92, "its patches, one token each", 12, GREY)
    words = ["what", "is", "blue", "?"]
    for place, word in enumerate(words):
        x = 450 + 60 * place
        d.box(x, 108, 54, 34, word, PINK)
        d.line([(x + 27, 108), (x + 27, 74)], PINK)
        said = [*words[1:], "ball"][place]
        d.box(x, 40, 54, 32, said, PINK, full=place == 3)
    d.text(566, 22, "predicted: the next word", 12, GREY)
    d.text(566, 160, "its text", 12, GREY)
    d.line([(657, 146), (657, 192), (325, 192), (325, 162)], BLUE, dashed=True)
    d.text(490, 208, "to answer, the text has to look at the right patch", 12, BLUE)
    return d


def ablation() -> Drawing:
    """Lesson 10: one change, several trainings each, and the difference with its interval."""
    d = Drawing(
        760,
        230,
        "Two rows, with and without one part. Each leads to three trainings with other seeds "
        "and three scores. From the pairs of scores a difference follows, with an interval that "
        "may contain zero.",
    )
    scores = {"with the part": (0.74, 0.66, 0.81), "without it": (0.62, 0.7, 0.58)}
    for row, (name, values) in enumerate(scores.items()):
        y, colour = 42 + 80 * row, (BLUE, ORANGE)[row]
        d.box(16, y, 130, 48, name, colour)
        for seed, value in enumerate(values):
            d.line([(146, y + 24), (196, y + 24 * seed)], head=False)
            d.box(196, y - 11 + 24 * seed, 120, 22, f"training, seed {seed}", colour, 12)
            d.dot(360 + 150 * (value - 0.5) / 0.4, y + 24 * seed, colour)
            d.line([(316, y + 24 * seed), (344, y + 24 * seed)], head=False)
    d.text(435, 14, "scores", 12, GREY)
    d.line([(348, 206), (520, 206)], head=False)
    d.text(435, 220, "low … high", 11, GREY)
    d.text(630, 66, "difference,\nwith its interval", 13)
    d.line([(560, 120), (730, 120)], head=False)
    d.line([(600, 104), (600, 136)], GREY, head=False, dashed=True)
    d.text(600, 150, "0", 12, GREY)
    d.line([(585, 120), (690, 120)], GREEN, head=False)
    d.dot(638, 120, GREEN, 6)
    d.text(645, 178, "it contains 0:\nnothing is shown yet", 12, GREY)
    return d


def file_layout() -> Drawing:
    """Lesson 11: what a file of weights consists of."""
    d = Drawing(
        760,
        230,
        "A long bar in three parts: eight bytes that give the header's length, the header with "
        "names, types, shapes and places, and the numbers of all tensors. One entry of the "
        "header points to its place among the numbers, and a second arrow to the part of the "
        "model that it becomes.",
    )
    d.text(380, 18, "model.safetensors", 13, bold=True)
    d.box(20, 38, 90, 50, "8 bytes:\na length", GREY, 12)
    d.box(112, 38, 240, 50, "header: names, types, shapes, places", BLUE, 12)
    d.box(354, 38, 386, 50, "", GREEN)
    d.text(412, 63, "the numbers\nof all tensors", 12)
    d.box(
        40,
        130,
        330,
        52,
        "transformer.h.0.mlp.c_fc.weight\nF32, 3072 × 768, from byte … to byte …",
        BLUE,
        12,
    )
    d.line([(232, 88), (205, 130)])
    d.parts.append(
        f'<rect x="480" y="38" width="80" height="50" fill="{PALE[ORANGE]}" stroke="{ORANGE}"/>'
    )
    d.text(520, 63, "these", 12)
    d.line([(370, 146), (520, 146), (520, 90)], ORANGE)
    d.line([(370, 170), (560, 170)], PINK)
    d.box(560, 148, 180, 44, "trunk.blocks.0.mlp.up", PINK, 12)
    d.text(465, 184, "its name in jatlab", 12, GREY)
    d.text(380, 214, "192,701,771 numbers; nothing in the file is code", 12, GREY)
    return d


def own_task() -> Drawing:
    """Lesson 12: the path from an environment to a judged agent."""
    d = Drawing(
        760,
        220,
        "A path of six boxes: environment, task with a name and two scores, teacher, "
        "recordings, training, evaluation. Arrows lead back from the evaluation to the teacher "
        "(correct the pupil) and compare with an agent from nothing.",
    )
    parts = [
        ("environment", GREEN),
        ("task: a name,\na scale", GREEN),
        ("teacher", ORANGE),
        ("recordings", ORANGE),
        ("training", BLUE),
        ("evaluation", PINK),
    ]
    for place, (words, colour) in enumerate(parts):
        x = 12 + 125 * place
        d.box(x, 70, 108, 52, words, colour)
        if place:
            d.line([(x - 17, 96), (x, 96)])
    d.line([(692, 122), (692, 168), (316, 168), (316, 124)], ORANGE)
    d.text(504, 184, "where the pupil errs, the teacher shows what it would have done", 12, GREY)
    d.line([(692, 70), (692, 34), (570, 34), (570, 68)], BLUE, dashed=True)
    d.text(560, 34, "the same from nothing, with other seeds: a fair control", 12, GREY, "end")
    return d


def retrieval() -> Drawing:
    """Lesson 13: the nearest demonstrated timestep acts."""
    d = Drawing(
        760,
        230,
        "On the left an observation. In the middle the timesteps of three demonstrations as rows "
        "of dots; the one most like the observation is marked. On the right its action, which is "
        "repeated. An arrow leads from the environment's next observation back to the left.",
    )
    d.box(14, 84, 120, 56, "what is\nseen now", GREEN)
    d.text(390, 22, "demonstrations of the new task", 13, bold=True)
    for row in range(3):
        y = 62 + 50 * row
        d.line([(236, y), (544, y)], head=False)
        for step in range(11):
            d.dot(240 + 30 * step, y, ORANGE if (row, step) == (1, 6) else GREY, 5)
    d.line([(136, 112), (232, 112)], GREEN)
    d.text(184, 98, "distance", 12, GREY)
    d.text(420, 94, "the nearest", 12, ORANGE)
    d.line([(552, 112), (612, 112)], ORANGE)
    d.box(616, 84, 130, 56, "its action\nis repeated", ORANGE)
    d.line([(680, 142), (680, 204), (74, 204), (74, 142)], BLUE, dashed=True)
    d.text(390, 218, "the environment answers with the next observation", 12, GREY)
    return d

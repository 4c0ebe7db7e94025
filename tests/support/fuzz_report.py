"""A plugin of pytest: counts the cases of every door, and prints them at the end of `make fuzz`."""

from collections import Counter

from tests.support.fuzzing import COUNTS

ALL: Counter[tuple[str, str]] = Counter()  # of all processes of pytest-xdist


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["fuzz"] = [[*key, count] for key, count in COUNTS.items()]
    else:
        ALL.update(COUNTS)


def pytest_testnodedown(node, error):
    counted = getattr(node, "workeroutput", {}).get("fuzz", [])
    ALL.update({(door, kind): count for door, kind, count in counted})


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("cases by door")
    for door in sorted({door for door, _ in ALL}):
        right, refused = ALL[door, "right"], ALL[door, "refused"]
        line = f"{door:<14}{right + refused:>8,} cases: {right:>7,} right, {refused:>7,} refused"
        terminalreporter.write_line(line)
    terminalreporter.write_line(f"{'all':<14}{sum(ALL.values()):>8,} cases")

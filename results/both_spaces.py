"""Judges the recorded runs of every study by both spaces, from `results/*/runs.csv` alone. Writes results/both-spaces.md and, into
`arms.csv` and `margins.csv` of each study, the columns `embedding_lost` and `representation_lost`.

    python results/both_spaces.py

The rule is that of `covary-score/src/metrics/outcome.rs`, on clean training images in eval mode: a space is lost where the relative std is
below 0.1 (complete) or the participation ratio below 2 (dimensional). `runs.csv` holds the verdict on each space, and of the embedding the
numbers too, against which the verdict is checked here. A run that ended without a verdict counts as lost by itself.
"""

import csv
import math
import pathlib

RESULTS = pathlib.Path(__file__).resolve().parent
COMPLETE_BELOW, DIMENSIONAL_BELOW = 0.1, 2.0
SPACES = ("embedding", "representation")
COUNTS = ("runs", "neither", "embedding alone", "representation alone", "both")
# Arms of `techniques` by the terms that they have, as the names say it.
GROUPS = ("variance, covariance", "variance", "no regularisation")


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def check(row):
    """The verdict on the embedding follows from its numbers."""
    std, ratio = float(row["relative_std"]), float(row["participation_ratio"])
    word = "complete" if std < COMPLETE_BELOW else "dimensional" if ratio < DIMENSIONAL_BELOW else "healthy"
    assert row["embedding"] == word, row


def is_lost(row, space):
    return row[space] != "healthy"


def is_either(row):
    return any(is_lost(row, space) for space in SPACES)


def add_columns(path, of, arm):
    """Lost runs of each space as columns of a table that has a line an arm; a study without that table has none to correct."""
    if not path.exists():
        return
    table = rows(path)
    for row in table:
        for space in SPACES:
            row[f"{space}_lost"] = sum(is_lost(run, space) for run in of[arm(row)])
        assert row["embedding_lost"] + int(row.get("diverged", 0)) == int(row["lost"]), row
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


def counts(of):
    z, h = ([is_lost(row, space) for row in of] for space in SPACES)
    pairs = list(zip(z, h))
    return [len(of)] + [pairs.count(pair) for pair in ((False, False), (True, False), (False, True), (True, True))]


def arms(of):
    return {name: [row for row in of if row["arm"] == name] for name in dict.fromkeys(row["arm"] for row in of)}


def percent(of, key):
    values = sorted(100 * float(row[key]) for row in of if row[key])
    return f"{values[0]:.1f} to {values[-1]:.1f}" if values else ""


def interval(k, n):
    """Exact 95 % interval of a rate, in % (Clopper and Pearson 1934): each end leaves 2.5 % to the tail beyond the count."""

    def tail(p, counts):
        return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in counts)

    def root(is_below):
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if is_below(middle) else (low, middle)
        return 100 * low

    low = root(lambda p: tail(p, range(k, n + 1)) < 0.025) if k else 0
    high = root(lambda p: tail(p, range(k + 1)) > 0.025) if k < n else 100
    return f"{low:.0f} to {high:.0f}"


def table(header, body):
    lines = [header, ["---"] * len(header), *body]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines) + "\n"


def lost(runs):
    either = sum(is_either(row) for row in runs)
    of_each = [sum(is_lost(row, space) for row in runs) for space in SPACES]
    return [len(runs), *of_each, either, interval(either, len(runs)), percent(runs, "validation_knn")]


def margins(of):
    """Lost of the seeds: embedding, representation, either, a line for each learning rate and weight."""
    body, total = [], {}
    for name, runs in arms(of).items():
        technique, cell = name.split(": ")
        body.append([technique, cell, *lost(runs)])
        total.setdefault(technique, []).extend(runs)
    for technique, runs in total.items():
        body.append([technique, "**all**", *lost(runs)])
    return table(["technique", "cell", "runs", "z lost", "h lost", "either", "95 % interval of either, %", "held-out kNN on h, %"], body)


def low(studies, pixels):
    """Scored arms of which no run lost a space, and that a linear classifier reads worse than it reads raw pixels."""
    body = []
    for study, of in studies.items():
        for name, runs in arms(of).items():
            scores = [float(row["linear_top1"]) for row in runs if row["linear_top1"]]
            if scores and not any(is_either(row) for row in runs) and max(scores) < pixels:
                ratio = percent([{"r": float(row["participation_ratio"]) / 100} for row in runs], "r")
                body.append([study, name, len(runs), percent(runs, "linear_top1"), percent(runs, "knn_top1"), ratio])
    return table(["study", "arm", "runs", "linear, %", "kNN, %", "participation ratio of z"], body)


def alone(studies):
    """Arms with runs of which the rule calls the representation lost and the embedding well."""
    body = []
    for study, of in studies.items():
        if not study.endswith("margin") and not study.endswith("margins"):
            for name, runs in arms(of).items():
                those = [row for row in runs if is_lost(row, "representation") and not is_lost(row, "embedding")]
                if those:
                    body.append([study, name, f"{len(those)} of {len(runs)}", percent(those, "linear_top1"), percent(those, "validation_knn")])
    return table(["study", "arm", "runs", "linear, %", "held-out kNN, %"], body)


def main():
    studies = {path.parent.name: rows(path) for path in sorted(RESULTS.glob("*/runs.csv"))}
    for of in studies.values():
        for row in of:
            check(row)
    pixels = float(rows(RESULTS / "accuracy.csv")[0]["pixel_linear_top1"])
    text = "# The recorded studies, judged by both spaces\n\n"
    text += (
        "The embedding z is what the loss sees, the representation h what a user keeps. A space is lost where its relative std is below "
        "0.1 or its participation ratio below 2. `python results/both_spaces.py` makes this page from `results/*/runs.csv`. The columns `lost`, "
        "the means, effects, expectations and forecasts in the studies' tables go by the embedding alone (`lost = \"embedding\"` in a plan); "
        "the columns `embedding_lost` and `representation_lost` stand beside them.\n\n"
    )
    text += table(["study", *COUNTS], [[name, *counts(of)] for name, of in studies.items()])
    text += "## The study of techniques, by the terms that an arm has\n\n"
    by_terms = {group: [] for group in GROUPS}
    for row in studies["techniques"]:
        by_terms[next(group for group in GROUPS if row["arm"].endswith(", " + group))].append(row)
    text += table(["terms", *COUNTS], [[name, *counts(of)] for name, of in by_terms.items()])
    text += "## Representation lost, embedding well, outside of the margins\n\n" + alone(studies)
    text += f"## Neither space lost, every run below raw pixels ({100 * pixels:.1f} %)\n\n" + low(studies, pixels)
    for name in ("collapse-margin", "technique-margins"):
        text += f"## Lost runs of {name}\n\n" + margins(studies[name])
    (RESULTS / "both-spaces.md").write_text(text.rstrip() + "\n")
    for study, of in studies.items():
        add_columns(RESULTS / study / "arms.csv", arms(of), lambda row: row["arm"])
        cell = lambda row: f"{row['technique']}: lr x {row['lr_factor']}, weight x {row['weight_factor']}"
        add_columns(RESULTS / study / "margins.csv", arms(of), cell)


if __name__ == "__main__":
    main()

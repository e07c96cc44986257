"""Draws the runs of a study: one row an arm, one mark a seed, the accuracy of a linear classifier on the representation. A mark tells
which of a run's spaces was lost, embedding or representation. Needs matplotlib (bench/requirements.txt).

  python studies/draw.py results/techniques --mark "raw pixels" 41.3 -o docs/techniques.svg
"""
import argparse, csv, pathlib

import matplotlib
matplotlib.use("svg")
import matplotlib.pyplot as plt
import matplotlib.ticker

COLOURS = ["#1b6ca8", "#d1662b", "#3a8f5c", "#7a5195"]
# By whether embedding and representation were lost.
MARKS = {
    (False, False): {"marker": "o", "linewidths": 0},
    (True, False): {"marker": "+", "linewidths": 1.2},
    (False, True): {"marker": "$\u25bd$", "linewidths": 0},
    (True, True): {"marker": "x", "linewidths": 1.2},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=pathlib.Path, help="a folder with runs.csv, as `covary report` writes it")
    parser.add_argument("--mark", nargs=2, metavar=("NAME", "PERCENT"), help="an accuracy to hold them against")
    parser.add_argument("-o", "--out", type=pathlib.Path, required=True)
    a = parser.parse_args()
    with open(a.tables / "runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    methods = list(dict.fromkeys(arm.split(",")[0] for arm in arms))
    arms.sort(key=lambda arm: methods.index(arm.split(",")[0]))
    colours = {arm: COLOURS[methods.index(arm.split(",")[0]) % len(COLOURS)] for arm in arms}
    plt.rcParams.update({"font.size": 9, "svg.hashsalt": "covary"})
    figure, axes = plt.subplots(figsize=(8, 0.8 + 0.27 * len(arms)))
    if a.mark:
        name, percent = a.mark[0], float(a.mark[1])
        axes.axvline(percent, color="#888888", linewidth=0.8, linestyle=":")
        axes.annotate(name, (percent, 1), xycoords=("data", "axes fraction"), xytext=(3, 3), textcoords="offset points", color="#666666")
    for row in rows:
        if not row["linear_top1"]:
            continue
        lost = tuple(row[space] != "healthy" for space in ("embedding", "representation"))
        x, y = 100 * float(row["linear_top1"]), arms.index(row["arm"])
        axes.scatter(x, y, s=26, color=colours[row["arm"]], alpha=0.85, **MARKS[lost])
    axes.set_yticks(range(len(arms)), arms)
    for label, arm in zip(axes.get_yticklabels(), arms):
        label.set_color(colours[arm])
    axes.xaxis.set_major_locator(matplotlib.ticker.MultipleLocator(5))
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.set_xlabel("linear top-1 of the representation, %      lost: ● neither space   + embedding   ▽ representation   × both")
    axes.grid(axis="y", linewidth=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    figure.savefig(a.out, bbox_inches="tight", metadata={"Date": None}, facecolor="white")


main()

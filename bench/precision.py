"""Does bf16 train as well as f32? The parity recipe in both, paired by seed; the difference in linear top-1 with its 90 % interval.

  cargo build --release && python bench/precision.py --out runs/precision     # needs scipy and matplotlib (bench/requirements.txt)

VICReg, ResNet-18 of width 16, projector 512-512-512, batch 128, AdamW with learning rate 2e-3, two epochs of CIFAR-10 (JPEG). Runs what
is missing, writes results/precision.csv and the loss curves of all runs, results/precision.svg.
"""
import argparse, csv, datetime, json, pathlib, statistics, subprocess

import matplotlib
matplotlib.use("svg")
import matplotlib.pyplot as plt
from scipy import stats

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLOURS = {"f32": "#1b6ca8", "bf16": "#d1662b"}
SMOOTHED = 25


def run(binary, out, precision, seed, epochs):
    folder = out / f"{precision}-{seed}"
    if not (folder / "result.json").exists():
        command = [binary, "pretrain"] + (["--resume", folder] if folder.exists() else
                   ["narrow", "--out", folder, "--set", f"epochs={epochs}", "--set", f"precision={precision}", "--set", f"seed={seed}"])
        subprocess.run([str(part) for part in command], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    result, made = (json.loads((folder / name).read_text()) for name in ("result.json", "run.json"))
    row = {"date": datetime.date.fromtimestamp(made["started_unix_s"]), "machine": made["cpu"], "commit": made["commit"], "precision": precision, "seed": seed}
    row |= {key: result[key] for key in ("linear_top1", "linear_top1_sgd", "knn_top1", "loss", "steps")}
    return row, [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "runs" / "precision")
    parser.add_argument("--binary", default=ROOT / "target" / "release" / "covary")
    parser.add_argument("--seeds", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=2)
    a = parser.parse_args()
    runs = [run(a.binary, a.out.resolve(), precision, seed, a.epochs) for seed in range(a.seeds) for precision in COLOURS]
    rows = [row for row, _ in runs]
    with open(ROOT / "results" / "precision.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    plt.rcParams["svg.hashsalt"] = "covary"
    figure, axes = plt.subplots(figsize=(8, 4))
    for row, steps in runs:
        losses = [step["loss"] for step in steps]
        smooth = [statistics.fmean(losses[max(0, i - SMOOTHED):i + 1]) for i in range(len(losses))]
        axes.plot(smooth, color=COLOURS[row["precision"]], linewidth=0.8, label=row["precision"] if row["seed"] == 0 else None)
    axes.set(xlabel="step", ylabel=f"loss, mean of {SMOOTHED} steps", title=f"VICReg in f32 and bf16, {a.seeds} seeds each")
    axes.legend()
    figure.savefig(ROOT / "results" / "precision.svg", bbox_inches="tight", metadata={"Date": None})
    for key in ("linear_top1", "knn_top1"):
        of = {precision: [row[key] for row in rows if row["precision"] == precision] for precision in COLOURS}
        differences = [100 * (b - f) for b, f in zip(of["bf16"], of["f32"])]
        mean, n = statistics.fmean(differences), len(differences)
        half = stats.t.ppf(0.95, n - 1) * statistics.stdev(differences) / n ** 0.5 if n > 1 else float("nan")
        print(f"{key}: bf16 minus f32 {mean:+.2f} points, 90 % interval {mean - half:+.2f} to {mean + half:+.2f} (paired t, n = {n}); "
              f"f32 {100 * statistics.fmean(of['f32']):.2f}, bf16 {100 * statistics.fmean(of['bf16']):.2f}")


main()

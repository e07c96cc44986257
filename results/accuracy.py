"""Collects the result.json of run folders into CSV, and prints means, spreads and paired differences.

  for seed in 0 1 2; do covary pretrain tico --set seed=$seed --out runs/tico-$seed; done
  python results/accuracy.py runs/* > results/accuracy.csv

Standard library only.
"""
import csv, json, pathlib, statistics, sys, tomllib

KEYS = ["method", "data", "width", "epochs", "steps", "precision", "seed", "linear_top1", "linear_top1_sgd", "knn_top1", "random_linear_top1",
        "random_knn_top1", "pixel_linear_top1", "pixel_knn_top1", "outcome", "commit", "cpu"]

rows = []
for folder in map(pathlib.Path, sys.argv[1:]):
    if not (folder / "result.json").exists():
        continue
    result, run = (json.loads((folder / name).read_text()) for name in ("result.json", "run.json"))
    config = tomllib.loads((folder / "config.toml").read_text())
    rows.append({key: {**run, **result, "width": config["encoder"]["width"]}[key] for key in KEYS})
rows.sort(key=lambda row: (row["method"], row["precision"], row["epochs"], row["seed"]))
out = csv.DictWriter(sys.stdout, KEYS)
out.writeheader()
out.writerows(rows)
groups = {}
for row in rows:
    groups.setdefault((row["method"], row["precision"], row["epochs"]), []).append(row)
for (method, precision, epochs), group in groups.items():
    def show(key):
        values = [100 * row[key] for row in group]
        spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
        return f"{statistics.mean(values):.1f}{spread}"
    gain = [100 * (row["linear_top1"] - row["random_linear_top1"]) for row in group]
    print(f"{method}, {precision}, {epochs} epochs, n = {len(group)}: linear {show('linear_top1')}, SGD {show('linear_top1_sgd')}, kNN {show('knn_top1')}, "
          f"untrained linear {show('random_linear_top1')}, gain {min(gain):.1f} to {max(gain):.1f}", file=sys.stderr)

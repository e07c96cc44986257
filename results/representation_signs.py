"""Signs of a lost representation on short runs of each method: least participation ratio of h in batches and measurements, and when the
signs of `covary-train/src/trainer/representation_signs.rs` are raised, replayed from the journals.

    cargo build --release && python results/representation_signs.py [--out runs/representation-signs] [--recorded]

Trains what is missing (seven configurations, seeds 0 and 1; with `--recorded` nothing), writes results/representation-signs.csv, a line a run;
`python results/alarms.py --table` shows it.
"""

import argparse
import csv
import json
import pathlib
import subprocess

from alarms import COMMON, ROOT, RUNS, lines

NAMES = ["vicreg", "tico", "barlow-twins", "vicreg, learning rate x 10", "simsiam", "byol", "vicreg without variance"]
FEW_DIRECTIONS, LOOKS, EARLY = 1.5, 3, 20
PATIENCE, HALF = 0.1, 0.5


def batch_sign(looks):
    """Step at which the batch's sign is raised, and step at which it began."""
    streak = []
    for step, ratio in looks:
        streak = streak + [step] if step >= EARLY and ratio < FEW_DIRECTIONS else []
        if len(streak) == LOOKS:
            return step, streak[0]
    return None, None


def measured_sign(measurements, steps):
    streak = 0
    for line in measurements:
        streak = streak + 1 if line["representation/outcome"] != "healthy" else 0
        share = line["step"] / steps
        if share >= PATIENCE and streak >= (1 if share >= HALF else 2):
            return line["step"]
    return None


def row(name, seed, folder):
    result = json.loads((folder / "result.json").read_text())
    key = "batch_h/participation_ratio"
    looks = [(line["step"], line[key]) for line in lines(folder / "steps.jsonl") if key in line]
    measurements = lines(folder / "epochs.jsonl")
    raised, since = batch_sign(looks)
    z, h = result["embedding_verdict"], result["representation_verdict"]
    return {
        "configuration": name,
        "seed": seed,
        "outcome_z": z["outcome"],
        "outcome_h": h["outcome"],
        "participation_ratio_z": round(z["participation_ratio"], 2),
        "participation_ratio_h": round(h["participation_ratio"], 2),
        "least_batch_h": round(min(ratio for step, ratio in looks if step >= EARLY), 2),
        "least_measured_h": round(min(line["representation/participation_ratio"] for line in measurements), 2),
        "batch_sign_since": since,
        "batch_sign": raised,
        "measured_sign": measured_sign(measurements, result["steps"]),
        "knn_last": round(measurements[-1]["validation_knn"], 4),
        "untrained_knn": result.get("untrained_validation_knn"),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "runs" / "representation-signs")
    parser.add_argument("--binary", default=ROOT / "target" / "release" / "covary")
    parser.add_argument("--recorded", action="store_true", help="take the runs that are there")
    a = parser.parse_args()
    rows = []
    for name in NAMES:
        for seed in (0, 1):
            folder = a.out.resolve() / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}"
            if not (folder / "result.json").exists():
                if a.recorded:
                    continue
                recipe, changes = RUNS[name]
                command = [a.binary, "pretrain", recipe, "--out", folder]
                for change in COMMON + ["monitor.images=2000"] + changes + [f"seed={seed}"]:
                    command += ["--set", change]
                subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
            rows.append(row(name, seed, folder))
    with open(ROOT / "results" / "representation-signs.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

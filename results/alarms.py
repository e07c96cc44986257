"""Signs of collapse against the outcome, on short real runs: who collapses, who is warned of it, and how long before.

    cargo build --release && python results/alarms.py [--out runs/alarms]

Runs what is missing (nine configurations, seeds 0 to 7), then writes results/alarms.csv, a line a run, and results/alarms.md. Thresholds
of the signs were set on seeds 0 to 2 (`--sweep` shows what others would have done there); the table is of seeds 3 to 7. `--table` makes it
from results/alarms.csv, and trains nothing.
"""

import argparse
import csv
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMON = [
    "encoder.width=8", "projector.hidden=256", "projector.dim=256", "batch_size=128", "data.limit=25600", "epochs=1", "score=false",
    "monitor.every_steps=25", "monitor.every_epochs=0", "monitor.telemetry_every=5",
]
RUNS = {
    "vicreg": ("vicreg", []),
    "tico": ("tico", []),
    "barlow-twins": ("barlow-twins", []),
    "simsiam": ("simsiam", []),
    "byol": ("byol", []),
    "invariance alone": ("vicreg", ["terms.variance.weight=0", "terms.covariance.weight=0"]),
    "vicreg without variance": ("vicreg", ["terms.variance.weight=0"]),
    "simsiam without stop-gradient": ("simsiam", ["branches.stop_gradient=none"]),
    "byol without predictor": ("byol", ["predictor.kind=none"]),
    "vicreg, learning rate x 10": ("vicreg", ["optimizer.lr=2e-2"]),
}
SEEDS = range(8)
SET_ON = range(3)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(binary, out, name, seed):
    recipe, changes = RUNS[name]
    folder = out / f"{name.replace(' ', '-')}-{seed}"
    if not (folder / "result.json").exists():
        command = [binary, "pretrain", recipe, "--out", folder] if not folder.exists() else [binary, "pretrain", "--resume", folder]
        if "--out" in command:
            for change in COMMON + changes + [f"seed={seed}"]:
                command += ["--set", change]
        subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
    result = json.loads((folder / "result.json").read_text())
    measured = lines(folder / "epochs.jsonl")
    alarms = result["alarms"]
    first = min((alarm["step"] for alarm in alarms), default=None)
    began = result["collapse_step"]
    return {
        "configuration": name,
        "seed": seed,
        "steps": result["steps"],
        "outcome_z": result["embedding_verdict"]["outcome"],
        "outcome_h": result["representation_verdict"]["outcome"],
        "relative_std_z": round(result["embedding_verdict"]["relative_std"], 4),
        "participation_ratio_z": round(result["embedding_verdict"]["participation_ratio"], 3),
        "knn_h_first": round(measured[0]["validation_knn"], 4),
        "knn_h_last": round(measured[-1]["validation_knn"], 4),
        "collapse_step": began,
        "first_sign": first,
        "signs": " ".join(f"{alarm['kind']}@{alarm['step']}" for alarm in alarms),
        "lead": began - first if None not in (began, first) else None,
        "commit": json.loads((folder / "run.json").read_text())["commit"],
    }


def sweep(out, rows):
    """What thresholds on the batch's spread would have done on the seeds that they were set on."""
    print("| relative std below | participation ratio below | from step | collapsed runs warned | healthy runs warned |\n|---|---|---|---|---|")
    logs = {}
    for row in rows:
        folder = out / f"{row['configuration'].replace(' ', '-')}-{row['seed']}"
        logs[row["configuration"], row["seed"]] = [step for step in lines(folder / "steps.jsonl") if "batch_z/relative_std" in step]
    for std in (0.1, 0.2, 0.35, 0.5):
        for ratio in (0, 1.3, 1.5, 2.0, 2.5):
            for start in (20, 50, 100):
                hits = {True: [0, 0], False: [0, 0]}
                for row in rows:
                    seen = any(
                        step["batch_z/relative_std"] < std
                        or (step["step"] >= start and step["batch_z/participation_ratio"] < ratio)
                        for step in logs[row["configuration"], row["seed"]]
                    )
                    count = hits[row["outcome_z"] != "healthy"]
                    count[0] += seen
                    count[1] += 1
                collapsed, healthy = hits[True], hits[False]
                print(f"| {std} | {ratio} | {start} | {collapsed[0]} of {collapsed[1]} | {healthy[0]} of {healthy[1]} |")


def is_lost(row, *spaces):
    return any(row[f"outcome_{space}"] != "healthy" for space in spaces)


def recorded():
    """The rows of results/alarms.csv."""
    with open(ROOT / "results" / "alarms.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for key in ("seed", "steps", "collapse_step", "first_sign", "lead"):
            row[key] = int(row[key]) if row[key] else None
        for key in ("relative_std_z", "participation_ratio_z", "knn_h_first", "knn_h_last"):
            row[key] = float(row[key])
    return rows


def table(rows):
    scored = [row for row in rows if row["seed"] not in SET_ON]
    text = "# Signs of collapse against the outcome\n\n"
    text += (
        f"CIFAR-10 (JPEG), ResNet-18 of width 8, projector 256-256-256, batch 128, {scored[0]['steps']} steps, seeds 3 to 7 "
        "(thresholds were set on seeds 0 to 2). The outcome is measured every 25 steps on 5,000 clean training images, z before any "
        "normalisation of the projector's output; a space is lost if the last measurement says so, and a run if either space is. "
        "`python results/alarms.py` makes this table; `--table` makes it from results/alarms.csv.\n\n"
        "| configuration | n | z complete | z dimensional | h lost | neither lost | warned | z lost from step | first sign at step "
        "| relative std of z | participation ratio of z | kNN on h, first to last |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    )
    span = lambda values: f"{min(values)}–{max(values)}" if values else "–"
    for name in RUNS:
        of = [row for row in scored if row["configuration"] == name]
        if not of:
            continue
        count = lambda outcome: sum(row["outcome_z"] == outcome for row in of)
        mean = lambda key: sum(row[key] for row in of) / len(of)
        text += (
            f"| {name} | {len(of)} | {count('complete')} | {count('dimensional')} | {sum(is_lost(row, 'h') for row in of)} "
            f"| {sum(not is_lost(row, 'z', 'h') for row in of)} | {sum(bool(row['signs']) for row in of)} "
            f"| {span([row['collapse_step'] for row in of if row['collapse_step'] is not None])} "
            f"| {span([row['first_sign'] for row in of if row['first_sign'] is not None])} "
            f"| {span([round(row['relative_std_z'], 2) for row in of])} "
            f"| {span([round(row['participation_ratio_z'], 1) for row in of])} "
            f"| {100 * mean('knn_h_first'):.1f} to {100 * mean('knn_h_last'):.1f} % |\n"
        )
    warned = lambda of: f"{sum(bool(row['signs']) for row in of)} of {len(of)}"
    lost = [row for row in scored if is_lost(row, "z", "h")]
    well = [row for row in scored if not is_lost(row, "z", "h")]
    h_alone = [row for row in lost if not is_lost(row, "z")]
    leads = sorted(row["lead"] for row in lost if row["lead"] is not None)
    text += (
        f"\nSensitivity: {warned(lost)} lost runs were warned; of those that lost the representation alone {warned(h_alone)}. "
        f"False alarms: {warned(well)} runs that lost neither space. "
    )
    if leads:
        text += (
            f"Lead of the first sign over the step from which on every measurement found z lost: median {leads[len(leads) // 2]} "
            f"steps, from {leads[0]} to {leads[-1]}; negative where the outcome was there first.\n"
        )
    return text + of_representation()


def of_representation():
    """The signs of a lost representation on runs of their own, from results/representation-signs.csv."""
    with open(ROOT / "results" / "representation-signs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    text = "\n## Signs of a lost representation\n\n"
    text += (
        "Runs as above, measured on 2,000 images, telemetry every 5 steps, a line a run (`python results/representation_signs.py`). The signs above are "
        "of z and of the loss. `batch`: h of the batch has a participation ratio below 1.5 at three looks in a row after step 20; the step at which "
        "it was raised and, in brackets, at which it began. `measured`: h is lost at two measurements in a row, or at one in the second half.\n\n"
        "| configuration | seed | z at the end | h at the end | least h of a batch after step 20 | least h measured | batch | measured "
        "| held-out kNN, untrained encoder's |\n|---|---|---|---|---|---|---|---|---|\n"
    )
    for row in rows:
        batch = f"{row['batch_sign']} ({row['batch_sign_since']})" if row["batch_sign"] else "–"
        before = f"{100 * float(row['untrained_knn']):.1f} %" if row["untrained_knn"] else "–"
        text += (
            f"| {row['configuration']} | {row['seed']} | {row['outcome_z']}, {row['participation_ratio_z']} | {row['outcome_h']}, "
            f"{row['participation_ratio_h']} | {row['least_batch_h']} | {row['least_measured_h']} | {batch} | {row['measured_sign'] or '–'} "
            f"| {100 * float(row['knn_last']):.1f} %, {before} |\n"
        )
    seen = lambda of: f"{sum(bool(row['batch_sign'] or row['measured_sign']) for row in of)} of {len(of)}"
    lost = [row for row in rows if row["outcome_h"] != "healthy"]
    well = [row for row in rows if row["outcome_h"] == "healthy"]
    text += f"\nWarned: {seen(lost)} runs that lost h. False alarms: {seen(well)} runs that did not.\n"
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "runs" / "alarms")
    parser.add_argument("--binary", default=ROOT / "target" / "release" / "covary")
    parser.add_argument("--table", action="store_true", help="make the table from results/alarms.csv")
    parser.add_argument("--sweep", action="store_true", help="show what other thresholds would have done on seeds 0 to 2")
    arguments = parser.parse_args()
    if arguments.table:
        (ROOT / "results" / "alarms.md").write_text(table(recorded()))
        return
    seeds = SET_ON if arguments.sweep else SEEDS
    rows = [run(arguments.binary, arguments.out.resolve(), name, seed) for seed in seeds for name in RUNS]
    if arguments.sweep:
        sweep(arguments.out, rows)
        return
    with open(ROOT / "results" / "alarms.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    text = table(rows)
    (ROOT / "results" / "alarms.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()

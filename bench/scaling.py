"""How covary's training speed scales on this machine: threads, batch, width. Writes results/scaling.csv and prints Markdown tables.

  cargo build --release && python bench/scaling.py

VICReg, projector 2048-2048-2048, bf16, source images a second. Threads are held against the raw multiply-add rate of as many threads,
measured in the same process, as two hardware threads may share one core. Nothing else should run on the machine.
"""
import csv, datetime, json, pathlib, subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
COVARY = ROOT / "target" / "release" / "covary"


def bench(width=16, batch=256, threads=0, steps=None):
    steps = steps or max(3, 2560 * 16 // (width * batch))
    command = [COVARY, "bench", "--json", "--no-kernels", "--steps", steps]
    for key, value in {"encoder.width": width, "batch_size": batch, "threads": threads, "projector.hidden": 2048, "projector.dim": 2048}.items():
        command += ["--set", f"{key}={value}"]
    out = subprocess.run([str(part) for part in command], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = json.loads(out.strip().splitlines()[-1])
    return {"width": width, "batch": batch, "threads": found["threads"], "images_per_s": round(found["images_per_s"], 1),
            "peak_gflops": round(found["peak_gflops"], 1), "page_faults_per_step": found["page_faults_per_step"],
            "peak_memory_bytes": found["peak_memory_bytes"], "cpu": found["cpu"], "precision": found["precision"]}


def main():
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    threads = [bench(threads=count) for count in (1, 2, 1, 2)]
    batches = [bench(batch=batch) for batch in (64, 128, 256, 512, 1024)]
    widths = [bench(width=width) for width in (8, 16, 32, 64)]
    rows = threads + batches + widths
    with open(ROOT / "results" / "scaling.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["date", "commit", *rows[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows({"date": datetime.date.today(), "commit": commit, **row} for row in rows)
    for title, key, found in [("threads", "threads", threads), ("batch", "batch", batches), ("width", "width", widths)]:
        print(f"| {title} | source images/s | multiply-add peak, GFLOP/s | page faults a step | peak memory, GB |\n|---|---|---|---|---|")
        for row in found:
            print(f"| {row[key]} | {row['images_per_s']:.0f} | {row['peak_gflops']:.0f} | {row['page_faults_per_step']:.0f} | {row['peak_memory_bytes'] / 1e9:.2f} |")
        print()
    one, two = (sum(row[key] for row in threads if row["threads"] == count) for key in ("images_per_s",) for count in (1, 2))
    peak_one, peak_two = (sum(row["peak_gflops"] for row in threads if row["threads"] == count) for count in (1, 2))
    print(f"two threads against one: {two / one:.2f} times as fast, raw multiply-adds {peak_two / peak_one:.2f} times")


main()

"""covary against PyTorch + lightly on the same job on this machine, the two in turn; prints each pair and the median ratio of each case.

  python -m venv venv && venv/bin/pip install -r bench/requirements.txt
  cargo build --release && venv/bin/python bench/compare.py --case w16-bf16 --case w64-bf16 --pairs 5

Cases: w16-bf16, w64-bf16 (the peer in bf16 autocast and channels_last, its fastest), w16-f32, w64-f32 (both in f32, the peer as it is
by default), i16-bf16, i64-bf16 (inference of the encoder alone: eval mode, batches of 256 normalised images in memory). Training is
VICReg, ResNet-18 of that width, projector 2048-2048-2048, batch 256, AdamW, augmentation included; source images per second.
Appends a line a pair to results/speed.csv. Nothing else should run on the machine.
"""
import argparse, csv, datetime, json, os, pathlib, platform, statistics, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COVARY = ROOT / "target" / "release" / "covary"
COLUMNS = ["date", "machine", "cores", "commit", "case", "pair", "covary_images_per_s", "peer_images_per_s", "ratio",
           "covary_peak_memory_bytes", "peer_peak_memory_bytes"]
# Steps of either side: enough for some seconds.
STEPS = {"w16-bf16": (20, 10), "w64-bf16": (5, 4), "w16-f32": (10, 6), "w64-f32": (3, 2), "i16-bf16": (1, 12), "i64-bf16": (1, 4)}


def last_json(command):
    """The last line of stdout as JSON, and the process's peak memory in bytes."""
    process = subprocess.Popen([str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return json.loads(out.strip().splitlines()[-1]), usage.ru_maxrss * 1024


def commands(case):
    width, precision = int(case[1:3]), case.split("-")[1]
    ours, theirs = STEPS[case]
    mode = "bf16cl" if precision == "bf16" else "f32"
    only = "inference" if case[0] == "i" else "end_to_end"
    covary = [COVARY, "bench", "--json", "--steps", ours, "--no-kernels", "--set", f"encoder.width={width}", "--set", "batch_size=256",
              "--set", "projector.hidden=2048", "--set", "projector.dim=2048", "--set", f"precision={precision}"]
    peer = [sys.executable, "bench/peer.py", "--data", "data/cifar10", "--bench", theirs, "--only", only, "--width", width, "--mode", mode]
    keys = ("inference_images_per_s", "inference_img_s") if case[0] == "i" else ("images_per_s", "end_to_end_img_s")
    return covary, peer, keys


def commit():
    run = lambda *command: subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return run("git", "rev-parse", "--short=12", "HEAD") + ("-dirty" if run("git", "status", "--porcelain", "crates") else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=list(STEPS), help="may be given many times; default all")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "results" / "speed.csv")
    a = parser.parse_args()
    for case in a.case or list(STEPS):
        covary, peer, (our_key, their_key) = commands(case)
        ratios = []
        for pair in range(1, a.pairs + 1):
            (us, our_memory), (them, their_memory) = last_json(covary), last_json(peer)
            ratio = us[our_key] / them[their_key]
            ratios.append(ratio)
            print(f"{case} pair {pair}: covary {us[our_key]:.1f}, peer {them[their_key]:.1f} images/s, ratio {ratio:.2f}; "
                  f"peak memory {our_memory / 1e9:.2f} and {their_memory / 1e9:.2f} GB", flush=True)
            is_new = not a.out.exists()
            with a.out.open("a", newline="") as file:
                rows = csv.writer(file, lineterminator="\n")
                if is_new:
                    rows.writerow(COLUMNS)
                rows.writerow([datetime.date.today(), us["cpu"] or platform.processor(), us["threads"], commit(), case, pair,
                               round(us[our_key], 1), them[their_key], round(ratio, 3), our_memory, their_memory])
        print(f"{case}: median ratio {statistics.median(ratios):.2f} of {len(ratios)} pairs, from {min(ratios):.2f} to {max(ratios):.2f}", flush=True)


main()

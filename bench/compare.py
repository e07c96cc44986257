"""covary against PyTorch + lightly on the same job on this machine, the two in turn; prints each pair and the median ratio.

  python -m venv venv && venv/bin/pip install -r bench/requirements.txt
  cargo build --release && venv/bin/python bench/compare.py --width 16 --mode bf16cl --pairs 5

VICReg, ResNet-18 of the given width, projector 2048-2048-2048, batch 256, AdamW, augmentation included; source images per second.
--mode is the peer's: f32 (its default), f32cl (channels_last), bf16cl (bf16 autocast and channels_last, its fastest). covary runs in
bf16 against bf16cl and in f32 otherwise. Writes a line of CSV for each pair with --out.
"""
import argparse, csv, datetime, json, pathlib, platform, resource, statistics, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COVARY = ROOT / "target" / "release" / "covary"


def last_json(command):
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--mode", default="bf16cl", choices=["f32", "f32cl", "bf16cl"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--out", type=pathlib.Path)
    a = parser.parse_args()
    precision = "bf16" if a.mode == "bf16cl" else "f32"
    ours = [COVARY, "bench", "--json", "--steps", str(a.steps), "--set", f"encoder.width={a.width}", "--set", "batch_size=256",
            "--set", "projector.hidden=2048", "--set", "projector.dim=2048", "--set", f"precision={precision}"]
    peer = [sys.executable, "bench/peer.py", "--data", "data/cifar10", "--bench", str(a.steps), "--width", str(a.width), "--mode", a.mode]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    ratios = []
    for pair in range(a.pairs):
        us, them = last_json(ours), last_json(peer)
        ratio = us["images_per_s"] / them["end_to_end_img_s"]
        ratios.append(ratio)
        print(f"pair {pair + 1}: covary {us['images_per_s']:.1f}, peer {them['end_to_end_img_s']:.1f} source images/s, ratio {ratio:.2f}", flush=True)
        if a.out:
            new = not a.out.exists()
            with a.out.open("a", newline="") as file:
                rows = csv.writer(file)
                if new:
                    rows.writerow(["date", "machine", "commit", "width", "peer_mode", "covary_precision", "pair", "covary_images_per_s",
                                   "peer_images_per_s", "ratio", "covary_peak_memory_bytes", "peer_peak_memory_bytes"])
                peer_memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
                rows.writerow([datetime.date.today(), us["cpu"] or platform.processor(), commit, a.width, a.mode, precision, pair + 1,
                               round(us["images_per_s"], 1), them["end_to_end_img_s"], round(ratio, 3), us["peak_memory_bytes"], peer_memory])
    print(f"median ratio {statistics.median(ratios):.2f} of {len(ratios)} pairs, from {min(ratios):.2f} to {max(ratios):.2f}")


main()

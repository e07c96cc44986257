"""Reference values for Muon, in float64 with numpy.  usage: make_muon.py OUT_DIR SEED

muon.safetensors  CASE.g [rows, columns] -> CASE.orthogonal: Newton-Schulz as in KellerJordan/Muon (muon.py, zeropower_via_newtonschulz5:
                  five steps, transposed where tall, norm + 1e-7), in float64 in place of bfloat16
                  STEPS.p [3, 2, 2, 2], STEPS.g0.. -> STEPS.p1..: parameters after steps of its muon_update (momentum 0.95, Nesterov, scale
                  sqrt(max(1, rows / columns)) of the matrix [3, 8]), lr 0.02, decoupled weight decay 0.1
"""
import sys
import numpy as np
from safetensors.numpy import save_file

out, seed = sys.argv[1], int(sys.argv[2])
random = np.random.default_rng(seed)


def newton_schulz(G, steps=5):
    a, b, c = 3.4445, -4.7750, 2.0315
    X = G.T if G.shape[0] > G.shape[1] else G
    X = X / (np.linalg.norm(X) + 1e-7)
    for _ in range(steps):
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
    return X.T if G.shape[0] > G.shape[1] else X


t = {}
cases = {"wide": (24, 96), "square": (64, 64), "tall": (96, 20), "flat": (8, 27)}
for name, shape in cases.items():
    t[f"{name}.g"] = random.standard_normal(shape).astype(np.float32)
low = random.standard_normal((40, 5)) @ random.standard_normal((5, 70)) + 1e-2 * random.standard_normal((40, 70))
t["near_low_rank.g"] = low.astype(np.float32)
for name in [*cases, "near_low_rank"]:
    t[f"{name}.orthogonal"] = newton_schulz(t[f"{name}.g"].astype(np.float64))

for steps, shape in {"conv": (3, 2, 2, 2), "tall": (9, 4)}.items():
    p = random.standard_normal(shape).astype(np.float32)
    t[f"steps.{steps}.p"] = p
    p, buffer = p.astype(np.float64), np.zeros(shape)
    for step in range(4):
        g = (random.standard_normal(shape) / (step + 1)).astype(np.float32)
        t[f"steps.{steps}.g{step}"] = g
        buffer = 0.95 * buffer + 0.05 * g
        update = (0.95 * buffer + 0.05 * g).reshape(shape[0], -1)
        update = newton_schulz(update) * max(1, update.shape[0] / update.shape[1]) ** 0.5
        p = p * (1 - 0.02 * 0.1) - 0.02 * update.reshape(shape)
        t[f"steps.{steps}.p{step}"] = p
save_file({name: np.ascontiguousarray(value) for name, value in t.items()}, f"{out}/muon.safetensors")

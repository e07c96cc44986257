"""Reference pipeline in PyTorch + lightly: SSL pretraining on CIFAR-10 parquet, then a linear probe and kNN.

One JSON line per event on stdout. Needs: torch torchvision lightly pyarrow pillow.
  python bench/peer.py --data data/cifar10 --method vicreg --width 16 --epochs 5
  python bench/peer.py --data data/cifar10 --bench 20            # throughput only: data, compute, end to end
  python bench/peer.py --data data/cifar10 --bench 20 --only end_to_end   # or: inference (eval mode, normalised images in memory)
Throughput is in source images per second (each image gives two views).
"""
import argparse, copy, io, json, math, time
import numpy as np, pyarrow.parquet as pq, torch, torchvision
from PIL import Image
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet
from lightly.loss import BarlowTwinsLoss, NegativeCosineSimilarity, TiCoLoss, VICRegLoss
from lightly.transforms.vicreg_transform import VICRegTransform

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def load(path, split, limit=None):
    t = pq.read_table(f"{path}/{split}-00000-of-00001.parquet")
    t = t.slice(0, limit) if limit else t
    imgs = [Image.open(io.BytesIO(r["bytes"])).convert("RGB") for r in t["img"].to_pylist()]
    return imgs, np.array(t["label"].to_pylist())


class Views(torch.utils.data.Dataset):
    def __init__(self, imgs, transform): self.imgs, self.transform = imgs, transform
    def __len__(self): return len(self.imgs)
    def __getitem__(self, i): return self.transform(self.imgs[i])


def resnet18_cifar(width):
    """torchvision ResNet-18 with a 3x3 stride-1 stem, no max-pool, and `width` channels in the first stage."""
    m = ResNet.__new__(ResNet); nn.Module.__init__(m)
    m._norm_layer, m.inplanes, m.dilation, m.groups, m.base_width = nn.BatchNorm2d, width, 1, 1, 64
    m.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False); m.bn1 = nn.BatchNorm2d(width)
    m.relu = nn.ReLU(inplace=True); m.maxpool = nn.Identity()
    for i, mult in enumerate((1, 2, 4, 8)):
        setattr(m, f"layer{i + 1}", m._make_layer(BasicBlock, width * mult, 2, stride=1 if i == 0 else 2))
    m.avgpool = nn.AdaptiveAvgPool2d(1); m.fc = nn.Identity()
    for c in m.modules():
        if isinstance(c, nn.Conv2d): nn.init.kaiming_normal_(c.weight, mode="fan_out", nonlinearity="relu")
    return m


def mlp(dims, last_bn=False):
    layers = []
    for a, b in zip(dims[:-2], dims[1:-1]): layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()]
    layers.append(nn.Linear(dims[-2], dims[-1]))
    if last_bn: layers.append(nn.BatchNorm1d(dims[-1], affine=False))
    return nn.Sequential(*layers)


class Method(nn.Module):
    def __init__(self, a):
        super().__init__()
        d = 8 * a.width
        self.name, self.backbone = a.method, resnet18_cifar(a.width)
        self.projector = mlp([d, a.hidden, a.hidden, a.dim], last_bn=a.method == "simsiam")
        if a.method in ("simsiam", "byol"): self.predictor = mlp([a.dim, a.hidden // 4, a.dim])
        if a.method in ("byol", "tico"):
            self.target = copy.deepcopy(nn.Sequential(self.backbone, self.projector)).requires_grad_(False)
        self.loss = {"vicreg": VICRegLoss, "tico": TiCoLoss, "barlow": BarlowTwinsLoss,
                     "simsiam": NegativeCosineSimilarity, "byol": NegativeCosineSimilarity}[a.method]()

    def forward(self, x0, x1):
        online = lambda x: self.projector(self.backbone(x)).float()
        if self.name in ("vicreg", "barlow"): return self.loss(online(x0), online(x1))
        if self.name == "tico": return self.loss(online(x0), self.target(x1).float())
        z0, z1 = online(x0), online(x1)
        p0, p1 = self.predictor(z0).float(), self.predictor(z1).float()
        if self.name == "byol":
            with torch.no_grad(): z0, z1 = self.target(x0).float(), self.target(x1).float()
        return 0.5 * (self.loss(p0, z1.detach()) + self.loss(p1, z0.detach()))

    @torch.no_grad()
    def ema(self, m):
        if hasattr(self, "target"):
            online = nn.Sequential(self.backbone, self.projector)
            for t, s in zip(self.target.parameters(), online.parameters()): t.mul_(m).add_(s, alpha=1 - m)


@torch.no_grad()
def features(net, imgs, cl):
    net.eval(); out = []
    x = torch.from_numpy(np.stack([np.asarray(i) for i in imgs])).permute(0, 3, 1, 2)
    for b in x.split(500):
        b = (b.float() / 255 - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
        out.append(net(b.contiguous(memory_format=torch.channels_last) if cl else b).flatten(1).float())
    return torch.cat(out)


def probe(ftr, ytr, fte, yte, epochs=100):
    mu, sd = ftr.mean(0), ftr.std(0) + 1e-6
    ftr, fte = (ftr - mu) / sd, (fte - mu) / sd
    lin = nn.Linear(ftr.shape[1], 10); opt = torch.optim.SGD(lin.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    sch = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs)
    for _ in range(epochs):
        for i in torch.randperm(len(ftr)).split(512):
            opt.zero_grad(); nn.functional.cross_entropy(lin(ftr[i]), ytr[i]).backward(); opt.step()
        sch.step()
    return (lin(fte).argmax(1) == yte).float().mean().item()


def knn(ftr, ytr, fte, yte, k=20, t=0.1):
    ftr, fte = nn.functional.normalize(ftr), nn.functional.normalize(fte); hit = 0
    for f, y in zip(fte.split(1000), yte.split(1000)):
        s, i = (f @ ftr.T).topk(k); w = (s / t).exp()
        hit += (torch.zeros(len(f), 10).scatter_add(1, ytr[i], w).argmax(1) == y).sum().item()
    return hit / len(fte)


def main():
    p = argparse.ArgumentParser(); A = p.add_argument
    A("--data", required=True); A("--method", default="vicreg"); A("--width", type=int, default=64)
    A("--hidden", type=int, default=2048); A("--dim", type=int, default=2048); A("--batch", type=int, default=256)
    A("--epochs", type=int, default=1); A("--lr", type=float, default=1e-3); A("--wd", type=float, default=1e-4)
    A("--limit", type=int); A("--workers", type=int, default=2); A("--seed", type=int, default=0)
    A("--mode", default="f32", help="any of: f32, f32cl, bf16cl (cl = channels_last, bf16 = autocast)")
    A("--bench", type=int, default=0, help="measure this many steps instead of training")
    A("--only", choices=["end_to_end", "inference"], help="of --bench, this alone")
    a = p.parse_args(); torch.manual_seed(a.seed); torch.set_num_threads(2)
    cl, bf = "cl" in a.mode, "bf16" in a.mode
    imgs, ytr = load(a.data, "train", 1000 if a.only == "inference" else a.limit)
    tf = VICRegTransform(input_size=32, cj_strength=1.0, cj_bright=0.4, cj_contrast=0.4, cj_sat=0.2, cj_hue=0.1,
                         min_scale=0.2, gaussian_blur=0.0, normalize={"mean": MEAN, "std": STD})
    dl = torch.utils.data.DataLoader(Views(imgs, tf), a.batch, shuffle=True, drop_last=True, num_workers=a.workers)
    m = Method(a); m = m.to(memory_format=torch.channels_last) if cl else m
    opt = torch.optim.AdamW([q for q in m.parameters() if q.requires_grad], a.lr, weight_decay=a.wd)
    total = max(1, a.epochs * len(dl)); warm = total // 20

    def step(x0, x1, n):
        for g in opt.param_groups:
            g["lr"] = a.lr * (n / warm if n < warm else 0.5 * (1 + math.cos(math.pi * (n - warm) / (total - warm))))
        if cl: x0, x1 = (v.contiguous(memory_format=torch.channels_last) for v in (x0, x1))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf): loss = m(x0, x1)
        opt.zero_grad(); loss.backward(); opt.step(); m.ema(0.996 if total == 1 else 1 - 0.004 * (math.cos(math.pi * n / total) + 1) / 2)
        return loss.item()

    if a.only == "inference":
        net = m.backbone.eval(); x = torch.randn(a.batch, 3, 32, 32)
        x = x.contiguous(memory_format=torch.channels_last) if cl else x
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf):
            net(x); t = time.time()
            for _ in range(a.bench): net(x)
        print(json.dumps({"inference_img_s": round(a.bench * a.batch / (time.time() - t), 1)})); return
    if a.only == "end_to_end":
        total, warm = 10**9, 1; it = iter(dl); step(*next(it), 1); t = time.time()
        for _ in range(a.bench): step(*next(it), 1)
        print(json.dumps({"end_to_end_img_s": round(a.bench * a.batch / (time.time() - t), 1)})); return
    if a.bench:
        it = iter(dl); x0, x1 = next(it); t = time.time(); n = 0
        for _ in range(a.bench): next(it); n += a.batch
        data = n / (time.time() - t); del it
        total = 10**9; warm = 1; step(x0, x1, 1); t = time.time()
        for _ in range(a.bench): step(x0, x1, 1)
        comp = n / (time.time() - t); it = iter(dl); next(it); t = time.time()
        for _ in range(a.bench): step(*next(it), 1)
        print(json.dumps({"mode": a.mode, "method": a.method, "width": a.width, "batch": a.batch, "data_img_s": round(data, 1),
                          "compute_img_s": round(comp, 1), "end_to_end_img_s": round(n / (time.time() - t), 1)})); return
    n, t0 = 0, time.time()
    for e in range(a.epochs):
        m.train(); s = 0.0
        for x0, x1 in dl: s += step(x0, x1, n); n += 1
        print(json.dumps({"epoch": e, "loss": s / len(dl), "seconds": round(time.time() - t0, 1)}), flush=True)
    ite, yte = load(a.data, "test"); ytr, yte = torch.from_numpy(ytr), torch.from_numpy(yte)
    ftr, fte = features(m.backbone, imgs, cl), features(m.backbone, ite, cl)
    print(json.dumps({"args": vars(a), "train_seconds": round(time.time() - t0, 1), "linear": probe(ftr, ytr, fte, yte), "knn": knn(ftr, ytr, fte, yte)}))


main()

"""Train the student: `python -m recipes.bundled.train --packs FOLDER --run FOLDER --minutes 90`.

The learning rate is constant after a short warm-up and falls to nothing over the last part (`--decay`), so that a run
can be lengthened after the fact: repeat the command with more minutes. Minutes are those spent in steps: a pause,
however long, counts as one ordinary step. The same command resumes from the last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import signal
from dataclasses import fields
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from recipes.bundled import losses
from recipes.bundled.augment import edit, vary
from recipes.bundled.export import load_snapshot
from recipes.bundled.network import SEMANTIC_DIM, Outputs, Student
from recipes.bundled.pool import Batch, HeldOut, Pool
from recipes.bundled.run import Group, Options, Run
from recipes.bundled.widen import widen

__all__ = ["held_out_map", "launch", "mean_average_precision", "rate_at", "side_at", "train"]


def rate_at(progress: float, step: int, options: Options) -> float:
    """Return the learning rate: warm-up, constant, then down to nothing (1 - sqrt, Hägele et al., 2024)."""
    left = (1 - progress) / options.decay if options.decay else 1.0
    fall = 1.0 if left >= 1 else 1 - (1 - max(left, 0.0)) ** 0.5
    return options.rate * min(1.0, (step + 1) / options.warmup) * fall


def side_at(progress: float, sides: str) -> int:
    """Return the side in pixels at a progress in 0..1, from text such as `64:0.2,96:1`."""
    for part in sides.split(","):
        side, until = part.split(":")
        if progress < float(until):
            return int(side)
    return int(sides.rsplit(",", maxsplit=1)[-1].split(":", maxsplit=1)[0])


def losses_of(out: Outputs, batch: Batch, copies: int) -> dict[str, Tensor]:
    """Return the weighted losses of a pass over the pictures of a batch followed by `copies` altered ones."""
    n = len(batch.targets)
    both = torch.cat([torch.arange(n), torch.arange(copies)]).to(batch.targets.device)
    targets, probabilities = batch.targets[both], batch.probabilities[both]
    taught = batch.taught[both]
    first = taught[:n]
    return {
        "cosine": 2 * losses.cosine(out.semantic[taught], targets[taught]),
        "relational": losses.relational(out.semantic[:n][first], targets[:n][first]),
        "classes": 0.3 * losses.class_distillation(out.classes, probabilities),
        "contrast": 0.3 * losses.contrast(out.copy[n:], out.copy[:n]) if copies else out.copy.sum() * 0,
        "entropy": 0.1 * losses.entropy(out.copy[:n]),
    }


def assemble(batch: Batch, copies: int, side: int, *, crop: float) -> Tensor:
    """Return the batch's pictures mildly varied, then strongly altered copies of its first ones, at one side."""
    mild = torch.cat([vary(p, side, least=crop) for p in batch.pictures])
    strong, left = [], copies
    for pictures in batch.pictures:
        if left <= 0:
            break
        strong.append(edit(pictures[:left], side))
        left -= len(pictures)
    return torch.cat([mild, *strong])


def mean_average_precision(unit_nd: Tensor, labels_n: Tensor) -> float:
    """Return the leave-one-out mean average precision of cosine likeness by label."""
    likeness = unit_nd @ unit_nd.T
    likeness.fill_diagonal_(-2)
    order = likeness.argsort(1, descending=True)[:, :-1]
    right = (labels_n[order] == labels_n[:, None]).float()
    rank = torch.arange(1, right.shape[1] + 1, device=right.device)
    precision = right.cumsum(1) / rank
    return float(((precision * right).sum(1) / right.sum(1).clamp(min=1)).mean())


@torch.no_grad()
def held_out_map(student: Student, held: HeldOut, *, side: int, device: torch.device) -> float:
    """Return the mAP of the semantic vector on classes never trained on."""
    student.eval()
    rows = []
    for pictures in held.pictures:
        for part in pictures.split(128):
            x = F.interpolate(part.float(), size=(side, side), mode="bicubic", align_corners=False, antialias=True)
            rows.append(student(x.clamp(0, 255).to(device)).semantic.float().cpu())
    return mean_average_precision(torch.cat(rows), held.labels)


def _one_step(run: Run, pool: Pool, group: Group, side: int) -> tuple[float, dict[str, float]]:
    n = run.options.batch // group.size
    copies = int(n * run.options.edited)
    batch = pool.batch(n - copies)
    with torch.autocast(run.device.type, torch.bfloat16):
        out = run.student(assemble(batch, copies, side, crop=run.options.crop))
    parts = losses_of(out, batch, copies)
    loss = torch.stack(list(parts.values())).sum()
    run.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    progress = group.share_gradients(list(run.student.parameters()), run.progress)
    torch.nn.utils.clip_grad_norm_(run.student.parameters(), 5.0)
    run.optimiser.step()
    run.step += 1
    run.seen += n * group.size
    if run.step % 4 == 0 and group.rank == 0:
        run.update_average(4)
    return progress, {
        k: round(float(v.detach()), 4) for k, v in parts.items()
    } if run.step % run.options.log_every == 0 else {}


def _note(run: Run, entry: dict[str, object]) -> None:
    entry = {"minutes": round(run.clock.minutes, 2), "step": run.step, "seen": run.seen, **entry}
    with (run.options.run / "log.jsonl").open("a") as log:
        log.write(json.dumps(entry) + "\n")


def _report(run: Run, pool: Pool) -> None:
    """Save a snapshot and note the measure on the held-out classes at two sides."""
    run.snapshot()
    if len(pool.held.labels):
        found = {s: round(held_out_map(run.average, pool.held, side=s, device=run.device), 4) for s in (96, 160)}
        _note(run, {"held_out_map": found})


def warm_start(run: Run, path: Path) -> None:
    """Take the weights of a snapshot, or of a bare backbone, to begin with; they may be of a narrower network."""
    widen(
        load_snapshot(path, backbone=run.options.backbone, classes=run.student.heads.classes.out_features), run.student
    )
    run.average.load_state_dict(run.student.state_dict())


def train(options: Options, *, rank: int = 0, size: int = 1) -> Run:
    """Train until the run's minutes (or steps) are done; return the run."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1 if size > 1 else options.workers)
    options.run.mkdir(parents=True, exist_ok=True)
    seed = options.seed * 1000 + rank
    space = options.run / "target_space.npz"
    group = Group(rank, size, options.run / "meeting")
    pool = Pool(options.packs, projection=space, device=device, seed=seed, dim=SEMANTIC_DIM)
    run = Run(options, classes=pool.classes, device=device)
    if not run.resume() and options.start.name:
        warm_start(run, options.start)
    group.agree(run.student)
    torch.manual_seed(seed + run.step)
    pool.shuffle(seed + run.step)
    saved = shot = run.clock.minutes
    first = rank == 0
    if first:
        _note(run, {"pool": pool.size, "device": str(device), "processes": size})
    if first and run.step == 0 and options.start.name:
        _report(run, pool)
    run.clock.skip()
    progress = run.progress
    while progress < 1:
        run.learn()
        for parameters in run.optimiser.param_groups:
            parameters["lr"] = rate_at(progress, run.step, options)
        side = side_at(progress, options.sides)
        progress, parts = _one_step(run, pool, group, side)
        run.clock.tick()
        progress = run.progress if size == 1 else progress
        if parts and first:
            _note(run, {"side": side, "rate": round(run.optimiser.param_groups[0]["lr"], 6), **parts})
        if first and run.clock.minutes - saved > options.checkpoint_minutes:
            saved = run.clock.minutes
            run.save()
            run.clock.skip()
        if first and run.clock.minutes - shot > options.snapshot_minutes:
            shot = run.clock.minutes
            _report(run, pool)
            run.clock.skip()
    if first:
        run.save()
        _report(run, pool)
    return run


def _worker(rank: int, options: Options) -> None:
    # sent when the parent ends; a command in the background inherits that it is ignored, and would train on for nobody
    signal.signal(signal.SIGINT, signal.default_int_handler)
    train(options, rank=rank, size=options.workers)


def launch(options: Options) -> None:
    """Train in one process on an accelerator, else in one process a core."""
    if torch.cuda.is_available() or options.workers == 1:
        train(options)
        return
    (options.run / "meeting").unlink(missing_ok=True)
    torch.multiprocessing.spawn(_worker, (options,), nprocs=options.workers)


def main() -> None:
    """Train from the command line; every option of `Options` is a flag."""
    parser = argparse.ArgumentParser(description=__doc__)
    for field in fields(Options):
        required = field.name in {"packs", "run"}
        kind = Path if required else type(field.default)
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=kind,
            required=required,
            default=None if required else field.default,
        )
    launch(Options(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()

"""A run: its options, its clock, its weights and their average, its processes; saved and resumed as one."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.distributed as dist

from recipes.bundled.network import Student

__all__ = ["Clock", "Group", "Options", "Run"]


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is made of; stored in its checkpoints."""

    packs: Path
    run: Path
    minutes: float = 90.0
    start: Path = Path()  # weights to start from, where no checkpoint is there
    steps: int = 0  # where above 0, the run's length in steps instead of minutes
    backbone: str = "regnetx_002"
    sides: str = "96:0.6,128:1"
    batch: int = 128
    frozen: str = ""  # parts of the backbone that stay as they are, such as "stem,s1,s2"
    edited: float = 0.15  # share of the batch that is strongly altered copies of other pictures in it
    crop: float = 0.8  # the least side of a mild view, as a share of the picture's
    rate: float = 1.2e-3
    warmup: int = 200  # steps
    decay: float = 0.5  # the part of the run over which the rate falls
    weight_decay: float = 0.05
    average: float = 0.999
    checkpoint_minutes: float = 3.0
    snapshot_minutes: float = 10.0
    log_every: int = 50  # steps
    workers: int = 2  # processes on a CPU
    seed: int = 0


class Clock:
    """Counts the minutes spent in steps: a step far longer than usual was a pause, and counts as a usual one."""

    def __init__(self, minutes: float = 0.0) -> None:
        self.minutes = minutes
        self._usual = 0.0
        self._last = time.monotonic()

    def tick(self) -> float:
        """Note the end of a step; return the seconds that it counts for."""
        now = time.monotonic()
        took, self._last = now - self._last, now
        if self._usual and took > 5 * self._usual:
            took = self._usual
        self._usual = took if not self._usual else 0.95 * self._usual + 0.05 * took
        self.minutes += took / 60
        return took

    def skip(self) -> None:
        """Leave out what went by since the last tick (an evaluation, a checkpoint)."""
        self._last = time.monotonic()


class Run:
    """A student with its optimiser, its average and its clock; saved and resumed as one."""

    def __init__(self, options: Options, *, classes: int, device: torch.device) -> None:
        torch.manual_seed(options.seed)
        self.options, self.device = options, device
        self.student = Student(classes=classes, backbone=options.backbone).to(device, memory_format=torch.channels_last)
        self.average = Student(classes=classes, backbone=options.backbone).to(device)
        self.average.load_state_dict(self.student.state_dict())
        self.average.requires_grad_(False)
        decayed = [p for p in self.student.parameters() if p.ndim > 1]
        plain = [p for p in self.student.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98), fused=True)
        self.step, self.seen, self.clock = 0, 0, Clock()
        self._average_pairs = list(
            zip(self.average.state_dict().values(), self.student.state_dict().values(), strict=True)
        )

    @property
    def progress(self) -> float:
        """Return how much of the run is done, 0..1."""
        if self.options.steps:
            return self.step / self.options.steps
        return self.clock.minutes / self.options.minutes

    def learn(self) -> None:
        """Set the student to learn, its frozen parts left as they are, their running statistics too."""
        self.student.train()
        for name in filter(None, self.options.frozen.split(",")):
            self.student.backbone.get_submodule(name).requires_grad_(False).eval()

    def update_average(self, every: int) -> None:
        """Move the average towards the weights (its start is shorter, so that early weights are forgotten)."""
        keep = min(self.options.average, (1 + self.step) / (10 + self.step)) ** every
        floats = [(a, b) for a, b in self._average_pairs if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - keep)
        for a, b in self._average_pairs:
            if not a.is_floating_point():
                a.copy_(b)

    def save(self) -> None:
        """Write the checkpoint; the old one stays whole until the new one is."""
        state = {
            "student": self.student.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seen": self.seen,
            "minutes": self.clock.minutes,
            "options": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self.options).items()},
        }
        self.options.run.mkdir(parents=True, exist_ok=True)
        part = self.options.run / "last.pt.part"
        torch.save(state, part)
        part.replace(self.options.run / "last.pt")

    def resume(self) -> bool:
        """Take up the last checkpoint, where there is one."""
        path = self.options.run / "last.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.student.load_state_dict(state["student"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seen, self.clock = state["step"], state["seen"], Clock(state["minutes"])
        return True

    def snapshot(self) -> Path:
        """Write the averaged weights in half precision, for the curve and for export."""
        path = self.options.run / f"average-{self.clock.minutes:05.1f}.pt"
        half = {k: v.half() if v.is_floating_point() else v for k, v in self.average.state_dict().items()}
        torch.save(half, path)
        return path


class Group:
    """The processes of a run: one on an accelerator, one a core on a CPU, each with its share of the batch.

    On a shared CPU two processes of one thread wait for each other once a step; two threads of one process wait at
    every operation, which is ten times slower when other programs run.
    """

    def __init__(self, rank: int, size: int, meeting: Path) -> None:
        self.rank, self.size = rank, size
        if size > 1:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
            dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)

    def share_gradients(self, parameters: list[torch.nn.Parameter], progress: float) -> float:
        """Average the gradients over the processes; return the first process's progress."""
        if self.size == 1:
            return progress
        gradients = [p.grad for p in parameters if p.grad is not None]
        mine = torch.tensor([progress * self.size if self.rank == 0 else 0.0])
        flat = torch.cat([*(g.reshape(-1) for g in gradients), mine])
        dist.all_reduce(flat)
        flat /= self.size
        start = 0
        for g in gradients:
            g.copy_(flat[start : start + g.numel()].view(g.shape))
            start += g.numel()
        return float(flat[-1])

    def agree(self, student: torch.nn.Module) -> None:
        """Give every process the first one's weights."""
        for value in student.state_dict().values() if self.size > 1 else ():
            dist.broadcast(value.contiguous() if not value.is_contiguous() else value, 0)

"""TensorBoard's logs, where TensorBoard is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Logs"]


class Logs:
    """Writes what epochs measure: ``tensorboard --logdir FOLDER`` shows it while it grows."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError:
            self._writer: Any = None
        else:
            self._writer = SummaryWriter(str(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, epoch: Mapping[str, float]) -> None:
        """Write the measures of one epoch."""
        if self._writer is None:
            return
        for name, value in epoch.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, int(epoch["epoch"]))

    def write_trial(self, chosen: Mapping[str, Any], measured: Mapping[str, float]) -> None:
        """Write the row of one trial on the HParams page."""
        if self._writer is not None:
            self._writer.add_hparams(dict(chosen), {f"result/{k}": v for k, v in measured.items()}, run_name=".")

# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run shows while it goes on: a progress bar or plain lines, `log.jsonl`, TensorBoard, a table at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from .pictures import write_whole

LAST, BEST, LOG, TENSORBOARD = "last.pt", "best.pt", "log.jsonl", "tensorboard"
# How a measure is called, by what it is shown multiplied, and its decimals, in the order of tables.
SHOWN = {
    "loss": ("loss", 1, 4),
    "held_out_loss": ("held-out loss", 1, 4),
    "pixel_accuracy": ("pixel accuracy", 1, 4),
    "mean_iou": ("mIoU", 1, 4),
    "background_iou": ("background IoU", 1, 4),
    "person_iou": ("person IoU", 1, 4),
    "boundary_f": ("boundary F", 1, 4),
    "mad": ("MAD x1000", 1000, 1),
    "empty_share": ("empty rooms %", 100, 3),
}
IN_LINE = ("loss", "held_out_loss", "person_iou", "boundary_f", "mad")
BAR_PERIOD_S = 0.5

Record = dict[str, float]


class Watch:
    """Context manager around a run's loop; `step` is cheap, `check` writes everything down."""

    def __init__(self, folder: Path, name: str, step: int) -> None:
        self.folder = folder
        forget_after(folder / LOG, step)
        self.writer = SummaryWriter(str(folder / TENSORBOARD), purge_step=step or None)
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[says]}"),
        )
        self.bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
        self.task = self.bar.add_task(name, total=1.0, says="")
        self.best_iou = max((record.get("person_iou", 0.0) for record in read_log(folder)), default=0.0)
        self._last_shown = 0.0

    def __enter__(self) -> Watch:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()
        self.writer.close()

    def step(self, part: float, loss: torch.Tensor) -> None:
        """Move the bar; the loss (a scalar, any device) is read only when the bar is drawn."""
        if self.bar.disable or time.monotonic() - self._last_shown < BAR_PERIOD_S:
            return
        self._last_shown = time.monotonic()
        says = f"loss {loss.item():.4f}  IoU {self.best_iou:.4f}"
        self.bar.update(self.task, completed=min(part, 1.0), says=says)

    def check(self, step: int, seconds: float, measures: Mapping[str, float]) -> None:
        """Print, log and plot the measures of one check."""
        self.best_iou = max(self.best_iou, measures.get("person_iou", 0.0))
        for name, value in measures.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()
        with (self.folder / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps({"step": step, "seconds": round(seconds, 1), **measures}) + "\n")
        words = (f"{SHOWN[name][0]} {shown(name, measures[name])}" for name in IN_LINE if name in measures)
        self.say(f"step {step:6d}  {seconds / 60:6.1f} min  {'  '.join(words)}")

    def picture(self, step: int, sheet: torch.Tensor) -> None:
        """Show a picture (uint8 [3,H,W]) of held-out masks in TensorBoard."""
        self.writer.add_image("held-out masks", sheet, step)

    def say(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        if self.bar.disable:
            print(line, flush=True)
        else:
            self.bar.console.print(line, highlight=False, markup=False)


def shown(name: str, value: float) -> str:
    """A measure in the unit and with the decimals of tables."""
    _, factor, decimals = SHOWN[name]
    return f"{value * factor:.{decimals}f}"


def read_log(folder: Path) -> list[Record]:
    """The checks of a run, oldest first; what a kill cut off is left out."""
    records: list[Record] = []
    path = folder / LOG
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def forget_after(path: Path, step: int) -> None:
    """Drop the checks behind `step`: a resumed run does them again."""
    kept = [record for record in read_log(path.parent) if record["step"] <= step]
    if path.exists():
        write_whole(path, "".join(json.dumps(record) + "\n" for record in kept).encode())


def table(folder: Path) -> str:
    """The best and the last check of a run, aligned; empty without any."""
    records = read_log(folder)
    if not records:
        return ""
    best, last = max(records, key=lambda record: (record.get("person_iou", 0.0), record["step"])), records[-1]
    lines = [f"{'on the held-out frames':24}{'best.pt':>10}{'last.pt':>10}"]
    lines.append(f"{'step':24}{best['step']:>10.0f}{last['step']:>10.0f}")
    for name, (title, _, _) in SHOWN.items():
        if name in last:
            lines.append(f"{title:24}{shown(name, best.get(name, float('nan'))):>10}{shown(name, last[name]):>10}")
    return "\n".join(lines)


def masks_sheet(pictures: torch.Tensor, truths: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """One picture uint8 [3, N*H, 3*W]: each picture (uint8 [N,3,H,W]), its true mask and the answer ([N,1,H,W])."""
    masks = (each.expand(-1, 3, -1, -1) for each in (truths, answers))
    rows = torch.cat([pictures, *masks], dim=3)
    return torch.cat(list(rows), dim=1)

# SPDX-License-Identifier: GPL-2.0-or-later
"""``bench offline``: what pictures and videos cost without OBS, beside reading and writing the same video alone."""

from __future__ import annotations

import functools
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..bridge.messages import DEVICES
from ..obs.settings import DEFAULTS
from . import media
from .bench_processes import resident_mb
from .bench_report import OFFLINE_MARKERS, Figure, Section, Table, median, tell
from .errors import CommandError
from .workshop import LIBRARIES_OFFLINE, has_libraries

if TYPE_CHECKING:
    from ..engine.network import Network
    from ..offline.compose import Picture

SIZE_PX, SMALL_PX = (1920, 1080), (320, 180)
ROUNDS = 2
LOOPS = 2  # of the demo's four seconds
LONG_S = 600
MOST_RATIO, MOST_GROWTH, LEAST_SPEED_UP = 1.5, 1.1, 1.5
PICTURES = 16
PLAIN, BACKGROUNDS = "reading and writing alone", ("blur", "color", "picture", "video")


def bench_offline(write: bool, arguments: list[str]) -> int:
    """Measure and print, here or in the environment for it; 1 when a figure misses what it should be."""
    if not has_libraries(LIBRARIES_OFFLINE):
        return media.go_on_offline(arguments)
    media.prepare_process()
    with tempfile.TemporaryDirectory(prefix="bench-offline-") as folder:
        section = measure(Path(folder))
    return tell(section, OFFLINE_MARKERS if write else None)


class Timed(NamedTuple):
    """What frames took: seconds of the clock, and of all processors together."""

    wall_s: float
    cpu_s: float


def timed(work: Callable[[], object]) -> Timed:
    """Do it, and say what it took."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return Timed(time.perf_counter() - wall_s, time.process_time() - cpu_s)


def measure(folder: Path) -> Section:
    """All figures; clips and results lie in ``folder``. CommandError."""
    import cv2

    from .demo_pictures import CLIP_S, FPS

    network = media.load(media.verified_model(DEFAULTS.model), DEVICES[0])
    clip = write_portrait(folder / "clip.mp4", SIZE_PX, LOOPS)
    behind = write_portrait(folder / "behind.mp4", SIZE_PX, 1)
    still = folder / "behind.png"
    cv2.imwrite(str(still), next(portrait(SIZE_PX)))
    files = {"picture": still, "video": behind}
    runs: dict[str, list[Timed]] = {}
    frames = LOOPS * CLIP_S * FPS
    for _ in range(ROUNDS):
        runs.setdefault(PLAIN, []).append(timed(lambda: read_and_write(clip, folder / "plain.mp4")))
        for kind in BACKGROUNDS:
            convert = converting(network, clip, folder / "out.mp4", kind, files.get(kind))
            runs.setdefault(kind, []).append(timed(convert))
    ratios = {
        kind: median([ours.wall_s / plain.wall_s for ours, plain in zip(runs[kind], runs[PLAIN])])
        for kind in BACKGROUNDS
    }
    figures = [
        Figure(f"video, {kind}: time, to reading and writing alone", ratios[kind], "times", 2, MOST_RATIO)
        for kind in BACKGROUNDS
    ]
    rows = [
        (
            kind,
            f"{frames / median([each.wall_s for each in found]):.0f}",
            f"{1e3 * median([each.cpu_s for each in found]) / frames:.0f}",
        )
        for kind, found in runs.items()
    ]
    table = Table(("background", "frames per second", "processor ms per frame"), rows)
    figures += [*picture_figures(folder, next(portrait(SIZE_PX))), *memory_figures(folder, network)]
    return Section("Without OBS", NOTE, figures, [table])


NOTE = (
    "The demo's portrait, 1920x1080 at 30 frames per second, H.264; the network that ships, on the processor, with "
    f"default settings. Reading and writing alone is PyAV decoding a video and encoding it with the same codec and "
    f"options; it and the kinds of background take turns, {ROUNDS} rounds, medians. Masks and "
    f"the joining at the end are in the time. Pictures: {PICTURES} JPEG files of 1920x1080, through the pool that the "
    "command image uses, with a network for each thread. Memory: a video of ten minutes, at 320x180, because memory "
    "counts here and not time."
)


def portrait(size_px: tuple[int, int]) -> Iterator[Picture]:
    """The demo's portrait in another size, BGR."""
    import cv2
    import numpy as np

    from .demo_pictures import portrait_frames

    for frame_bgr in portrait_frames():
        yield np.asarray(cv2.resize(frame_bgr, size_px, interpolation=cv2.INTER_CUBIC))


def write_portrait(path: Path, size_px: tuple[int, int], loops: int) -> Path:
    """A clip of the demo's portrait, in H.264 as a camera's recording might be; encoded once, and then repeated."""
    import av

    from .demo_pictures import FPS

    once = path.with_suffix(".once.mp4")
    with av.open(str(once), "w") as container:
        stream: Any = container.add_stream("libx264", rate=FPS, options={"crf": "20", "preset": "veryfast", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = *size_px, "yuv420p"
        for frame_bgr in portrait(size_px):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame_bgr, format="bgr24")))
        container.mux(stream.encode(None))
    with av.open(str(path), "w") as container:
        moved, out = 0, None
        for _ in range(loops):
            with av.open(str(once)) as source:
                stream = source.streams.video[0]
                out = out or container.add_stream_from_template(stream)
                duration = stream.duration or 0
                for packet in source.demux(stream):
                    if packet.pts is not None and packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + moved, packet.dts + moved
                        packet.stream = out
                        container.mux(packet)
                moved += duration
    once.unlink()
    return path


def read_and_write(source: Path, target: Path) -> None:
    """What every program that changes a video must do at least."""
    import av

    from ..offline.writing import OPAQUE

    encoding = OPAQUE[target.suffix]
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        video = reader.streams.video[0]
        video.thread_type = "AUTO"
        stream: Any = writer.add_stream(encoding.codec, rate=video.average_rate, options=encoding.options)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, encoding.pixels
        stream.codec_context.time_base = video.time_base
        for frame in reader.decode(video):
            frame.pict_type = 0  # what the encoder wants, not what it was
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))


def converting(
    network: Network,
    source: Path,
    target: Path,
    kind: str,
    behind: Path | None,
    hear: Callable[[int], None] | None = None,
) -> Callable[[], object]:
    """What makes ``target`` as the command ``video`` does; ``hear`` is told the number of each frame."""
    import dataclasses

    from ..offline.pictures import Wanted
    from ..offline.videos import convert

    background = "source" if behind else kind
    settings = dataclasses.replace(DEFAULTS, background=background, background_source=str(behind or ""))
    wanted = Wanted(settings, media.background_of(settings, may_move=True))

    def report(frames: int, _before: int, _position_s: float) -> None:
        if hear:
            hear(frames)

    return lambda: convert(source, target, network, wanted, threading.Event(), report, go_on=False)


def picture_figures(folder: Path, picture_bgr: Picture) -> list[Figure]:
    """How many pictures a second a folder goes at, with a thread for each core and with one."""
    import cv2

    from ..offline.pictures import Job, Pool, Wanted

    model = media.verified_model(DEFAULTS.model)
    jobs = [Job(folder / f"{number}.jpg", folder / f"{number}.png") for number in range(PICTURES)]
    for job in jobs:
        cv2.imwrite(str(job.source), picture_bgr)
    wanted = Wanted(DEFAULTS, None)

    def work(threads: int) -> None:
        check(Pool(lambda: media.load(model, DEVICES[0]), wanted, threads).run(jobs))

    cores = os.cpu_count() or 1
    work(cores)  # the disk and the libraries are warm, then
    one_s, all_s = (median([timed(functools.partial(work, each)).wall_s for _ in range(ROUNDS)]) for each in (1, cores))
    least = LEAST_SPEED_UP if cores > 1 else None
    return [
        Figure("pictures per second", PICTURES / all_s, "", 1),
        Figure("the same, to a single thread", one_s / all_s, "times", 2, least, least=True),
    ]


def check(done: Iterator[object]) -> None:
    """CommandError if a picture could not be worked on."""
    for each in done:
        if getattr(each, "problem", ""):
            raise CommandError(str(each))


def memory_figures(folder: Path, network: Network) -> list[Figure]:
    """Memory at the beginning and at the end of a long video (Linux)."""
    from .demo_pictures import CLIP_S, FPS

    if not Path("/proc/self/status").exists():
        return []
    source = write_portrait(folder / "long.mp4", SMALL_PX, LONG_S // CLIP_S)
    seen: dict[float, float] = {}

    def hear(frames: int) -> None:
        if frames % (LONG_S * FPS // 60) == 0:
            seen[frames / FPS] = resident_mb(os.getpid())

    converting(network, source, folder / "long_out.mp4", "blur", None, hear)()
    early = max(mb for second, mb in seen.items() if second <= LONG_S / 10)
    late = max(mb for second, mb in seen.items() if second > LONG_S * 0.9)
    return [
        Figure("memory in the first tenth of a long video", early, "MB", 0),
        Figure("memory in the last tenth, to the first", late / early, "times", 2, MOST_GROWTH),
    ]

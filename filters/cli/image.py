# SPDX-License-Identifier: GPL-2.0-or-later
"""``image``: people cut out of pictures and folders of pictures."""

from __future__ import annotations

import argparse
import collections
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import media
from .errors import CommandError
from .install_engine import ensure_with_progress
from .progress import Progress
from .workshop import LIBRARIES_OF_ENGINE, has_libraries

if TYPE_CHECKING:
    from ..offline.pictures import Job


def run(options: argparse.Namespace) -> int:
    """Cut out, here or in the engine's environment; 1 if a picture could not be worked on."""
    if has_libraries(LIBRARIES_OF_ENGINE):
        return run_here(options)
    return media.go_on_in(ensure_with_progress(), options.arguments)


def run_here(options: argparse.Namespace) -> int:
    """As ``run``, in a Python that has the engine's libraries."""
    media.prepare_process()
    from ..offline import picture_files, pictures
    from ..offline.files import MediaError

    settings = media.settings_of(options)
    is_opaque = settings.preview_mask or settings.background != "transparent"
    jobs = find_jobs(options.paths, is_opaque)
    extra = [options.contact_sheet] if options.contact_sheet else []
    for path in (*[job.target for job in jobs], *extra):
        check_ending(path, is_opaque or path in extra)
    read = [job.source for job in jobs] + [Path(settings.background_source)] * (settings.background == "source")
    media.refuse_to_overwrite([*(job.target for job in jobs), *extra], read, options.overwrite)
    wanted = pictures.Wanted(settings, media.background_of(settings, may_move=False))
    model = media.verified_model(settings.model)
    pool = pictures.Pool(lambda: media.load(model, options.device), wanted)
    finished: list[pictures.Done] = []
    with Progress("Cutting out") as progress:
        for done in pool.run(jobs):
            finished.append(done)
            progress(len(finished) / len(jobs), "", f"{len(finished)} of {len(jobs)}: {done.job.source.name}")
    failed = [done for done in finished if done.problem]
    for done in failed:
        print(f"error: {done.problem}", file=sys.stderr)
    if options.contact_sheet:
        order = {job: number for number, job in enumerate(jobs)}
        try:
            sheet = pictures.sheet(sorted(finished, key=lambda done: order[done.job]))
            picture_files.write_picture(options.contact_sheet, sheet)
        except MediaError as error:
            raise CommandError(str(error)) from error
    print(summary([done.job.target for done in finished if not done.problem], len(failed)))
    return 1 if failed else 0


def summary(written: Sequence[Path], failed: int) -> str:
    """What was written where, in a line."""
    where = str(written[0]) if len(written) == 1 else f"{len(written)} pictures"
    return f"Written: {where if written else 'nothing'}{f'; not done: {failed}' if failed else ''}"


def find_jobs(paths: Sequence[Path], is_opaque: bool) -> list[Job]:
    """Which picture goes where: ``paths`` are IN... [OUT], as the command's help says. CommandError."""
    from ..offline.pictures import Job

    sources, out = (paths[:-1], paths[-1]) if len(paths) > 1 else (paths, None)
    for source in sources:
        if not source.exists():
            raise CommandError(f"{source} is not there.", 2)
    ending = "_filtered" if is_opaque else "_person"
    if len(sources) == 1 and sources[0].is_file():
        source = sources[0]
        if out is None:
            return [Job(source, source.with_name(f"{source.stem}{ending}.png"))]
        if out.suffix and not out.is_dir():
            return [Job(source, out)]
    elif out is not None and out.exists() and not out.is_dir():
        raise CommandError(f"{out} is a file; for several pictures the last path must be a folder for the results.", 2)
    if out is None:
        folder = sources[0].resolve()
        out = folder.with_name(f"{folder.name}{ending}")
    jobs = [Job(path, out / place) for path, place in places(sources, out)]
    twice = [target for target, count in collections.Counter(job.target for job in jobs).items() if count > 1]
    if twice:
        raise CommandError(f"Two pictures would become {twice[0]}: give them in two calls.", 2)
    return jobs


def places(sources: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """All pictures of files and folders, with each result's place below the folder ``out``. CommandError if none."""
    from ..offline.picture_files import READABLE

    found: list[tuple[Path, Path]] = []  # with its own name still
    for source in sources:
        if source.is_dir():
            inside = sorted(path for path in source.rglob("*") if path.suffix.lower() in READABLE and path.is_file())
            found += [
                (path, path.relative_to(source)) for path in inside if out.resolve() not in path.resolve().parents
            ]
        else:
            found.append((source, Path(source.name)))
    if not found:
        raise CommandError(f"No pictures in {', '.join(map(str, sources))}. Known are {' '.join(sorted(READABLE))}.", 2)
    stems = collections.Counter(place.with_suffix("") for _, place in found)
    # a.jpg and a.png must not both become a.png.
    is_alone = {path: stems[place.with_suffix("")] == 1 for path, place in found}
    return [(path, place.with_name(f"{place.stem if is_alone[path] else place.name}.png")) for path, place in found]


def check_ending(path: Path, is_opaque: bool) -> None:
    """CommandError for a result that can't be written, or that can't be transparent."""
    from ..offline.picture_files import WITH_ALPHA, WITHOUT_ALPHA

    suffix = path.suffix.lower()
    if suffix in WITH_ALPHA or (is_opaque and suffix in WITHOUT_ALPHA):
        return
    if suffix in WITHOUT_ALPHA:
        raise CommandError(f"{path.name}: {suffix} can't be transparent. Use .png, or give a --background.", 2)
    known = " ".join(sorted(WITH_ALPHA | WITHOUT_ALPHA))
    raise CommandError(f"{path.name}: the name of a result must end in one of {known}.", 2)

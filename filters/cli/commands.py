# SPDX-License-Identifier: GPL-2.0-or-later
"""All commands but ``engine``: what they are called, what they take, what they say when something is wrong."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import camera, media, models_parser, presets
from .errors import CommandError

BENCH_PARTS = ("engine", "obs", "picture", "attention", "offline")

Command = Callable[[argparse.Namespace], int]


def run(arguments: Sequence[str]) -> int:
    """Parse and run; see ``filters.cli.main`` for the exit codes."""
    parser = make_parser()
    options, others = parser.parse_known_args(arguments)
    if others and not options.passes_on:
        parser.error(f"unknown arguments: {' '.join(others)}")
    options.others, options.arguments = others, list(arguments)
    command: Command = options.run
    try:
        return command(options)
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="obs_background_filter.py",
        description="OBS Background Filter removes the room behind you. In OBS, load this file in Tools, Scripts; "
        "the commands below install its engine, show what it does, and test it.",
    )
    parser.set_defaults(passes_on=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    add = commands.add_parser

    demo = add("demo", help="show the filter at work in real OBS, with settings of its own", description=_DEMO)
    demo.add_argument("--picture", type=Path, default=Path("demo.png"), help="where the before/after picture goes")
    demo.add_argument("--no-screen", action="store_true", help="use a hidden screen even if there is a real one")
    # The second half, in the environment that the first half made.
    demo.add_argument("--show-only", action="store_true", help=argparse.SUPPRESS)
    demo.set_defaults(run=_demo)

    install = add("install-engine", help="install the engine's libraries, about 300 MB, into your user folder")
    install.add_argument("--again", action="store_true", help="install anew even if everything is there")
    install.add_argument("--python", type=Path, metavar="PATH", help="the Python that builds it (3.10 to 3.14, 64-bit)")
    install.set_defaults(run=_install_engine)

    models = add("models", help="list, fetch, trust, convert, shrink and measure models: see docs/models.md")
    models_parser.add_arguments(models)
    models.set_defaults(run=models_parser.run)

    image = add("image", help="cut people out of pictures and whole folders, without OBS", description=media.IMAGE)
    media.add_image_arguments(image)
    image.set_defaults(run=_image)

    video = add("video", help="cut people out of a video, without OBS", description=media.VIDEO)
    media.add_video_arguments(video)
    video.set_defaults(run=_video)

    live = add("camera", help="a webcam through the filter, as a virtual camera", description=camera.ABOUT)
    camera.add_arguments(live)
    live.set_defaults(run=camera.run)

    settings = add("presets", help="the presets of the filter's dialog: list, save, share and remove them")
    presets.add_arguments(settings)
    settings.set_defaults(run=presets.run)

    test = add("test", help="set up what the tests need, and run all checks and tests", description=_TEST)
    test.add_argument("--no-check", action="store_true", help="run the tests only, not the checks before them")
    test.set_defaults(run=_test, passes_on=True)

    check = add("check", help="check format, lint and types (ruff, mypy)")
    check.set_defaults(run=_check)

    bench = add("bench", help="measure the figures that docs/benchmarks.md holds", description=_BENCH)
    bench.add_argument(
        "parts",
        nargs="*",
        choices=[[], *BENCH_PARTS],
        metavar="part",
        help="engine, obs (these two by default), picture, which measures how good the masks are that OBS shows, or "
        "attention, which measures what looking closer at small people is worth, or offline, which measures the "
        "commands image and video",
    )
    bench.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    bench.add_argument("--quick", action="store_true", help="picture: very little of it, in a minute")
    bench.add_argument(
        "--data", type=Path, metavar="FOLDER", help="picture, attention: people from here (images/ and masks/), too"
    )
    bench.add_argument("--rooms", type=Path, metavar="FOLDER", help="picture, attention: rooms from here, too")
    bench.add_argument("--json", type=Path, metavar="FILE", help="picture: the figures also in this file")
    # The second half, in the environment that the first half made.
    bench.add_argument("--measure-only", action="store_true", help=argparse.SUPPRESS)
    bench.set_defaults(run=_bench)

    # Its steps parse their arguments themselves, in an environment of their own.
    train = add("train", help="train a network of your own: see docs/training.md", add_help=False)
    train.add_argument("words", nargs=argparse.REMAINDER)
    train.set_defaults(run=_train, passes_on=True)

    docs = add("docs", help="make docs/settings.md anew from the settings and their texts")
    docs.add_argument(
        "--camera-picture",
        action="store_true",
        help="instead, take the picture of the camera's window, with what test installs",
    )
    docs.add_argument(
        "--without-obs-picture",
        action="store_true",
        help="instead, make the picture of docs/without-obs.md with the default model, with what test installs",
    )
    docs.set_defaults(run=_docs)

    engine = add("engine", help="the process that OBS starts; not for people", add_help=False)
    engine.set_defaults(run=None)
    return parser


_DEMO = (
    "Installs what is missing, starts real OBS with the filter on a moving portrait, and saves a picture before and "
    "after. With a screen OBS stays open for you to play with. Your own OBS settings are neither read nor written."
)
_BENCH = (
    "Measures a real engine process, and real OBS on a hidden screen with the filter, with OBS's own Chroma Key and "
    "with none. Takes some minutes; anything else that runs meanwhile spoils the figures. The exit code is 1 when one "
    "misses its target. The picture part plays clips of people whose outlines are known through the filter and "
    "compares what OBS shows with the truth; its clips take some GB in the folder for temporary files, for a while."
)
_TEST = "Further arguments go to pytest, for example: test tests/bridge -k torn"


# Each command's module is imported when it is asked for: some need packages that others install.


def _demo(options: argparse.Namespace) -> int:
    if options.show_only:
        from .demo_show import show

        return show(options.picture, options.no_screen)
    from .demo import demo

    return demo(options.picture, options.no_screen)


def _image(options: argparse.Namespace) -> int:
    from .image import run as run_image

    return run_image(options)


def _video(options: argparse.Namespace) -> int:
    from .video import run as run_video

    return run_video(options)


def _bench(options: argparse.Namespace) -> int:
    if options.parts == ["offline"]:
        from .bench_offline import bench_offline

        return bench_offline(options.write, options.arguments)
    from .bench import bench, bench_small_people
    from .bench_options import PictureOptions

    picture = PictureOptions(options.quick, options.data, options.rooms, options.json)
    if options.parts == ["attention"]:
        return bench_small_people(options.write, picture, options.arguments)
    if options.measure_only:
        from .bench_measure import measure

        return measure(options.parts, options.write, picture)
    return bench(options.parts, options.write, picture)


def _train(options: argparse.Namespace) -> int:
    from .train import train

    return train([*options.others, *options.words])


def _docs(options: argparse.Namespace) -> int:
    if options.camera_picture:
        from .docs_camera import take_picture

        return take_picture()
    if options.without_obs_picture:
        from .docs_without_obs import make_picture

        return make_picture()
    from .docs_settings import write_page

    return write_page()


def _install_engine(options: argparse.Namespace) -> int:
    from .install_engine import install_engine

    return install_engine(again=options.again, python=options.python)


def _test(options: argparse.Namespace) -> int:
    from .run_tests import run_tests

    return run_tests(options.others, check_first=not options.no_check)


def _check(_options: argparse.Namespace) -> int:
    from .check import check

    return check()

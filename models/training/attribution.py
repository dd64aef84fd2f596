# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the attribution list of the training pictures from the SOURCE.txt and LICENSE.txt of each set.

    ... models.training.attribution --data ../shared/data --out models/cards/ATTRIBUTION.md

Sets of which no picture was kept are left out by name with `--leave-out`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

INTRODUCTION = """# Attribution

The weights in `models/weights` were trained on the pictures below. No picture is part of this repository.
Sources and licences are as each set declares them; "evidence" is where the declaration stands. Pictures
were decoded, made smaller, cropped, mirrored and recoloured, and people were cut out and put in front of
other pictures.
"""
# Sets that came without a SOURCE.txt.
KNOWN_SOURCES = {
    name: {
        "From": f"bearpaw/clothing-co-parsing photos/**{masks} (Yang, Luo and Lin: Clothing Co-Parsing by "
        "Joint Image Segmentation and Labeling, CVPR 2014)",
        "Licence": "Apache-2.0, as declared for the repository",
    }
    for name, masks in (("ccp", " and annotations/pixel-level/**"), ("ccp_unmasked", ""))
}

WORDING = {"my reading of the id": "judged by the id", "rendered by me": "rendered"}


def read_source(folder: Path) -> dict[str, str]:
    """Fields of a set's SOURCE.txt and LICENSE.txt, or what is known about a set without them."""
    if not (folder / "SOURCE.txt").exists():
        return KNOWN_SOURCES[folder.name]
    text = "\n".join((folder / name).read_text() for name in ("SOURCE.txt", "LICENSE.txt"))
    for collector_says, we_say in WORDING.items():
        text = text.replace(collector_says, we_say)
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def describe(folder: Path) -> str:
    """Markdown paragraph about one set."""
    fields = read_source(folder)
    count = sum(1 for _ in (folder / "img").iterdir())
    lines = [f"## {folder.name} ({count} pictures)", "", f"- Source: {fields['From']}"]
    lines.append(f"- Licence: {fields['Licence']}")
    if "Evidence" in fields:
        lines.append(f"- Evidence: {fields['Evidence']}")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with train/")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--leave-out", nargs="*", default=[], help="sets of which no picture was used")
    arguments = parser.parse_args()
    folders = sorted(path for path in (arguments.data / "train").glob("*/*") if path.is_dir())
    parts = [describe(folder) for folder in folders if folder.name not in arguments.leave_out]
    arguments.out.write_text("\n\n".join([INTRODUCTION.strip(), *parts]) + "\n")


if __name__ == "__main__":
    main()

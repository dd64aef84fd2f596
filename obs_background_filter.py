#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""OBS Background Filter: what OBS loads through Tools, Scripts; run as a program, the command line's door.

The code lives beside this file in ``filters`` and ``models``. Those names are not ours alone: every OBS script shares
one interpreter, so the folder is loaded as a package under a name of its own, ``background_filter``, and all imports
inside it are relative. The package outlives a reload of this script: libobs keeps pointers into it until OBS ends.
"""

import contextlib
import importlib
import importlib.machinery
import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
PACKAGE = "background_filter"


def load_package() -> None:
    """Make ``background_filter`` importable; refuse a second copy of the product in the same interpreter."""
    loaded = sys.modules.get(PACKAGE)
    if loaded is None:
        spec = importlib.machinery.ModuleSpec(PACKAGE, None, is_package=True)
        spec.submodule_search_locations = [str(ROOT)]
        sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    elif list(loaded.__path__) != [str(ROOT)]:
        raise RuntimeError(
            f"OBS Background Filter is already loaded from {loaded.__path__[0]}. "
            f"Remove one of the two scripts in Tools, Scripts, and start OBS again (this one: {ROOT})."
        )


def hook(name: str, *arguments: Any) -> Any:
    """Call ``name`` of the part that survives a reload of this file. OBS 29 crashes on a script whose hooks raise, so
    an error (a damaged installation, another Python) ends in the Script Log, with what to do."""
    try:
        load_package()
        obspython = importlib.import_module("obspython")  # exists only inside OBS
        script = importlib.import_module(f"{PACKAGE}.filters.obs.script").the_script(obspython)
        return getattr(script, name)(*arguments)
    except Exception:
        traceback.print_exc()
        print(f"OBS Background Filter does not work. Install it again: {ROOT} may be incomplete.", file=sys.stderr)
        return None


def script_description() -> Any:
    """OBS asks for the text above the script's properties."""
    return hook("description") or "OBS Background Filter does not work: see the Script Log."


def script_load(_settings: Any) -> None:
    """OBS has loaded the script."""
    hook("load")


def script_unload() -> None:
    """OBS is about to unload the script."""
    hook("unload")


def script_defaults(settings: Any) -> None:
    """OBS asks for the defaults of the script's properties."""
    hook("defaults", settings)


def script_update(settings: Any) -> None:
    """The user changed the script's properties."""
    hook("update", settings)


def script_properties() -> Any:
    """OBS asks for the script's properties."""
    return hook("properties")


with contextlib.suppress(RuntimeError):  # raised again, and shown, by the first hook
    load_package()

if __name__ == "__main__":
    sys.exit(importlib.import_module(f"{PACKAGE}.filters.cli").main(sys.argv[1:]))

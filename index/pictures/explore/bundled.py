"""Modules of the pages as one classic script: what a file may load from a disk, where modules are refused."""

from __future__ import annotations

import re
from collections.abc import Callable

_IMPORT = re.compile(r'^import (?:\{([^}]*)\}|\* as (\w+)) from "\./([\w.]+)";\n', re.M)
_EXPORT = re.compile(r"^export ((?:async )?function|class|const) (\w+)", re.M)
_DYNAMIC = re.compile(r"\bimport\(")

ADDRESS = "`/token/${"
"""How the scripts write the address of a token."""


def bundled(entry: str, read: Callable[[str], str], token_address: str) -> str:
    """Return a module and all that it imports, (names as `read` takes them), as one script.

    The script takes `fetch`, `history`, `location` and what runs another script from `logoscope`, which is there before
    it; tokens have `token_address` with their id behind. Of the language of modules it knows what the pages use: named
    imports and exports of functions, classes and constants.
    """
    order: list[str] = []

    def visit(name: str) -> None:
        for found in _IMPORT.finditer(read(name)):
            if found[3] not in order:
                visit(found[3])
        if name not in order:
            order.append(name)

    visit(entry)
    parts = [_module(name, read(name).replace(ADDRESS, f"`{token_address}${{")) for name in order]
    start = '"use strict";\n(({ fetch, history, location, run }) => {\nconst modules = {};\n'
    return f"{start}{''.join(parts)}}})(logoscope);\n"


def _module(name: str, source: str) -> str:
    exported = [found[2] for found in _EXPORT.finditer(source)]
    body = _EXPORT.sub(r"\1 \2", _IMPORT.sub(_imported, source))
    left = re.search(r"^(?:import|export)\b.*", body, re.M)
    if left:
        raise ValueError(f"{name}: {left[0]!r} is no import or export that can be bundled")
    body = _DYNAMIC.sub("run(", body)
    return f'modules["{name}"] = (() => {{\n{body}\nreturn {{ {", ".join(exported)} }};\n}})();\n'


def _imported(found: re.Match[str]) -> str:
    names = found[2] or f"{{ {found[1].strip().replace(' as ', ': ')} }}"
    return f'const {names} = modules["{found[3]}"];\n'

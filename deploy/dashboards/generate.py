#!/usr/bin/env python3
"""Writes `charts/postrider/files/dashboards/*.json` from `contents.py`. A test compares them."""

import json
from pathlib import Path

import contents

FOLDER = Path(__file__).resolve().parents[2] / "charts" / "postrider" / "files" / "dashboards"


def files():
    """What is to stand in which file."""
    return {f"{name}.json": json.dumps(made(), indent=1) + "\n" for name, made in contents.DASHBOARDS.items()}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text)

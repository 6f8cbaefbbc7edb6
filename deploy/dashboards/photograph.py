#!/usr/bin/env python3
"""Takes `docs/dashboard.png`: a standalone under load, watched by a real Prometheus, its overview drawn by `picture.py` and
photographed by Chromium. Needs target/debug, Prometheus, Chromium, and the Python packages of deploy/tests.

    .tools/venv/bin/python deploy/dashboards/photograph.py --minutes 12
"""

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy" / "tests"))

import monitor  # noqa: E402
import standalone  # noqa: E402
from picture import FOLDER, WIDTH, Source, page  # noqa: E402

CHROMIUM = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars".split()
QUIET = "--disable-background-networking --disable-component-update --disable-sync".split()
LISTENERS = {"ws": 6, "sse": 2, "poll": 3}


def live(pipeline, minutes):
    """A busy time: rates that rise and fall, people who come and go, tasks, a client that refuses things."""
    there = [f"{transport}-{number}" for transport, count in LISTENERS.items() for number in range(count)]
    for name in there:
        pipeline.listen(name, "--transport", name.split("-")[0])
    started, rounds = time.monotonic(), 0
    while (passed := time.monotonic() - started) < 60 * minutes:
        wave = 1 + math.sin(passed / 60 * 2) / 2
        names = [there[(rounds + number) % len(there)] for number in range(int(14 * wave))]
        pipeline.send(*names, *(["away"] if rounds % 3 == 0 else []))
        if rounds % 40 == 10:
            pipeline.cli("task", "run", "sum", "--to", "ws-0", "--input", "[1, 2, 39]")
        if rounds % 150 == 20:
            pipeline.send("strict")
            refuser = standalone.Refuser(pipeline, "strict")
            refuser.refuse()
            refuser.close()
        if rounds % 300 == 250:
            pipeline.cli("listen", "away", "--count=20")
        if rounds % 100 == 50:
            pipeline.ask("/v1/notifications", b"{")
        rounds += 1
        time.sleep(max(0, started + rounds * 0.4 - time.monotonic()))


def photograph(html, height, to):
    """A picture of a page."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "page.html"
        source.write_text(html)
        browser = shutil.which("chromium") or sys.exit("chromium is missing: please install chromium (Debian's name)")
        flags = [*CHROMIUM, *QUIET, f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{height}"]
        command = [browser, *flags, f"--screenshot={to}", source.as_uri()]
        subprocess.run(command, check=True, timeout=120, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main():
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--dashboards", nargs="*", default=["overview"])
    parser.add_argument("--to", type=Path, default=ROOT / "docs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, standalone.running(folder) as pipeline:
        with monitor.watching(folder, {"postrider": pipeline.admin}, every="2s") as prometheus:
            live(pipeline, arguments.minutes)
            for name in arguments.dashboards:
                made = json.loads((FOLDER / f"{name}.json").read_text())
                html, height = page(made, Source(f"http://{prometheus.address}", arguments.minutes))
                picture = "dashboard.png" if name == "overview" else f"dashboard-{name}.png"
                photograph(html, height, arguments.to / picture)


if __name__ == "__main__":
    main()

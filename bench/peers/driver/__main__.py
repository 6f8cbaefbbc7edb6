"""One command: measures every peer, one after the other, and writes the result and the table."""

import argparse
import json
import os
import platform
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from . import registry, report
from .commands import Failed
from .peer import HERE, ROOT, Places
from .scenario import Plan, measure

_FULL = Plan(small=1000, large=10000, rate=2000, seconds=8, rest_s=4, loss_clients=200, loss_rate=1000, loss_s=9)
_QUICK = Plan(small=200, large=1000, rate=500, seconds=3, rest_s=1, loss_clients=50, loss_rate=300, loss_s=6)


_BEGAN = time.monotonic()


def say(text: str) -> None:
    print(f"peers: {time.monotonic() - _BEGAN:4.0f} s  {text}", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/peers/run", description=__doc__)
    parser.add_argument("--only", default=",".join(registry.NAMES), help="peers, with commas between [%(default)s]")
    parser.add_argument("--quick", action="store_true", help="little work: shows that it works, measures nothing")
    parser.add_argument("--seconds", type=float, help="how long each measurement of CPU takes")
    parser.add_argument("--out", type=Path, default=ROOT / "target" / "peers", help="where results go [%(default)s]")
    parser.add_argument("--postrider", type=Path, help="where Postrider's release programs are")
    parser.add_argument("--peers", type=Path, help="where `install` put the others")
    chosen = parser.parse_args()
    chosen.names = chosen.only.split(",")
    unknown = sorted(set(chosen.names) - set(registry.NAMES))
    if unknown:
        parser.error(f"no peer {', '.join(unknown)}: there are {', '.join(registry.NAMES)}")
    return chosen


def _places(chosen: argparse.Namespace) -> Places:
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    tools = Path(os.environ.get("POSTRIDER_PEERS", ROOT / ".tools" / "peers"))
    return Places(chosen.peers or tools, chosen.postrider or target / "release", ROOT)


def _plan(chosen: argparse.Namespace) -> Plan:
    plan = _QUICK if chosen.quick else _FULL
    return Plan(**{**vars(plan), "seconds": chosen.seconds}) if chosen.seconds else plan


def _interrupted(*_: object) -> None:
    """A polite end reaches every `finally`, so that nothing that was started is left."""
    raise KeyboardInterrupt


def main() -> int:
    chosen = _arguments()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, _interrupted)
    os.environ["PYTHONPATH"] = str(HERE)
    places, plan = _places(chosen), _plan(chosen)
    rows: list[dict[str, Any]] = []
    results: dict[str, Any] = {"machine": {"kernel": platform.release(), "cores": os.cpu_count()}, "plan": vars(plan),
                               "rows": rows}
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name in chosen.names:
        for kind in registry.peers(name):
            try:
                row = measure(kind(places), plan, say)
            except Failed as error:
                row = {"row": kind.row, "failed": str(error)}
            if "failed" in row:
                say(f"{row['row']}: {row['failed']}")
            rows.append(row)
            results["took_s"] = round(time.monotonic() - _BEGAN)
            (chosen.out / "peers.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
            (chosen.out / "peers.md").write_text(report.markdown(results), encoding="utf-8")
    print(report.markdown(results))
    say(f"{chosen.out}/peers.json and peers.md")
    return 1 if any("failed" in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

"""The table, from the result."""

from typing import Any


def markdown(results: dict[str, Any]) -> str:
    plan, rows = results["plan"], results["rows"]
    good = [row for row in rows if "failed" not in row]
    parts = [_costs(good, plan), _losses([row for row in good if "loss" in row], plan), _settings(good)]
    bad = [row for row in rows if "failed" in row]
    if bad:
        lines = [f"- {row['row']}: {' '.join(row['failed'].split())[:300]}" for row in bad]
        parts.append("Not measured:\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _table(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines])


def _parted(split: dict[str, Any], digits: int) -> str:
    """Its own, and what it stands on apart."""
    own = f"{split['own']:.{digits}f}"
    return own if split["engines"] is None else f"{own} (+ {split['engines']:.{digits}f} in its engines)"


def _cpu(row: dict[str, Any], size: str, index: int) -> str:
    measured = row.get(size, [])
    if index >= len(measured):
        return "–"
    found = measured[index]
    text = _parted(found["cpu_us_per_delivery"], 1)
    if found["accepted"] < found["offered"] * 0.99:
        text += f"; took {found['accepted']:,} of {found['offered']:,}"
    return text if not found["lost"] else f"{text}; {found['lost']:,} had not come 3 s later"


def _costs(rows: list[dict[str, Any]], plan: dict[str, Any]) -> str:
    small, large = (f"{plan[size]:,}" for size in ("small", "large"))
    head = ["", "KiB per idle connection", f"µs CPU per delivery, {small}", f"{large}", f"in batches, {small}",
            f"in batches, {large}", "for that it"]
    lines = [
        [row["row"], _parted(row["idle"]["kib_per_connection"], 1), _cpu(row, "small", 0), _cpu(row, "large", 0),
         _cpu(row, "small", 1), _cpu(row, "large", 1), row["work"]]
        for row in rows
    ]
    return _table(head, lines)


def _losses(rows: list[dict[str, Any]], plan: dict[str, Any]) -> str:
    head = ["kill -9, restart", "accepted", "never came", "came twice", "away for", "the last came"]
    lines = [
        [row["row"], *(f"{row['loss'][what]:,}" for what in ("accepted", "lost", "duplicates")),
         f"{row['loss']['away_s']:.1f} s", f"{row['loss']['last_came_s']:.1f} s after the kill"]
        for row in rows
    ]
    return _table(head, lines) + f"\n\nPublishing ended {plan['loss_s'] * 2 / 3:.0f} s after the kill."


def _settings(rows: list[dict[str, Any]]) -> str:
    lines = [[row["row"], row["version"].splitlines()[0], row["settings"]] for row in rows]
    return _table(["", "version", "settings"], lines)

#!/usr/bin/env python3
"""Draws a dashboard without Grafana: its panels' expressions, evaluated by a Prometheus, as one page of HTML.

deploy/dashboards/picture.py --prometheus http://localhost:9090 --minutes 15 overview > overview.html
"""

import argparse
import html
import json
import math
import re
import time
import urllib.parse
import urllib.request

from generate import FOLDER

WIDTH, ROW, GAP = 1680, 36, 12
COLOURS = ["#3274d9", "#e0752d", "#299c46", "#bf1b00", "#8f3bb8", "#0a9396", "#b58900", "#d33682", "#555555", "#6c71c4"]
VARIABLES = {"$__rate_interval": "1m", "$__interval": "15s", "$namespace": ".*", "$job": ".*"}
STYLE = """
body { margin: 0; background: #f4f5f7; font: 13px 'DejaVu Sans', sans-serif; color: #222; }
h1 { font-size: 20px; margin: 14px 16px 2px; } p { margin: 0 16px 10px; color: #555; }
main { position: relative; } section { position: absolute; background: #fff; border: 1px solid #d8dbe0; border-radius: 3px;
  box-sizing: border-box; padding: 6px 10px; overflow: hidden; }
h2 { font-size: 13px; margin: 0 0 4px; font-weight: bold; } .row { background: none; border: none; padding: 10px 2px 0; }
.number { font-size: 38px; text-align: center; padding-top: 12px; } table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: 3px 8px; border-bottom: 1px solid #e4e6ea; } .legend { font-size: 11.5px; line-height: 17px; }
.legend span { margin-right: 12px; white-space: nowrap; }
.legend i { display: inline-block; width: 12px; height: 3px; margin: 0 4px 3px 0; }
svg text { font: 11px 'DejaVu Sans', sans-serif; fill: #666; } .none { color: #888; padding: 40px; text-align: center; }
"""


class Source:
    """A Prometheus, and the time that is looked at."""

    def __init__(self, address, minutes):
        self.address = address.rstrip("/")
        self.end = time.time()
        self.start = self.end - 60 * minutes
        self.step = max(2, round(60 * minutes / 240))

    def ask(self, path, **parameters):
        url = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.load(answer)["data"]["result"]

    def curves(self, target):
        """Legend and points of each series of a target."""
        found = self.ask("query_range", query=filled(target["expr"]), start=self.start, end=self.end, step=self.step)
        for series in found:
            points = [(at, float(value)) for at, value in series["values"] if math.isfinite(float(value))]
            if points:
                yield legend(target["legendFormat"], series["metric"]), points

    def now(self, target):
        """What a target answers at the end."""
        return self.ask("query", query=filled(target["expr"]), time=self.end)


def filled(expression):
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression


def legend(template, labels):
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found.group(1), ""), template) or "value"


def shown(value, unit):
    """A number as a person writes it."""
    if unit == "s":
        for limit, factor, name in ((0.001, 1e6, "µs"), (1, 1e3, "ms"), (120, 1, "s"), (math.inf, 1 / 60, "min")):
            if abs(value) < limit:
                return f"{value * factor:.3g} {name}" if abs(value) > 1e-6 else "0 s"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    tail = {"ops": "/s", "reqps": "/s", "bytes": "B"}.get(unit, "")
    for limit, factor, name in ((1e3, 1, ""), (1e6, 1e-3, "k"), (1e9, 1e-6, "M"), (math.inf, 1e-9, "G")):
        if abs(value) < limit:
            return f"{value * factor:.3g} {name}{tail}".strip() if name or tail else f"{value * factor:.3g}"
    return str(value)


def ceiling(value):
    """The next round number."""
    if value <= 0:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * 0.999)


def stacked(curves):
    """Each curve on top of those before it."""
    below, made = {}, []
    for name, points in curves:
        points = [(at, value + below.get(at, 0)) for at, value in points]
        below.update(points)
        made.append((name, points))
    return made


def graph(panel, source, width, height):
    """Curves, axes, legend."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    curves = [curve for target in panel["targets"] for curve in source.curves(target)]
    if not curves:
        return '<div class="none">no data</div>'
    latest = {place: points[-1][1] for place, (_, points) in enumerate(curves)}
    fill = "stacking" in panel["fieldConfig"]["defaults"]["custom"]
    drawn = stacked(curves) if fill else curves
    lines_of_legend = 1 + sum(len(name) * 7 + 90 for name, _ in curves) // width
    left, bottom = 62, 18
    high = height - 34 - 17 * min(lines_of_legend, 3) - bottom
    top = ceiling(max(value for _, points in drawn for _, value in points))

    def x(at):
        return left + (at - source.start) / (source.end - source.start) * (width - left - 6)

    def y(value):
        return 6 + (1 - max(value, 0) / top) * (high - 6)

    parts = [f'<svg width="{width}" height="{high + bottom}">']
    for share in (0, 0.25, 0.5, 0.75, 1):
        at = y(top * share)
        parts.append(f'<line x1="{left}" x2="{width - 6}" y1="{at:.1f}" y2="{at:.1f}" stroke="#e8eaee"/>')
        parts.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{shown(top * share, unit)}</text>')
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        at = source.start + share * (source.end - source.start)
        text = time.strftime("%H:%M", time.gmtime(at))
        parts.append(f'<text x="{x(at):.1f}" y="{high + bottom - 3}" text-anchor="middle">{text}</text>')
    for place, (_, points) in reversed(list(enumerate(drawn))):
        colour = COLOURS[place % len(COLOURS)]
        for run in unbroken(points, source.step):
            line = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in run)
            if fill:
                ground = f"{x(run[-1][0]):.1f},{y(0):.1f} {x(run[0][0]):.1f},{y(0):.1f}"
                # White below, so that what is drawn under it does not shine through.
                parts.append(f'<polygon points="{line} {ground}" fill="#fff"/>')
                parts.append(f'<polygon points="{line} {ground}" fill="{colour}" fill-opacity="0.3"/>')
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
    parts.append('</svg><div class="legend">')
    for place, (name, _) in enumerate(curves):
        value = f"<b>{shown(latest[place], unit)}</b>"
        parts.append(
            f'<span><i style="background:{COLOURS[place % len(COLOURS)]}"></i>{html.escape(name)} {value}</span>'
        )
    return "".join(parts) + "</div>"


def unbroken(points, step):
    """Points without gaps between them."""
    run = []
    for point in points:
        if run and point[0] - run[-1][0] > 3 * step:
            yield run
            run = []
        run.append(point)
    yield run


def number(panel, source):
    """One value in its colour."""
    defaults = panel["fieldConfig"]["defaults"]
    found = source.now(panel["targets"][0])
    if not found or not math.isfinite(value := float(found[0]["value"][1])):
        return '<div class="number">–</div>'
    reached = [
        step["color"] for step in defaults["thresholds"]["steps"] if step["value"] is None or value >= step["value"]
    ]
    colour = {"green": "#299c46", "orange": "#e0752d", "red": "#bf1b00"}[reached[-1]]
    return f'<div class="number" style="color:{colour}">{shown(value, defaults["unit"])}</div>'


def table(panel, source):
    """The labels of what there is."""
    columns = panel["transformations"][1]["options"]["renameByName"]
    rows = [[html.escape(one["metric"].get(name, "")) for name in columns] for one in source.now(panel["targets"][0])]
    head = "".join(f"<th>{heading}</th>" for heading in columns.values())
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body or '<tr><td>none</td></tr>'}</table>"


def page(made, source):
    """A dashboard as HTML, and how high it is."""
    cell = WIDTH / 24
    sections, lowest = [], 0
    for panel in made["panels"]:
        place = panel["gridPos"]
        left, top = place["x"] * cell + GAP / 2, place["y"] * ROW
        width, height = place["w"] * cell - GAP, place["h"] * ROW - GAP
        lowest = max(lowest, top + height)
        style = f"left:{left:.0f}px;top:{top:.0f}px;width:{width:.0f}px;height:{height:.0f}px"
        title = f"<h2>{html.escape(panel['title'])}</h2>"
        if panel["type"] == "row":
            sections.append(f'<section class="row" style="{style}">{title}</section>')
            continue
        if panel["type"] == "timeseries":
            inside = graph(panel, source, int(width - 20), int(height))
        elif panel["type"] == "stat":
            inside = number(panel, source)
        else:
            inside = table(panel, source)
        sections.append(f'<section style="{style}">{title}{inside}</section>')
    times = " to ".join(time.strftime("%H:%M", time.gmtime(at)) for at in (source.start, source.end))
    note = f"{made['description']} {times} UTC. Drawn from the dashboard's expressions by a script, not by Grafana."
    text = f"<h1>{html.escape(made['title'])}</h1><p>{html.escape(note)}</p><main>{''.join(sections)}</main>"
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><body>{text}</body>", int(lowest + 80)


def main():
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dashboard", choices=sorted(file.stem for file in FOLDER.glob("*.json")))
    parser.add_argument("--prometheus", default="http://localhost:9090")
    parser.add_argument("--minutes", type=float, default=60)
    arguments = parser.parse_args()
    made = json.loads((FOLDER / f"{arguments.dashboard}.json").read_text())
    text, _ = page(made, Source(arguments.prometheus, arguments.minutes))
    print(text)


if __name__ == "__main__":
    main()

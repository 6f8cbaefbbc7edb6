"""Panels and dashboards as Grafana's JSON. `contents.py` says what is in them, `generate.py` writes them."""

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Grafana migrates older schemas when it loads them.
SCHEMA = 41
COLUMNS = 24
HEIGHT = {"stat": 4, "timeseries": 8, "table": 8, "row": 1}


def _panel(kind, title, width, queries, unit, means, *, defaults=None, options=None, instant=False):
    targets = []
    for place, (legend, expr) in enumerate(queries):
        target = {"refId": chr(ord("A") + place), "expr": expr, "legendFormat": legend, "datasource": DATASOURCE}
        targets.append(target | ({"instant": True, "range": False} if instant else {"range": True}))
    return {
        "type": kind,
        "title": title,
        "description": means,
        "datasource": DATASOURCE,
        "gridPos": {"w": width, "h": HEIGHT[kind]},
        "fieldConfig": {"defaults": {"unit": unit, **(defaults or {})}, "overrides": []},
        "options": options or {},
        "targets": targets,
    }


def lines(title, queries, unit="short", means="", *, width=12, stacked=False):
    """Curves over time. `queries` is a list of legend and expression."""
    custom = {"lineWidth": 1, "fillOpacity": 25 if stacked else 8, "showPoints": "never", "spanNulls": False}
    if stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return _panel(
        "timeseries", title, width, queries, unit, means, defaults={"min": 0, "custom": custom}, options=options
    )


def number(title, expr, unit="short", means="", *, width=4, amber=None, red=None):
    """One number, now. From `amber` and from `red` on it has that colour."""
    steps = [{"color": "green", "value": None}]
    steps += [{"color": "orange", "value": amber}] if amber is not None else []
    steps += [{"color": "red", "value": red}] if red is not None else []
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "textMode": "auto",
    }
    defaults = {"thresholds": {"mode": "absolute", "steps": steps}, "color": {"mode": "thresholds"}, "noValue": "–"}
    return _panel("stat", title, width, [("", expr)], unit, means, defaults=defaults, options=options)


def table(title, expr, columns, means="", *, width=12):
    """The labels of what an expression answers now, a row for each series. `columns` is label to heading."""
    panel = _panel("table", title, width, [("", expr)], "short", means, instant=True)
    panel["targets"][0]["format"] = "table"
    order = {"indexByName": {name: place for place, name in enumerate(columns)}, "renameByName": columns}
    panel["transformations"] = [
        {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
        {"id": "organize", "options": order},
    ]
    return panel


def row(title):
    """A heading."""
    return {
        "type": "row",
        "title": title,
        "collapsed": False,
        "panels": [],
        "gridPos": {"w": COLUMNS, "h": HEIGHT["row"]},
    }


def placed(panels):
    """Panels with their place: from the left, the next line where they do not fit, each with a number."""
    x = y = tallest = 0
    for number_, panel in enumerate(panels, 1):
        place = panel["gridPos"]
        if x + place["w"] > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        panel["id"] = number_
        panel["gridPos"] = {"x": x, "y": y, "w": place["w"], "h": place["h"]}
        x, tallest = x + place["w"], max(tallest, place["h"])
    return panels


def _variable(name, label, query):
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        # Also what has no such label, as everything has in compose.
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def dashboard(name, title, means, panels):
    """A dashboard, whole."""
    datasource = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
    }
    return {
        "uid": f"postrider-{name}",
        "title": f"Postrider / {title}",
        "description": means,
        "tags": ["postrider"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                datasource,
                _variable("namespace", "Namespace", "label_values(postrider_build_info, namespace)"),
                _variable("job", "Job", 'label_values(postrider_build_info{namespace=~"$namespace"}, job)'),
            ]
        },
        "links": [
            {
                "type": "dashboards",
                "title": "Postrider",
                "tags": ["postrider"],
                "asDropdown": True,
                "keepTime": True,
                "includeVars": True,
            }
        ],
        "annotations": {"list": []},
        "panels": placed(panels),
    }

"""Reads which series a PromQL expression selects. Not a parser: tokens are enough to tell names from words."""

import re
from dataclasses import dataclass

TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
      | (?P<range>\[[^\]]*\])
      | (?P<number>(?:0x[0-9a-fA-F]+|[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)(?:ms|[smhdwy])?(?:[0-9]+(?:ms|[smhdwy]))*|Inf\b|NaN\b)
      | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
      | (?P<operator>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){},@])
    """,
    re.VERBOSE,
)
# Words of the language that are followed by a list of labels, not by arguments.
LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = LISTS | {"and", "or", "unless", "bool", "offset", "start", "end", "atan2"}


@dataclass(frozen=True)
class Selector:
    """A series name and what is asked of its labels: label, operator, value."""

    name: str
    matchers: tuple

    def takes(self, labels):
        """Whether a series with these labels is selected."""
        return all(_matches(labels.get(label, ""), operator, value) for label, operator, value in self.matchers)


def _matches(found, operator, value):
    same = re.fullmatch(value, found) is not None if operator.endswith("~") else found == value
    return same == operator.startswith("=")


def tokens(expression):
    """Kind and text of each token. Fails on what is none."""
    at = 0
    while at < len(expression):
        found = TOKEN.match(expression, at)
        if not found:
            raise ValueError(f"no PromQL at {expression[at : at + 20]!r} of {expression!r}")
        at = found.end()
        if found.lastgroup != "space":
            yield found.lastgroup, found.group()


def read(expression):
    """The selectors of an expression, and the labels that it groups or joins by."""
    all_tokens = [*tokens(expression), ("end", "")]
    selectors, grouped = [], set()
    at = 0
    while at < len(all_tokens):
        kind, text = all_tokens[at]
        following = all_tokens[at + 1][1] if at + 1 < len(all_tokens) else ""
        at += 1
        if kind != "name":
            continue
        if text in LISTS and following == "(":
            names, at = _until(all_tokens, at + 1, ")")
            grouped |= {name for word, name in names if word == "name"}
        elif text in WORDS or following == "(":
            continue
        elif following in LISTS and text in AGGREGATIONS:
            continue
        elif following == "{":
            inside, at = _until(all_tokens, at + 1, "}")
            selectors.append(Selector(text, tuple(_matchers(inside))))
        else:
            selectors.append(Selector(text, ()))
    return selectors, grouped


AGGREGATIONS = {
    "sum", "min", "max", "avg", "group", "stddev", "stdvar", "count", "count_values", "bottomk", "topk", "quantile",
}  # fmt: skip


def _until(all_tokens, at, closing):
    start = at
    while all_tokens[at][1] != closing:
        at += 1
    return all_tokens[start:at], at + 1


def _matchers(inside):
    parts = [token for token in inside if token[1] != ","]
    for label, operator, value in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        yield label[1], operator[1], value[1][1:-1]

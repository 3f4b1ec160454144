"""A self-contained HTML page: style, pieces (tiles, tables, charts) and plotly.js inlined once.

Every function that takes text escapes it; what they return is HTML, marked by the type `Html`.
"""

from __future__ import annotations

import html
import importlib.resources
import json
from collections.abc import Iterable, Sequence
from typing import Any, NewType

from .plots import Figure

Html = NewType("Html", str)

STYLE = """
:root { color-scheme: light; --ink: #1f2933; --muted: #616e7c; --line: #e4e7eb; --paper: #ffffff; --back: #f5f7f8;
  --accent: #c2410c; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 48px; }
header p { margin: 0; }
.kicker { color: var(--muted); font-size: 14px; }
h1 { font-size: 30px; line-height: 1.2; margin: 4px 0 12px; overflow-wrap: anywhere; }
h2 { font-size: 19px; line-height: 1.3; margin: 0 0 4px; }
.verdict { font-size: 19px; line-height: 1.45; max-width: 62em; }
.badge { display: inline-block; padding: 1px 9px; border-radius: 999px; border: 1px solid var(--accent);
  color: var(--accent); font-size: 13px; vertical-align: 2px; white-space: nowrap; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(158px, 1fr)); gap: 12px; margin: 24px 0 12px; }
.tile, section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; }
.tile { padding: 12px 14px; }
.tile b { display: block; font-size: 25px; line-height: 1.25; font-weight: 650; font-variant-numeric: tabular-nums; }
.tile span { color: var(--muted); font-size: 13px; display: block; }
section { padding: 18px 20px; margin-top: 16px; min-width: 0; }
section > p { margin: 0 0 8px; color: var(--muted); font-size: 14px; max-width: 75em; }
pre + p, .scroll + p { margin-top: 12px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; }
.chart { width: 100%; height: 340px; }
.scale { display: flex; justify-content: flex-end; align-items: center; gap: 8px; }
.scale i { width: 180px; height: 10px; border-radius: 2px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; margin-top: 6px; }
th, td { text-align: left; padding: 7px 12px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--muted); font-weight: 500; }
tr:last-child td { border-bottom: 0; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.strong { font-weight: 650; }
pre { background: var(--back); border-radius: 8px; padding: 12px 14px; margin: 10px 0 0; overflow-x: auto;
  font-size: 13px; line-height: 1.45; }
code, pre { font-family: ui-monospace, "SF Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 5px 18px; margin: 10px 0 0; font-size: 14px; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
@media (max-width: 860px) { .pair { grid-template-columns: 1fr; gap: 0; } }
@media (max-width: 560px) {
  main { padding: 20px 12px 32px; }
  h1 { font-size: 24px; }
  .verdict { font-size: 17px; }
  section { padding: 14px 12px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 8px; }
  .tile b { font-size: 21px; }
  .chart { height: 300px; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  thead { display: none; }
  tbody tr { display: block; padding: 8px 0; border-bottom: 1px solid var(--line); }
  tbody tr:last-child { border-bottom: 0; }
  td, td.number { display: flex; gap: 14px; padding: 1px 0; border: 0; text-align: left; white-space: normal;
    overflow-wrap: anywhere; }
  td::before { content: attr(data-column); color: var(--muted); font-weight: 400; flex: 0 0 118px; }
  td:first-child { font-weight: 650; }
  td:first-child::before, td:empty { display: none; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 8px; }
}
@media print { body { background: white; } section, .tile { break-inside: avoid; } }
"""

# The charts are drawn when the page has its final width, and follow it.
SCRIPT = """
for (const box of document.querySelectorAll(".chart")) {
  const figure = JSON.parse(document.getElementById(box.id + "-data").textContent);
  Plotly.newPlot(box, figure.data, figure.layout, {responsive: true, displayModeBar: false});
}
"""


def text(value: object) -> Html:
    """`value` as text, escaped."""
    return Html(html.escape(str(value)))


def join(pieces: Iterable[Html]) -> Html:
    """The pieces one after the other."""
    return Html("\n".join(pieces))


def badge(label: str) -> Html:
    """A small label beside a title."""
    return Html(f'<span class="badge">{text(label)}</span>')


def tiles(values: Sequence[tuple[str, str]]) -> Html:
    """Key numbers: (number, what it is)."""
    boxes = "".join(
        f'<div class="tile"><b>{text(number)}</b><span>{text(what)}</span></div>' for number, what in values
    )
    return Html(f'<div class="tiles">{boxes}</div>')


def section(name: str, title: str, *body: Html, note: str = "") -> Html:
    """A card with the anchor `name`."""
    remark = f"<p>{text(note)}</p>" if note else ""
    return Html(f'<section id="{text(name)}"><h2>{text(title)}</h2>{remark}{join(body)}</section>')


def pair(left: Html, right: Html) -> Html:
    """Two cards side by side, or below each other on a narrow screen."""
    return Html(f'<div class="pair">{left}{right}</div>')


def chart(name: str, figure: Figure, description: str) -> Html:
    """A plotly figure; `description` is for those who can't see it."""
    return Html(
        f'<div class="chart" id="{text(name)}" role="img" aria-label="{text(description)}"></div>'
        f'<script type="application/json" id="{text(name)}-data">{_json(figure)}</script>'
    )


def colour_scale(stops: Sequence[tuple[float, str]], low: str, high: str) -> Html:
    """A bar with the colours at their places 0..1, between the texts of its ends."""
    colours = ", ".join(f"{colour} {100 * place:g}%" for place, colour in stops)
    bar = f'<i style="background: linear-gradient(to right, {text(colours)})"></i>'
    return Html(f'<p class="scale">{text(low)} {bar} {text(high)}</p>')


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = (), strong: int = -1) -> Html:
    """A table; the columns in `numbers` are aligned right, the row number `strong` stands out."""

    def cell(tag: str, column: int, value: str, bold: bool) -> str:
        names = [n for n, on in (("number", column in numbers), ("strong", bold)) if on]
        kind = f' class="{" ".join(names)}"' if names else ""
        # narrow screens show a cell a line, with its column's title before it
        title = f' data-column="{text(head[column])}"' if tag == "td" else ""
        return f"<{tag}{kind}{title}>{text(value)}</{tag}>"

    top = "".join(cell("th", i, title, False) for i, title in enumerate(head))
    body = "".join(
        "<tr>" + "".join(cell("td", i, value, n == strong) for i, value in enumerate(row)) + "</tr>"
        for n, row in enumerate(rows)
    )
    return Html(f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>')


def facts(values: Sequence[tuple[str, str]]) -> Html:
    """Names and values, as a list of definitions."""
    return Html("<dl>" + "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in values) + "</dl>")


def block(content: str) -> Html:
    """Text as it is, in a fixed-width font."""
    return Html(f"<pre><code>{text(content)}</code></pre>")


def page(title: str, body: Html) -> str:
    """The whole document; it loads nothing from anywhere."""
    plotly_js = (importlib.resources.files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{body}
<noscript><p>The charts on this page need JavaScript; the numbers don't.</p></noscript>
</main>
<script>{plotly_js}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _json(value: Any) -> str:
    # "<" is escaped so that no text in a chart can end the script element
    return json.dumps(_rounded(value), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return value

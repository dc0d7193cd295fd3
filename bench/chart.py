"""Draws the results as bars, each row scaled to its own largest figure, into one SVG. No library, no script, readable on light and dark ground."""
from html import escape

from report import COLUMNS, digits

COLOURS = {"ours": "#0b7a75", "nginx": "#8a8f98", "haproxy": "#b9a44c", "relay": "#d0d3d8"}
VERDICTS = {"ok": "#0b7a75", "unclear": "#7a6a1d", "MISSED": "#b3261e"}
TITLES = {"ours": "Outrigger", "nginx": "nginx", "haproxy": "HAProxy", "relay": "bare relay"}
WIDTH, LEFT, RIGHT, BAR, GAP = 960, 360, 190, 11, 16


def _text(x, y, text, size=12, weight="normal", anchor="start", fill="#333"):
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{fill}">{escape(text)}</text>'


def _row(result, y):
    """The lines of one row and the height that they take."""
    figures = result["figures"]
    names = [name for name in COLUMNS if name in figures]
    largest = max(max(figures[name]["median"], 0) for name in names) or 1
    lines = []
    for i, name in enumerate(names):
        median = figures[name]["median"]
        length = max(1.0, max(median, 0) / largest * (WIDTH - LEFT - RIGHT))
        top = y + i * (BAR + 2)
        lines.append(f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[name]}"/>')
        lines.append(_text(LEFT + length + 5, top + BAR - 2, f"{digits(median)} {result['unit']}".strip(), 10))
    middle = y + len(names) * (BAR + 2) / 2 + 2
    lines.append(_text(LEFT - 10, middle, result["title"], 12, anchor="end"))
    if result["verdict"]:
        ratio = f"{result['ratio']:.2f} x, " if result["ratio"] is not None else ""
        lines.append(_text(WIDTH - 10, middle, f"{ratio}{result['verdict']}", 11, "bold", "end", VERDICTS[result["verdict"]]))
    return lines, len(names) * (BAR + 2) + GAP


def draw(results):
    body, y = [], 60
    for result in results:
        if result["figures"]:
            lines, height = _row(result, y)
            body += lines
            y += height
    head = [_text(20, 24, "Outrigger beside its peers: less is better", 16, "bold")]
    for i, name in enumerate(COLUMNS):
        head.append(f'<rect x="{LEFT + i * 110}" y="34" width="10" height="10" fill="{COLOURS[name]}"/>')
        head.append(_text(LEFT + i * 110 + 15, 43, TITLES[name], 11))
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" font-family="sans-serif">',
                      f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>', *head, *body, "</svg>", ""])

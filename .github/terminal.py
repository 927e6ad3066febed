#!/usr/bin/env python3
"""Draws .github/terminal.svg from what the program really prints.

    cargo build --release && python3 .github/terminal.py target/release/telecmi-cdr
"""

import html
import pathlib
import re
import subprocess
import sys

COMMAND = "send --demo -X post --seed 7 --at 2026-11-22T09:00:00Z --set to=+44207 --set time=1795338000 --unset leg"
COLOURS = {31: "#ff7b72", 32: "#7ee787", 33: "#e3b341", 34: "#79c0ff", 35: "#d2a8ff", 36: "#56d4dd"}
PLAIN, FAINT, GROUND = "#d6dde6", "#8b949e", "#0d1117"
CHAR, LINE, MARGIN, BAR = 8.43, 19, 18, 34


def spans(line):
    """The line's pieces as (text, fill, bold), colour codes resolved."""
    fill, bold = PLAIN, False
    for piece in re.split(r"(\x1b\[[0-9;]*m)", line):
        code = re.fullmatch(r"\x1b\[([0-9;]*)m", piece)
        if not code:
            if piece:
                yield piece, fill, bold
            continue
        for number in map(int, (code[1] or "0").split(";")):
            if number == 0:
                fill, bold = PLAIN, False
            elif number == 1:
                bold = True
            elif number == 2:
                fill = FAINT
            else:
                fill = COLOURS.get(number, fill)


def text(x, y, content, fill, bold=False):
    weight = ' font-weight="bold"' if bold else ""
    # The length is fixed, so that columns stay columns whatever font is there.
    length = len(content) * CHAR
    return (f'<text x="{x:.1f}" y="{y}" fill="{fill}"{weight} textLength="{length:.1f}" '
            f'xml:space="preserve">{html.escape(content)}</text>')


def main(program):
    output = subprocess.run(
        [program, *COMMAND.split(), "--color", "always", "--quiet"], capture_output=True, check=True, text=True
    ).stdout.rstrip("\n").split("\n")
    shown = COMMAND.replace(" --seed", " \\\n    --seed").split("\n")
    lines = ["\x1b[2m$\x1b[0m \x1b[1mtelecmi-cdr " + shown[0] + "\x1b[0m", "\x1b[1m" + shown[1] + "\x1b[0m", "", *output]
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    width = round(max(map(len, plain)) * CHAR + 2 * MARGIN)
    height = BAR + len(lines) * LINE + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="14">',
        f"<title>{html.escape(plain[0])}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="{GROUND}"/>',
        *(f'<circle cx="{MARGIN + 2 + 18 * i}" cy="17" r="5.5" fill="{c}"/>'
          for i, c in enumerate(("#ff5f57", "#febc2e", "#28c840"))),
    ]
    for row, line in enumerate(lines):
        column = 0
        for content, fill, bold in spans(line):
            if content.strip():
                parts.append(text(MARGIN + column * CHAR, BAR + (row + 1) * LINE - 5, content, fill, bold))
            column += len(content)
    parts.append("</svg>")
    pathlib.Path(__file__).with_name("terminal.svg").write_text("\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Figures, what they should be, and the table of them: pure."""
import unicodedata
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Row:
    """One figure, measured in several rounds, and what it should be."""
    what: str
    against: str
    values: list
    unit: str = "×"
    at_least: float | None = None
    at_most: float | None = None
    void: str | None = None
    before: "Row | None" = None  # the same figure of an older build

    @property
    def median(self):
        """The figure."""
        return median(self.values) if self.values else None

    @property
    def target(self):
        """What it should be, in words."""
        if self.at_least is not None:
            return f"≥ {number(self.at_least)}"
        return "" if self.at_most is None else f"≤ {number(self.at_most)}"

    @property
    def spread(self):
        """The least and the most of all rounds."""
        return f"{number(min(self.values))}…{number(max(self.values))}" if len(self.values) > 1 else ""

    @property
    def holds(self):
        """Whether it is as it should be; nothing if nobody has said how it should be, or it is not known."""
        if self.void or self.median is None or not self.target:
            return None
        return self.median >= self.at_least if self.at_least is not None else self.median <= self.at_most

    @property
    def verdict(self):
        """The same in words."""
        if self.void or self.median is None:
            return "void"
        if self.holds is None:
            return ""
        if self.holds:
            return "holds"
        wanted = self.at_least if self.at_least is not None else self.at_most
        if not wanted:
            return f"misses by {number(self.median)}"
        missed = abs(self.median - wanted) / wanted * 100
        if missed >= 1000:
            return f"misses by {self.median / wanted:.0f} ×"
        return f"misses by {max(missed, 0.1):.1f} %" if missed < 1 else f"misses by {missed:.0f} %"


@dataclass
class Group:
    """Figures that belong together, under a title."""
    title: str
    rows: list = field(default_factory=list)
    notes: list = field(default_factory=list)


def ratios(ours, theirs):
    """Side by side: each round's figure of ours by theirs of the same round."""
    return [a / b for a, b in zip(ours, theirs) if b]


def number(value):
    """Three digits that matter, or a whole number."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}".removesuffix(".0")
    text = f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def figure(value):
    """A measured number: the zeros at its end say how well it is known."""
    if isinstance(value, int):
        return str(value)
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.095 or value == 0 else f"{value:.2g}"


def width(text):
    """How many columns a text takes."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def padded(text, columns, right=False):
    """A text in so many columns."""
    space = " " * max(0, columns - width(text))
    return space + text if right else text + space


# The columns: title, width, whether aligned to the right. Eighty columns with the spaces between them; `old` comes on top.
COLUMNS = [("", 19, False), ("against", 14, False), ("median", 8, True), ("spread", 13, True), ("old", 8, True),
           ("target", 6, True), ("", 15, False)]
OLD = [title for title, *_ in COLUMNS].index("old")


def shown(groups):
    """The numbers of the columns that the table has."""
    has_old = any(row.before for group in groups for row in group.rows)
    return [n for n in range(len(COLUMNS)) if n != OLD or has_old]


def line(cells, columns):
    """One line of the table."""
    return " ".join(padded(cells[n], *COLUMNS[n][1:]) for n in columns).rstrip()


def middle(row):
    """A row's figure with its unit."""
    return "–" if row.void or row.median is None else f"{figure(row.median)} {row.unit}".rstrip()


def cells(row):
    """What stands in a row."""
    spread = "" if row.void or row.median is None else row.spread
    return (row.what, row.against, middle(row), spread, middle(row.before) if row.before else "", row.target, row.verdict)


def table(groups):
    """The table for a terminal."""
    columns = shown(groups)
    lines = [line([title for title, *_ in COLUMNS], columns), ""]
    for group in groups:
        lines.append(group.title)
        lines.extend(line((f"  {first}", *rest), columns) for first, *rest in map(cells, group.rows))
        lines.extend(f"    {note}" for note in notes(group))
        lines.append("")
    return "\n".join(lines) + verdict(groups)


def notes(group):
    """What must be said of a group's figures, and why some of them do not count."""
    return group.notes + [f"void: {why}" for why in dict.fromkeys(row.void for row in group.rows if row.void)]


def verdict(groups):
    """What became of the targets, in one line."""
    held = [row.holds for group in groups for row in group.rows if row.target]
    unknown = f", {held.count(None)} not known" if None in held else ""
    return f"{held.count(True)} of {len(held)} targets hold, {held.count(False)} missed{unknown}\n"


def markdown(groups, surroundings):
    """The same for a README."""
    columns = shown(groups)

    def row_of(texts):
        return "| " + " | ".join(texts[n] for n in columns) + " |"

    lines = [f"{surroundings}", "", row_of(["what", *(title for title, *_ in COLUMNS[1:])]),
             row_of([":--" if not right else "--:" for _, _, right in COLUMNS])]
    for group in groups:
        lines.append(row_of([f"**{group.title}**", *[""] * (len(COLUMNS) - 1)]))
        lines.extend(row_of(cells(row)) for row in group.rows)
    said = [f"- {group.title}: {note}" for group in groups for note in notes(group)]
    lines.extend(["", *said] if said else [])
    return "\n".join(lines) + "\n\n" + verdict(groups)


def self_test():
    """What must hold of the figures whatever was measured."""
    assert ratios([2.0, 3.0, 1.0], [1.0, 2.0, 0.0]) == [2.0, 1.5], "a round without a figure is left out"
    assert [number(n) for n in (0, 0.003, 0.35, 1.2, 4.5, 12, 12.34, 20, 100, 50000)] == [
        "0", "0.003", "0.35", "1.2", "4.5", "12", "12.3", "20", "100", "50000"]
    assert [figure(n) for n in (0.0, 0.0123, 1.0, 1.204, 12.0, 120.4)] == ["0.00", "0.012", "1.00", "1.20", "12.0", "120"]
    assert figure(20_000) == "20000", "what is counted is known exactly"
    slow = Row("requests/s", "oha", [0.5, 0.7, 0.6, 0.55, 0.65], at_least=1.2)
    assert (slow.median, slow.spread, slow.verdict) == (0.6, "0.5…0.7", "misses by 50 %")
    fast = Row("requests/s", "wrk", [1.4], at_least=1.0)
    assert (fast.holds, fast.verdict, fast.spread) == (True, "holds", "")
    heavy = Row("CPU", "oha", [0.9, 0.9], at_most=0.75)
    assert (heavy.holds, heavy.verdict, heavy.target) == (False, "misses by 20 %", "≤ 0.75")
    assert Row("CPU", "oha", [0.7501], at_most=0.75).verdict == "misses by 0.1 %"
    assert Row("lateness", "", [700], at_most=2).verdict == "misses by 350 ×"
    assert Row("lost", "", [3], unit="", at_most=0).verdict == "misses by 3"
    void = Row("requests/s", "hey", [9.0], at_least=1.0, void="2 failures")
    assert (void.holds, void.verdict) == (None, "void")
    assert Row("requests/s", "nobody", []).verdict == "void"
    groups = [Group("a title", [slow, fast, heavy, void], ["a note"])]
    text = table(groups)
    assert all(width(each) <= 80 for each in text.splitlines()), text
    assert text.endswith("1 of 4 targets hold, 2 missed, 1 not known\n"), text
    page = markdown(groups, "a machine")
    assert all(each.count("|") == 7 for each in page.splitlines() if each.startswith("|")), page
    slow.before = fast
    beside = [each for each in table(groups).splitlines() if each.startswith("  requests/s") and "oha" in each]
    assert beside[0].split()[2:7] == ["0.60", "×", "0.5…0.7", "1.40", "×"], beside
    assert all(each.count("|") == 8 for each in markdown(groups, "").splitlines() if each.startswith("|"))

"""Directives that write the reference from the code, and roles that refer to its words.

Directives: ``columns TABLE``, ``words KIND``, ``configuration``, ``commands``, ``exit-codes``, ``public-names``. The
roles of `ROLES` (``{flag}`LOW_SNR```, ``{column}`sectors.flag_names```, ...) link to where a word is explained; one
that the code does not know is a warning, and so an error of the build.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import known
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

#: Role to the kind of target that it names.
ROLES = {
    "column": "column",
    "flag": "flag",
    "verdict": "verdict",
    "status": "status",
    "kind": "errorkind",
    "key": "key",
    "cmd": "command",
}

#: Where words of the vocabulary come from, in the order in which the reference has them.
LAYERS = {
    "file": "Files",
    "cache": "The cache",
    "archive": "Archives and buckets",
    "user": "What the caller can mend",
    "row": "The whole row",
    "V09": "V09",
    "V08": "V08",
    "V10": "V10",
    "localization": "Localisation of one sector",
    "candidate": "All sectors together",
    "run": "The run",
}


def target(kind: str, name: str) -> str:
    """Label of a word of the reference."""
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{kind}-{name}".replace("[]", "")).strip(
        "-"
    )  # SATURATION_RISK keeps its case


class Generated(SphinxDirective):
    """A directive whose content comes from the code."""

    def code(self, kind: str, name: str, shown: str | None = None) -> nodes.paragraph:
        """A name in typewriter face that the roles can point at."""
        label = target(kind, name)
        place = nodes.paragraph("", "", nodes.literal(text=shown or name), ids=[label], names=[label])
        self.env.get_domain("std").note_hyperlink_target(label, self.env.docname, label, name)
        return place

    def text(self, sentence: str) -> nodes.paragraph:
        return nodes.paragraph("", "", *_with_literals(sentence))

    def table(
        self, head: Sequence[str], rows: Iterable[Sequence[nodes.Node]], widths: Sequence[int], style: str
    ) -> nodes.table:
        """A table whose cells are ready-made nodes."""
        group = nodes.tgroup(cols=len(head))
        group += [nodes.colspec(colwidth=width) for width in widths]
        top = nodes.row()
        top += [nodes.entry("", nodes.paragraph(text=word)) for word in head]
        group += nodes.thead("", top)
        body = nodes.tbody()
        for cells in rows:
            row = nodes.row()
            row += [nodes.entry("", cell) for cell in cells]
            body += row
        group += body
        return nodes.table("", group, classes=["reference", style, "colwidths-given"])

    def section(self, title: str, *content: nodes.Node, name: str = "") -> nodes.section:
        """A section of the page; headings of generated content have their own names."""
        place = nodes.section(ids=[nodes.make_id(name or f"{self.name}-{title}")])
        self.state.document.note_implicit_target(place)
        place += [nodes.title("", "", *_with_literals(title)), *content]
        return place


def _with_literals(text: str) -> list[nodes.Node]:
    """A sentence of the code: what stands between backticks is typewriter face."""
    parts = re.split(r"`+([^`]+)`+", text)
    return [nodes.literal(text=part) if i % 2 else nodes.Text(part) for i, part in enumerate(parts) if part]


class Columns(Generated):
    """Every column of a table with type, unit and sentence."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        table = self.arguments[0]
        found: list[nodes.Node] = []
        several = groupby(known.columns(table), key=lambda column: column.group)
        groups: dict[str, list[known.Entry]] = {}
        for name, entries in several:
            groups.setdefault(name, []).extend(entries)
        for name, entries in groups.items():
            rows = [
                (
                    self.code("column", f"{table}.{one.name}", one.name),
                    self.text(" · ".join(filter(None, (one.kind, one.unit)))),
                    self.text(one.text[:1].upper() + one.text[1:]),
                )
                for one in entries
            ]
            made = self.table(("column", "type · unit", "what it is"), rows, (34, 20, 46), "columns")
            found.append(self.section(name, made, name=f"{table}-{name}") if len(groups) > 1 else made)
        return found


class Words(Generated):
    """Every word of a kind with its sentence, by where it comes from."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        kind = self.arguments[0]
        words = list(known.WORDS[kind])
        layers = {str(word.layer): [w for w in words if w.layer == word.layer] for word in words}
        found: list[nodes.Node] = []
        for layer in [*(one for one in LAYERS if one in layers), *(one for one in layers if one not in LAYERS)]:
            rows = [(self.code(kind.lower(), str(word)), self.text(_sentence(word.text))) for word in layers[layer]]
            made = self.table((kind_in_words(kind), "what it means"), rows, (38, 62), "words")
            found.append(
                self.section(LAYERS.get(layer, layer), made, name=f"{kind}-{layer}") if len(layers) > 1 else made
            )
        return found


def kind_in_words(kind: str) -> str:
    """``ErrorKind`` is "error kind"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


class Configuration(Generated):
    """Every key of the configuration, those of a table of keys in a table of their own."""

    def run(self) -> list[nodes.Node]:
        tables: dict[str, list[known.Key]] = {}
        for key in known.configuration_keys():
            tables.setdefault(key.path.rpartition(".")[0], []).append(key)
        found: list[nodes.Node] = []
        for above, several in tables.items():
            rows = [
                (self.code("key", key.path, key.path.rpartition(".")[2]), self.value(key), self.text(key.text))
                for key in several
            ]
            made = self.table(("key", "value", "what it is"), rows, (24, 32, 44), "keys")
            title = f"`{above}`" if above else "Top level"
            found.append(self.section(title, made, name=f"configuration-{above or 'top'}"))
        return found

    def value(self, key: known.Key) -> nodes.paragraph:
        """What may stand there, and what does when nothing is said."""
        if key.default == "required":
            return self.text(f"{key.kind}; required")
        return self.text(f"{key.kind}; default `{key.default}`" if key.default else key.kind)


class Commands(Generated):
    """Every command with its arguments and options."""

    def run(self) -> list[nodes.Node]:
        return [self._command(command) for command in known.commands()]

    def _command(self, command: known.Command) -> nodes.section:
        usage = nodes.literal_block(command.usage, command.usage, language="text")
        label = target("command", command.name)
        self.env.get_domain("std").note_hyperlink_target(label, self.env.docname, label, command.name)
        rows = [
            (
                nodes.paragraph("", "", nodes.literal(text=_spelled(one))),
                self.text(one.text + (f" Default: `{one.default}`." if one.default else "")),
            )
            for one in (*command.arguments, *command.options)
        ]
        table = self.table(("argument or option", "what it does"), rows, (38, 62), "options")
        return self.section(f"`{command.name}`", usage, self.text(command.text), table, name=label)


def _spelled(parameter: known.Parameter) -> str:
    return ", ".join(parameter.names) + (
        f" {parameter.value}" if parameter.value and parameter.names[0][0] == "-" else ""
    )


class ExitCodes(Generated):
    """What the program's exit codes mean, in the words of ``batchvet --help``."""

    def run(self) -> list[nodes.Node]:
        return [self.text(known.exit_codes())]


class PublicNames(Directive):
    """Autodoc of ``import batchvet``'s names, of what they return and of the errors."""

    def run(self) -> list[nodes.Node]:
        lines = []
        for name in known.PUBLIC_NAMES:
            lines += _autodoc(f"batchvet.{name}", getattr(known.batchvet, name))
        lines += ["", ".. rubric:: What they give", ""]
        for given in known.results():
            lines += _autodoc(f"{given.__module__}.{given.__qualname__}", given)
        place = nodes.container()
        self.state.nested_parse(StringList(lines, "reference"), self.content_offset, place)
        return place.children


def _autodoc(path: str, item: object) -> list[str]:
    if not isinstance(item, type):
        return [f".. autofunction:: {path}", ""]
    if hasattr(item, "model_fields"):  # its keys have a page of their own
        return [f".. autoclass:: {path}()", "   :no-members:", ""]
    return [f".. autoclass:: {path}()", "   :members:", ""]


class WordRole(SphinxRole):
    """A link to where a word of the reference is explained."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        shown = self.text.partition(".")[2] if self.kind == "column" else self.text
        found = addnodes.pending_xref(
            "",
            nodes.literal(text=shown),
            refdomain="std",
            reftype="ref",
            reftarget=target(self.kind, self.text),
            refexplicit=True,
            refwarn=True,
            refdoc=self.env.docname,
        )
        self.set_source_info(found)
        return [found], []


def setup(app: Sphinx) -> dict[str, bool]:
    directives: dict[str, Callable] = {
        "columns": Columns,
        "words": Words,
        "configuration": Configuration,
        "commands": Commands,
        "exit-codes": ExitCodes,
        "public-names": PublicNames,
    }
    for name, directive in directives.items():
        app.add_directive(name, directive)
    for name, kind in ROLES.items():
        app.add_role(name, WordRole(kind))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

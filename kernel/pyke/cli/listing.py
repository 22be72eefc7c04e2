"""What `ps`, `images`, `network ls` and their like have in common: columns, `--format`, `--quiet`."""

from __future__ import annotations

from pyke.cli import tables
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from pyke.cli.session import Session

BAD_TEMPLATE = "template parsing error: "
ANY_KEY = ("Attributes", "Details", "IndexConfigs", "Runtimes")  # parts of answers that are maps; all others are structs in Go
FORMAT_HELP = "Print with a template: 'table', 'table TEMPLATE', 'json' or a Go template"


class Listing:
    """How a kind of object is listed: for each field a header and a function of the object; the columns that show by default."""

    def __init__(
        self,
        type_name: str,
        fields: Mapping[str, tuple[str, Callable[[Any], Any]]],
        columns: Sequence[str],
        failures: tuple[str, str] = (BAD_TEMPLATE, BAD_TEMPLATE),
    ) -> None:
        self.type_name = type_name  # Go's, which Docker's errors name
        self.fields = fields
        self.columns = columns
        self.failures = failures  # with which the errors begin: of a template that does not parse, and of one that cannot be applied

    def record(self, item: object) -> Record:
        """The object as a template sees it."""
        return Record(self, item)


class Record:
    """One object of a listing: its fields are worked out when a template asks for them."""

    def __init__(self, listing: Listing, item: object) -> None:
        self.type_name = listing.type_name
        self._listing = listing
        self._item = item

    def field(self, name: str) -> object:
        """The value of a field; KeyError if there is none of that name."""
        return self._listing.fields[name][1](self._item)

    def as_dict(self) -> dict[str, object]:
        """All fields that are values, sorted: what `--format json` prints."""
        values = {name: self.field(name) for name in sorted(self._listing.fields)}
        return {name: value for name, value in values.items() if not callable(value)}


class _Headers:
    """The headers of a listing, as a template sees them: `table {{.Names}}` prints NAMES above its column."""

    def __init__(self, listing: Listing) -> None:
        self.type_name = listing.type_name
        self._listing = listing

    def field(self, name: str) -> object:
        """The header of a column; that of a method with an argument is the argument."""
        header = self._listing.fields[name][0]
        return header or (lambda argument="": str(argument).rpartition(".")[2])

    def as_dict(self) -> dict[str, object]:
        """All headers."""
        return {name: header for name, (header, _) in self._listing.fields.items()}


def show(session: Session, listing: Listing, items: Iterable[object], template: str, columns: Sequence[str] | None = None) -> None:
    """Print objects as a table, or by a `--format` template."""
    text = template.strip()
    if text in ("", "table"):
        _show_table(session, listing, items, columns or listing.columns)
    elif text == "json":
        from pyke.cli import jsontext

        for item in items:
            session.out(jsontext.dumps(listing.record(item).as_dict(), escape_html=True))
    elif text.startswith("table "):
        _show_template_table(session, listing, items, text.removeprefix("table ").strip())
    else:
        render = compile_template(template, listing.failures)
        for item in items:
            session.out(render(listing.record(item)))


def _show_table(session: Session, listing: Listing, items: Iterable[object], columns: Sequence[str]) -> None:
    rows = [[listing.fields[column][0] for column in columns]]
    rows += [[_cell(listing.fields[column][1](item)) for column in columns] for item in items]
    session.out(tables.render(rows)[:-1])


def _cell(value: object) -> str:
    return str(value).replace("\n", "\\n").replace("\t", "\\t")


def _show_template_table(session: Session, listing: Listing, items: Iterable[object], template: str) -> None:
    render = compile_template(template.replace("\\t", "\t"), listing.failures)
    lines = [render(_Headers(listing)), *(render(listing.record(item)) for item in items)]
    rows = [line.split("\t") for text in lines for line in text.split("\n")]
    session.out(tables.render(rows)[:-1])


class Struct:
    """One answer of the engine as a template sees it: a name that it does not have is an error, as for a struct of Go's."""

    def __init__(self, type_name: str, fields: Mapping[str, object], spelt: Mapping[str, str] | None = None) -> None:
        self.type_name = type_name
        self._fields = fields
        self._spelt = spelt or {}  # how JSON spells a field that Go spells otherwise

    def field(self, name: str) -> object:
        """The value of a field; KeyError if there is none of that name."""
        return self._fields[self._spelt.get(name, name)]

    def as_dict(self) -> dict[str, object]:
        """All fields."""
        return dict(self._fields)


def _null_text(_field: str) -> str:
    return "<no value>"


def compile_template(template: str, failures: tuple[str, str] = (BAD_TEMPLATE, BAD_TEMPLATE)) -> Callable[[object], str]:
    """Parse a template once and return what renders one object with it; errors are Docker's, and begin as `failures` has it."""
    from pyke.cli.gotemplate import Template, TemplateError

    try:
        parsed = Template(template.replace("\\t", "\t").replace("\\n", "\n"), missing_is_error=True, null_text=_null_text, maps=ANY_KEY)
    except TemplateError as error:
        raise PykeError(f"{failures[0]}{error}") from error

    def render(item: object) -> str:
        try:
            return parsed.render(item)
        except TemplateError as error:
            raise PykeError(f"{failures[1]}{error}") from error

    return render

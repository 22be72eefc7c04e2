"""A parsed template, and its application to a value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from pyke.cli.gotemplate.errors import TemplateError, WrongType
from pyke.cli.gotemplate.functions import FUNCTIONS
from pyke.cli.gotemplate.nodes import Branch, Command, Constant, Function, Include, Jump, Node, Operand, Path, Pipeline, Print, Text
from pyke.cli.gotemplate.parser import parse
from pyke.cli.gotemplate.values import MISSING, Missing, Record, kind, text, truth

MAXIMUM_STEPS = 200_000
MAXIMUM_INCLUDES = 50
MAXIMUM_OUTPUT = 64 * 1024 * 1024
SHORT_CIRCUITS = {"and": False, "or": True}


def _no_value(_name: str) -> str:
    return text(None)


class Template:
    """A template. With `missing_is_error`, a key that an object does not have is an error, as for `docker inspect`.

    JSON has one null and one kind of object, Go has types. `null_text` says how the null of a field prints: as an empty list, an empty
    map or no pointer. `omitted` has the values of fields that an object may leave out; `maps` names the fields that are maps, which have
    any key.
    """

    def __init__(
        self,
        source: str,
        *,
        missing_is_error: bool = False,
        null_text: Callable[[str], str] = _no_value,
        omitted: Mapping[str, object] | None = None,
        maps: Collection[str] = (),
    ) -> None:
        self.nodes, self.defined = parse(source)
        self.missing_is_error = missing_is_error
        self.null_text = null_text
        self.omitted = omitted or {}
        self.maps = maps

    def render(self, value: object) -> str:
        """Apply it to a value; TemplateError if that cannot be."""
        run = _Run(self, value)
        run.nodes(self.nodes, value)
        return "".join(run.output)


class _Jumped(Exception):
    """`break` or `continue`, on its way to the `range` around it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class _Run:
    """One application: what was printed, the variables, and how much more is allowed."""

    def __init__(self, template: Template, value: object) -> None:
        self._template = template
        self.output: list[str] = []
        self._variables: list[tuple[str, object]] = [("$", value)]
        self._includes = 0
        self._steps = MAXIMUM_STEPS
        self._room = MAXIMUM_OUTPUT

    def nodes(self, nodes: Iterable[Node], dot: object) -> None:
        """Execute nodes, one after the other; variables they declare end with them."""
        known = len(self._variables)
        for node in nodes:
            self._step()
            if isinstance(node, Text):
                self._print(node.text)
            elif isinstance(node, Print):
                value = self._pipeline(node.pipeline, dot)
                if not node.pipeline.variables:
                    self._print(self._template.null_text(_last_field(node.pipeline)) if value is None else text(value))
            elif isinstance(node, Jump):
                raise _Jumped(node.kind)
            elif isinstance(node, Include):
                self._include(node, dot)
            elif node.kind == "range":
                self._range(node, dot)
            else:
                self._choose(node, dot)
        del self._variables[known:]

    def _step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise TemplateError(f"the template takes more than {MAXIMUM_STEPS} steps")

    def _print(self, shown: str) -> None:
        self._room -= len(shown)
        if self._room < 0:
            raise TemplateError(f"the template prints more than {MAXIMUM_OUTPUT} characters")
        self.output.append(shown)

    def _include(self, node: Include, dot: object) -> None:
        """Execute a template that has a name; it knows no variables but `$`, which is its own value."""
        if node.name not in self._template.defined:
            raise _at(node, f'template "{node.name}" not defined')
        value = self._pipeline(node.pipeline, dot) if node.pipeline is not None else MISSING
        outside, self._variables = self._variables, [("$", value)]
        self._includes += 1
        if self._includes > MAXIMUM_INCLUDES:
            raise _at(node, "exceeded maximum template depth")
        self.nodes(self._template.defined[node.name], value)
        self._includes -= 1
        self._variables = outside

    def _choose(self, node: Branch, dot: object) -> None:
        """`if` and `with`, which differ in what `.` is inside."""
        known = len(self._variables)
        value = self._pipeline(node.pipeline, dot)
        if truth(value):
            self.nodes(node.body, value if node.kind == "with" else dot)
        else:
            self.nodes(node.otherwise, dot)
        del self._variables[known:]

    def _range(self, node: Branch, dot: object) -> None:
        known = len(self._variables)
        value = self._pipeline(Pipeline(node.pipeline.commands), dot)
        items = _items(node.pipeline, value)
        if not items:
            self.nodes(node.otherwise, dot)
        for key, item in items:
            self._bind(node.pipeline, [key, item] if len(node.pipeline.variables) == 2 else [item])
            try:
                self.nodes(node.body, item)
            except _Jumped as jump:
                if jump.kind == "break":
                    break
            finally:
                if node.pipeline.declares:
                    del self._variables[known:]
        del self._variables[known:]

    def _bind(self, pipeline: Pipeline, values: list[object]) -> None:
        for name, value in zip(pipeline.variables, values, strict=False):
            if pipeline.declares:
                self._variables.append((name, value))
            else:
                self._assign(name, value)

    def _assign(self, name: str, value: object) -> None:
        for position in range(len(self._variables) - 1, -1, -1):
            if self._variables[position][0] == name:
                self._variables[position] = (name, value)
                return

    def _variable(self, name: str) -> object:
        return next(value for known, value in reversed(self._variables) if known == name)

    def _pipeline(self, pipeline: Pipeline, dot: object) -> object:
        passed: tuple[object, ...] = ()
        for command in pipeline.commands:
            passed = (self._command(command, dot, passed),)
        self._bind(pipeline, list(passed))
        return passed[0]

    def _command(self, command: Command, dot: object, passed: tuple[object, ...]) -> object:
        self._step()
        first, *others = command.operands
        if isinstance(first, Function) and first.name in SHORT_CIRCUITS:
            return self._short_circuit(first, others, dot, passed)
        if isinstance(first, Constant) and first.text == "nil":
            raise _at(first, "nil is not a command")
        arguments = [*(self._operand(operand, dot) for operand in others), *passed]
        if isinstance(first, Function):
            return _call(first, arguments, command)
        value = self._operand(first, dot)
        if callable(value):
            return _call_method(first, value, arguments)
        if arguments and isinstance(first, Path) and first.fields:
            raise _at(first, f"{first.fields[-1]} is not a method but has arguments")
        if arguments:
            raise _at(first, f"can't give argument to non-function {first.text}")
        return value

    def _short_circuit(self, function: Function, operands: list[Operand], dot: object, passed: tuple[object, ...]) -> object:
        """`and` and `or` leave the rest alone once the answer is known, as in Go since 1.18."""
        value: object = MISSING
        if not operands and not passed:
            raise _at(function, f"wrong number of args for {function.name}: want at least 1 got 0")
        for operand in operands:
            value = self._operand(operand, dot)
            if truth(value) is SHORT_CIRCUITS[function.name]:
                return value
        return passed[0] if passed else value

    def _operand(self, operand: Operand, dot: object) -> object:
        if isinstance(operand, Constant):
            return operand.value
        if isinstance(operand, Function):
            return _call(operand, [], Command((operand,)))
        if isinstance(operand.start, Pipeline):
            value = self._pipeline(operand.start, dot)
        else:
            value = dot if operand.start == "." else self._variable(operand.start)
        parent = ""
        for name in operand.fields:
            value, parent = self._field(operand, value, name, parent), name
        return value

    def _field(self, path: Path, value: object, name: str, parent: str) -> object:
        if isinstance(value, Record):
            try:
                return value.field(name)
            except KeyError:
                raise _at(path, f"can't evaluate field {name} in type {value.type_name}") from None
        if isinstance(value, dict):
            if name in value or name in self._template.omitted:
                return value[name] if name in value else self._template.omitted[name]
            if self._template.missing_is_error and parent not in self._template.maps:
                raise _at(path, f'map has no entry for key "{name}"')
            return MISSING
        if value is None and not self._template.missing_is_error:
            return MISSING
        if value is None and parent in self._template.omitted:
            raise _at(path, f'map has no entry for key "{parent}"')
        if value is None or isinstance(value, Missing):
            raise _at(path, f"nil pointer evaluating interface {{}}.{name}")
        raise _at(path, f"can't evaluate field {name} in type {'interface {}' if self._template.missing_is_error else kind(value)}")


def _at(place: Operand | Include, message: str, text: str = "") -> TemplateError:
    return TemplateError(f'template: :{place.line}:{place.column}: executing "" at <{text or place.text}>: {message}')


def _last_field(pipeline: Pipeline) -> str:
    """The name of the field that a pipeline is, if it is one."""
    operand = pipeline.commands[-1].operands[0]
    return operand.fields[-1] if isinstance(operand, Path) and operand.fields else ""


def _items(pipeline: Pipeline, value: object) -> list[tuple[object, object]]:
    """What `range` goes through: indices and items of a list, sorted keys and values of a map, the numbers below an int."""
    if isinstance(value, dict):
        return sorted(value.items())
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(number, number) for number in range(min(value, MAXIMUM_STEPS))]
    if value is None or isinstance(value, Missing):
        return []
    raise _at(pipeline.commands[-1].operands[0], f"range can't iterate over {text(value)}")


def _call(function: Function, arguments: list[object], command: Command) -> object:
    """Call a function; what is wrong with an argument is told of the argument, what is wrong with the call of the command."""
    try:
        return FUNCTIONS[function.name](*arguments)
    except WrongType as error:
        written = command.operands[error.position + 1 :]
        raise _at(written[0] if written else function, str(error)) from None
    except TemplateError as error:
        raise _at(function, str(error), command.text) from None
    except (TypeError, AttributeError, ValueError) as error:
        if miscounted := _miscounted(function.name, len(arguments)):
            raise _at(function, miscounted) from error
        raise _at(function, f"error calling {function.name}: {_readable(function.name, error)}", command.text) from error


def _miscounted(name: str, given: int) -> str:
    """What is wrong with the number of arguments, if anything is."""
    import inspect  # only where something is wrong

    parameters = inspect.signature(FUNCTIONS[name]).parameters.values()
    wanted = sum(each.kind != each.VAR_POSITIONAL for each in parameters)
    if wanted < len(parameters):
        return f"wrong number of args for {name}: want at least {wanted} got {given}" if given < wanted else ""
    return f"wrong number of args for {name}: want {wanted} got {given}" if given != wanted else ""


def _readable(name: str, error: Exception) -> str:
    return f"wrong types of arguments for {name}" if isinstance(error, (TypeError, AttributeError)) else str(error)


def _call_method(place: Operand, method: object, arguments: list[object]) -> object:
    assert callable(method) and isinstance(place, Path)
    try:
        return method(*arguments)
    except TypeError as error:
        raise _at(place, f"wrong number of args for {place.text}") from error

"""Go's text/template, as scripts use it in `--format`.

    Template("{{range .Mounts}}{{.Source}} {{end}}").render(inspected)

Imported only for a `--format` that is a template. A template comes from the user, what it is applied to comes from the engine; both
are bounded: nesting, steps and the size of the output.
"""

from pyke.cli.gotemplate.errors import TemplateError
from pyke.cli.gotemplate.template import Template

__all__ = ["Template", "TemplateError"]

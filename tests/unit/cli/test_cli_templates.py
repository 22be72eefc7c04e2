"""Go templates print what Go prints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.cli.gotemplate import Template, TemplateError

DATA = {
    "Id": "abcdef",
    "Name": "/c1",
    "N": 3,
    "Empty": "",
    "Null": None,
    "State": {"Running": True, "Pid": 42},
    "Env": ["A=1", "B=2"],
    "Labels": {"b": "2", "a": "1"},
    "Mounts": [{"Source": "/s", "RW": True}, {"Source": "/t", "RW": False}],
}


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        ("{{.Name}} {{.State.Pid}} {{.State.Running}}", "/c1 42 true"),
        ("{{.Env}} {{.Labels}} {{.State}}", "[A=1 B=2] map[a:1 b:2] map[Pid:42 Running:true]"),
        ("{{json .Env}}{{json .Labels.a}}", '["A=1","B=2"]"1"'),
        ("{{json .}}x", None),
        ("{{range .Mounts}}{{.Source}}:{{.RW}};{{end}}", "/s:true;/t:false;"),
        ("{{range $i, $m := .Mounts}}{{$i}}{{$m.Source}}{{end}}", "0/s1/t"),
        ("{{range $k, $v := .Labels}}{{$k}}={{$v}},{{end}}", "a=1,b=2,"),
        ("{{range .Null}}x{{else}}none{{end}}", "none"),
        ('{{range .Env}}{{if eq . "A=1"}}{{continue}}{{end}}{{.}}{{break}}{{end}}', "B=2"),
        ("{{if .Empty}}a{{else if .Null}}b{{else}}c{{end}}", "c"),
        ("{{with .State}}{{.Pid}}{{else}}no{{end}}{{with .Empty}}x{{else}}no{{end}}", "42no"),
        ("{{$x := .N}}{{range .Env}}{{$x = len .}}{{end}}{{$x}} {{$.N}}", "3 3"),
        ('{{index .Env 1}} {{index .Labels "a"}} {{(index .Mounts 0).Source}}', "B=2 1 /s"),
        ("{{len .Env}} {{len .Id}} {{len .Null}}", "2 6 0"),
        ('{{.Name | printf "%-5s|%5d|%q" | len}}', None),
        ('{{printf "%-5s|%05d|%q|%v|%t|%%|%x" .Name 42 .Id .Env true 255}}', '/c1  |00042|"abcdef"|[A=1 B=2]|true|%|ff'),
        ('{{printf "%d %s" 1}} {{printf "%d" .Id}} {{printf "x" 1}}', "1 %!s(MISSING) %!d(string=abcdef) x%!(EXTRA int=1)"),
        ('{{upper .Id}} {{lower "ABC"}} {{title "ab cd"}}', "ABCDEF abc Ab Cd"),
        ('{{join .Env ","}} {{split "a:b" ":"}}', "A=1,B=2 [a b]"),
        ('{{truncate .Id 3}}|{{pad "x" 1 2}}|{{slice .Id 1 3}}|{{trim "  x "}}', "abc| x  |bc|x"),
        ("{{and .Id .Empty}}|{{or .Empty .N}}|{{not .Empty}}", "|3|true"),
        ("{{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge 1 2}}", "true true true false false"),
        ('{{eq .N 1 2 3}}{{eq .Id "x"}}', "truefalse"),
        ("{{or true (index .Env 9)}}", "true"),
        ('{{println .N "x"}}{{print 1 2 "a" 3}}', "3 x\n1 2a3"),
        ("a {{- 1 -}} b {{/* nothing */}}{{- /* nor here */ -}} c", "a1b c"),
        ('{{`raw "x"`}} {{"t\\tab"}} {{\'a\'}} {{0x10}} {{1.5}} {{true}}', 'raw "x" t\tab 97 16 1.5 true'),
        ('{{.Missing}} {{.Null}} {{html "<a>"}}', "<no value> <no value> &lt;a&gt;"),
        ("plain }} text", "plain }} text"),
        ('{{define "x"}}[{{.}}]{{end}}{{template "x" .Id}}{{range .Env}}{{template "x" .}}{{end}}', "[abcdef][A=1][B=2]"),
        ('{{$x := 1}}{{block "y" .N}}({{.}}{{$}}){{end}}{{$x}}', "(33)1"),
        ('{{printf "%*d|%-*d|%[2]s-%[1]s" 4 7 3 7}}', "   7|7  |%!s(int=7)-%!s(int=4)"),
        ('{{printf "%s %.2s %s" .Id .Id true}}', "abcdef ab %!s(bool=true)"),
        ('{{js "it\'s <b>"}} {{truncate "äöü" 2}}', "it\\'s \\u003Cb\\u003E ä"),
        ('{{index .Labels "nosuch"}}|', "|"),
    ],
)
def test_what_a_template_prints(template: str, printed: str | None) -> None:
    rendered = Template(template).render(DATA)
    if printed is not None:
        assert rendered == printed


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.Id", "template: :1: unclosed action"),
        ("{{bogus}}", 'template: :1: function "bogus" not defined'),
        ("{{if}}x{{end}}", "template: :1: missing value for if"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("{{range .Env}}", "template: :1: unexpected EOF"),
        ("\n{{$x}}", 'template: :2: undefined variable "$x"'),
        ('{{"x}}', "template: :1: unterminated quoted string"),
        ("{{/* x }}", "template: :1: unclosed comment"),
        ("{{break}}", "template: :1: {{break}} outside {{range}}"),
        ("{{(.Id}}", "template: :1: unclosed left paren"),
        ("{{.Id)}}", "template: :1: unexpected right paren"),
        ("{{.Id}", "template: :1: bad character U+007D '}'"),
        ("{{}}", "template: :1: missing value for command"),
        ('{{define "x"}}', "template: :1: unexpected EOF in define clause"),
        ("{{define x}}{{end}}", "template: :1: unexpected <x> in define clause"),
        ("{{" + "(" * 100 + ".Id" + ")" * 100 + "}}", "template: :1: nested too deeply"),
        ("{{if .Id}}" * 100 + "{{end}}" * 100, "template: :1: nested too deeply"),
    ],
)
def test_what_does_not_parse(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(template)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.Bogus}}", 'template: :1:2: executing "" at <.Bogus>: map has no entry for key "Bogus"'),
        ("{{.State.Bogus}}", 'map has no entry for key "Bogus"'),
        ("{{.Id.x}}", "can't evaluate field x in type interface {}"),
        ("{{index .Env 9}}", "index out of range: 9"),
        ("{{range .Id}}{{end}}", "range can't iterate over abcdef"),
        ('{{eq 1 "a"}}', "incompatible types for comparison"),
        ("{{upper .N}}", "wrong type for value; expected string; got int"),
        ("{{len 1 2 3}}", "<len>: wrong number of args for len: want 1 got 3"),
        ("{{printf}}", "<printf>: wrong number of args for printf: want at least 1 got 0"),
        ("{{index .Env -1}}", 'template: :1:2: executing "" at <index .Env -1>: error calling index: index out of range: -1'),
        (
            '{{join .State.Running ","}}',
            'template: :1:13: executing "" at <.State.Running>: wrong type for value; expected []string; got bool',
        ),
        ("{{nil}}", ':1:2: executing "" at <nil>: nil is not a command'),
        ("{{5 .N}}", "at <5>: can't give argument to non-function 5"),
        ("{{.N .Id}}", "at <.N>: N is not a method but has arguments"),
        ('{{template "x"}}', 'at <{{template "x"}}>: template "x" not defined'),
        ('{{define "x"}}{{template "x"}}{{end}}{{template "x"}}', "exceeded maximum template depth"),
        ("{{range 199999}}{{range 199999}}{{end}}{{end}}", "more than 200000 steps"),
    ],
)
def test_what_cannot_be_applied(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(template, missing_is_error=True).render(DATA)
    assert message in str(caught.value)


PIECES = st.sampled_from(
    [
        *("{{", "}}", ".", " ", "Env", "range", "if", "else", "end", "$x", ":=", "|", "(", ")", '"a"', "1", "json"),
        *("printf", "-", "x", "'", "`", ","),
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join) | st.text())
def test_any_template_renders_or_is_refused(template: str) -> None:
    try:
        Template(template).render(DATA)
    except TemplateError:
        return


@given(st.text(st.characters(codec="utf-8")).filter(lambda text: "{{" not in text))
def test_text_without_actions_is_printed_as_it_is(text: str) -> None:
    assert Template(text).render({}) == text

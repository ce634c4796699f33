"""Templates, with the results that Go's text/template gives."""

from __future__ import annotations

from typing import Any

import pytest

from proa.cli.template import Mapping, TemplateError, parse

VALUE: dict[str, Any] = {
    "Id": "aaaa",
    "Name": "/web",
    "State": {"Status": "running", "Running": True, "Pid": 12},
    "Config": {
        "Labels": Mapping({"b": "2", "a": "1"}),
        "Cmd": ["sh", "-c"],
        "Image": "x",
        "User": "",
    },
    "Mounts": [{"Source": "/a", "Destination": "/b"}, {"Source": "/c", "Destination": "/d"}],
    "Nothing": None,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{{.Name}}", "/web"),
        ("{{ .Name }}", "/web"),
        ("{{.ID}}", "aaaa"),
        ("{{.State.Running}} {{.State.Pid}}", "true 12"),
        ("{{.Config.Labels}}", "map[a:1 b:2]"),
        ("{{.Config.Labels.zz}}", "<no value>"),
        ('{{index .Config.Labels "a"}}|{{index .Config.Labels "zz"}}|', "1||"),
        ("{{.Config.Cmd}}", "[sh -c]"),
        ("{{json .Config.Cmd}}", '["sh","-c"]'),
        ('{{json "<>&é"}}', '"<>&é"'),
        ("{{range .Mounts}}{{.Source}}->{{.Destination}} {{end}}", "/a->/b /c->/d "),
        ("{{range $i, $m := .Mounts}}{{$i}}:{{$m.Source}} {{end}}", "0:/a 1:/c "),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}},{{end}}", "a=1,b=2,"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{range .Nothing}}x{{else}}none{{end}}", "none"),
        ('{{range .Mounts}}{{if eq .Source "/c"}}{{break}}{{end}}{{.Source}}{{end}}', "/a"),
        ('{{range .Mounts}}{{if eq .Source "/a"}}{{continue}}{{end}}{{.Source}}{{end}}', "/c"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{if .Config.User}}a{{else if false}}b{{else if .Name}}c{{else}}d{{end}}", "c"),
        ("{{with .Config}}{{.Image}}{{end}}", "x"),
        ("{{with .Config.User}}x{{else}}root{{end}}", "root"),
        ("{{$x := .Name}}{{$x}}", "/web"),
        ("{{$x := 1}}{{range .Mounts}}{{$x = .Source}}{{end}}{{$x}}", "/c"),
        ("{{(index .Mounts 1).Source}}", "/c"),
        ('{{ .Name | upper | printf "%-8s|" }}', "/WEB    |"),
        (
            '{{printf "%s %d %v %q %5d|%-5d|%05d" .Name 12 true "x" 1 2 3}}',
            '/web 12 true "x"     1|2    |00003',
        ),
        (
            '{{printf "%d" "x"}} {{printf "%s"}} {{printf "a" 1}}',
            "%!d(string=x) %!s(MISSING) a%!(EXTRA int=1)",
        ),
        (
            '{{printf "%t %x %X %c %U %6.2f" true 255 "hi" 65 65 2.5}}',
            "true ff 6869 A U+0041   2.50",
        ),
        ('{{print 1 2 "a" 3 4}}', "1 2a3 4"),
        ("{{println .Name 1}}", "/web 1\n"),
        (
            '{{eq .State.Status "exited" "running"}} {{ne 1 2}} {{lt 1 2}} {{ge 1.5 1}}',
            "true true true true",
        ),
        ('{{and true .Name}} {{or "" "y"}} {{not true}}', "/web y false"),
        ("{{or .Name .No.Such.Field}}", "/web"),
        ("{{len .Mounts}} {{len .Name}}", "2 4"),
        ("{{slice .Name 1 3}}", "we"),
        ('{{join .Config.Cmd ","}} {{split "a,b" ","}}', "sh,-c [a b]"),
        ('{{title "hello world"}} {{lower "ABC"}} {{upper "abc"}}', "Hello World abc ABC"),
        ('{{pad "x" 1 2}}|{{pad "" 1 2}}|{{truncate "abcdef" 3}}', " x  ||abc"),
        ('{{html "<a>"}} {{urlquery "a b/c"}}', "&lt;a&gt; a+b%2Fc"),
        ("{{`raw`}}{{'a'}} {{1.5}} {{0x10}} {{1e3}}", "raw97 1.5 16 1000"),
        ("a {{- 3 -}} b", "a3b"),
        ('{{/* c */ -}}  x {{- " y" -}} z', "x yz"),
        ("{{.Nothing}}", "<no value>"),
        ('{{"a\\tb\\u00e9"}}', "a\tbé"),
    ],
)
def test_rendering(template: str, text: str) -> None:
    assert parse(template).render(VALUE) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.Foo}}", ':1:2: executing "" at <.Foo>: map has no entry for key "Foo"'),
        ("{{.State.Foo}}", ':1:8: executing "" at <.State.Foo>: map has no entry for key "Foo"'),
        ("{{.nmae}}", "did you mean .Name?"),
        ("{{.Name.Foo}}", ':1:7: executing "" at <.Name.Foo>: can\'t evaluate field Foo'),
        ("{{.Nothing.Foo}}", "nil data; no entry for key"),
        ("{{index .Mounts 7}}", "error calling index: index out of range: 7"),
        ("{{len 3}}", "error calling len: len of type int"),
        ('{{eq 1 "a"}}', "error calling eq: incompatible types for comparison"),
        ("{{range .Name}}{{end}}", "range can't iterate over /web"),
        ("{{not 1 2}}", "wrong number of args for not: want 1 got 2"),
    ],
)
def test_what_cannot_be_rendered(template: str, message: str) -> None:
    parsed = parse(template)
    with pytest.raises(TemplateError) as caught:
        parsed.render(VALUE)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.Id", "unclosed action"),
        ("{{foo}}", 'function "foo" not defined'),
        ("{{if}}", "missing value for if"),
        ("{{}}", "missing value for command"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{else}}", "unexpected {{else}}"),
        ("{{range .Mounts}}", "unexpected EOF"),
        ("{{break}}", "{{break}} outside {{range}}"),
        ("{{$y}}", 'undefined variable "$y"'),
        ("{{range $x := .}}{{end}}{{$x}}", 'undefined variable "$x"'),
        ("{{.Id | .Name}}", "non executable command in pipeline stage 2"),
        ('{{"x" 1}}', "can't give argument to non-function"),
        ("{{.Id |}}", "missing value for command"),
        ('{{"a}}', "unterminated quoted string"),
        ("{{`a}}", "unterminated raw quoted string"),
        ("{{/* a }}", "unclosed comment"),
        ('{{"\\q"}}', "invalid escape"),
        ("{{1x}}", "bad number syntax"),
        ("{{.Id..Name}}", "unexpected"),
        ("{{nil}}", "nil is not a command"),
        ('{{define "x"}}{{end}}', "define is not available"),
        ("a\n{{foo}}", ":2: function"),
        ("{{" + "(" * 200 + "1" + ")" * 200 + "}}", "nested more than"),
        ("{{if 1}}" * 200 + "{{end}}" * 200, "nested more than"),
    ],
)
def test_what_is_no_template(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(template)
    assert message in str(caught.value)


def test_output_is_bounded() -> None:
    template = "{{range 1000000}}" * 2 + "{{printf `%900s` `x`}}" + "{{end}}" * 2
    with pytest.raises(TemplateError, match="larger than"):
        parse(template).render({})

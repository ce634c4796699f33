"""Builds from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from proa import BuildFailed, DockerfileError, Engine, Image, InvalidArgument
from proa.build.events import BuildFinished, StepFinished, StepOutput, StepStarted
from proa.engine.recipe import Recipe
from tests.support import images

pytestmark = pytest.mark.root


@pytest.fixture
def engine(engine_root: str, images_dir: str) -> Engine:
    found = Engine(engine_root)
    with open(f"{images_dir}/{images.ALPINE}", "rb") as archive:
        found.images.import_(archive, "alpine")
    return found


def test_it_tells_what_happens(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine\nRUN echo out; echo err >&2\n")
    told: list[object] = []
    image = engine.images.build(str(tmp_path), tag="built:1", on_event=told.append)
    assert image.tags == ["built:1"]
    names = {event.number: event.name for event in told if isinstance(event, StepStarted)}
    assert "[2/2] RUN echo out; echo err >&2" in names.values()
    output = [event for event in told if isinstance(event, StepOutput)]
    assert {(event.stream, event.data) for event in output} == {(1, b"out\n"), (2, b"err\n")}
    finished = [event for event in told if isinstance(event, StepFinished)]
    assert {event.number for event in finished} == set(names)
    assert isinstance(told[-1], BuildFinished) and told[-1].image_id == image.id
    engine.close()


def test_what_goes_wrong_is_told_by_kind(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(DockerfileError) as wrong:
        engine.images.build(str(tmp_path), dockerfile=b"FROM alpine\nRUUN x\n")
    assert wrong.value.line == 2 and ">>> RUUN x" in wrong.value.excerpt
    with pytest.raises(BuildFailed) as failed:
        engine.images.build(str(tmp_path), dockerfile=b"FROM alpine\nRUN echo why; exit 9\n")
    assert (failed.value.exit_code, failed.value.output) == (9, b"why\n")
    assert failed.value.step == "[2/2] RUN echo why; exit 9"
    engine.close()


def test_recipes(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "it's $a file").write_text("copied")
    made = Image.from_("alpine").run("echo one > /made\nfalse || echo two >> /made\n")
    recipe = (
        Image.from_("alpine")
        .env(GREETING='say "$hi" \\ ok', EMPTY="")
        .label({"a b": "c'd"})
        .workdir("/w $x")
        .copy("it's $a file", "/d/")
        .copy("/made", "/", from_=made)
        .run(["sh", "-c", 'printf "%s\n" "$GREETING" "$PWD" > /out; cat /d/* /made >> /out'])
        .run("echo last \\\n  line >> /out")
        .user("7")
        .expose(80, "81/udp")
        .cmd(["cat", "/out"])
    )
    image = engine.images.build(str(tmp_path), recipe=recipe, tag="built")
    output = engine.containers.run("built", remove=True).decode()
    assert output.splitlines() == [
        'say "$hi" \\ ok',
        "/w $x",
        "copiedone",
        "two",
        "last line",
    ]
    assert image.labels == {"a b": "c'd"}
    config = image.attrs["Config"]
    assert config["User"] == "7" and set(config["ExposedPorts"]) == {"80/tcp", "81/udp"}
    assert engine.images.build(str(tmp_path), recipe=recipe).id == image.id
    engine.close()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda recipe: recipe.copy("one"),
        lambda recipe: recipe.env({"a=b": "c"}),
        lambda recipe: recipe.env(),
        lambda recipe: recipe.user("a\nRUN b"),
        lambda recipe: recipe.expose("80 90"),
        lambda recipe: Recipe.from_("a AS b"),
    ],
)
def test_what_no_recipe_has(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(InvalidArgument):
        wrong(Image.from_("alpine"))

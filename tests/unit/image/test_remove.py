"""Removing names and images: Docker's rules, in Docker's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from proa.engine.images import Images
from proa.errors import Conflict, ImageNotFound
from proa.image.remove import remove
from proa.store.containers import ContainerRow
from proa.store.store import Store
from tests.unit.image.archives import Layout, layer


@pytest.fixture
def id(images: Images) -> str:
    layout = Layout()
    id = layout.image(layer(a="1"), name="app:1")
    images.load(layout.tar())
    return id


def use(store: Store, id: str, *, running: bool = False) -> str:
    """A container of the image, as the database has it; its short id."""
    own = f"{len(store.containers.list()):064x}"
    store.containers.insert(
        ContainerRow(
            id=own,
            name=f"c{own[-4:]}",
            image=id,
            layers=store.images.resolve(id).layers,
            config={},
            state={"status": "running" if running else "exited"},
        )
    )
    return own[:12]


def take(store: Store, name: str, **options: Any) -> list[str]:
    """Remove it, rows of containers being what says that they run; what was done."""
    return [
        f"{deed} {what}" for event in remove(store, name, **options) for deed, what in event.items()
    ]


def test_the_last_name_takes_the_image_along(
    images: Images, id: str, contents: Callable[[], list[str]]
) -> None:
    diff_id = images.get(id).record.layers[0]
    images.tag("app:1", "quay.io/other/name:2")
    assert images.remove("quay.io/other/name:2") == [{"Untagged": "quay.io/other/name:2"}]
    assert images.remove("app:1") == [
        {"Untagged": "app:1"},
        {"Deleted": id},
        {"Deleted": diff_id},
    ]
    assert contents() == []
    with pytest.raises(ImageNotFound, match="no such image: app:1"):
        images.remove("app:1")


def test_layers_stay_as_long_as_another_image_has_them(images: Images) -> None:
    base = layer(base="b")
    layout = Layout()
    layout.image(base, name="base:1")
    top = layout.image(base, layer(top="t"), name="top:1")
    images.load(layout.tar())
    diff_ids = images.get("top:1").record.layers
    assert images.remove("top:1") == [
        {"Untagged": "top:1"},
        {"Deleted": top},
        {"Deleted": diff_ids[1]},
    ]


def test_an_id_of_one_name_and_of_several(images: Images, id: str) -> None:
    images.tag("app:1", "app:2")
    short = id[7:19]
    with pytest.raises(Conflict) as error:
        images.remove(short)
    assert str(error.value) == (
        f"conflict: unable to delete {short} (must be forced) - image is referenced in multiple"
        " repositories"
    )
    events = images.remove(short, force=True)
    assert events[:3] == [{"Untagged": "app:1"}, {"Untagged": "app:2"}, {"Deleted": id}]


def test_an_id_of_one_name(images: Images, id: str) -> None:
    assert images.remove(id)[:2] == [{"Untagged": "app:1"}, {"Deleted": id}]


def test_digests_go_with_the_last_tag_of_their_repository(
    images: Images, store: Store, id: str
) -> None:
    digest = images.get(id).record.manifest
    for repository in ("docker.io/library/app", "quay.io/app"):
        store.images.refer(f"{repository}@{digest}", images.get(id).id)
    images.tag("app:1", "app:2")
    assert images.remove("app:2") == [{"Untagged": "app:2"}]
    assert images.remove("app:1") == [{"Untagged": "app:1"}, {"Untagged": f"app@{digest}"}]
    assert images.get(f"quay.io/app@{digest}").id == id
    assert images.remove(f"quay.io/app@{digest}")[:2] == [
        {"Untagged": f"quay.io/app@{digest}"},
        {"Deleted": id},
    ]


def test_what_a_stopped_container_uses(store: Store, id: str) -> None:
    user = use(store, id)
    with pytest.raises(Conflict) as error:
        take(store, "app:1")
    assert str(error.value) == (
        f'conflict: unable to remove repository reference "app:1" (must force) - container {user}'
        f" is using its referenced image {id[7:19]}"
    )
    with pytest.raises(Conflict, match=r"\(must be forced\) - image is being used by stopped"):
        take(store, id)
    assert take(store, "app:1", force=True) == ["Untagged app:1", f"Deleted {id}"]
    # the container's layer is still there
    assert store.layers.is_unpacked(store.containers.list()[0].layers[0])


def test_what_a_running_container_uses(store: Store, id: str) -> None:
    user = use(store, id, running=True)
    for force in (False, True):
        with pytest.raises(Conflict) as error:
            take(store, id, force=force)
        assert str(error.value) == (
            f"conflict: unable to delete {id[7:19]} (cannot be forced) - image is being used by"
            f" running container {user}"
        )
    with pytest.raises(Conflict, match="must force"):
        take(store, "app:1")
    # by force the name goes, the image cannot
    assert take(store, "app:1", force=True) == ["Untagged app:1"]
    assert store.images.resolve(id).references == ()


def test_a_container_in_use_keeps_its_image_not_its_further_names(
    images: Images, store: Store, id: str
) -> None:
    use(store, id)
    images.tag("app:1", "app:2")
    assert take(store, "app:2") == ["Untagged app:2"]


def test_a_row_that_only_says_that_it_runs(images: Images, store: Store, id: str) -> None:
    use(store, id, running=True)
    # there is no monitor: the machine was started anew
    assert images.remove(id, force=True)[1] == {"Deleted": id}


def test_names_are_exact(images: Images, id: str) -> None:
    for name in ("app", "app:3", "other/app:1"):
        with pytest.raises(ImageNotFound, match="no such image"):
            images.remove(name)
    digest = images.get(id).record.manifest
    with pytest.raises(ImageNotFound):
        images.remove(f"other@{digest}")


def test_a_tag_with_a_digest(images: Images, id: str) -> None:
    digest = images.get(id).record.manifest
    assert images.remove(f"app:1@{digest}")[0] == {"Untagged": "app:1"}


def test_prune_removes_what_has_no_name(images: Images, store: Store, id: str) -> None:
    other = Layout()
    newer = other.image(layer(a="2"), name="app:1")
    images.load(other.tar())
    assert images.prune(filters={"label": "x"}) == {"ImagesDeleted": None, "SpaceReclaimed": 0}
    done = images.prune()
    assert done["ImagesDeleted"][0] == {"Deleted": id}
    assert done["SpaceReclaimed"] > 0
    use(store, newer)
    assert images.prune(all=True)["ImagesDeleted"] is None
    store.containers.delete(store.containers.list()[0].id)
    assert images.prune(filters={"dangling": False})["ImagesDeleted"][:2] == [
        {"Untagged": "app:1"},
        {"Deleted": newer},
    ]
    assert images.list() == []

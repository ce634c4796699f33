from __future__ import annotations

from proa.engine.service import name, text


def test_each_engine_has_a_unit_of_its_own() -> None:
    assert name("/var/lib/proa", "/var/lib/proa") == "proa.service"
    assert name("/srv/a-b/c d", "/var/lib/proa") == "proa-srv-a\\x2db-c\\x20d.service"
    assert name("/srv/a/b/c d", "/x") != name("/srv/a-b/c d", "/x")


def test_what_systemd_would_expand_is_escaped() -> None:
    unit = text('/srv/50% "of" $HOME')
    assert '--root "/srv/50%% \\"of\\" $$HOME" system boot' in unit

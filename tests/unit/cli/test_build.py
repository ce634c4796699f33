"""What flags make of a container."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proa.cli.container import build, options, run
from proa.cli.container.build import build_config
from proa.cli.exit_codes import WrongArguments
from proa.cli.flags import UsageError, parse
from proa.engine.config import (
    ContainerConfig,
    Device,
    DeviceRate,
    DeviceRequest,
    Healthcheck,
    Mount,
    RestartPolicy,
    Ulimit,
)
from proa.errors import ImageNotFound, Unsupported


def config(*arguments: str) -> ContainerConfig:
    values, rest = parse(run.COMMAND.flags, [*arguments, "alpine"], interspersed=False)
    return build_config(values, rest, detach=values.flag("detach"))


def test_image_and_command() -> None:
    values, rest = parse(
        run.COMMAND.flags, ["--rm", "-it", "alpine:3.20", "sh", "-c", "id -u"], interspersed=False
    )
    made = build_config(values, rest)
    assert (made.image, made.command) == ("alpine:3.20", ("sh", "-c", "id -u"))
    assert made.auto_remove and made.tty and made.open_stdin
    assert made.attach_stdin and made.attach_stdout and made.attach_stderr


def test_nothing_said_is_nothing_decided() -> None:
    assert config() == ContainerConfig("alpine", attach_stdout=True, attach_stderr=True)


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["--name", "web"], "name", "web"),
        (["-w", "/srv"], "working_dir", "/srv"),
        (["-u", "1000:1000"], "user", "1000:1000"),
        (["-h", "box"], "hostname", "box"),
        (["--entrypoint", "/bin/x"], "entrypoint", ("/bin/x",)),
        (["--entrypoint", ""], "entrypoint", ()),
        (["-l", "a=1", "-l", "b", "--label", "a=2"], "labels", {"a": "2", "b": ""}),
        (["--annotation", "a=b=c"], "annotations", {"a": "b=c"}),
        (["--stop-signal", "INT", "--stop-timeout", "3"], "stop_timeout", 3),
        (["--init"], "init", True),
        (["--platform", "linux/arm64"], "platform", "linux/arm64"),
        (["--runtime", "crun"], "runtime", "crun"),
        (["--restart", "on-failure:3"], "restart", RestartPolicy("on-failure", 3)),
        (["--restart=unless-stopped"], "restart", RestartPolicy("unless-stopped")),
        (["-m", "512m"], "memory", 512 << 20),
        (["--memory-swap", "-1"], "memory_swap", -1),
        (["--memory-swappiness", "0"], "memory_swappiness", 0),
        (["--memory-swappiness", "-1"], "memory_swappiness", None),
        (["--cpus", "1.5"], "nano_cpus", 1_500_000_000),
        (["-c", "512"], "cpu_shares", 512),
        (["--cpuset-cpus", "0-1"], "cpuset_cpus", "0-1"),
        (["--pids-limit", "-1"], "pids_limit", -1),
        (["--shm-size=1g"], "shm_size", 1 << 30),
        (["--oom-kill-disable"], "oom_kill_disable", True),
        (["--oom-score-adj", "-500"], "oom_score_adj", -500),
        (["--ulimit", "nofile=1024:2048"], "ulimits", (Ulimit("nofile", 1024, 2048),)),
        (["--ulimit", "core=0"], "ulimits", (Ulimit("core", 0, 0),)),
        (["--ulimit", "memlock=-1:-1"], "ulimits", (Ulimit("memlock", -1, -1),)),
        (["--blkio-weight", "300"], "blkio_weight", 300),
        (
            ["--blkio-weight-device", "/dev/sda:100"],
            "blkio_weight_device",
            (DeviceRate("/dev/sda", 100),),
        ),
        (
            ["--device-read-bps", "/dev/sda:1mb"],
            "device_read_bps",
            (DeviceRate("/dev/sda", 1 << 20),),
        ),
        (
            ["--device-write-iops", "/dev/sda:10"],
            "device_write_iops",
            (DeviceRate("/dev/sda", 10),),
        ),
        (
            ["--cap-add", "NET_ADMIN", "--cap-add=SYS_TIME"],
            "capabilities_add",
            ("NET_ADMIN", "SYS_TIME"),
        ),
        (["--cap-drop=ALL"], "capabilities_drop", ("ALL",)),
        (["--privileged"], "privileged", True),
        (["--security-opt", "no-new-privileges"], "security_options", ("no-new-privileges",)),
        (["--security-opt", "no-new-privileges:true"], "security_options", ("no-new-privileges",)),
        (["--security-opt=seccomp=unconfined"], "security_options", ("seccomp=unconfined",)),
        (["--security-opt", "label:disable"], "security_options", ("label=disable",)),
        (["--device", "/dev/fuse"], "devices", (Device("/dev/fuse", "/dev/fuse"),)),
        (["--device", "/dev/sda:r"], "devices", (Device("/dev/sda", "/dev/sda", "r"),)),
        (["--device", "/dev/sda:/dev/x:rw"], "devices", (Device("/dev/sda", "/dev/x", "rw"),)),
        (["--device-cgroup-rule", "c 1:* rwm"], "device_cgroup_rules", ("c 1:* rwm",)),
        (["--group-add", "audio"], "groups_add", ("audio",)),
        (["--sysctl", "net.core.somaxconn=1"], "sysctls", {"net.core.somaxconn": "1"}),
        (["--pid", "host"], "pid_mode", "host"),
        (["--ipc=container:db"], "ipc_mode", "container:db"),
        (["--uts=host"], "uts_mode", "host"),
        (["--network", "none"], "network_mode", "none"),
        (["--net=host"], "network_mode", "host"),
        (["--network=container:web"], "network_mode", "container:web"),
        (["--network", "name=none"], "network_mode", "none"),
        (["--add-host", "db:10.0.0.1"], "extra_hosts", ("db:10.0.0.1",)),
        (["--add-host", "db=::1"], "extra_hosts", ("db:::1",)),
        (["--add-host", "db:[fe80::1]"], "extra_hosts", ("db:fe80::1",)),
        (["--dns", "1.1.1.1", "--dns-search", "x.org"], "dns", ("1.1.1.1",)),
        (["--dns-opt", "ndots:1"], "dns_options", ("ndots:1",)),
        (["--log-driver", "none"], "log_driver", "none"),
        (
            ["--gpus", '"device=0,1",driver=amd', "--device", "v.com/c=x", "--device", "/dev/null"],
            "device_requests",
            (
                DeviceRequest("amd", 0, ("0", "1"), (("gpu",),), {}),
                DeviceRequest("cdi", 0, ("v.com/c=x",)),
            ),
        ),
        (["--gpus", "all"], "device_requests", (DeviceRequest("", -1, (), (("gpu",),), {}),)),
        (["--log-opt", "max-size=1m"], "log_options", {"max-size": "1m"}),
        (
            ["--health-cmd", "true", "--health-interval", "5s", "--health-retries=2"],
            "healthcheck",
            Healthcheck(("CMD-SHELL", "true"), interval=5 * 10**9, retries=2),
        ),
        (["--health-timeout", "1s"], "healthcheck", Healthcheck((), timeout=10**9)),
        (["--no-healthcheck"], "healthcheck", Healthcheck(("NONE",))),
        (["--no-healthcheck=false"], "healthcheck", None),
        (["--read-only"], "read_only", True),
        (["--volumes-from", "a", "--volumes-from=b:ro"], "volumes_from", ("a", "b:ro")),
        (["-d", "-i"], "open_stdin", True),
        (["-d", "-i"], "attach_stdin", False),
        (["-a", "stdin"], "open_stdin", True),
        (["-a", "STDERR"], "attach_stdout", False),
        (["--isolation", "default"], "image", "alpine"),
        (["--publish-all=false"], "network_mode", "default"),
        (["--network", "host", "-p", "80:80", "-P"], "network_mode", "host"),
        (["--expose", "80", "--expose=53/UDP"], "exposed_ports", ("80/tcp", "53/udp")),
        (["--expose", "8000-8002"], "exposed_ports", ("8000/tcp", "8001/tcp", "8002/tcp")),
    ],
)
def test_flags(arguments: list[str], field: str, value: object) -> None:
    assert getattr(config(*arguments), field) == value


@pytest.mark.parametrize(
    ("arguments", "mount"),
    [
        (["-v", "/a:/b"], Mount("bind", "/b", "/a", create_source=True, short=True)),
        (["-v", "/a/../c/:/b//x/"], Mount("bind", "/b/x", "/c", create_source=True, short=True)),
        (
            ["-v", "/a:/b:ro"],
            Mount(
                "bind",
                "/b",
                "/a",
                read_only=True,
                recursive_read_only=True,
                create_source=True,
                short=True,
            ),
        ),
        (
            ["-v", "/a:/b:rw,rshared"],
            Mount("bind", "/b", "/a", propagation="rshared", create_source=True, short=True),
        ),
        (["-v", "/a:/b:cached"], Mount("bind", "/b", "/a", create_source=True, short=True)),
        (["--mount", "type=bind,source=/a,target=/b"], Mount("bind", "/b", "/a")),
        (
            ["--mount", "type=bind,src=/a,dst=/b,readonly"],
            Mount("bind", "/b", "/a", read_only=True, recursive_read_only=True),
        ),
        (
            ["--mount", "type=bind,src=/a,dst=/b,ro=true,bind-recursive=writable"],
            Mount("bind", "/b", "/a", read_only=True),
        ),
        (
            ["--mount", "type=bind,src=/a,dst=/b,bind-recursive=disabled"],
            Mount("bind", "/b", "/a", recursive=False),
        ),
        (
            ["--mount", "type=bind,src=/a,dst=/b,bind-propagation=rslave"],
            Mount("bind", "/b", "/a", propagation="rslave"),
        ),
        (["--mount", 'type=bind,"src=/a,b",dst=/b'], Mount("bind", "/b", "/a,b")),
        (
            ["--mount", "type=tmpfs,dst=/t,tmpfs-size=64m,tmpfs-mode=1770"],
            Mount("tmpfs", "/t", size=64 << 20, mode=0o1770),
        ),
        (["--tmpfs", "/run"], Mount("tmpfs", "/run", short=True)),
        (
            ["--tmpfs", "/run:exec,size=1m"],
            Mount("tmpfs", "/run", short=True, options=("exec", "size=1m")),
        ),
    ],
)
def test_mounts(arguments: list[str], mount: Mount) -> None:
    assert config(*arguments).mounts == (mount,)


def test_relative_paths_are_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = config(
        "-v", ".:/a", "-v", "./x:/b", "-v", "../y:/c", "--mount", "type=bind,src=z,dst=/d"
    )
    here = str(tmp_path)
    assert [mount.source for mount in made.mounts] == [
        here,
        f"{here}/x",
        f"{os.path.dirname(here)}/y",
        f"{here}/z",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-v", "/a:/b:c:d"], "too many colons"),
        (["-v", "/a:"], "empty section between colons"),
        (["-v", "/a:b"], "mount path must be absolute: 'b'"),
        (["-v", "/a:/"], "destination can't be '/'"),
        (["-v", "/a:/b:zz"], "invalid mode: zz"),
        (["-v", "/a:/b:ro,rw"], "ro and rw"),
        (["-v", "/a:/b", "--tmpfs", "/b/"], "duplicate mount point: /b"),
        (["--mount", "type=foo,dst=/x"], "mount type unknown: 'foo'"),
        (["--mount", "type=bind,source=/x"], "target is required"),
        (["--mount", "type=bind,target=/x"], "source is required"),
        (["--mount", "type=bind,foo"], "must be a key=value pair"),
        (["--mount", "type=bind,foo=bar"], "unexpected key 'foo'"),
        (["--mount", "type=bind,src=/a,dst=/b,ro=maybe"], "invalid value for ro: maybe"),
        (["--mount", "type=bind,src=/a,dst=/b,tmpfs-size=1m"], "cannot mix 'tmpfs-*'"),
        (["--mount", "type=tmpfs,dst=/b,bind-propagation=shared"], "cannot mix 'bind-*'"),
        (["--mount", "type=bind,src=/a,dst=/b,bind-recursive=readonly"], "needs readonly too"),
        (["--mount", 'type=bind,"src=/a'], 'closing "'),
        (["--tmpfs", "run"], "must be absolute"),
        (["--ulimit", "foo"], "expected NAME=SOFT[:HARD]"),
        (["--ulimit", "foo=1"], "invalid ulimit type: foo"),
        (["--ulimit", "nofile=2:1"], "less than or equal to hard limit: 2 > 1"),
        (["--ulimit", "nofile=1:2:3"], "too many limit value arguments"),
        (["--ulimit", "nofile=x"], "'x' is not a whole number"),
        (["--restart", "foo"], "use no, always"),
        (["--restart", "always:3"], "cannot be used with restart policy 'always'"),
        (["--restart", "on-failure:x"], "must be a whole number"),
        (["--rm", "--restart", "always"], "cannot specify both --restart and --rm"),
        (["--expose", "0"], 'invalid argument "0" for "--expose" flag'),
        (["--expose", "90-80"], 'invalid argument "90-80" for "--expose" flag'),
        (["--dns", "nowhere"], 'invalid argument "nowhere" for "--dns" flag'),
        (["-a", "foo"], "valid streams are stdin, stdout and stderr"),
        (["--memory-swappiness", "200"], "valid memory swappiness range is 0-100"),
        (["--cpus", "1", "--cpu-quota", "1"], "--cpus cannot be combined"),
        (["--device", "fuse"], "expected an absolute path"),
        (["--device", "/a:/b:zz"], "bad mode specified: zz"),
        (["--device", "/a:/b:r:w"], "expected SOURCE[:TARGET[:PERMISSIONS]]"),
        (["--device-cgroup-rule", "c 1 rwm"], "expected TYPE MAJOR:MINOR MODE"),
        (["--device-read-bps", "sda:1"], "is not below /dev"),
        (["--device-read-bps", "/dev/sda"], "expected DEVICE:NUMBER"),
        (["--device-read-bps", "/dev/sda:x"], "invalid"),
        (["--blkio-weight-device", "/dev/sda:5"], "from 10 to 1000"),
        (["--security-opt", "foo=bar"], "use no-new-privileges"),
        (["--security-opt", "seccomp=/nonexistent"], "no such file"),
        (["--pid", "foo"], "use host or container:NAME"),
        (["--ipc", "container:"], 'for "--ipc" flag'),
        (["--uts", "private"], "use host"),
        (["--hostname", "x", "--uts", "host"], "conflicting options: --hostname"),
        (["--add-host", "x"], "expected NAME:ADDRESS"),
        (["--add-host", "x:y"], "'y' is no IPv4 or IPv6 address"),
        (["--network", "container:"], "name is missing"),
        (["-e", ""], "no variable name"),
        (["-e", "=x"], "no variable name"),
        (["--env-file", "/nonexistent"], "open /nonexistent: no such file or directory"),
        (["--health-interval", "-1s"], "cannot be negative"),
        (["--health-interval", "1us"], "cannot be less than 1ms"),
        (["--no-healthcheck", "--health-cmd", "x"], "conflicts with --health-* options"),
        (["--log-driver", "none", "--log-opt", "a=b"], "makes no sense"),
        (["--log-opt", "a"], "expected KEY=VALUE"),
    ],
)
def test_mistakes(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        config(*arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_attached_and_not() -> None:
    # as with Docker, whose exit code is another one here
    with pytest.raises(WrongArguments, match="cannot specify both --attach and --detach"):
        config("-d", "-a", "stdout")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--isolation", "hyperv"], "Windows"),
        (["--cpu-count", "1"], "Windows"),
        (["--use-api-socket"], "no API socket"),
        (["--disable-content-trust=false"], "content trust is not available"),
    ],
)
def test_what_cannot_be_honoured_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(Unsupported) as caught:
        config(*arguments)
    assert message in str(caught.value)


def test_every_flag_is_read_by_someone() -> None:
    """A flag that parses and does nothing would be a lie."""
    known = {*build.FIELDS, *build._TUPLES, *build._PARTS, *build._ELSEWHERE}
    flags = {flag[0] for flag in run.COMMAND.flags if not flag[2].startswith("=")}
    assert flags == known


def test_fields_exist() -> None:
    fields = ContainerConfig.__match_args__  # type: ignore[attr-defined]
    assert {*build.FIELDS.values(), *build._TUPLES.values()} <= set(fields)


def test_flags_are_sorted_and_unique() -> None:
    names = [flag[0] for flag in options.CREATE_FLAGS]
    letters = [flag[1] for flag in run.COMMAND.flags if flag[1]]
    assert names == sorted(set(names))
    assert len(letters) == len(set(letters))


def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import posix

    monkeypatch.setattr(posix, "environ", {b"HERE": b"yes", b"RAW": b"\xff"})
    file = tmp_path / "env"
    file.write_bytes(b"\xef\xbb\xbf# comment\n\nA=1\n  B=x y \r\nHERE\nGONE\nC=\n")
    made = config("--env-file", str(file), "-e", "A=2", "-e", "RAW", "-e", "D=a=b", "-e", "GONE")
    assert made.environment == ("A=2", "B=x y ", "HERE=yes", "C=", "RAW=\udcff", "D=a=b")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a b=1\n", "variable 'a b' contains whitespace"),
        (b"=1\n", "no variable name"),
        (b"A=\xff\n", "line 1 is not valid UTF-8"),
        (b"A=1\nB=\0\n", "line 2 contains a NUL byte"),
    ],
)
def test_bad_environment_files(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "env"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        config("--env-file", str(file))


def test_label_files(tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_text("a=1\nb\n# no\n")
    made = config("--label-file", str(file), "--label", "a=2")
    assert made.labels == {"a": "2", "b": ""}


def test_seccomp_profiles_are_read(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    file.write_text('{\n  "defaultAction": "SCMP_ACT_ALLOW"\n}\n')
    made = config("--security-opt", f"seccomp={file}")
    assert made.security_options == ('seccomp={"defaultAction":"SCMP_ACT_ALLOW"}',)
    file.write_text("{")
    with pytest.raises(UsageError, match="compacting json for seccomp profile"):
        config("--security-opt", f"seccomp={file}")


class Images:
    """Pulls everything at once."""

    def __init__(self) -> None:
        self.pulled: list[str] = []

    def pull_each(self, name: str, **_: Any) -> None:
        self.pulled.append(name)


@pytest.mark.parametrize(
    ("policy", "is_here", "starts", "pulled"),
    [
        ("missing", True, 1, []),
        ("missing", False, 2, ["alpine"]),
        ("never", True, 1, []),
        ("never", False, 1, []),
        ("always", True, 1, ["alpine"]),
        ("always", False, 1, ["alpine"]),
    ],
)
def test_pull_policies(policy: str, is_here: bool, starts: int, pulled: list[str]) -> None:
    values = parse(run.COMMAND.flags, ["--pull", policy, "-q"])[0]
    images = Images()
    session: Any = SimpleNamespace(engine=SimpleNamespace(images=images))
    started = []

    def start() -> int:
        started.append(1)
        if not is_here and not images.pulled:
            raise ImageNotFound("alpine")
        return 7

    def work() -> int:
        return build.with_image(session, values, ContainerConfig(image="alpine"), start)

    if is_here or policy != "never":
        assert work() == 7
    else:
        with pytest.raises(ImageNotFound):
            work()
    assert (len(started), images.pulled) == (starts, pulled)


def test_bad_pull_policies() -> None:
    nobody: Any = None
    with pytest.raises(UsageError, match="invalid pull option: 'foo'"):
        build.with_image(nobody, parse(run.COMMAND.flags, ["--pull", "foo"])[0], nobody, nobody)

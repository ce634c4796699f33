"""The classic example: an RPM distribution, a repository file written by `echo -e`, `yum install`.

The image that stands for centos:7 is Debian with a real rpm and dnf, its /bin/sh bash as there; the
repository is a real one, of rpmbuild and createrepo-c, served under the name that the Dockerfile
has. All that comes from Debian's package sources: set PROA_TEST_PACKAGES=1 where these answer.
"""

from __future__ import annotations

import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.command import Command

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("PROA_TEST_PACKAGES") != "1" or shutil.which("mmdebstrap") is None,
        reason="needs Debian's package sources: set PROA_TEST_PACKAGES=1 where they answer",
    ),
]

_ADDRESS = "127.0.0.9"
_APT = (
    "RUN --mount=type=cache,target=/var/cache/apt,sharing=locked"
    " --mount=type=cache,target=/var/lib/apt,sharing=locked"
)
_MADE_HERE = f"""\
FROM debian:bookworm AS base
{_APT} apt-get update && apt-get install -y --no-install-recommends rpm dnf && \\
    ln -sf dnf /usr/bin/yum && ln -sf bash /bin/sh && mkdir -p /etc/yum.repos.d
FROM base AS repository
{_APT} apt-get install -y --no-install-recommends nginx-light createrepo-c
COPY <<'SPEC' /nginx.spec
Name: nginx
Version: 1
Release: 1
Summary: a web server
License: BSD
AutoReqProv: no
%description
It serves a page.
%install
for each in usr/sbin etc/nginx www var/log/nginx var/lib/nginx; do
    mkdir -p %{{buildroot}}/$each
done
cp /usr/sbin/nginx %{{buildroot}}/usr/sbin/
cp /etc/nginx/mime.types %{{buildroot}}/etc/nginx/
echo 'user root; events {{}} http {{ server {{ listen 80; root /www; }} }}' \\
    > %{{buildroot}}/etc/nginx/nginx.conf
echo '<h1>Welcome to nginx!</h1>' > %{{buildroot}}/www/index.html
%files
/usr/sbin/nginx
/etc/nginx
/www
/var/log/nginx
/var/lib/nginx
SPEC
RUN rpmbuild -bb --define '_rpmdir /rpms' /nginx.spec && createrepo_c /rpms
FROM scratch AS served
COPY --from=repository /rpms /
"""
_EXAMPLE = r"""FROM centos:7
RUN echo -e '[nginx]\nname=nginx repo\nbaseurl=http://packages.example/centos/7/$basearch/\ngpgcheck=0\nenabled=1' > /etc/yum.repos.d/nginx.repo
RUN yum -y install nginx
EXPOSE 80
CMD ["nginx", "-g", "daemon off;"]
"""  # noqa: E501
_FETCH = 'exec 3<>/dev/tcp/127.0.0.1/80; printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3'


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    """What this directory holds is served on port 80 of an address of this machine."""
    directory = tmp_path / "served"
    directory.mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(directory))
    server = http.server.ThreadingHTTPServer((_ADDRESS, 80), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield directory
    server.shutdown()
    thread.join()
    server.server_close()


def test_nginx_from_its_repository_serves_its_page(
    proa: Command, tmp_path: Path, served: Path
) -> None:
    proa("image", "bootstrap", "debian:bookworm", timeout=600)
    (tmp_path / "Dockerfile").write_text(_MADE_HERE)
    proa("build", "-q", "--target", "base", "-t", "centos:7", str(tmp_path), timeout=600)
    place = served / "centos" / "7" / os.uname().machine
    proa("build", "-q", "-o", str(place), str(tmp_path), timeout=600)

    (tmp_path / "Dockerfile").write_text(_EXAMPLE)
    flags = ("--add-host", f"packages.example:{_ADDRESS}")
    proa("build", "-q", "-t", "my-nginx", *flags, str(tmp_path), timeout=120)

    proa("run", "-d", "--name", "web", "--network", "none", "my-nginx")
    fetch = f"for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2; {_FETCH} && break; done"
    assert "<h1>Welcome to nginx!</h1>" in proa.output("exec", "web", "bash", "-c", fetch)
    proa("rm", "-f", "web")

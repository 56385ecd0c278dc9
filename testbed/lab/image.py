"""The lab image: a Debian root folder, built once by an ordinary user and cached.

    recipe      packages, Python requirements       -> key (their hash)
    build       mmdebstrap -> tar -> folder         Debian's packages
                pip inside the folder               /opt/lab, the guest's Python packages
                manifest                            every package with its version -> id
    cache       image-<key>/                        see cache.py

The folder belongs to the user who built it and is deleted like any other.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import LabError
from testbed.lab import cache
from testbed.lab.base import Missing
from testbed.lab.cache import Say
from testbed.lab.checksums import Depth
from testbed.lab.sandbox import bubblewrap
from testbed.process import dying_with_caller

SUITE = "bookworm"
PACKAGES = (
    "busybox",
    "curl",
    "ethtool",
    "iperf3",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "mininet",  # for mnexec
    "netcat-openbsd",
    "openvswitch-switch",
    "procps",
    "python3",
    "python3-pip",
    "tcpdump",
    "user-mode-linux",
)
REQUIREMENTS = (
    "mininet==2.3.0.dev6",
    "msgspec>=0.19,<1",
    "networkx>=3.3,<4",
    "os-ken>=4.0,<5",
    "topohub>=1.5,<2",
)
_ROOM_BYTES = 64 << 20
"""With more, a disk is not the one that is full."""
LAYOUT = 2
"""Changes when the build itself does."""
CACHED = cache.Cached(
    kind="image",
    why="the guest's root folder",
    remedy="run scripts/setup, or `testbed image build`",
    vital=(
        cache.MANIFEST,
        "usr/bin/*",
        "usr/sbin/*",
        "usr/lib/x86_64-linux-gnu/*.so*",
        "opt/lab/*",
    ),
    space="1 GB",
)

_EXCLUDED = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/info/*")
_REGISTRY_ENV = re.compile(r"PIP_\w+|SSL_\w+|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|\w+_proxy", re.I)
_APT_NETWORK = re.compile(r"proxy|verify|cainfo|retries|timeout|check-(valid-until|date)", re.I)
_CERTIFICATES = ("/etc/ssl/certs", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates")


@dataclass(frozen=True)
class Image:
    """An image that exists."""

    root: Path
    key: str
    """Hash of the recipe."""
    id: str
    """Hash of the recipe and of every package version that went in."""

    @property
    def uml_release(self) -> str:
        """Release of the image's own User-Mode Linux kernel."""
        return next(p.name for p in sorted((self.root / "usr/lib/uml/modules").iterdir()))


def key() -> str:
    """Hash of the recipe, 12 hex digits."""
    recipe = json.dumps([LAYOUT, SUITE, PACKAGES, REQUIREMENTS, _EXCLUDED])
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def existing(depth: Depth | None = None) -> Image:
    """The image of the present recipe. Raises LabError when it is not built, or damaged."""
    this = key()
    root = CACHED.existing(this, depth)
    digest = hashlib.sha256((root / cache.MANIFEST).read_bytes()).hexdigest()
    return Image(root, this, f"{this}-{digest[:12]}")


def missing(depth: Depth = "vital") -> list[Missing]:
    """The image, when it is not built, or damaged."""
    return CACHED.missing(key(), depth)


def build(say: Say = lambda text: None, *, force: bool = False) -> Image:
    """The image, built if there is no undamaged one (half a minute and 500 MB).

    `force`: build it in any case. Raises LabError with the failed tool's own words.
    """

    def fill(root: Path) -> None:
        say(f"Debian {SUITE} with {len(PACKAGES)} packages")
        _debian(root)
        say(f"{len(REQUIREMENTS)} Python packages with what they need")
        _python(root)
        _manifest(root)

    CACHED.build(key(), fill, say=say, force=force)
    return existing()


def unpack_debian(root: Path, packages: Iterable[str], what: str = "the lab image") -> None:
    """A Debian with `packages` in `root`, through mmdebstrap and tar, owned by the user.

    Raises LabError, which says that `what` cannot be built.
    """
    mode = "root" if os.geteuid() == 0 else "unshare"
    debian = ["mmdebstrap", f"--mode={mode}", "--variant=minbase", "--format=tar"]
    debian += [f"--include={','.join(packages)}", "--aptopt=Acquire::Languages none"]
    debian += [f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED]
    debian += [f"--aptopt={option}" for option in _apt_network()]
    debian += [SUITE, "-", *filter(None, [os.environ.get("TESTBED_DEBIAN_MIRROR")])]
    unpack = ["tar", "-x", "-C", str(root), "--no-same-owner", "--no-same-permissions"]
    unpack += ["--exclude=./dev/*"]
    pipeline = f"set -o pipefail; {shlex.join(debian)} | {shlex.join(unpack)}"
    # the shell is told when we die, and tells the whole group, which mmdebstrap alone does not
    script = f"trap 'trap - TERM; kill 0' TERM; ({pipeline}) & wait $!"
    temporary = os.environ.get("TMPDIR") or "/var/tmp"  # noqa: S108 - /tmp is often small
    with tempfile.TemporaryFile() as words:
        with subprocess.Popen(
            ["bash", "-c", script],
            stdin=subprocess.DEVNULL,
            stderr=words,
            env={**os.environ, "TMPDIR": temporary},
            start_new_session=True,
            umask=0o022,
            preexec_fn=dying_with_caller(signal.SIGTERM),  # noqa: PLW1509 - no other thread runs
        ) as process:
            try:
                code = process.wait()
            except BaseException:
                process.terminate()
                raise
        words.seek(0)
        said = words.read().decode(errors="replace")
    if code and "No space left" in said and shutil.disk_usage(root).free > _ROOM_BYTES:
        raise LabError(
            f"cannot build {what}: no space left in the temporary folder",
            where=temporary,
            expected="1 GB of free disk, also where packages are put together",
            remedy="free some, or set TMPDIR to another folder",
        )
    if code:
        raise LabError(
            f"cannot build {what}: {reason(said)} (exit status {code})",
            where="mmdebstrap",
            expected=f"Debian {SUITE} from a mirror, and 1 GB of free disk",
            remedy="check the network and `testbed doctor`; "
            "TESTBED_DEBIAN_MIRROR names another mirror",
        )


def _debian(root: Path) -> None:
    unpack_debian(root, PACKAGES)
    for folder in ("project", "results", "opt/lab"):
        (root / folder).mkdir(parents=True)
    (root / "lab-kernel").touch()  # where a kernel of our own is bound
    modules = root / "usr/lib/modules"
    if modules.is_dir():
        modules.rmdir()
    modules.symlink_to("uml/modules")
    for name in ("etc/resolv.conf", "etc/hostname"):
        (root / name).unlink(missing_ok=True)
        (root / name).touch()
    (root / "etc/hosts").write_text("127.0.0.1 localhost lab\n")


def _apt_network() -> list[str]:
    """The host's apt settings a download may need: proxies, certificates, retries."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    return [line for line in dump.stdout.splitlines() if _APT_NETWORK.search(line.split(" ", 1)[0])]


def _python(root: Path) -> None:
    """The guest's Python packages, by the image's own pip with the host's registry settings."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path's raises for a user without one
    configs = {
        Path("/etc/pip.conf"): "/etc/pip.conf",
        home / ".config/pip/pip.conf": "/root/.config/pip/pip.conf",
        Path("/etc/resolv.conf").resolve(): "/etc/resolv.conf",
    }
    read = {
        path: inside
        for path, inside in configs.items()
        if os.access(path, os.R_OK) and path.is_file()
    }
    read |= {Path(name): name for name in _CERTIFICATES if Path(name).is_dir()}
    env = {name: value for name, value in os.environ.items() if _REGISTRY_ENV.fullmatch(name)}
    words = list(env.values())
    words += [path.read_text(errors="replace") for path in read if path.name == "pip.conf"]
    read |= {path: str(path) for path in _local_sources(words) if path not in read}
    sandbox = bubblewrap(
        root,
        writable=True,
        network=True,
        read=read,
        env={**env, "HOME": "/root", "LANG": "C.UTF-8"},
    )
    pip = ["python3", "-m", "pip", "install", "--quiet", "--no-compile", "--no-cache-dir"]
    pip += ["--root-user-action=ignore", "--no-warn-script-location", "--target=/opt/lab"]
    # compiled here because a guest compiles slowly and cannot keep what it compiled
    compiled = ["python3", "-m", "compileall", "-qq", "-j0", "--invalidation-mode"]
    compiled += ["unchecked-hash", "/opt/lab"]
    for command, exact in (([*pip, *REQUIREMENTS], True), (compiled, False)):
        done = subprocess.run(
            [*sandbox, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            umask=0o022,
            preexec_fn=dying_with_caller(),
        )
        if done.returncode and exact:
            raise LabError(
                "cannot install the guest's Python packages: " + reason(done.stderr),
                where="pip in the lab image",
                expected="a Python package registry, as `pip config list` names it",
                remedy="check the network, PIP_* settings and certificates",
            )


def _local_sources(words: list[str]) -> list[Path]:
    """Files and folders of the host that registry settings point to."""
    found = []
    for scheme, name in re.findall(r"(file://)?(/[^\s,'\"]+)", "\n".join(words)):
        path = Path(name)
        if not path.exists() or name.startswith(_CERTIFICATES):
            continue
        # a simple index refers to its files relatively, beside it
        found.append(path.parent if scheme else path)
    return [path for path in dict.fromkeys(found) if len(path.parts) > 2]


def _manifest(root: Path) -> None:
    query = ["dpkg-query", "-W", "-f", "${Package} ${Version}\n"]
    freeze = ["python3", "-m", "pip", "freeze", "--path=/opt/lab"]
    sandbox = bubblewrap(root, env={"LANG": "C.UTF-8"})
    versions = [
        subprocess.run([*sandbox, *command], capture_output=True, text=True, check=True).stdout
        for command in (query, freeze)
    ]
    (root / cache.MANIFEST).write_text("\n".join(versions))


def reason(words: str) -> str:
    """The first error in what a tool printed; else the last line that does not only inform."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"E:|ERROR|error", line, re.I)]
    others = [line for line in lines if not line.startswith("I:")]
    return errors[0] if errors else (others or lines or ["it gave no reason"])[-1]


def main() -> int:
    """What scripts/setup runs: build the image, unless it is there, and say where it is."""
    start, said = time.monotonic(), False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is half built goes

    def say(text: str) -> None:
        nonlocal said
        said = True
        print(f"lab image: {time.monotonic() - start:3.0f} s  {text}", flush=True)

    try:
        image = build(say)
    except LabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if said:
        say(f"{image.root}")
    return 0

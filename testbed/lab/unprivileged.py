"""A lab that root starts is an ordinary user's all the same.

A program is root in its lab, and may break out of the lab's kernel. What it is on the host
then is the lab's user: whoever started the lab, or for root an id that is nobody's. That
one can enter neither root's home nor its other folders, so what the lab needs is put where
it can: bound into the image, and the image bound to /mnt, for the lab's processes only.

    root --> unshare (a mount namespace) --> binds --> setpriv (the id) --> bwrap or unshare

The image and the job folder are given to the id, since in the lab their owner is root. The
job folder is taken back when the lab has ended.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from testbed.folders import remove
from testbed.lab.base import PROJECT, Missing

UID = 2_000_000_000
"""User and group id of root's labs: in no range that Debian or systemd gives to anybody."""

PLACE = Path("/mnt")
"""Where root's labs find the image, for themselves only."""

_DEEPEST = 16
"""Folders within folders that a job folder keeps."""

_BIND = """
set -e
root=$1 uid=$2 gid=$3
shift 3
while [ "$1" != -- ]; do mount --bind "$1" "$root$2"; shift 2; done
shift
mount --rbind "$root" /mnt
cd /
exec setpriv --reuid="$uid" --regid="$gid" --clear-groups --inh-caps=-all --bounding-set=-all \
  --no-new-privs --pdeathsig KILL "$@"
"""


class Ids(NamedTuple):
    """Of a user."""

    uid: int
    gid: int


def user(root: Path | None = None) -> Ids | None:
    """Whom root's labs on an image run as; None when the caller is not root.

    An image that is another user's, as with sudo, makes the lab that user's and its group's,
    which is never root's. None, too, for a root that is so only in a user namespace of one id:
    outside it is an ordinary user.
    """
    if os.geteuid() != 0:
        return None
    if root is not None and (found := root.stat()).st_uid != 0:
        return Ids(found.st_uid, found.st_gid or found.st_uid)
    last = 0
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = map(int, line.split())
        if first <= UID < first + count:
            return Ids(UID, UID)
        last = max(last, first + count - 1)
    return Ids(last, last) if last else None


def prefix(root: Path, binds: Mapping[Path, str]) -> list[str]:
    """What to put before a lab's command so that it runs as the lab's user, with the image
    at PLACE and there, at paths that the image has, what else it needs. Empty unless root asks.
    """
    lab_user = user(root)
    if lab_user is None:
        return []
    pairs = [part for path, inside in binds.items() for part in (str(path), inside)]
    alone = ["unshare", "--mount", "--propagation", "private", "--"]
    first = [str(root), str(lab_user.uid), str(lab_user.gid)]
    return [*alone, "sh", "-c", _BIND, "sh", *first, *pairs, "--"]


def at(inside: str) -> Path:
    """Where root's labs find what is at a path of the image."""
    return PLACE / inside.lstrip("/")


def as_user(command: list[str]) -> list[str]:
    """A command as the user of a lab whose image is the caller's own."""
    lab_user = user()
    if lab_user is None:
        return command
    ids = [f"--reuid={lab_user.uid}", f"--regid={lab_user.gid}", "--clear-groups"]
    return ["setpriv", *ids, *command]


def missing() -> list[Missing]:
    """What keeps root's labs from reading the project."""
    if user() is None:
        return []
    closed = [
        path
        for path in (PROJECT, *sorted(PROJECT.glob("testbed/*.py")))
        if not path.stat().st_mode & stat.S_IROTH
    ]
    if not closed:
        return []
    return [
        Missing(
            f"leave to read {closed[0]}",
            "a lab that root starts runs as an ordinary user",
            f"chmod -R go+rX {PROJECT}",
        )
    ]


def hand_over(root: Path, job: Path) -> None:
    """Give an image, and what is in a job folder, to the user of root's labs.

    The job folder itself stays root's: by its owner a later run tells whose it is.
    """
    lab_user = user(root)
    if lab_user is None:
        return
    if root.stat().st_uid != lab_user.uid:
        _chown_below(root, lab_user)
        os.chown(root, *lab_user)  # last: it tells that the rest is done
    _chown_below(job, lab_user)
    os.chown(job, -1, lab_user.gid)
    job.chmod(0o770)


def _chown_below(folder: Path, owner: Ids) -> None:
    for directory, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(directory, name), *owner, follow_symlinks=False)


def take_back(job: Path) -> None:
    """Make the caller's what a lab that has ended left in its job folder.

    Only files and folders stay, without set-user-id bits: a program in the lab can leave
    links to files of the host, pipes that keep a reader waiting, and programs that would run
    as the caller. Folders deeper than any guest makes them go, whatever is in them: they are
    there to exhaust who goes through them.
    """
    if os.geteuid() == 0:
        os.chown(job, -1, os.getegid())
    job.chmod(0o700)
    waiting = [(job, 0)]
    while waiting:
        folder, depth = waiting.pop()
        for path in list(folder.iterdir()):
            kind = path.lstat().st_mode
            if stat.S_ISREG(kind):
                _own(path)
            elif stat.S_ISDIR(kind) and depth < _DEEPEST:
                _own(path)
                waiting.append((path, depth + 1))
            else:
                remove(path)


def _own(path: Path) -> None:
    found = path.lstat()
    if found.st_uid != os.geteuid():
        os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)
    least = 0o700 if stat.S_ISDIR(found.st_mode) else 0o600
    mode = stat.S_IMODE(found.st_mode) & 0o777 | least
    if mode != stat.S_IMODE(found.st_mode):
        path.chmod(mode)

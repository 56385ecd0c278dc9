"""The native lab with packets, on a kernel that has all it needs: Debian's, in QEMU.

    QEMU without KVM, virtual instruction clock
      small initramfs: kernel modules             loads them, as a machine's boot does
      disk 1: the lab image                       the machine's root, and the lab image
      disk 2: project, job                        what the guest program reads and writes
        NativeLab().start(...)                    as root, then as an ordinary user

Skipped where QEMU is not installed (package qemu-system-x86).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from testbed.lab import host, image
from testbed.lab.base import PROJECT
from testbed.lab.native import MODULES
from testbed.lab.sandbox import bubblewrap

pytestmark = [pytest.mark.lab, pytest.mark.slow]

KERNEL_PACKAGE = "linux-image-cloud-amd64"
BOOT_MODULES = ("virtio_pci", "virtio_blk", "ext4", *MODULES)

INITRAMFS = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
while read -r module; do /bin/busybox insmod "/modules/$module"; done </modules/order
until [ -e /dev/vdb ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount -t ext4 /dev/vdb /root/mnt
exec /bin/busybox switch_root /root /bin/sh /mnt/machine
"""

MACHINE = """
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mount -t tmpfs run /run; mount -t tmpfs tmp /tmp; mkdir -p /dev/shm
export PATH=/usr/sbin:/usr/bin:/sbin:/bin XDG_CACHE_HOME=/cache LANG=C.UTF-8 HOME=/tmp
export PYTHONPATH=/opt/lab
mkdir -p /cache/slicing-testbed/image-{key}
mount --bind / /cache/slicing-testbed/image-{key}
cd /mnt/project
state() {{ cat /proc/mounts; ip link; ls /run /tmp /etc /proc | grep -v '^[0-9]'; }}
state >/mnt/before
chown 1000:1000 /mnt/user
python3 -m tests.lab.native_caller /mnt/root >/mnt/root/caller 2>&1
setpriv --reuid=1000 --regid=1000 --clear-groups \\
  python3 -m tests.lab.native_caller /mnt/user >/mnt/user.caller 2>&1
state >/mnt/after
ps -ef >/mnt/processes
sync -f /mnt; busybox poweroff -f
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder the machine left behind."""
    programs = ("qemu-system-x86_64", "mke2fs", "debugfs", "depmod", "dpkg-deb", "apt-get")
    absent = [name for name in programs if host.program(name) is None]
    if absent:
        pytest.skip(f"optional: needs {', '.join(absent)}")
    folder = tmp_path_factory.mktemp("qemu")
    kernel = _kernel(folder)
    _initramfs(folder, kernel.name.removeprefix("vmlinuz-"))
    _disk(folder / "image.ext4", image.existing().root, "900M")
    _disk(folder / "work.ext4", _work(folder / "work"), "200M")
    command = [
        *("qemu-system-x86_64", "-accel", "tcg,thread=single", "-icount", "shift=1,sleep=off")
    ]
    command += ["-m", "1G", "-display", "none", "-no-reboot", "-kernel", str(kernel)]
    command += ["-initrd", str(folder / "initrd"), "-serial", f"file:{folder / 'console'}"]
    command += ["-append", "console=ttyS0 quiet panic=-1", "-nic", "none"]
    for name, extra in (("image", ",snapshot=on"), ("work", "")):
        command += ["-drive", f"file={folder / name}.ext4,format=raw,if=virtio{extra}"]
    try:
        subprocess.run(command, check=True, timeout=300)
    except subprocess.TimeoutExpired:
        pytest.fail("the machine did not end:\n" + (folder / "console").read_text()[-3000:])
    left = folder / "left"
    left.mkdir()
    _output("debugfs", "-R", f"rdump / {left}", str(folder / "work.ext4"))
    return left


def test_guest_forwards_packets(machine: Path) -> None:
    for user in ("root", "user"):
        job = machine / user
        said = (job / "console.log").read_text() if (job / "console.log").exists() else ""
        assert (job / "missing").read_text() == ""
        assert (job / "code").read_text() == "0", said
        assert json.loads((job / "describe.json").read_text())["lab"] == "native"
        ping = (job / "ping").read_text()
        assert "20 received" in ping
        # two links of 2 ms each way; the instruction clock keeps the host's load out of it
        least, mean = (float(part) for part in ping.split(" = ")[1].split("/")[:2])
        assert 4.0 <= least <= mean < 5.0, ping
        assert "lost:0" in (job / "datapath").read_text()


def test_machine_is_as_before(machine: Path) -> None:
    assert (machine / "after").read_text() == (machine / "before").read_text()
    for program in ("ovs", "native-init", "unshare"):
        assert program not in (machine / "processes").read_text()


def _kernel(folder: Path) -> Path:
    """Debian's kernel and its modules, unpacked under `folder`."""
    depends = _output("apt-cache", "depends", KERNEL_PACKAGE)
    name = next(line.split()[-1] for line in depends.splitlines() if "Depends:" in line)
    as_is = ("-o", "APT::Sandbox::User=root")  # the folder is not the apt user's
    subprocess.run(["apt-get", "download", "-qq", *as_is, name], cwd=folder, check=True)
    _output("dpkg-deb", "-x", str(next(folder.glob("*.deb"))), str(folder))
    return next((folder / "boot").glob("vmlinuz-*"))


def _initramfs(folder: Path, release: str) -> None:
    """Busybox and the modules, in the order they load."""
    _output(host.program("depmod") or "depmod", "-b", str(folder), release)
    tree = folder / "initramfs"
    for name in ("bin", "modules", "dev", "root"):
        (tree / name).mkdir(parents=True)
    order: dict[str, None] = {}
    for module in BOOT_MODULES:
        show = ("--show-depends", "-d", str(folder), "-S", release, module)
        for line in _output(host.program("modprobe") or "modprobe", *show).splitlines():
            if line.startswith("insmod"):
                order[line.split()[1]] = None
    for path in order:
        shutil.copy(path, tree / "modules")
    (tree / "modules/order").write_text("".join(f"{Path(path).name}\n" for path in order))
    root = image.existing().root
    shutil.copy(root / "usr/bin/busybox", tree / "bin")
    libraries = _output(*bubblewrap(root), "ldd", "/usr/bin/busybox")
    for word in (word for word in libraries.split() if word.startswith("/")):
        target = tree / word.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / word.lstrip("/"), target)
    (tree / "init").write_text(INITRAMFS)
    (tree / "init").chmod(0o755)
    pack = "cd /results/initramfs && find . | busybox cpio -o -H newc >/results/initrd"
    _output(*bubblewrap(root, write={folder: "/results"}), "sh", "-c", pack)


def _work(work: Path) -> Path:
    """What the second disk holds: the project, an empty job folder for each user, the script."""
    for name in ("testbed", "tests/lab"):
        shutil.copytree(PROJECT / name, work / "project" / name)
    for name in ("root", "user"):
        (work / name).mkdir()
    (work / "machine").write_text(MACHINE.format(key=image.key()))
    return work


def _disk(disk: Path, content: Path, size: str) -> None:
    _output(
        host.program("mke2fs") or "mke2fs", "-q", "-t", "ext4", "-d", str(content), str(disk), size
    )


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stderr}"
    return done.stdout

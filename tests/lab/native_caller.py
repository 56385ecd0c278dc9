"""Starts the native lab on a small real network; run by the machine of test_native_qemu.

    python3 -m tests.lab.native_caller JOB

JOB gets: missing, describe.json, code, and what the guest program writes.
Needs what the image has in /opt/lab.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from testbed.lab.native import NativeLab

GUEST = """
import subprocess
from pathlib import Path
from testbed.emulation.ovs import start_ovs

ovs = start_ovs(Path("/run/openvswitch"))
subprocess.run(["ovs-vsctl", "add-br", "s1"], check=True)
ovs.wait_ready()
subprocess.run(["sh", "-exc", Path("/project/tests/lab/native_network.sh").read_text()], check=True)
ovs.stop()
"""

if __name__ == "__main__":
    job, lab = Path(sys.argv[1]), NativeLab()
    (job / "missing").write_text("\n".join(map(str, lab.missing())))
    (job / "describe.json").write_text(json.dumps(lab.describe()))
    code = lab.start(job, ["python3", "-c", GUEST]).wait()
    (job / "code").write_text(str(code))

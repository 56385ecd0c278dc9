"""Where a plan runs: labs, and the image two of them boot.

    base.py       the seam: Lab, Missing
    choice.py     which lab a run gets, and why not the preferred one
    uml.py        a User-Mode Linux kernel on the lab image, confined by bubblewrap
    virtual.py    the lab kernel in virtual time                   (ordinary user)
    wall.py       Debian's own UML kernel, wall-clock time         (ordinary user)
    native.py     this machine's kernel, private namespaces        (root)
    image.py      the lab image: a Debian root folder, built once and cached
    kernel.py     the lab kernel of virtual time, likewise
    cache.py      what is built once, by one builder at a time
    checksums.py  whether it is whole
    unprivileged.py  a lab that root starts is an ordinary user's all the same
    keys.py       no kernel key of the caller is a lab's
    sandbox.py    bubblewrap argument lists
    process.py    starting a lab so that it cannot outlive its caller
    host.py       what this machine offers: programs, namespaces, modules
    guest-init    process 1 of a UML guest
    native-init   its counterpart in native
    doctor.py     what this machine has and lacks, with remedies

A lab only decides which kernel runs the guest program. The program sees the same
in all of them: the project read-only on PYTHONPATH, the job folder at /results,
root in an empty network namespace, and nothing else of the host.
"""

from testbed.lab.base import Lab, Missing
from testbed.lab.choice import LABS, Choice, choose

__all__ = ["LABS", "Choice", "Lab", "Missing", "choose"]

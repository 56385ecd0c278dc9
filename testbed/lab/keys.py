"""The caller's kernel keys (keyrings(7)), which no namespace keeps from a lab's processes.

A process has its parent's session keyring, under whatever user id it goes on, and one of the
same user may link that user's keyring into its own. In a lab that is a kernel of its own only
what breaks out could do so; the native lab's programs have the calls that do it refused.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable

_KEYCTL, _JOIN_SESSION_KEYRING = 250, 1
_ADD_KEY, _REQUEST_KEY = 248, 249
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4
_X86_64, _X32 = 0xC000003E, 0x40000000
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.ENOSYS
_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _filter() -> bytes:
    """A seccomp(2) filter: the calls for keys, and those of other instruction sets, are none."""
    steps = [(_LOAD, _ARCHITECTURE_AT, 0, 0), (_EQUAL, _X86_64, 1, 0), (_RETURN, _REFUSE, 0, 0)]
    tests = [(_AT_LEAST, _X32), *((_EQUAL, call) for call in (_ADD_KEY, _REQUEST_KEY, _KEYCTL))]
    steps.append((_LOAD, _NUMBER_AT, 0, 0))
    steps += [(code, k, len(tests) - n, 0) for n, (code, k) in enumerate(tests)]
    steps += [(_RETURN, _ALLOW, 0, 0), (_RETURN, _REFUSE, 0, 0)]
    return b"".join(struct.pack("=HBBI", code, yes, no, k) for code, k, yes, no in steps)


def without(*, refused: bool) -> Callable[[], None]:
    """A `preexec_fn` for a child that shall have no key of its parent's.

    `refused`: nor any call for keys, nor more privileges by a program's file; for good, and for
    all below it. Raises OSError there if the kernel cannot refuse.
    """
    text = _filter()
    program = _Program(len(text) // 8, text)

    def leave() -> None:
        _libc.syscall(_KEYCTL, _JOIN_SESSION_KEYRING, None)  # without keyrings there is no key
        if refused and (
            _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            or _libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0)
        ):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "seccomp")

    return leave

"""Which instances of a model are computing; they are processes that know nothing of each other."""

import fcntl
import os
import struct
import zlib


class BusyFlag:
    """Tells the instances of a model, which are processes, whether another one is computing.

    A byte of a record lock per instance, on this file, which every instance has at hand. The
    kernel drops the lock of a process that dies: no flag is ever left standing, nothing to clean.
    The locks are read locks, which need no right to write; Linux answers F_GETLK all the same.
    """

    # struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid.
    _FORMAT = "hhqqi4x"

    def __init__(self, args, groups):
        group, _, index = args["model_instance_name"].rpartition("_")
        names = [one.name for one in groups]
        # After an update in place Triton still hands over the groups of before.
        place = names.index(group) if group in names else 0
        before = sum(one.count for one in groups[:place])
        key = f"{os.getppid()}/{args['model_name']}/{args['model_version']}"
        first = zlib.crc32(key.encode()) * 4096
        own = first + before + int(index)
        self._file = os.open(__file__, os.O_RDONLY)
        self._take = self._record(fcntl.F_RDLCK, own, 1)
        self._drop = self._record(fcntl.F_UNLCK, own, 1)
        self._ask = self._record(fcntl.F_WRLCK, first, sum(one.count for one in groups))

    def _record(self, kind, start, length):
        return struct.pack(self._FORMAT, kind, os.SEEK_SET, start, length, 0)

    def __enter__(self):
        fcntl.fcntl(self._file, fcntl.F_SETLK, self._take)

    def __exit__(self, *_):
        fcntl.fcntl(self._file, fcntl.F_SETLK, self._drop)

    def others_are(self):
        """True if another instance of this model is computing now."""
        found = fcntl.fcntl(self._file, fcntl.F_GETLK, self._ask)
        return struct.unpack(self._FORMAT, found)[0] != fcntl.F_UNLCK

    def close(self):
        os.close(self._file)

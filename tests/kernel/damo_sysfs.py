"""Run by tests in a process of its own: damo's own sysfs code on a tree of plain files.

    python damo_sysfs.py DIRECTORY_OF_THE_DAMO_PACKAGE ROOT stage < KDAMONDS.json     writes as damo would
    python damo_sysfs.py DIRECTORY_OF_THE_DAMO_PACKAGE ROOT copy      writes what it has read below ROOT to ROOT/copy

Nothing is opened for writing outside of ROOT.
"""

import builtins
import os
import sys

package, root, command = sys.argv[1:]
root = os.path.realpath(root)
really_open = builtins.open


def guarded_open(file, mode="r", *args, **kwargs):
    if set(mode) & set("wax+") and not os.path.realpath(file).startswith(root + "/"):
        raise PermissionError(f"{file} is outside of {root}")
    return really_open(file, mode, *args, **kwargs)


builtins.open = guarded_open
sys.path.insert(0, package)
import _damon_sysfs  # noqa: E402

_damon_sysfs.sysfs_root = root + "/sys"
import _damon_args  # noqa: E402

if command == "stage":
    kdamonds, error = _damon_args.kdamonds_from_json_arg(sys.stdin.read())
else:
    kdamonds, error = _damon_sysfs.current_kdamonds(), None
    _damon_sysfs.sysfs_root = root + "/copy/sys"
error = error or _damon_sysfs.stage_kdamonds(kdamonds)
if error:
    sys.exit(repr(error))

"""The loops of `damoos touch`, compiled to machine code: what masim does in C, without a compiler on the machine.

LLVM (which numba brings) compiles them once, in the process that also reads the workload; the code goes to a small
process that loads neither. A process with numba in it would keep 100 MiB of its own, idle memory that any scheme could
save, next to the workload's.

Each loop has the C signature `uint64 loop(uint64 address, uint64 bytes, uint64 state, uint64 stride, uint64 n)`, makes
n > 0 accesses of one byte and returns the new state: of sequential loops the offset of the last access, of random ones
the generator (xorshift64, Marsaglia 2003; not 0). A sequential loop adds the stride first and returns to 0 at the end,
as masim does. `fill` writes n 8-byte words, half of each page random and half one byte, so that zram halves it.
Accesses are volatile: LLVM removes and merges none of them.
"""

from __future__ import annotations

import llvmlite.binding as llvm

from damoos.errors import BackendError

from .masim import RW_MODES

_LOOP = """
define i64 @loop(i64 %memory, i64 %bytes, i64 %state0, i64 %stride, i64 %n) nounwind {{
entry:
  br label %loop
loop:
  %state = phi i64 [ %state0, %entry ], [ %next, %loop ]
  %left = phi i64 [ %n, %entry ], [ %less, %loop ]
  {step}
  %address = add i64 %memory, %offset
  %place = inttoptr i64 %address to {pointer}{width}{star}
  {access}
  %less = sub i64 %left, 1
  %end = icmp eq i64 %less, 0
  br i1 %end, label %done, label %loop
done:
  ret i64 %next
}}
"""

_SEQUENTIAL = """
  %sum = add i64 %state, %stride
  %over = icmp uge i64 %sum, %bytes
  %next = select i1 %over, i64 0, i64 %sum
  %offset = add i64 %next, 0
"""

_XORSHIFT = """
  %a = shl i64 %state, 13
  %b = xor i64 %state, %a
  %c = lshr i64 %b, 7
  %d = xor i64 %b, %c
  %e = shl i64 %d, 17
  %next = xor i64 %d, %e
"""

# the high half of the product is uniform in 0..bytes-1
_RANDOM = f"""{_XORSHIFT}
  %wide = zext i64 %next to i128
  %size = zext i64 %bytes to i128
  %product = mul i128 %wide, %size
  %high = lshr i128 %product, 64
  %offset = trunc i128 %high to i64
"""

_READ = "%seen = load volatile i8, {pointer_i8} %place"
_WRITE = "%byte = trunc i64 %left to i8\n  store volatile i8 %byte, {pointer_i8} %place"
_READ_WRITE = f"{_READ}\n  %byte = add i8 %seen, 1\n  store volatile i8 %byte, {{pointer_i8}} %place"
_ACCESS = dict(zip(RW_MODES, (_READ, _WRITE, _READ_WRITE), strict=True))

_FILL_STEP = f"""{_XORSHIFT}
  %index = sub i64 %n, %left
  %offset = shl i64 %index, 3
"""
_FILL_ACCESS = """
  %in_page = and i64 %index, 511
  %random = icmp ult i64 %in_page, 256
  %page = lshr i64 %index, 9
  %low = and i64 %page, 255
  %same = mul i64 %low, 72340172838076673
  %word = select i1 %random, i64 %next, i64 %same
  store volatile i64 %word, {pointer_i64} %place
"""


def compile_loops() -> dict[str, bytes]:
    """Position-independent machine code of each loop for this machine's architecture, without special instructions.

    Keys: "fill", and "sequential MODE" and "random MODE" for each of masim's modes. Raises BackendError.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # "generic" so that the code also runs in a virtual machine whose processor can do less than this one
    machine = llvm.Target.from_default_triple().create_target_machine(cpu="generic", opt=2, reloc="pic")
    loops = {"fill": _text(machine, _FILL_STEP, _FILL_ACCESS, "i64")}
    for mode, access in _ACCESS.items():
        loops[f"sequential {mode}"] = _text(machine, _SEQUENTIAL, access, "i8")
        loops[f"random {mode}"] = _text(machine, _RANDOM, access, "i8")
    return loops


def _text(machine: llvm.TargetMachine, step: str, access: str, width: str) -> bytes:
    typed = llvm.llvm_version_info[0] < 17  # pointers know what they point to in LLVM's older language
    pointers = {f"pointer_{name}": f"{name}*" if typed else "ptr" for name in ("i8", "i64")}
    form = {"pointer": "", "width": width, "star": "*"} if typed else {"pointer": "ptr", "width": "", "star": ""}
    module = llvm.parse_assembly(_LOOP.format(step=step, access=access.format(**pointers), **form))
    module.verify()
    compiled = llvm.ObjectFileRef.from_data(machine.emit_object(module))
    code, relocated = [], False
    for section in compiled.sections():  # one cursor that moves on: read before the next step
        relocated |= (section.name() or b"").startswith((b".rela.text", b".rel.text"))
        if section.is_text() and section.size():
            code.append(bytes(section.data()))
    if relocated or len(code) != 1:
        raise BackendError(f"LLVM's code for {machine.triple} can't stand alone")
    return code[0]

// Constants of the notes in FreeBSD, NetBSD and OpenBSD cores: offsets in bytes.
//
// Sources: FreeBSD 6 to 15, sys/sys/{procfs,elf_common,ptrace,user}.h and sys/kern/imgact_elf.c;
// NetBSD 5 to 10, sys/sys/{exec_elf,ptrace}.h and sys/kern/core_elf32.c; OpenBSD 7,
// sys/sys/exec_elf.h and sys/kern/exec_elf.c.
#pragma once

#include <cstddef>
#include <cstdint>

namespace residue::elf::bsd {

// The auxiliary vectors: what means the same as on Linux ends here.
inline constexpr uint64_t kLastCommonAux = 9;
inline constexpr uint64_t kFreeBsdExecpath = 15, kNetBsdExecname = 2014;

// FreeBSD's note types, all with the name "FreeBSD".
inline constexpr uint32_t kPrstatus = 1, kFpregset = 2, kPrpsinfo = 3, kThrmisc = 7;
inline constexpr uint32_t kProcstatProc = 8, kProcstatVmmap = 10, kProcstatAuxv = 16;
inline constexpr uint32_t kPtlwpinfo = 17, kX86Segbases = 0x200, kX86Xstate = 0x202;
inline constexpr uint32_t kArmTls = 0x401;

// struct prstatus: version int, three size_t, release date, signal and thread as ints, registers.
struct FreeBsdPrstatus {
  size_t register_size, signal, thread, registers;
};
inline constexpr FreeBsdPrstatus kPrstatus64 = {16, 36, 40, 48}, kPrstatus32 = {8, 20, 24, 28};

// struct prpsinfo: version, its size, 17 bytes of name, 81 of arguments, and since version 1a the
// process id.
struct FreeBsdPrpsinfo {
  size_t name, arguments, pid;
};
inline constexpr FreeBsdPrpsinfo kPrpsinfo64 = {16, 33, 116}, kPrpsinfo32 = {8, 25, 108};
inline constexpr size_t kFreeBsdName = 17, kFreeBsdArguments = 81, kThreadName = 20;

// struct kinfo_proc: ki_pid. Every "procstat" note begins with an int, the size of its records.
inline constexpr size_t kProcPid64 = 72, kProcPid32 = 40;

// struct kinfo_vmentry, the same on all machines; records are cut behind the path's end.
inline constexpr size_t kVmStart = 8, kVmEnd = 16, kVmOffset = 24, kVmPath = 136;

// struct ptrace_lwpinfo behind the int with its size: pl_flags, pl_siginfo.
inline constexpr size_t kLwpFlags = 4 + 8, kLwpSiginfo64 = 4 + 48, kLwpSiginfo32 = 4 + 44;
inline constexpr uint32_t kLwpHasSiginfo = 0x20;  // PL_FLAG_SI
// siginfo_t: si_signo, si_errno, si_code, three ints, si_addr.
inline constexpr size_t kSiginfoCode = 8, kSiginfoAddress = 24;

// NetBSD: "NetBSD-CORE" for the process, "NetBSD-CORE@ID" for a thread.
inline constexpr uint32_t kNetBsdProcinfo = 1, kNetBsdAuxv = 2, kNetBsdLwpstatus = 24;
// Types from here on are ptrace requests of the machine: PT_GETREGS and PT_GETFPREGS are the second
// and the fourth of them, on AArch64 the first and the third.
inline constexpr uint32_t kNetBsdMachine = 32;
// struct netbsd_elfcore_procinfo; the thread came with version 2 of its members.
inline constexpr size_t kNetBsdSignal = 8, kNetBsdCode = 12, kNetBsdPid = 80, kNetBsdName = 124;
inline constexpr size_t kNetBsdNameSize = 32, kNetBsdSignalThread = 156;
// struct ptrace_lwpstatus: id, two signal sets, 20 bytes of name, the thread pointer.
inline constexpr size_t kNetBsdThreadName = 36, kNetBsdPrivate = 56;

// OpenBSD: "OpenBSD" for the process, "OpenBSD@ID" for a thread.
inline constexpr uint32_t kOpenBsdProcinfo = 10, kOpenBsdAuxv = 11, kOpenBsdRegs = 20;
inline constexpr uint32_t kOpenBsdFpregs = 21;
// struct elfcore_procinfo
inline constexpr size_t kOpenBsdSignal = 8, kOpenBsdCode = 12, kOpenBsdPid = 32, kOpenBsdName = 72;
inline constexpr size_t kOpenBsdNameSize = 32;

}  // namespace residue::elf::bsd

// Notes of FreeBSD, NetBSD and OpenBSD cores, for AbiCore: from FreeBSD's <sys/procfs.h>,
// <sys/ptrace.h> and <sys/user.h>, NetBSD's <sys/exec_elf.h> and <sys/ptrace.h>, and OpenBSD's
// <sys/exec_elf.h>.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/abi_core.h"

namespace residue::testing {

// struct prstatus. The registers are `registers`.
inline std::vector<std::byte> freebsd_prstatus(const Abi& abi, uint32_t thread, uint32_t signal,
                                               const std::vector<std::byte>& registers) {
  AbiBytes out(abi);
  out.u32(1).pad_to(abi.word()).word(0).word(registers.size()).word(512);
  out.u32(1300000).u32(signal).u32(thread).pad_to(abi.is_64 ? 48 : 28);
  return out.bytes(registers).data();
}

// struct prpsinfo with the process id of version 1a; without it if that is 0.
inline std::vector<std::byte> freebsd_prpsinfo(const Abi& abi, uint32_t pid,
                                               const std::string& name,
                                               const std::string& arguments) {
  AbiBytes out(abi);
  out.u32(1).pad_to(abi.word()).word(0).text(name, 17).text(arguments, 81);
  if (pid != 0) out.pad_to((out.size() + 3) / 4 * 4).u32(pid);
  return out.data();
}

// An int and one kinfo_vmentry, cut behind its path as the kernel does.
inline void put_freebsd_mapping(AbiBytes* out, uint64_t start, uint64_t end, uint64_t offset,
                                const std::string& path) {
  const size_t begin = out->size();
  const size_t size = (136 + path.size() + 1 + 7) / 8 * 8;
  out->u32(size).u32(path.empty() ? 1 : 2).u64(start).u64(end).u64(offset);
  out->pad_to(begin + 136).text(path, path.size()).pad_to(begin + size);
}

// An int with the size, then struct ptrace_lwpinfo with a siginfo_t if `flags` say so (0x20).
inline std::vector<std::byte> freebsd_lwpinfo(const Abi& abi, uint32_t flags, uint32_t signal,
                                              uint32_t code, uint64_t address) {
  AbiBytes out(abi);
  out.u32(abi.is_64 ? 160 : 128).u32(100).u32(0).u32(flags);
  out.pad_to(4 + (abi.is_64 ? 48 : 44)).u32(signal).u32(0).u32(code).u32(0).u32(0).u32(0);
  return out.word(address).pad_to(4 + (abi.is_64 ? 160 : 128)).data();
}

// struct netbsd_elfcore_procinfo; version 1 ends before the thread.
inline std::vector<std::byte> netbsd_procinfo(const Abi& abi, uint32_t signal, uint32_t code,
                                              uint32_t pid, const std::string& name,
                                              uint32_t thread, bool has_thread = true) {
  AbiBytes out(abi);
  out.u32(has_thread ? 2 : 1).u32(160).u32(signal).u32(code).pad_to(80).u32(pid);
  out.pad_to(124).text(name, 32);
  if (has_thread) out.u32(thread);
  return out.data();
}

// struct elfcore_procinfo of OpenBSD.
inline std::vector<std::byte> openbsd_procinfo(const Abi& abi, uint32_t signal, uint32_t pid,
                                               const std::string& name) {
  AbiBytes out(abi);
  out.u32(1).u32(104).u32(signal).u32(1).pad_to(32).u32(pid).pad_to(72).text(name, 32);
  return out.data();
}

// `count` words from `first` on.
inline std::vector<std::byte> counted_words(const Abi& abi, size_t count, uint64_t first) {
  AbiBytes out(abi);
  for (size_t i = 0; i < count; ++i) out.word(first + i);
  return out.data();
}

}  // namespace residue::testing

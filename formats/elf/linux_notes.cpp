// Notes of Linux cores. The structs are those of include/uapi/linux/elfcore.h and, for 32-bit
// processes of 64-bit kernels, fs/compat_binfmt_elf.c (2.6.32 to 6.18). Their members are C's own
// types, so that everything follows from the width of a long, the size of the registers and, for
// prpsinfo, the width of a uid.
#include <algorithm>
#include <array>

#include "formats/base/text.h"
#include "formats/elf/elf_layout.h"
#include "formats/elf/note_readers.h"
#include "formats/elf/signals.h"

namespace residue::elf {
namespace {

// elf_prstatus: three ints of siginfo, the signal, two longs, four pids, four pairs of longs, the
// registers, an int.
struct PrstatusLayout {
  size_t cursig, pid, registers, size;
};

PrstatusLayout prstatus_layout(const Machine& machine, const RegisterLayout& registers) {
  const bool wide = machine.word == 8;
  PrstatusLayout layout{12, wide ? size_t{32} : 24, wide ? size_t{112} : 72, 0};
  const size_t alignment = machine.register_width;
  layout.size = (layout.registers + registers.size + 4 + alignment - 1) / alignment * alignment;
  return layout;
}

// elf_prpsinfo: a long of flags behind four chars, uid and gid, four pids, the two names.
struct PrpsinfoLayout {
  size_t pid, name, size;
};
constexpr PrpsinfoLayout kPrpsinfo64 = {24, 40, 136};
constexpr PrpsinfoLayout kPrpsinfo32 = {16, 32, 128};       // ppc, mips, riscv32
constexpr PrpsinfoLayout kPrpsinfo32Uid16 = {12, 28, 124};  // x86, arm, x32
constexpr size_t kNameSize = 16, kArgumentsSize = 80;

// struct user_desc of arch/x86/include/uapi/asm/ldt.h: entry_number, base_addr, limit, flags.
constexpr size_t kUserDescSize = 16;

// A signature covers no address bits: the smallest user space of AArch64 has 36.
constexpr uint64_t kAddressBits = (uint64_t{1} << 36) - 1;

SignalSystem signals_of(const Machine& machine) {
  return machine.is_mips() ? SignalSystem::kLinuxMips : SignalSystem::kLinux;
}

class LinuxNote {
 public:
  LinuxNote(const NoteTarget& target, const Note& note)
      : target_(target),
        notes_(*target.notes),
        note_(note),
        cursor_(note.descriptor, target.machine.order, note.offset) {}

  Result<void> read() { return note_.name == "CORE" ? read_core() : read_machine_specific(); }

 private:
  Result<void> read_core() {
    switch (note_.type) {
      case kNotePrstatus:
        return prstatus();
      case kNotePrpsinfo:
        return prpsinfo();
      case kNoteSiginfo:
        return siginfo();
      case kNoteAuxv:
        return for_each_aux(cursor_, target_.machine.word,
                            [&](uint64_t type, uint64_t value) { notes_.auxv[type] = value; });
      case kNoteFile:
        return files();
      case kNoteFpregset:
        // The legacy x87/SSE area on x86; XSAVE, when it follows, holds it too.
        if (Thread* thread = target_.thread(); thread && thread->extended_state.empty()) {
          thread->extended_state = note_.descriptor;
        }
        return {};
      default:
        return {};
    }
  }

  Result<void> read_machine_specific() {
    Thread* thread = target_.thread();
    if (thread == nullptr) return {};
    switch (note_.type) {
      case kNotePrxfpreg:   // 32-bit x86: the SSE area, before XSAVE in the file
      case kNoteX86Xstate:  // holds what the others do
        thread->extended_state = note_.descriptor;
        return {};
      case kNote386Tls:
        return x86_tls(thread);
      case kNoteArmTls: {
        RESIDUE_ASSIGN(thread->thread_pointer, cursor_.read_word(target_.machine.word));
        return {};
      }
      case kNoteArmPacMask:
        return pac_mask();
      default:
        return {};
    }
  }

  Result<void> prstatus() {
    Machine machine = target_.machine;
    const RegisterLayout* registers = linux_registers(machine);
    if (registers == nullptr) return {};
    PrstatusLayout layout = prstatus_layout(machine, *registers);
    if (machine.architecture == Architecture::kMips && note_.descriptor.size() != layout.size) {
      // o32 and n32 differ by a flag of the header and by this size.
      Machine other = machine;
      other.register_width = machine.register_width == 4 ? 8 : 4;
      const PrstatusLayout wanted = prstatus_layout(other, *linux_registers(other));
      if (note_.descriptor.size() == wanted.size) {
        registers = linux_registers(other);
        layout = wanted;
        warn_of_size("another ABI of the machine is taken");
      }
    }
    // gdb's cores of LoongArch end where the registers do (binutils 2.37 to 2.42).
    const size_t registers_end = layout.registers + registers->size;
    if (machine.architecture == Architecture::kLoongArch64 &&
        note_.descriptor.size() == registers_end) {
      layout.size = registers_end;
    }
    if (note_.descriptor.size() < layout.size) return note_too_short(note_, layout.size);
    if (note_.descriptor.size() > layout.size) {
      warn_of_size(std::to_string(layout.size) + " were expected; the rest is left alone");
    }
    Thread thread;
    RESIDUE_TRY(cursor_.seek(layout.cursig));
    RESIDUE_ASSIGN(thread.signal, cursor_.read<uint16_t>());
    RESIDUE_TRY(cursor_.seek(layout.pid));
    RESIDUE_ASSIGN(thread.tid, cursor_.read<uint32_t>());
    fill_registers(note_.descriptor.subspan(layout.registers), *registers, machine.order, &thread);
    const SignalSystem system = signals_of(machine);
    // The kernel writes the signal that ended the process into every thread's status, and the
    // thread that got it first.
    const bool first = notes_.threads.empty();
    if (thread.signal != 0 && first) thread.reason = signal_name(system, thread.signal);
    thread.crashed = first && is_crash(system, thread.signal);
    notes_.threads.push_back(std::move(thread));
    return {};
  }

  Result<void> prpsinfo() {
    PrpsinfoLayout layout = target_.machine.word == 8 ? kPrpsinfo64 : kPrpsinfo32;
    const size_t size = note_.descriptor.size();
    if (target_.machine.word == 4 && size < kPrpsinfo32.size) layout = kPrpsinfo32Uid16;
    if (size < layout.size) return note_too_short(note_, layout.size);
    if (size > layout.size) {
      warn_of_size(std::to_string(layout.size) + " were expected; the rest is left alone");
    }
    RESIDUE_TRY(cursor_.seek(layout.pid));
    RESIDUE_ASSIGN(notes_.pid, cursor_.read<uint32_t>());
    RESIDUE_TRY(cursor_.seek(layout.name));
    RESIDUE_ASSIGN(const auto name, cursor_.take(kNameSize));
    RESIDUE_ASSIGN(const auto arguments, cursor_.take(kArgumentsSize));
    notes_.name = text_field(name);
    notes_.command_line = text_field(arguments);
    return {};
  }

  // The kernel writes one, for the signal that made the dump; gdb one for each thread. siginfo_t is
  // si_signo, si_errno, si_code (MIPS: code before errno), then a union that begins where a pointer
  // may and in which a fault's address comes first.
  Result<void> siginfo() {
    Thread* thread = target_.thread();
    if (thread == nullptr) return {};
    RESIDUE_ASSIGN(const uint32_t signal, cursor_.read<uint32_t>());
    RESIDUE_TRY(cursor_.seek(target_.machine.is_mips() ? 4 : 8));
    RESIDUE_ASSIGN(const uint32_t raw_code, cursor_.read<uint32_t>());
    RESIDUE_TRY(cursor_.seek(target_.machine.word == 8 ? 16 : 12));
    RESIDUE_ASSIGN(const uint64_t address, cursor_.read_word(target_.machine.word));
    const auto code = static_cast<int32_t>(raw_code);
    if (signal == 0) return {};
    const SignalSystem system = signals_of(target_.machine);
    thread->signal = signal;
    thread->reason = signal_reason(system, signal, code);
    if (has_fault_address(system, signal, code)) thread->fault_address = Address(address);
    return {};
  }

  // NT_FILE (kernel 3.7 on, gdb): count, page size, count x {start, end, offset in pages}, paths.
  // A mapping that cannot be, or that has no path because the note ends before, is left out.
  Result<void> files() {
    const unsigned word = target_.machine.word;
    RESIDUE_ASSIGN(const uint64_t announced, cursor_.read_word(word));
    RESIDUE_ASSIGN(const uint64_t page_size, cursor_.read_word(word));
    RESIDUE_ASSIGN(const size_t count, cursor_.count(announced, size_t{3} * word));
    std::vector<MappedFileEntry> entries(count);
    for (MappedFileEntry& entry : entries) {
      RESIDUE_ASSIGN(const uint64_t start, cursor_.read_word(word));
      RESIDUE_ASSIGN(const uint64_t end, cursor_.read_word(word));
      RESIDUE_ASSIGN(const uint64_t pages, cursor_.read_word(word));
      entry.range = {Address(start), ByteCount(end - std::min(start, end))};
      entry.file_offset = pages * page_size;
    }
    Result<void> result;
    for (MappedFileEntry& entry : entries) {
      auto path = cursor_.c_string();
      if (!path) return std::move(path).error();
      if (entry.range.size.value() == 0) {
        result = Error{ErrorCode::kCorrupt, "a mapping ends before it begins", cursor_.offset()};
        continue;
      }
      entry.path = std::string(*path);
      notes_.files.push_back(std::move(entry));
    }
    return result;
  }

  // The descriptors of the thread's three TLS segments; %gs selects the one that is in use.
  Result<void> x86_tls(Thread* thread) {
    if (target_.machine.architecture != Architecture::kX86) return {};
    const uint64_t selected = register_value(*thread, "gs") >> 3;
    while (cursor_.remaining() >= kUserDescSize) {
      RESIDUE_ASSIGN(const uint32_t entry, cursor_.read<uint32_t>());
      RESIDUE_ASSIGN(const uint32_t base, cursor_.read<uint32_t>());
      RESIDUE_TRY(cursor_.skip(8));
      if (selected != 0 && entry == selected) thread->thread_pointer = base;
    }
    return {};
  }

  // struct user_pac_mask of arch/arm64/include/uapi/asm/ptrace.h: data_mask, insn_mask.
  Result<void> pac_mask() {
    RESIDUE_TRY(cursor_.skip(8));
    RESIDUE_ASSIGN(const uint64_t mask, cursor_.read<uint64_t>());
    if ((mask & kAddressBits) != 0) {
      return Error{ErrorCode::kCorrupt, "a mask of pointer signatures that covers addresses",
                   note_.offset};
    }
    notes_.code_signature_mask = mask;
    return {};
  }

  void warn_of_size(const std::string& what) {
    target_.diagnostics->add(Severity::kWarning, kNoteStage,
                             "file offset " + hex(note_.offset.value()), note_.descriptor.size(),
                             "note of type " + hex(note_.type) + " has " +
                                 std::to_string(note_.descriptor.size()) + " bytes: " + what);
  }

  const NoteTarget& target_;
  CoreNotes& notes_;
  const Note& note_;
  ByteCursor cursor_;
};

}  // namespace

Result<void> read_linux_note(const NoteTarget& target, const Note& note) {
  return LinuxNote(target, note).read();
}

}  // namespace residue::elf

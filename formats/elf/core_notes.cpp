#include "formats/elf/core_notes.h"

#include <algorithm>
#include <array>

#include "formats/base/text.h"
#include "formats/elf/elf_layout.h"

namespace residue::elf {
namespace {

constexpr const char* kStage = "elf-core";

// A fixed-size character field: up to the first NUL.
std::string text_field(std::span<const std::byte> field) {
  std::string text;
  for (const std::byte b : field) {
    if (b == std::byte{0}) break;
    text += static_cast<char>(b);
  }
  return text;
}

// Linux signal numbers of x86-64 (arch/x86/include/uapi/asm/signal.h).
std::string signal_name(uint32_t number) {
  static constexpr std::array<const char*, 32> kNames = {
      "0",         "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",
      "SIGFPE",    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM",
      "SIGSTKFLT", "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
      "SIGXCPU",   "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS"};
  return number < kNames.size() ? kNames[number] : "signal " + std::to_string(number);
}

constexpr uint32_t kSigill = 4, kSigtrap = 5, kSigbus = 7, kSigfpe = 8, kSigsegv = 11;

// Signals that do not end a process by default (signal(7)): what a debugger's stop leaves behind.
bool is_crash(uint32_t signal) {
  static constexpr std::array<uint32_t, 9> kHarmless = {0, 17, 18, 19, 20, 21, 22, 23, 28};
  return std::find(kHarmless.begin(), kHarmless.end(), signal) == kHarmless.end();
}

struct CodeName {
  uint32_t signal;  // 0: any
  int32_t code;
  const char* name;
};

// si_code of include/uapi/asm-generic/siginfo.h (6.18); a code <= 0 means that a process sent it.
constexpr CodeName kCodeNames[] = {{0, 0, "SI_USER"},
                                   {0, 0x80, "SI_KERNEL"},
                                   {0, -1, "SI_QUEUE"},
                                   {0, -2, "SI_TIMER"},
                                   {0, -3, "SI_MESGQ"},
                                   {0, -4, "SI_ASYNCIO"},
                                   {0, -5, "SI_SIGIO"},
                                   {0, -6, "SI_TKILL"},
                                   {kSigill, 1, "ILL_ILLOPC"},
                                   {kSigill, 2, "ILL_ILLOPN"},
                                   {kSigill, 3, "ILL_ILLADR"},
                                   {kSigill, 4, "ILL_ILLTRP"},
                                   {kSigill, 5, "ILL_PRVOPC"},
                                   {kSigill, 6, "ILL_PRVREG"},
                                   {kSigill, 7, "ILL_COPROC"},
                                   {kSigill, 8, "ILL_BADSTK"},
                                   {kSigfpe, 1, "FPE_INTDIV"},
                                   {kSigfpe, 2, "FPE_INTOVF"},
                                   {kSigfpe, 3, "FPE_FLTDIV"},
                                   {kSigfpe, 4, "FPE_FLTOVF"},
                                   {kSigfpe, 5, "FPE_FLTUND"},
                                   {kSigfpe, 6, "FPE_FLTRES"},
                                   {kSigfpe, 7, "FPE_FLTINV"},
                                   {kSigfpe, 8, "FPE_FLTSUB"},
                                   {kSigsegv, 1, "SEGV_MAPERR"},
                                   {kSigsegv, 2, "SEGV_ACCERR"},
                                   {kSigsegv, 3, "SEGV_BNDERR"},
                                   {kSigsegv, 4, "SEGV_PKUERR"},
                                   {kSigsegv, 8, "SEGV_MTEAERR"},
                                   {kSigsegv, 9, "SEGV_MTESERR"},
                                   {kSigsegv, 10, "SEGV_CPERR"},
                                   {kSigbus, 1, "BUS_ADRALN"},
                                   {kSigbus, 2, "BUS_ADRERR"},
                                   {kSigbus, 3, "BUS_OBJERR"},
                                   {kSigbus, 4, "BUS_MCEERR_AR"},
                                   {kSigbus, 5, "BUS_MCEERR_AO"},
                                   {kSigtrap, 1, "TRAP_BRKPT"},
                                   {kSigtrap, 2, "TRAP_TRACE"},
                                   {kSigtrap, 3, "TRAP_BRANCH"},
                                   {kSigtrap, 4, "TRAP_HWBKPT"},
                                   {kSigtrap, 5, "TRAP_UNK"},
                                   {kSigtrap, 6, "TRAP_PERF"}};

std::string code_name(uint32_t signal, int32_t code) {
  for (const CodeName& known : kCodeNames) {
    if ((known.signal == 0 || known.signal == signal) && known.code == code) return known.name;
  }
  return "code " + std::to_string(code);
}

bool has_fault_address(uint32_t signal, int32_t code) {
  const bool fault = signal == kSigsegv || signal == kSigbus || signal == kSigill ||
                     signal == kSigfpe || signal == kSigtrap;
  return fault && code > 0 && code != 0x80;
}

class NoteReader {
 public:
  NoteReader(const Header& header, CoreNotes* notes) : header_(header), notes_(notes) {}

  Result<void> read(const Note& note) {
    if (note.name == "LINUX" && note.type == kNoteX86Xstate) {
      if (!notes_->threads.empty()) notes_->threads.back().extended_state = note.descriptor;
      return {};
    }
    if (note.name.starts_with("FreeBSD")) notes_->os = "freebsd";
    if (note.name.starts_with("NetBSD-CORE")) notes_->os = "netbsd";
    if (note.name.starts_with("OpenBSD")) notes_->os = "openbsd";
    if (note.name != "CORE") return {};
    ByteCursor cursor(note.descriptor, header_.order, note.offset);
    switch (note.type) {
      case kNotePrstatus:
        return prstatus(note, cursor);
      case kNotePrpsinfo:
        return prpsinfo(note, cursor);
      case kNoteSiginfo:
        return siginfo(cursor);
      case kNoteAuxv:
        return auxv(cursor);
      case kNoteFile:
        return files(cursor);
      case kNoteFpregset:
        // The legacy x87/SSE area; XSAVE, when it follows, holds it too.
        if (!notes_->threads.empty() && notes_->threads.back().extended_state.empty()) {
          notes_->threads.back().extended_state = note.descriptor;
        }
        return {};
      default:
        return {};
    }
  }

 private:
  static Error too_short(const Note& note, size_t wanted) {
    return Error{ErrorCode::kTruncated,
                 "note of " + std::to_string(note.descriptor.size()) + " bytes, " +
                     std::to_string(wanted) + " expected",
                 note.offset};
  }

  Result<void> prstatus(const Note& note, ByteCursor& cursor) {
    if (note.descriptor.size() < kPrstatusSizeX86_64) return too_short(note, kPrstatusSizeX86_64);
    Thread thread;
    RESIDUE_TRY(cursor.seek(kPrstatusCursig));
    RESIDUE_ASSIGN(thread.signal, cursor.read<uint16_t>());
    RESIDUE_TRY(cursor.seek(kPrstatusPid));
    RESIDUE_ASSIGN(thread.tid, cursor.read<uint32_t>());
    RESIDUE_TRY(cursor.seek(kPrstatusRegisters));
    for (const char* name : kRegistersX86_64) {
      RESIDUE_ASSIGN(const uint64_t value, cursor.read<uint64_t>());
      thread.registers.push_back({name, value});
    }
    thread.pc = thread.registers[kRegisterRip].value;
    thread.sp = thread.registers[kRegisterRsp].value;
    thread.thread_pointer = thread.registers[kRegisterFsBase].value;
    // The kernel writes the signal that ended the process into every thread's status.
    if (thread.signal != 0 && notes_->threads.empty()) thread.reason = signal_name(thread.signal);
    // The kernel writes the thread that got the signal first.
    thread.crashed = notes_->threads.empty() && is_crash(thread.signal);
    notes_->threads.push_back(std::move(thread));
    return {};
  }

  Result<void> prpsinfo(const Note& note, ByteCursor& cursor) {
    if (note.descriptor.size() < kPrpsinfoSizeX86_64) return too_short(note, kPrpsinfoSizeX86_64);
    RESIDUE_TRY(cursor.seek(kPrpsinfoPid));
    RESIDUE_ASSIGN(notes_->pid, cursor.read<uint32_t>());
    RESIDUE_TRY(cursor.seek(kPrpsinfoName));
    RESIDUE_ASSIGN(const auto name, cursor.take(kPrpsinfoNameSize));
    RESIDUE_ASSIGN(const auto arguments, cursor.take(kPrpsinfoArgumentsSize));
    notes_->name = text_field(name);
    notes_->command_line = text_field(arguments);
    return {};
  }

  // The kernel writes one, for the signal that made the dump; gdb one for each thread.
  Result<void> siginfo(ByteCursor& cursor) {
    if (notes_->threads.empty()) return {};
    RESIDUE_ASSIGN(const uint32_t signal, cursor.read<uint32_t>());
    RESIDUE_TRY(cursor.seek(kSiginfoCode));
    RESIDUE_ASSIGN(const uint32_t raw_code, cursor.read<uint32_t>());
    RESIDUE_TRY(cursor.seek(kSiginfoAddress));
    RESIDUE_ASSIGN(const uint64_t address, cursor.read<uint64_t>());
    const auto code = static_cast<int32_t>(raw_code);
    Thread& thread = notes_->threads.back();
    if (signal == 0) return {};
    thread.signal = signal;
    thread.reason = signal_name(signal) + " / " + code_name(signal, code);
    if (has_fault_address(signal, code)) thread.fault_address = Address(address);
    return {};
  }

  Result<void> auxv(ByteCursor& cursor) {
    while (cursor.remaining() >= 16) {
      RESIDUE_ASSIGN(const uint64_t key, cursor.read<uint64_t>());
      RESIDUE_ASSIGN(const uint64_t value, cursor.read<uint64_t>());
      if (key == 0) break;
      notes_->auxv[key] = value;
    }
    return {};
  }

  // NT_FILE (kernel 3.7 on, gdb): count, page size, count x {start, end, offset in pages}, paths.
  // A mapping that cannot be, or that has no path because the note ends before, is left out.
  Result<void> files(ByteCursor& cursor) {
    RESIDUE_ASSIGN(const uint64_t announced, cursor.read<uint64_t>());
    RESIDUE_ASSIGN(const uint64_t page_size, cursor.read<uint64_t>());
    RESIDUE_ASSIGN(const size_t count, cursor.count(announced, 24));
    std::vector<MappedFileEntry> entries(count);
    for (MappedFileEntry& entry : entries) {
      RESIDUE_ASSIGN(const uint64_t start, cursor.read<uint64_t>());
      RESIDUE_ASSIGN(const uint64_t end, cursor.read<uint64_t>());
      RESIDUE_ASSIGN(const uint64_t pages, cursor.read<uint64_t>());
      entry.range = {Address(start), ByteCount(end - std::min(start, end))};
      entry.file_offset = pages * page_size;
    }
    Result<void> result;
    for (MappedFileEntry& entry : entries) {
      auto path = cursor.c_string();
      if (!path) return std::move(path).error();
      if (entry.range.size.value() == 0) {
        result = Error{ErrorCode::kCorrupt, "a mapping ends before it begins", cursor.offset()};
        continue;
      }
      entry.path = std::string(*path);
      notes_->files.push_back(std::move(entry));
    }
    return result;
  }

  const Header& header_;
  CoreNotes* notes_;
};

}  // namespace

void read_core_notes(std::span<const std::byte> bytes, const Header& header, FileOffset offset,
                     CoreNotes* notes, Diagnostics& diagnostics) {
  std::optional<Error> damage;
  NoteReader reader(header, notes);
  for (const Note& note : read_notes(bytes, header.order, offset, &damage)) {
    if (auto result = reader.read(note); !result) {
      diagnostics.add(Severity::kDamage, kStage, "file offset " + hex(note.offset.value()),
                      note.descriptor.size(),
                      "note of type " + hex(note.type) + ": " + result.error().message);
    }
  }
  if (damage) {
    diagnostics.add(Severity::kDamage, kStage,
                    "file offset " + hex(damage->offset.value_or(offset).value()), 0,
                    "the notes end in a damaged one: " + damage->message);
  }
}

}  // namespace residue::elf

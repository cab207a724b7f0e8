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

constexpr uint32_t kSigill = 4, kSigtrap = 5, kSigabrt = 6, kSigbus = 7, kSigfpe = 8, kSigsegv = 11,
                   kSigsys = 31, kSigquit = 3, kSigxcpu = 24, kSigxfsz = 25;

// Signals whose default action dumps core (signal(7)); a debugger's SIGSTOP is not one of them.
bool is_crash(uint32_t signal) {
  constexpr std::array<uint32_t, 10> kCore = {kSigquit, kSigill,  kSigtrap, kSigabrt, kSigbus,
                                              kSigfpe,  kSigsegv, kSigsys,  kSigxcpu, kSigxfsz};
  return std::find(kCore.begin(), kCore.end(), signal) != kCore.end();
}

// si_code names (include/uapi/asm-generic/siginfo.h); a code <= 0 means that a process sent it.
std::string code_name(uint32_t signal, int32_t code) {
  if (code == 0) return "SI_USER";
  if (code == -6) return "SI_TKILL";
  if (code == 0x80) return "SI_KERNEL";
  if (signal == kSigsegv && code == 1) return "SEGV_MAPERR";
  if (signal == kSigsegv && code == 2) return "SEGV_ACCERR";
  if (signal == kSigbus && code == 1) return "BUS_ADRALN";
  if (signal == kSigbus && code == 2) return "BUS_ADRERR";
  if (signal == kSigfpe && code == 1) return "FPE_INTDIV";
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
    if (is_crash(thread.signal)) thread.reason = signal_name(thread.signal);
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
    if (!is_crash(signal)) return {};
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
  Result<void> files(ByteCursor& cursor) {
    RESIDUE_ASSIGN(const uint64_t announced, cursor.read<uint64_t>());
    RESIDUE_ASSIGN(const uint64_t page_size, cursor.read<uint64_t>());
    RESIDUE_ASSIGN(const size_t count, cursor.count(announced, 24));
    std::vector<MappedFileEntry> entries(count);
    for (MappedFileEntry& entry : entries) {
      RESIDUE_ASSIGN(const uint64_t start, cursor.read<uint64_t>());
      RESIDUE_ASSIGN(const uint64_t end, cursor.read<uint64_t>());
      RESIDUE_ASSIGN(const uint64_t pages, cursor.read<uint64_t>());
      if (end < start) {
        return Error{ErrorCode::kCorrupt, "a mapping ends before it begins", cursor.offset()};
      }
      entry.range = {Address(start), ByteCount(end - start)};
      entry.file_offset = pages * page_size;
    }
    // A path is missing only if the note is damaged: what stands before it is still good.
    for (MappedFileEntry& entry : entries) {
      auto path = cursor.c_string();
      if (!path) {
        notes_->files = std::move(entries);
        return std::move(path).error();
      }
      entry.path = std::string(*path);
    }
    notes_->files = std::move(entries);
    return {};
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

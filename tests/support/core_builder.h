// CoreBuilder: synthetic ELF64 little-endian x86-64 Linux cores.
//
// Written from the specifications and from nothing else, so that a mistake of the reader's cannot
// hide in the builder: the ELF gABI (headers, notes, PN_XNUM), the x86-64 psABI (register numbers),
// and Linux's <asm/user_64.h>, <linux/elfcore.h> and <asm/siginfo.h> for the notes. It shares no
// constant with formats/elf.
//
// By default the file is well formed. What starts with lie_ makes it say something untrue; the rest
// of the file stays as it was, so that one lie is tested at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace residue::testing {

// struct user_regs_struct of <asm/user_64.h>, in its order.
struct CoreRegisters {
  uint64_t r15 = 0, r14 = 0, r13 = 0, r12 = 0, rbp = 0, rbx = 0, r11 = 0, r10 = 0, r9 = 0, r8 = 0;
  uint64_t rax = 0, rcx = 0, rdx = 0, rsi = 0, rdi = 0, orig_rax = ~uint64_t{0}, rip = 0, cs = 0x33;
  uint64_t eflags = 0x202, rsp = 0, ss = 0x2b, fs_base = 0, gs_base = 0, ds = 0, es = 0, fs = 0;
  uint64_t gs = 0;
};

// siginfo_t as NT_SIGINFO holds it: three ints, then a union that a fault fills with an address and
// kill() with the sender.
struct CoreSiginfo {
  int32_t signo = 0;
  int32_t code = 0;
  uint64_t address = 0;  // si_addr, or si_pid in the low and si_uid in the high half
};

// p_flags of the gABI.
inline constexpr uint32_t kExecutable = 1, kWritable = 2, kReadable = 4;

class CoreBuilder {
 public:
  // kKernel: as fs/binfmt_elf.c writes (signal's thread first, then PRPSINFO, SIGINFO, AUXV, FILE,
  // then the other threads). kGcore: as gdb's gcore writes (PRPSINFO, per thread PRSTATUS,
  // FPREGSET, XSTATE, SIGINFO, and AUXV and FILE last).
  enum class NoteOrder { kKernel, kGcore };

  CoreBuilder& note_order(NoteOrder order);
  // The first thread added is the first in the file: the one that crashed, in a kernel's core.
  CoreBuilder& add_thread(uint32_t tid, const CoreRegisters& registers);
  // These four belong to the thread added last.
  CoreBuilder& siginfo(const CoreSiginfo& info);
  CoreBuilder& cursig(uint16_t signal);
  CoreBuilder& fpregset();
  CoreBuilder& xstate(std::vector<std::byte> area);

  CoreBuilder& add_prpsinfo(uint32_t pid, const std::string& name, const std::string& arguments);
  CoreBuilder& add_auxv(uint64_t type, uint64_t value);
  // `offset` in bytes; the note holds it in pages.
  CoreBuilder& add_file_mapping(uint64_t start, uint64_t end, uint64_t offset,
                                const std::string& path);
  CoreBuilder& file_page_size(uint64_t size);
  CoreBuilder& add_note(uint32_t type, const std::string& name, std::vector<std::byte> descriptor);

  // p_filesz is bytes.size(). memsz 0 means as many as there are bytes.
  CoreBuilder& add_load(uint64_t vaddr, uint32_t flags, std::vector<std::byte> bytes,
                        uint64_t memsz = 0);
  // Leaves out the padding between loads and the zeros that end a load: valid (p_filesz < p_memsz),
  // though nobody writes it, and small. For seeds of fuzz targets.
  CoreBuilder& compact();
  // Writes the number of program headers as PN_XNUM and the true one into section header 0, as the
  // gABI wants for 65535 and more.
  CoreBuilder& extended_numbering();

  // What the ELF header says instead of the truth.
  CoreBuilder& lie_type(uint16_t e_type);
  CoreBuilder& lie_machine(uint16_t e_machine);
  CoreBuilder& lie_phnum(uint16_t e_phnum);
  CoreBuilder& lie_phentsize(uint16_t e_phentsize);
  CoreBuilder& lie_phoff(uint64_t e_phoff);
  CoreBuilder& lie_shoff(uint64_t e_shoff);
  // What the program header of the load added last says.
  CoreBuilder& lie_offset(uint64_t p_offset);
  CoreBuilder& lie_file_size(uint64_t p_filesz);
  CoreBuilder& lie_memory_size(uint64_t p_memsz);
  // NT_FILE's count of entries.
  CoreBuilder& lie_file_count(uint64_t count);

  // Where things ended up in the file of the last build(): for tables of damage.
  struct Layout {
    uint64_t program_headers = 0;  // file offset
    uint64_t program_header_count = 0;
    uint64_t notes = 0, notes_size = 0;
    std::vector<uint64_t> note_headers;  // file offset of every note
    std::vector<uint64_t> note_types;    // beside it
    uint64_t memory = 0;                 // first byte of the first load with bytes
    std::vector<uint64_t> boundaries;    // where any record starts or ends, ascending
  };

  std::vector<std::byte> build();
  const Layout& layout() const { return layout_; }

 private:
  struct Thread {
    uint32_t tid = 0;
    CoreRegisters registers;
    std::optional<CoreSiginfo> siginfo;
    std::optional<uint16_t> cursig;
    bool fpregset = false;
    std::vector<std::byte> xstate;
  };
  struct Prpsinfo {
    uint32_t pid = 0;
    std::string name, arguments;
  };
  struct Mapping {
    uint64_t start = 0, end = 0, offset = 0;
    std::string path;
  };
  struct Note {
    uint32_t type = 0;
    std::string name;
    std::vector<std::byte> descriptor;
  };
  struct Load {
    uint64_t vaddr = 0, memsz = 0;
    uint32_t flags = 0;
    std::vector<std::byte> bytes;
    std::optional<uint64_t> offset_lie, file_size_lie, memory_size_lie;
  };

  std::vector<Note> notes() const;
  void thread_notes(const Thread& thread, bool with_siginfo, std::vector<Note>* notes) const;
  Note prstatus(const Thread& thread) const;
  Note prpsinfo() const;
  Note auxv() const;
  Note file_note() const;
  std::vector<std::byte> elf_header(size_t headers, uint64_t section_offset) const;

  NoteOrder order_ = NoteOrder::kKernel;
  std::vector<Thread> threads_;
  std::optional<Prpsinfo> prpsinfo_;
  std::vector<std::pair<uint64_t, uint64_t>> auxv_;
  std::vector<Mapping> mappings_;
  std::vector<Note> extra_notes_;
  std::vector<Load> loads_;
  uint64_t file_page_size_ = 4096;
  bool extended_ = false;
  bool compact_ = false;
  std::optional<uint16_t> type_lie_, machine_lie_, phnum_lie_, phentsize_lie_;
  std::optional<uint64_t> phoff_lie_, shoff_lie_, file_count_lie_;
  Layout layout_;
};

// The note types of <elf.h>, for tests that look for one.
inline constexpr uint32_t kNotePrstatus = 1, kNoteFpregset = 2, kNotePrpsinfo = 3, kNoteAuxv = 6;
inline constexpr uint32_t kNoteFile = 0x46494c45, kNoteSiginfo = 0x53494749;
inline constexpr uint32_t kNoteXstate = 0x202;

// Types of the auxiliary vector (<linux/auxvec.h>).
inline constexpr uint64_t kAuxPhdr = 3, kAuxPhent = 4, kAuxPhnum = 5, kAuxPageSize = 6,
                          kAuxBase = 7;
inline constexpr uint64_t kAuxEntry = 9, kAuxExecfn = 31, kAuxSysinfoEhdr = 33;

}  // namespace residue::testing

#include "tests/support/core_builder.h"

#include <algorithm>

#include "tests/support/bytes.h"

namespace residue::testing {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint16_t kElfHeaderSize = 64, kProgramHeaderSize = 56, kSectionHeaderSize = 64;
constexpr uint16_t kTypeCore = 4, kMachineX86_64 = 62, kExtendedNumber = 0xffff;
constexpr uint32_t kSegmentLoad = 1, kSegmentNote = 4;

uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

// Notes of cores are padded to 4 bytes although the file is of class 64.
void put_note(ByteWriter* out, uint32_t type, const std::string& name,
              const std::vector<std::byte>& descriptor) {
  out->u32(static_cast<uint32_t>(name.size() + 1));
  out->u32(static_cast<uint32_t>(descriptor.size()));
  out->u32(type);
  out->c_string(name).align(4);
  out->bytes(descriptor).align(4);
}

void put_program_header(ByteWriter* out, uint32_t type, uint32_t flags, uint64_t offset,
                        uint64_t vaddr, uint64_t filesz, uint64_t memsz, uint64_t alignment) {
  out->u32(type).u32(flags).u64(offset).u64(vaddr).u64(0);
  out->u64(filesz).u64(memsz).u64(alignment);
}

}  // namespace

CoreBuilder& CoreBuilder::note_order(NoteOrder order) {
  order_ = order;
  return *this;
}

CoreBuilder& CoreBuilder::add_thread(uint32_t tid, const CoreRegisters& registers) {
  Thread thread;
  thread.tid = tid;
  thread.registers = registers;
  threads_.push_back(std::move(thread));
  return *this;
}

CoreBuilder& CoreBuilder::siginfo(const CoreSiginfo& info) {
  threads_.back().siginfo = info;
  return *this;
}

CoreBuilder& CoreBuilder::cursig(uint16_t signal) {
  threads_.back().cursig = signal;
  return *this;
}

CoreBuilder& CoreBuilder::fpregset() {
  threads_.back().fpregset = true;
  return *this;
}

CoreBuilder& CoreBuilder::xstate(std::vector<std::byte> area) {
  threads_.back().xstate = std::move(area);
  return *this;
}

CoreBuilder& CoreBuilder::add_prpsinfo(uint32_t pid, const std::string& name,
                                       const std::string& arguments) {
  prpsinfo_ = {pid, name, arguments};
  return *this;
}

CoreBuilder& CoreBuilder::add_auxv(uint64_t type, uint64_t value) {
  auxv_.emplace_back(type, value);
  return *this;
}

CoreBuilder& CoreBuilder::add_file_mapping(uint64_t start, uint64_t end, uint64_t offset,
                                           const std::string& path) {
  mappings_.push_back({start, end, offset, path});
  return *this;
}

CoreBuilder& CoreBuilder::file_page_size(uint64_t size) {
  file_page_size_ = size;
  return *this;
}

CoreBuilder& CoreBuilder::add_note(uint32_t type, const std::string& name,
                                   std::vector<std::byte> descriptor) {
  extra_notes_.push_back({type, name, std::move(descriptor)});
  return *this;
}

CoreBuilder& CoreBuilder::add_load(uint64_t vaddr, uint32_t flags, std::vector<std::byte> bytes,
                                   uint64_t memsz) {
  Load load;
  load.vaddr = vaddr;
  load.flags = flags;
  load.memsz = memsz != 0 ? memsz : bytes.size();
  load.bytes = std::move(bytes);
  loads_.push_back(std::move(load));
  return *this;
}

CoreBuilder& CoreBuilder::compact() {
  compact_ = true;
  for (Load& load : loads_) {
    while (!load.bytes.empty() && load.bytes.back() == std::byte{0}) load.bytes.pop_back();
  }
  return *this;
}

CoreBuilder& CoreBuilder::extended_numbering() {
  extended_ = true;
  return *this;
}

CoreBuilder& CoreBuilder::lie_type(uint16_t e_type) {
  type_lie_ = e_type;
  return *this;
}

CoreBuilder& CoreBuilder::lie_machine(uint16_t e_machine) {
  machine_lie_ = e_machine;
  return *this;
}

CoreBuilder& CoreBuilder::lie_phnum(uint16_t e_phnum) {
  phnum_lie_ = e_phnum;
  return *this;
}

CoreBuilder& CoreBuilder::lie_phentsize(uint16_t e_phentsize) {
  phentsize_lie_ = e_phentsize;
  return *this;
}

CoreBuilder& CoreBuilder::lie_phoff(uint64_t e_phoff) {
  phoff_lie_ = e_phoff;
  return *this;
}

CoreBuilder& CoreBuilder::lie_shoff(uint64_t e_shoff) {
  shoff_lie_ = e_shoff;
  return *this;
}

CoreBuilder& CoreBuilder::lie_offset(uint64_t p_offset) {
  loads_.back().offset_lie = p_offset;
  return *this;
}

CoreBuilder& CoreBuilder::lie_file_size(uint64_t p_filesz) {
  loads_.back().file_size_lie = p_filesz;
  return *this;
}

CoreBuilder& CoreBuilder::lie_memory_size(uint64_t p_memsz) {
  loads_.back().memory_size_lie = p_memsz;
  return *this;
}

CoreBuilder& CoreBuilder::lie_file_count(uint64_t count) {
  file_count_lie_ = count;
  return *this;
}

// struct elf_prstatus: 336 bytes, the registers at 112.
CoreBuilder::Note CoreBuilder::prstatus(const Thread& thread) const {
  // The kernel writes the signal that ended the process into every thread's record.
  const Thread& signalled = order_ == NoteOrder::kKernel ? threads_.front() : thread;
  const uint16_t signal = thread.cursig.value_or(
      signalled.siginfo ? static_cast<uint16_t>(signalled.siginfo->signo) : uint16_t{0});
  ByteWriter out;
  out.u32(signal).u32(0).u32(0);             // pr_info: signo, code, errno
  out.u16(signal).align(8);                  // pr_cursig
  out.u64(0).u64(0);                         // pending and held signals
  out.u32(thread.tid).u32(1).u32(0).u32(0);  // pid, ppid, pgrp, sid
  out.zeros(64);                             // user, system, children's user and system time
  const CoreRegisters& r = thread.registers;
  for (const uint64_t value :
       {r.r15,    r.r14, r.r13, r.r12,     r.rbp,     r.rbx, r.r11,      r.r10, r.r9,
        r.r8,     r.rax, r.rcx, r.rdx,     r.rsi,     r.rdi, r.orig_rax, r.rip, r.cs,
        r.eflags, r.rsp, r.ss,  r.fs_base, r.gs_base, r.ds,  r.es,       r.fs,  r.gs}) {
    out.u64(value);
  }
  out.u32(thread.fpregset ? 1 : 0).align(8);
  return {kNotePrstatus, "CORE", out.take()};
}

// struct elf_prpsinfo: 136 bytes.
CoreBuilder::Note CoreBuilder::prpsinfo() const {
  ByteWriter out;
  out.u8(0).u8('R').u8(0).u8(0).align(8);  // state, its letter, zombie, nice
  out.u64(0).u32(1000).u32(1000);          // flags, uid, gid
  out.u32(prpsinfo_->pid).u32(1).u32(prpsinfo_->pid).u32(prpsinfo_->pid);
  out.field(prpsinfo_->name.substr(0, 15), 16);
  out.field(prpsinfo_->arguments.substr(0, 79), 80);
  return {kNotePrpsinfo, "CORE", out.take()};
}

CoreBuilder::Note CoreBuilder::auxv() const {
  ByteWriter out;
  for (const auto& [type, value] : auxv_) out.u64(type).u64(value);
  out.u64(0).u64(0);  // AT_NULL
  return {kNoteAuxv, "CORE", out.take()};
}

// Count, page size, a triple for every mapping (start, end, offset in pages), then all the paths.
CoreBuilder::Note CoreBuilder::file_note() const {
  ByteWriter out;
  out.u64(file_count_lie_.value_or(mappings_.size())).u64(file_page_size_);
  for (const Mapping& m : mappings_) {
    out.u64(m.start).u64(m.end).u64(file_page_size_ != 0 ? m.offset / file_page_size_ : 0);
  }
  for (const Mapping& m : mappings_) out.c_string(m.path);
  return {kNoteFile, "CORE", out.take()};
}

void CoreBuilder::thread_notes(const Thread& thread, bool with_siginfo,
                               std::vector<Note>* notes) const {
  if (thread.fpregset) notes->push_back({kNoteFpregset, "CORE", std::vector<std::byte>(512)});
  if (!thread.xstate.empty()) notes->push_back({kNoteXstate, "LINUX", thread.xstate});
  if (!with_siginfo || !thread.siginfo) return;
  ByteWriter info;
  info.i32(thread.siginfo->signo).i32(0).i32(thread.siginfo->code).align(8);
  info.u64(thread.siginfo->address).pad_to(128);
  notes->push_back({kNoteSiginfo, "CORE", info.take()});
}

std::vector<CoreBuilder::Note> CoreBuilder::notes() const {
  std::vector<Note> notes;
  const bool kernel = order_ == NoteOrder::kKernel;
  if (!kernel && prpsinfo_) notes.push_back(prpsinfo());
  for (size_t i = 0; i < threads_.size(); ++i) {
    notes.push_back(prstatus(threads_[i]));
    if (kernel && i == 0) {
      if (prpsinfo_) notes.push_back(prpsinfo());
      Thread bare = threads_[0];
      bare.fpregset = false;
      bare.xstate.clear();
      thread_notes(bare, true, &notes);
      if (!auxv_.empty()) notes.push_back(auxv());
      if (!mappings_.empty()) notes.push_back(file_note());
    }
    thread_notes(threads_[i], !kernel, &notes);
  }
  if (kernel && threads_.empty()) {
    if (prpsinfo_) notes.push_back(prpsinfo());
    if (!auxv_.empty()) notes.push_back(auxv());
    if (!mappings_.empty()) notes.push_back(file_note());
  }
  if (!kernel) {
    if (!auxv_.empty()) notes.push_back(auxv());
    if (!mappings_.empty()) notes.push_back(file_note());
  }
  notes.insert(notes.end(), extra_notes_.begin(), extra_notes_.end());
  return notes;
}

std::vector<std::byte> CoreBuilder::elf_header(size_t headers, uint64_t section_offset) const {
  const auto count = extended_ ? kExtendedNumber : static_cast<uint16_t>(headers);
  ByteWriter out;
  out.u8(0x7f).text("ELF").u8(2).u8(1).u8(1).pad_to(16);  // class 64, little-endian, version 1
  out.u16(type_lie_.value_or(kTypeCore)).u16(machine_lie_.value_or(kMachineX86_64)).u32(1);
  out.u64(0).u64(phoff_lie_.value_or(kElfHeaderSize)).u64(shoff_lie_.value_or(section_offset));
  out.u32(0).u16(kElfHeaderSize).u16(phentsize_lie_.value_or(kProgramHeaderSize));
  out.u16(phnum_lie_.value_or(count));
  out.u16(section_offset != 0 ? kSectionHeaderSize : 0).u16(section_offset != 0 ? 1 : 0).u16(0);
  return out.take();
}

std::vector<std::byte> CoreBuilder::build() {
  layout_ = {};
  const uint64_t unit = compact_ ? 8 : kPage;  // what loads are padded to
  const size_t headers = loads_.size() + 1;
  const uint64_t notes_offset = kElfHeaderSize + headers * kProgramHeaderSize;
  ByteWriter note_bytes;
  for (const Note& note : notes()) {
    const uint64_t at = notes_offset + note_bytes.size();
    layout_.note_headers.push_back(at);
    layout_.note_types.push_back(note.type);
    layout_.boundaries.insert(layout_.boundaries.end(),
                              {at, at + 12, at + 12 + round_up(note.name.size() + 1, 4)});
    put_note(&note_bytes, note.type, note.name, note.descriptor);
  }
  const uint64_t memory = round_up(notes_offset + note_bytes.size(), unit);
  uint64_t end = memory;
  for (const Load& load : loads_) end += round_up(load.bytes.size(), unit);

  ByteWriter out;
  out.bytes(elf_header(headers, extended_ ? end : 0));
  put_program_header(&out, kSegmentNote, 0, notes_offset, 0, note_bytes.size(), 0, 4);
  uint64_t offset = memory;
  for (const Load& load : loads_) {
    put_program_header(&out, kSegmentLoad, load.flags, load.offset_lie.value_or(offset), load.vaddr,
                       load.file_size_lie.value_or(load.bytes.size()),
                       load.memory_size_lie.value_or(load.memsz), kPage);
    layout_.boundaries.push_back(offset);
    offset += round_up(load.bytes.size(), unit);
  }
  out.bytes(note_bytes.data()).pad_to(memory);
  for (const Load& load : loads_) out.bytes(load.bytes).align(unit);
  // Section header 0: sh_info holds the number of program headers.
  if (extended_) out.zeros(44).u32(static_cast<uint32_t>(headers)).zeros(16);

  layout_.program_headers = kElfHeaderSize;
  layout_.program_header_count = headers;
  layout_.notes = notes_offset;
  layout_.notes_size = note_bytes.size();
  layout_.memory = memory;
  for (size_t i = 0; i <= headers; ++i) {
    layout_.boundaries.push_back(kElfHeaderSize + i * kProgramHeaderSize);
  }
  layout_.boundaries.push_back(notes_offset + note_bytes.size());
  layout_.boundaries.push_back(end);
  std::sort(layout_.boundaries.begin(), layout_.boundaries.end());
  return out.take();
}

}  // namespace residue::testing

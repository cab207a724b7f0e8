// ELF cores of Linux and the BSDs, as kernels, gdb's gcore and qemu-user write them. See
// docs/formats/elf_core.md.
#include <algorithm>
#include <bit>

#include "formats/base/text.h"
#include "formats/elf/core_modules.h"
#include "formats/elf/core_notes.h"
#include "formats/elf/core_regions.h"
#include "formats/elf/elf_file.h"
#include "formats/elf/elf_layout.h"
#include "formats/elf/machine.h"
#include "formats/format.h"
#include "formats/identity.h"

namespace residue {
namespace {

using namespace elf;

constexpr const char* kStage = "elf-core";

// Arm ARM (DDI 0487), "Address tagging": bits 63 to 56.
constexpr uint64_t kAArch64Tags = uint64_t{0xff} << 56;

// Refuses, with the reason, what is ELF but not a core that can be read.
Result<Header> read_core_header(std::span<const std::byte> bytes) {
  RESIDUE_ASSIGN(Header header, read_header(bytes));
  switch (header.type) {
    case kTypeCore:
      break;
    case kTypeExecutable:
    case kTypeShared:
      return Error{ErrorCode::kUnsupported, "is an ELF program or shared library, not a core dump",
                   FileOffset(16)};
    case kTypeRelocatable:
      return Error{ErrorCode::kUnsupported, "is an ELF object file, not a core dump",
                   FileOffset(16)};
    default:
      return Error{ErrorCode::kUnsupported, "has ELF type " + std::to_string(header.type),
                   FileOffset(16)};
  }
  if (!machine_of(header)) {
    return Error{ErrorCode::kUnsupported,
                 "is a core of a machine that is not supported: " + describe_machine(header),
                 FileOffset(18)};
  }
  return header;
}

CoreNotes collect_notes(std::span<const std::byte> bytes, const Header& header,
                        const ProgramHeaders& headers, bool* complete, Diagnostics& diagnostics) {
  CoreNotes notes;
  for (const ProgramHeader& h : headers.items) {
    if (h.type != kSegmentNote) continue;
    if (h.offset > bytes.size()) {
      *complete = false;
      diagnostics.add(Severity::kDamage, kStage, "file offset " + hex(h.offset), h.file_size,
                      "the notes lie behind the end of the file");
      continue;
    }
    const uint64_t there = std::min<uint64_t>(h.file_size, bytes.size() - h.offset);
    if (there < h.file_size) {
      *complete = false;
      diagnostics.add(Severity::kDamage, kStage, "file offset " + hex(h.offset + there),
                      h.file_size - there, "the file ends inside the notes");
    }
    read_core_notes(bytes.subspan(h.offset, there), header, FileOffset(h.offset), &notes,
                    diagnostics);
  }
  finish_core_notes(&notes, diagnostics);
  return notes;
}

// The program's path: the mapped file it was loaded from, else AT_EXECFN, else the short name.
std::string executable_path(const Image& image, const CoreNotes& notes) {
  for (const Module& module : image.modules) {
    if (module.is_executable && !module.path.empty()) return module.path;
  }
  if (const auto execfn = notes.auxv.find(kAuxExecfn); execfn != notes.auxv.end()) {
    if (const auto path = image.c_string(Address(execfn->second), 4096)) {
      return std::string(*path);
    }
  }
  return notes.name;
}

void name_main_thread(Image* image, const std::string& name) {
  for (Thread& thread : image->threads) {
    if (thread.tid == image->pid && thread.name.empty()) thread.name = name;
  }
}

Image empty_image(const Machine& machine) {
  Image image;
  image.architecture = machine.architecture;
  image.order = machine.order;
  image.pointer_width = machine.word;
  // "Top byte ignore" is on for user space on every AArch64 system, whether or not a program makes
  // use of it (NT_ARM_TAGGED_ADDR_CTRL says that system calls take such pointers too).
  if (machine.architecture == Architecture::kAArch64) image.address_tag_mask = kAArch64Tags;
  return image;
}

// Addresses of threads without what AArch64 keeps in their upper bits.
void strip_pointers(Image* image) {
  for (Thread& thread : image->threads) {
    thread.pc = image->strip_code(thread.pc);
    thread.sp = image->untag(thread.sp);
    thread.thread_pointer = image->untag(thread.thread_pointer);
    if (thread.fault_address) {
      thread.fault_address = Address(image->untag(thread.fault_address->value()));
    }
  }
}

Result<Image> read_elf_core(MappedFile file, const FileSearch& search, Diagnostics& diagnostics) {
  const auto bytes = file.bytes();
  RESIDUE_ASSIGN(const Header header, read_core_header(bytes));
  RESIDUE_ASSIGN(const ProgramHeaders headers, read_program_headers(bytes, header));
  if (headers.items.empty()) {
    return Error{ErrorCode::kTruncated, "is a core without program headers",
                 FileOffset(header.program_headers)};
  }
  Image image = empty_image(*machine_of(header));
  if (headers.missing > 0) {
    image.complete = false;
    diagnostics.add(Severity::kDamage, kStage, "file offset " + hex(bytes.size()), 0,
                    "the file ends inside the program headers: " + std::to_string(headers.missing) +
                        " segments are unknown");
  }
  if (header.count_unresolved) {
    diagnostics.add(Severity::kDamage, kStage, "file offset " + hex(header.section_headers), 0,
                    "the number of segments is not where the header says: some may be unknown");
  }
  CoreNotes notes = collect_notes(bytes, header, headers, &image.complete, diagnostics);
  image.os = notes.os;
  image.code_signature_mask = notes.code_signature_mask;
  if (notes.threads.empty()) {
    diagnostics.add(Severity::kDamage, kStage, "notes", 0,
                    "no thread is described: registers and stacks are unknown");
  }
  if (const auto page = notes.auxv.find(kAuxPagesize);
      page != notes.auxv.end() && std::has_single_bit(page->second) && page->second >= 4096 &&
      page->second <= 65536) {
    image.page_size = page->second;
  }
  image.pid = notes.pid;
  image.command_line = notes.command_line;
  image.regions = build_regions(bytes, headers.items, notes.files, &image.complete, diagnostics);
  image.files.push_back(std::move(file));
  add_modules(&image, notes, search, diagnostics);
  image.threads = std::move(notes.threads);
  strip_pointers(&image);
  classify_regions(&image, notes.auxv);
  image.executable = executable_path(image, notes);
  if (const auto random = notes.auxv.find(kAuxRandom); random != notes.auxv.end()) {
    image.process = identify_process(image, Address(random->second));
  }
  name_main_thread(&image, notes.name);
  return image;
}

}  // namespace

const Format& elf_core_format() {
  static constexpr Format kFormat = {"elf-core", has_magic, read_elf_core};
  return kFormat;
}

}  // namespace residue

// Call frame information, exception tables and stacks of any bytes: the unwinder must come to an
// end, with no more frames than asked for, and a frame for the thread's pc.
//
// Input: architecture, flags, three offsets of 16 bits (header, stack pointer, pc), then the memory
// of a process with one module, at kBase. Flag 1: ARM's exception index instead of .eh_frame_hdr;
// 2: big endian; 4: the memory is a .debug_frame too.
#include <cstdlib>
#include <span>

#include "symbolize/debug_files.h"
#include "symbolize/unwind/cfi_row.h"
#include "symbolize/unwind/cfi_table.h"
#include "symbolize/unwind/unwinder.h"

namespace {

using namespace residue;

constexpr uint64_t kBase = 0x10000;
constexpr size_t kMaxFrames = 2000;

constexpr Architecture kArchitectures[] = {
    Architecture::kX86_64,  Architecture::kX86,     Architecture::kAArch64,
    Architecture::kArm,     Architecture::kRiscv64, Architecture::kPpc64Le,
    Architecture::kS390x,   Architecture::kMips,    Architecture::kMips64,
    Architecture::kRiscv32, Architecture::kPpc64,   Architecture::kLoongArch64};

bool is_narrow(Architecture a) {
  return a == Architecture::kX86 || a == Architecture::kArm || a == Architecture::kMips ||
         a == Architecture::kRiscv32;
}

void check(bool law) {
  if (!law) std::abort();
}

void search_section(const Image& image, uint64_t pc) {
  CfiSection section;
  const CfiBytes bytes(image.regions[0].bytes, 0);
  section.bytes = &bytes;
  section.end = image.regions[0].bytes.size();
  section.is_debug_frame = true;
  section.order = image.order;
  section.bases.width = image.pointer_width;
  const CfiTable table = CfiTable::of_section(section);
  for (const uint64_t at : {pc, pc - kBase, uint64_t{0}}) {
    const auto fde = table.find(at);
    if (!fde) continue;
    check(fde->covers(at));
    const auto row = cfi_row(section, *fde, at, image.architecture);
    if (row) check(row->rules.size() <= RegisterSet::kCount);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kHead = 8;
  if (size < kHead + 16 || size > 60000) return 0;
  const auto offset = [&](size_t at) -> uint64_t { return data[at] + 256U * data[at + 1]; };
  const uint8_t flags = data[1];
  const auto memory = std::as_bytes(std::span(data + kHead, size - kHead));
  Image image;
  image.architecture = kArchitectures[data[0] % std::size(kArchitectures)];
  image.pointer_width = is_narrow(image.architecture) ? 4 : 8;
  image.order = (flags & 2) != 0 ? ByteOrder::kBig : ByteOrder::kLittle;
  Region region;
  region.range = {Address(kBase), ByteCount(memory.size())};
  region.permissions = {true, true, true};
  region.bytes = memory;
  region.backing = Backing::kDump;
  region.module = ModuleId(0);
  image.regions.push_back(region);
  Module module;
  module.range = region.range;
  module.segments.push_back({region.range, region.permissions, 0, memory.size()});
  const uint64_t header = offset(2) % memory.size();
  const AddressRange index{Address(kBase + header), ByteCount(memory.size() - header)};
  ((flags & 1) != 0 ? module.exception_index : module.unwind_index) = index;
  image.modules.push_back(module);
  Thread thread;
  thread.tid = 1;
  thread.sp = kBase + offset(4);
  thread.pc = kBase + offset(6);
  for (int16_t reg = 0; reg < 40; ++reg) {
    thread.registers.push_back({"", kBase + offset(4) + static_cast<uint64_t>(reg) * 16, reg});
  }
  const DebugFiles files(image, FileSearch());
  const Unwinder unwinder(image, files);
  UnwindOptions options;
  options.keep_registers = 4;
  options.max_frames = kMaxFrames;
  const UnwoundStack stack = unwinder.unwind(thread, options);
  check(!stack.frames.empty() && stack.frames.size() <= kMaxFrames && !stack.end.empty());
  Diagnostics diagnostics;
  unwinder.report(diagnostics);
  if ((flags & 4) != 0) search_section(image, thread.pc);
  return 0;
}

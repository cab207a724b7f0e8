#include "formats/elf/core_regions.h"

#include <algorithm>

#include "formats/base/claims.h"
#include "formats/base/text.h"
#include "formats/elf/elf_layout.h"

namespace residue::elf {
namespace {

constexpr const char* kStage = "elf-core";

// x86-64's legacy vsyscall page, at the same place in every process.
constexpr uint64_t kVsyscallPage = 0xffffffffff600000;

// arch_randomize_brk() puts the brk heap up to 32 MiB behind the program's .bss (32-bit, and older
// kernels), on 64-bit machines of newer kernels up to 1 GiB (x86-64: 666 MiB were seen on 6.18).
constexpr uint64_t kBrkGap = (uint64_t{1} << 30) + 0x1000;

Permissions permissions_of(uint32_t flags) {
  return {(flags & kFlagRead) != 0, (flags & kFlagWrite) != 0, (flags & kFlagExecute) != 0};
}

// What the file announces but does not hold: address ranges, those that touch joined. Said one by
// one as long as that helps, and in sum.
class Loss {
 public:
  // REQUIRES: called in ascending order of base.
  void add(AddressRange range) {
    ++regions_;
    bytes_ += range.size.value();
    if (!ranges_.empty() && ranges_.back().end() == range.base) {
      ranges_.back().size = ranges_.back().size + range.size;
    } else {
      ranges_.push_back(range);
    }
  }

  bool any() const { return regions_ != 0; }

  void report(uint64_t file_size, Diagnostics& diagnostics) const {
    diagnostics.add(
        Severity::kDamage, kStage, "file offset " + hex(file_size), bytes_,
        "the file ends here: " + std::to_string(regions_) + " regions are cut or missing");
    const size_t listed = ranges_.size() <= kListed ? ranges_.size() : kListed - 1;
    for (size_t i = 0; i < listed; ++i) {
      diagnostics.add(Severity::kNote, kStage, "addresses " + span(ranges_[i], ranges_[i]),
                      ranges_[i].size.value(), "the file ends before these bytes");
    }
    if (listed == ranges_.size()) return;
    uint64_t rest = 0;
    for (size_t i = listed; i < ranges_.size(); ++i) rest += ranges_[i].size.value();
    diagnostics.add(
        Severity::kNote, kStage, "addresses " + span(ranges_[listed], ranges_.back()), rest,
        "the file ends before " + std::to_string(ranges_.size() - listed) + " more ranges in here");
  }

 private:
  static constexpr size_t kListed = Diagnostics::kMaxEach;

  static std::string span(AddressRange first, AddressRange last) {
    std::string text = hex(first.base.value());
    text += '-';
    text += hex(last.end().value());
    return text;
  }

  uint64_t regions_ = 0, bytes_ = 0;
  std::vector<AddressRange> ranges_;
};

// What the file really holds of a PT_LOAD's bytes.
std::span<const std::byte> dumped_bytes(std::span<const std::byte> file, const ProgramHeader& load,
                                        Loss* loss, Diagnostics& diagnostics) {
  if (load.file_size > load.memory_size) {
    diagnostics.add(Severity::kDamage, kStage, "address " + hex(load.vaddr),
                    load.file_size - load.memory_size, "a segment has more bytes than memory");
  }
  const uint64_t wanted = std::min(load.file_size, load.memory_size);
  const uint64_t there =
      load.offset >= file.size() ? 0 : std::min<uint64_t>(wanted, file.size() - load.offset);
  if (there < wanted) loss->add({Address(load.vaddr + there), ByteCount(wanted - there)});
  return there == 0 ? std::span<const std::byte>() : file.subspan(load.offset, there);
}

class RegionBuilder {
 public:
  explicit RegionBuilder(const std::vector<MappedFileEntry>& files) : files_(files) {}

  // Appends [base, base + size); pieces of it that lie before the end of what is there already are
  // cut off. REQUIRES: called in ascending order of base.
  void add(Region region, Diagnostics& diagnostics) {
    if (region.range.size.value() == 0) return;
    if (!regions_.empty()) {
      const uint64_t end = regions_.back().range.end().value();
      const uint64_t base = region.range.base.value();
      // 0: what is there already reaches the end of the address space.
      if (end == 0 || base < end) {
        const uint64_t left = region.range.size.value();
        const uint64_t overlap = end == 0 ? left : std::min(end - base, left);
        diagnostics.add(Severity::kDamage, kStage, "address " + hex(base), overlap,
                        "segments of the core overlap; the first one counts");
        region.range = {Address(end), region.range.size - ByteCount(overlap)};
        region.bytes = region.bytes.subspan(std::min<size_t>(overlap, region.bytes.size()));
        if (region.range.size.value() == 0) return;
      }
    }
    if (const MappedFileEntry* entry = find_mapping(files_, region.range.base)) {
      region.name = entry->path;
      region.kind = RegionKind::kFile;
    } else {
      region.kind = RegionKind::kAnonymous;
    }
    regions_.push_back(std::move(region));
  }

  std::vector<Region> take() { return std::move(regions_); }

 private:
  const std::vector<MappedFileEntry>& files_;
  std::vector<Region> regions_;
};

// Mapped files of which the core has no segment at all (gdb leaves them out). REQUIRES: both
// sorted.
void add_missing_files(const std::vector<MappedFileEntry>& files, std::vector<Region>* regions) {
  std::vector<AddressRange> taken;
  for (const Region& region : *regions) taken.push_back(region.range);
  std::vector<Region> missing;
  uint64_t done = 0;  // entries of a damaged note may overlap each other
  for (const MappedFileEntry& entry : files) {
    const uint64_t begin = std::max(entry.range.base.value(), done);
    const uint64_t end = entry.range.base.value() + entry.range.size.value();
    if (begin >= end) continue;
    done = end;
    for_each_unclaimed(taken, begin, end, [&](uint64_t from, uint64_t until) {
      Region region;
      region.range = {Address(from), ByteCount(until - from)};
      region.permissions = {true, false, false};
      region.kind = RegionKind::kFile;
      region.name = entry.path;
      missing.push_back(std::move(region));
    });
  }
  regions->insert(regions->end(), missing.begin(), missing.end());
  std::sort(regions->begin(), regions->end(),
            [](const Region& a, const Region& b) { return a.range.base < b.range.base; });
}

Region* find_mutable(Image* image, Address a) { return const_cast<Region*>(image->find_region(a)); }

// The brk heap: the first anonymous writable mapping behind the program, within the gap the kernel
// leaves there.
void mark_brk_heap(Image* image) {
  for (const Module& module : image->modules) {
    if (!module.is_executable) continue;
    const Address end = module.range.end();
    for (Region& region : image->regions) {
      if (region.range.base < end) continue;
      if ((region.range.base - end).value() > kBrkGap) break;
      if (region.kind == RegionKind::kAnonymous && region.permissions.write) {
        region.kind = RegionKind::kHeap;
        return;
      }
    }
  }
}

// The kernel's data pages for the vdso lie right below it, one mapping or (6.14 on) two.
void mark_vvar(Image* image, Address vdso) {
  Address end = vdso;
  for (int n = 0; n < 2 && end.value() != 0; ++n) {
    Region* region = find_mutable(image, end - ByteCount(1));
    if (region == nullptr || region->kind != RegionKind::kAnonymous || region->permissions.write ||
        region->permissions.execute) {
      return;
    }
    region->kind = RegionKind::kVdso;
    region->name = "[vvar]";
    end = region->range.base;
  }
}

}  // namespace

std::vector<Region> build_regions(std::span<const std::byte> file,
                                  const std::vector<ProgramHeader>& headers,
                                  const std::vector<MappedFileEntry>& files, bool* complete,
                                  Diagnostics& diagnostics) {
  std::vector<ProgramHeader> loads;
  std::copy_if(headers.begin(), headers.end(), std::back_inserter(loads),
               [](const ProgramHeader& h) { return h.type == kSegmentLoad; });
  std::stable_sort(loads.begin(), loads.end(), [](const ProgramHeader& a, const ProgramHeader& b) {
    return a.vaddr < b.vaddr;
  });
  RegionBuilder builder(files);
  Loss loss;
  for (const ProgramHeader& load : loads) {
    uint64_t size = load.memory_size;
    if (size != 0 && size - 1 > ~uint64_t{0} - load.vaddr) {
      diagnostics.add(Severity::kDamage, kStage, "address " + hex(load.vaddr), size,
                      "a segment reaches beyond the address space");
      size = ~uint64_t{0} - load.vaddr + 1;
    }
    const auto bytes = dumped_bytes(file, load, &loss, diagnostics);
    const uint64_t there = std::min<uint64_t>(bytes.size(), size);
    Region region;
    region.permissions = permissions_of(load.flags);
    region.range = {Address(load.vaddr), ByteCount(there)};
    region.backing = Backing::kDump;
    region.bytes = bytes.first(there);
    builder.add(region, diagnostics);
    region.range = {Address(load.vaddr + there), ByteCount(size - there)};
    region.backing = Backing::kAbsent;
    region.bytes = {};
    builder.add(region, diagnostics);
  }
  if (loss.any()) {
    *complete = false;
    loss.report(file.size(), diagnostics);
  }
  std::vector<Region> regions = builder.take();
  add_missing_files(files, &regions);
  return regions;
}

void classify_regions(Image* image, const std::map<uint64_t, uint64_t>& auxv) {
  mark_brk_heap(image);
  for (const Thread& thread : image->threads) {
    Region* region = find_mutable(image, Address(thread.sp));
    // A stack pointer inside the brk heap or a module is a stack the program made itself.
    if (region != nullptr && region->kind == RegionKind::kAnonymous) {
      region->kind = RegionKind::kStack;
    }
  }
  if (const auto vdso = auxv.find(kAuxSysinfoEhdr); vdso != auxv.end()) {
    if (Region* region = find_mutable(image, Address(vdso->second))) {
      region->kind = RegionKind::kVdso;
      region->name = "[vdso]";
      mark_vvar(image, region->range.base);
    }
  }
  if (image->architecture != Architecture::kX86_64) return;
  if (Region* region = find_mutable(image, Address(kVsyscallPage))) {
    region->kind = RegionKind::kVdso;
    region->name = "[vsyscall]";
  }
}

}  // namespace residue::elf

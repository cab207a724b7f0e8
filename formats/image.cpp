#include "formats/image.h"

#include <algorithm>
#include <cstring>

namespace residue {

const char* to_string(Architecture architecture) {
  switch (architecture) {
    case Architecture::kX86:
      return "x86";
    case Architecture::kX86_64:
      return "x86_64";
    case Architecture::kArm:
      return "arm";
    case Architecture::kAArch64:
      return "aarch64";
    case Architecture::kRiscv32:
      return "riscv32";
    case Architecture::kRiscv64:
      return "riscv64";
    case Architecture::kPpc:
      return "ppc";
    case Architecture::kPpc64:
      return "ppc64";
    case Architecture::kPpc64Le:
      return "ppc64le";
    case Architecture::kS390x:
      return "s390x";
    case Architecture::kMips:
      return "mips";
    case Architecture::kMips64:
      return "mips64";
    case Architecture::kLoongArch64:
      return "loongarch64";
    case Architecture::kUnknown:
      break;
  }
  return "unknown";
}

const char* to_string(RegionKind kind) {
  switch (kind) {
    case RegionKind::kHeap:
      return "heap";
    case RegionKind::kStack:
      return "stack";
    case RegionKind::kModuleText:
      return "module-text";
    case RegionKind::kModuleRodata:
      return "module-rodata";
    case RegionKind::kModuleData:
      return "module-data";
    case RegionKind::kAnonymous:
      return "anonymous";
    case RegionKind::kFile:
      return "file";
    case RegionKind::kVdso:
      return "vdso";
    case RegionKind::kUnknown:
      break;
  }
  return "unknown";
}

std::string to_string(Permissions p) {
  return {p.read ? 'r' : '-', p.write ? 'w' : '-', p.execute ? 'x' : '-'};
}

const Region* Image::find_region(Address a) const {
  const auto after = std::upper_bound(
      regions.begin(), regions.end(), a,
      [](Address value, const Region& region) { return value < region.range.base; });
  if (after == regions.begin()) return nullptr;
  const Region& region = *(after - 1);
  return region.range.contains(a) ? &region : nullptr;
}

const Module* Image::module_of(Address a) const {
  const Region* region = find_region(a);
  if (region == nullptr || region->module == kNone<ModuleId>) return nullptr;
  return &modules[region->module.value()];
}

std::span<const std::byte> Image::view(Address a, uint64_t n) const {
  const Region* region = find_region(a);
  if (region == nullptr) return {};
  const uint64_t at = (a - region->range.base).value();
  if (at >= region->bytes.size()) return {};
  const auto first = region->bytes.subspan(at);
  // One mapping of the process may be several regions (the kernel splits them by flags); as a rule
  // their bytes follow each other in the dump too.
  size_t length = first.size();
  const Region* const last = regions.data() + regions.size();
  for (const Region* next = region + 1; length < n && next != last; ++next) {
    const Region& before = *(next - 1);
    if (next->range.base != before.range.end() || next->bytes.empty() ||
        next->bytes.data() != first.data() + length) {
      break;
    }
    length += next->bytes.size();
  }
  return {first.data(), static_cast<size_t>(std::min<uint64_t>(n, length))};
}

uint64_t Image::read(Address a, std::span<std::byte> out) const {
  uint64_t done = 0;
  while (done < out.size()) {
    const auto bytes = view(a + ByteCount(done), out.size() - done);
    if (bytes.empty()) break;
    std::memcpy(out.data() + done, bytes.data(), bytes.size());
    done += bytes.size();
  }
  return done;
}

std::optional<uint64_t> Image::word(Address a) const {
  if (pointer_width == 8) return value<uint64_t>(a);
  const auto narrow = value<uint32_t>(a);
  if (!narrow) return std::nullopt;
  return *narrow;
}

std::optional<std::string_view> Image::c_string(Address a, uint64_t limit) const {
  const auto bytes = view(a, std::max(limit, limit + 1));
  const auto nul = std::find(bytes.begin(), bytes.end(), std::byte{0});
  if (nul == bytes.end()) return std::nullopt;
  return std::string_view(static_cast<const char*>(static_cast<const void*>(bytes.data())),
                          static_cast<size_t>(nul - bytes.begin()));
}

}  // namespace residue

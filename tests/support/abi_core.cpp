#include "tests/support/abi_core.h"

#include <algorithm>

namespace residue::testing {

AbiBytes& AbiBytes::put(uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) {
    const unsigned shift = 8 * (abi_.is_big ? size - 1 - i : i);
    bytes_.push_back(static_cast<std::byte>(value >> shift & 0xff));
  }
  return *this;
}

AbiBytes& AbiBytes::text(const std::string& s, size_t field) {
  for (size_t i = 0; i < field; ++i) {
    bytes_.push_back(i < s.size() ? static_cast<std::byte>(s[i]) : std::byte{0});
  }
  return *this;
}

AbiBytes& AbiBytes::pad_to(size_t position) {
  if (bytes_.size() < position) bytes_.resize(position);
  return *this;
}

AbiBytes& AbiBytes::bytes(const std::vector<std::byte>& more) {
  bytes_.insert(bytes_.end(), more.begin(), more.end());
  return *this;
}

std::vector<std::byte> abi_elf(const Abi& abi, uint16_t type,
                               const std::vector<AbiSegment>& segments) {
  const unsigned header = abi.is_64 ? 64 : 52;
  AbiBytes out(abi);
  out.put(0x7f, 1).text("ELF", 3).put(abi.is_64 ? 2 : 1, 1).put(abi.is_big ? 2 : 1, 1).put(1, 1);
  out.pad_to(16).u16(type).u16(abi.machine).u32(1);
  out.word(0).word(header).word(0).u32(abi.flags);
  out.u16(header).u16(abi.is_64 ? 56 : 32).u16(segments.size()).u16(0).u16(0).u16(0);
  for (const AbiSegment& s : segments) {
    out.u32(s.type);
    if (abi.is_64) out.u32(s.flags);
    out.word(s.offset).word(s.vaddr).word(0).word(s.filesz).word(s.memsz);
    if (!abi.is_64) out.u32(s.flags);
    out.word(4);
  }
  return out.data();
}

std::vector<std::byte> abi_note(const Abi& abi, const std::string& name, uint32_t type,
                                const std::vector<std::byte>& descriptor) {
  AbiBytes out(abi);
  out.u32(name.size() + 1).u32(descriptor.size()).u32(type).text(name, name.size() + 1);
  out.pad_to((out.size() + 3) / 4 * 4).bytes(descriptor).pad_to((out.size() + 3) / 4 * 4);
  return out.data();
}

AbiCore& AbiCore::note(const std::string& name, uint32_t type,
                       const std::vector<std::byte>& descriptor) {
  const auto bytes = abi_note(abi_, name, type, descriptor);
  notes_.insert(notes_.end(), bytes.begin(), bytes.end());
  return *this;
}

AbiCore& AbiCore::load(uint64_t vaddr, uint32_t flags, std::vector<std::byte> bytes,
                       uint64_t memsz) {
  const uint64_t size = memsz != 0 ? memsz : bytes.size();
  loads_.push_back({vaddr, size, flags, std::move(bytes)});
  return *this;
}

std::vector<std::byte> AbiCore::build() const {
  const size_t headers =
      (abi_.is_64 ? size_t{64} : 52) + (loads_.size() + 1) * (abi_.is_64 ? size_t{56} : 32);
  std::vector<AbiSegment> segments = {{4, 0, headers, 0, notes_.size(), 0}};
  uint64_t offset = headers + notes_.size();
  for (const Load& load : loads_) {
    segments.push_back({1, load.flags, offset, load.vaddr, load.bytes.size(), load.memsz});
    offset += load.bytes.size();
  }
  AbiBytes out(abi_);
  out.bytes(abi_elf(abi_, 4, segments)).bytes(notes_);
  for (const Load& load : loads_) out.bytes(load.bytes);
  return out.data();
}

}  // namespace residue::testing

#include "symbolize/unwind/cfi_bytes.h"

#include <algorithm>

namespace residue {
namespace {

// An entry is a few hundred bytes; a damaged length must not copy a module, nor many of them the
// dump.
constexpr uint64_t kMaxCopy = uint64_t{1} << 20;
constexpr uint64_t kMaxCopied = uint64_t{64} << 20;

}  // namespace

std::span<const std::byte> CfiBytes::view(uint64_t address, uint64_t n) const {
  if (image_ == nullptr) {
    const uint64_t at = address - address_;
    if (at >= section_.size()) return {};
    return section_.subspan(at, std::min<uint64_t>(n, section_.size() - at));
  }
  const auto bytes = image_->view(Address(address), n);
  if (bytes.empty() || bytes.size() == n || n > kMaxCopy) return bytes;
  // The view ended at a region's end: the rest may lie elsewhere in the file, or in another file.
  const std::lock_guard lock(mutex_);
  if (copied_ + n > kMaxCopied) return bytes;
  std::vector<std::byte> copy(n);
  const uint64_t there = image_->read(Address(address), copy);
  if (there <= bytes.size()) return bytes;
  copy.resize(there);
  copied_ += n;
  copies_.push_back(std::move(copy));
  return copies_.back();
}

}  // namespace residue

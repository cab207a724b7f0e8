#include "tests/support/image_laws.h"

#include <algorithm>
#include <array>
#include <functional>

#include "formats/base/text.h"

namespace residue::testing {
namespace {

class Court {
 public:
  explicit Court(const Image& image) : image_(image) {}

  std::vector<std::string> verdict() {
    for (size_t i = 0; i < image_.regions.size(); ++i) region(i);
    for (const Module& m : image_.modules) module(m);
    for (const Thread& t : image_.threads) {
      require(inside_files(t.extended_state), "extended state of a thread lies outside the files");
    }
    return std::move(broken_);
  }

 private:
  void require(bool holds, const std::string& law) {
    if (!holds) broken_.push_back(law);
  }

  bool inside_files(std::span<const std::byte> bytes) const {
    if (bytes.empty()) return true;
    const std::less_equal<const std::byte*> not_after;
    return std::any_of(image_.files.begin(), image_.files.end(), [&](const MappedFile& file) {
      const auto all = file.bytes();
      return not_after(all.data(), bytes.data()) &&
             not_after(bytes.data() + bytes.size(), all.data() + all.size());
    });
  }

  void region(size_t index) {
    const Region& r = image_.regions[index];
    const uint64_t base = r.range.base.value(), size = r.range.size.value();
    const std::string who = "region " + hex(base) + "+" + hex(size) + ": ";
    require(size != 0, who + "is empty");
    if (size == 0) return;
    require(base + (size - 1) >= base, who + "wraps around the end of the address space");
    if (index != 0) {
      const AddressRange before = image_.regions[index - 1].range;
      require(before.base.value() + (before.size.value() - 1) < base,
              who + "does not lie behind the region before it");
    }
    require(r.bytes.empty() || r.bytes.size() == size, who + "has bytes of another size");
    require((r.backing == Backing::kAbsent) == r.bytes.empty(), who + "backing contradicts bytes");
    require(inside_files(r.bytes), who + "its bytes lie outside the files");
    require(!(r.backing == Backing::kFile && r.permissions.write),
            who + "is writable and filled from a file");
    require(r.module == kNone<ModuleId> || r.module.value() < image_.modules.size(),
            who + "names a module that does not exist");
    require(image_.find_region(r.range.base) == &r, who + "is not found by its first address");
    require(image_.find_region(Address(base + (size - 1))) == &r,
            who + "is not found by its last address");
    for (const uint64_t at : {base, base + size / 2, base + (size - 1)}) reads(who, r, Address(at));
  }

  void reads(const std::string& who, const Region& r, Address at) {
    const auto seen = image_.view(at, 4096);
    require(seen.size() <= 4096, who + "view() returned more than asked for");
    require(inside_files(seen), who + "view() leaves the files");
    require(r.bytes.empty() == seen.empty(), who + "view() disagrees with bytes");
    std::array<std::byte, 64> copy{};
    const uint64_t n = image_.read(at, copy);
    require(n <= copy.size(), who + "read() returned more than asked for");
    require(n >= std::min(seen.size(), copy.size()), who + "read() found less than view()");
    const size_t both = std::min<size_t>(n, seen.size());
    require(std::equal(copy.begin(), copy.begin() + static_cast<ptrdiff_t>(both), seen.begin()),
            who + "read() and view() differ");
    require(image_.word(at).has_value() == (n >= image_.pointer_width),
            who + "word() disagrees with read()");
    (void)image_.c_string(at, 256);
    (void)image_.module_of(at);
  }

  void module(const Module& m) {
    const std::string who = "module " + printable(m.path) + ": ";
    require(inside_files(m.file), who + "its file is not among the files");
    const uint64_t base = m.range.base.value(), size = m.range.size.value();
    require(size == 0 || base + (size - 1) >= base, who + "wraps around");
  }

  const Image& image_;
  std::vector<std::string> broken_;
};

}  // namespace

std::vector<std::string> broken_laws(const Image& image) { return Court(image).verdict(); }

}  // namespace residue::testing

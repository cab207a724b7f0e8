// Many frames share few addresses: 200 threads that wait have some dozens of them. So the addresses
// of all threads are collected first, each is given its name once, and a frame is a few numbers
// that refer to it.
#include "analyzer/stacks.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <unordered_map>

#include "formats/base/parallel.h"
#include "formats/base/text.h"

namespace residue {
namespace {

// As gdb calls it, and as crash pipelines know it.
constexpr const char* kSignalHandler = "<signal handler called>";

std::vector<uint64_t> distinct_addresses(const std::vector<UnwoundStack>& stacks) {
  std::vector<uint64_t> addresses;
  for (const UnwoundStack& stack : stacks) {
    for (const UnwoundFrame& frame : stack.frames) {
      // A recursion repeats itself: most repetitions are dropped before they cost memory.
      const uint64_t pc = frame.lookup_pc();
      if (!addresses.empty() && addresses.back() == pc) continue;
      addresses.push_back(pc);
    }
  }
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  return addresses;
}

// The places of each distinct address, next to one another in one table.
class PlaceTable {
 public:
  PlaceTable(const Image& image, const std::vector<uint64_t>& addresses, Symbolizer* symbolizer) {
    const auto chains = symbolizer->places(addresses);
    for (size_t i = 0; i < addresses.size(); ++i) {
      const auto first = static_cast<uint32_t>(rows_.size());
      for (const CodePlace& place : chains[i]) rows_.push_back(row_of(image, place));
      if (chains[i].empty()) rows_.push_back({});
      spans_[addresses[i]] = {first, static_cast<uint32_t>(rows_.size())};
    }
  }

  struct Span {
    uint32_t first = 0, last = 0;
  };
  Span of(uint64_t address) const { return spans_.at(address); }

  // The trampoline of signals in `module`.
  uint32_t signal_handler(uint32_t place) {
    const auto [it, is_new] =
        trampolines_.try_emplace(rows_[place].module, static_cast<uint32_t>(rows_.size()));
    if (is_new) {
      PlaceRow row;
      row.module = rows_[place].module;
      row.function = kSignalHandler;
      rows_.push_back(std::move(row));
    }
    return it->second;
  }

  std::vector<PlaceRow> take() { return std::move(rows_); }

 private:
  static PlaceRow row_of(const Image& image, const CodePlace& place) {
    PlaceRow row;
    if (place.module != kNone<ModuleId>) {
      row.module = std::string(base_name(image.modules[place.module.value()].path));
    }
    row.function = place.function;
    row.file = place.file;
    row.line = place.line;
    row.inlined = place.inlined;
    row.offset = place.offset;
    return row;
  }

  std::vector<PlaceRow> rows_;
  std::unordered_map<uint64_t, Span> spans_;
  std::unordered_map<std::string, uint32_t> trampolines_;
};

// Where `part` lies in `whole`, if it does.
std::optional<size_t> offset_in(std::span<const std::byte> whole, std::span<const std::byte> part) {
  const std::less<const std::byte*> before;
  if (before(part.data(), whole.data()) ||
      before(whole.data() + whole.size(), part.data() + part.size())) {
    return std::nullopt;
  }
  return static_cast<size_t>(part.data() - whole.data());
}

// Where the kernel looks for more to map when a page is touched (fault_around_bytes), and so what
// lies resident around a stack that was read.
constexpr size_t kFaultAround = size_t{64} << 10;

// Gives back the pages of a stack that has been walked: its few kilobytes hold 64 KB or more each,
// and they are not needed for the other threads' stacks.
void release_stack(const Image& image, const Thread& thread) {
  const Region* region = image.find_region(Address(thread.sp));
  if (region == nullptr || region->backing != Backing::kDump) return;
  for (const MappedFile& file : image.files) {
    // Only a mapped file's pages come back when they are touched again.
    const auto offset = offset_in(file.bytes(), region->bytes);
    if (!offset) continue;
    const size_t first = *offset - std::min(*offset, kFaultAround);
    const size_t last =
        std::min(file.bytes().size(), *offset + region->bytes.size() + kFaultAround);
    release_pages(file.bytes().subspan(first, last - first));
    return;
  }
}

}  // namespace

std::vector<UnwoundStack> unwind_threads(const Image& image, Symbolizer* symbolizer,
                                         const StackOptions& options, Diagnostics& diagnostics) {
  std::vector<UnwoundStack> stacks(image.threads.size());
  const Unwinder unwinder(image, symbolizer->files());
  UnwindOptions unwind;
  unwind.keep_registers = options.keep_registers;
  parallel_for(stacks.size(), options.jobs, [&](size_t i) {
    stacks[i] = unwinder.unwind(image.threads[i], unwind);
    release_stack(image, image.threads[i]);
  });
  unwinder.report(diagnostics);
  symbolizer->add_tail_calls(&stacks);
  return stacks;
}

FrameTable name_frames(const Image& image, const std::vector<UnwoundStack>& stacks,
                       Symbolizer* symbolizer) {
  PlaceTable places(image, distinct_addresses(stacks), symbolizer);
  FrameTable table;
  for (uint32_t t = 0; t < stacks.size(); ++t) {
    uint32_t depth = 0;
    for (const UnwoundFrame& frame : stacks[t].frames) {
      const auto add = [&](uint32_t place) {
        table.frames.push_back({t, depth++, place, frame.pc, frame.sp, to_string(frame.trust)});
      };
      const PlaceTable::Span span = places.of(frame.lookup_pc());
      if (frame.is_signal_frame) {
        add(places.signal_handler(span.last - 1));
        continue;
      }
      for (uint32_t place = span.first; place < span.last; ++place) add(place);
    }
  }
  table.places = places.take();
  return table;
}

}  // namespace residue

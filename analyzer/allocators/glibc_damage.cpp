// Reading the traces of whoever wrote over a header.
//
// A run is bytes that go on in the same way: text, one byte repeated, or words in equal steps (an
// array of equal or counted elements). If a run that begins in the chunk before goes on across the
// header, that chunk was written beyond its end, and the run's end says how far. If a run begins in
// the header and goes on into the chunk's own memory, the chunk was written before its start. One
// zero byte behind a text is a terminator that did not fit. Anything else is not explained, only
// shown.
//
// Rejected: blaming the chunk before whenever a header is wrong. It is the usual culprit, but a
// stray pointer or a bad memory cell leave the same header; only a run is evidence.
#include "analyzer/allocators/glibc_damage.h"

#include <algorithm>
#include <array>
#include <bit>

#include "formats/base/text.h"

namespace residue::glibc {
namespace {

constexpr uint64_t kLookAround = 256;   // bytes of a neighbour that are looked at
constexpr uint64_t kLeastBefore = 8;    // of a run, before the header
constexpr uint64_t kLikelyLength = 16;  // a run as long as this is no coincidence
constexpr unsigned kLeastSteps = 3;     // equal steps of an array before the header
constexpr uint64_t kShownBytes = 16;

bool is_text(std::byte b) {
  const auto c = std::to_integer<unsigned char>(b);
  return (c >= 0x20 && c < 0x7f) || c == '\t' || c == '\n' || c == '\r';
}

// How far a run reaches from `pivot` in both directions, and what it is.
struct RunOfBytes {
  uint64_t before = 0, behind = 0;
  std::string what;
  uint64_t length() const { return before + behind; }
};

class Traces {
 public:
  // `bytes` begin at `base`.
  Traces(std::span<const std::byte> bytes, const Shape& shape) : bytes_(bytes), shape_(shape) {}

  // The run that holds the byte at `pivot`, as far back as `floor`.
  RunOfBytes across(uint64_t pivot, uint64_t floor) const {
    RunOfBytes best;
    for (const RunOfBytes& run : {text(pivot, floor), fill(pivot, floor),
                                  array(pivot, floor, shape_.word), array(pivot, floor, 4)}) {
      if (run.length() > best.length()) best = run;
    }
    return best;
  }

 private:
  template <typename Same>
  RunOfBytes grow(uint64_t pivot, uint64_t floor, std::string what, Same&& same) const {
    RunOfBytes run;
    run.what = std::move(what);
    while (pivot + run.behind < bytes_.size() && same(bytes_[pivot + run.behind])) ++run.behind;
    if (run.behind == 0) return {};
    while (pivot - run.before > floor && same(bytes_[pivot - run.before - 1])) ++run.before;
    return run;
  }

  RunOfBytes text(uint64_t pivot, uint64_t floor) const {
    return grow(pivot, floor, "text", is_text);
  }

  // Zeros are everywhere and prove nothing.
  RunOfBytes fill(uint64_t pivot, uint64_t floor) const {
    if (pivot >= bytes_.size() || bytes_[pivot] == std::byte{0}) return {};
    const std::byte value = bytes_[pivot];
    std::string what = "bytes 0x";
    what += hex_bytes(std::span(&value, 1));
    return grow(pivot, floor, what, [value](std::byte b) { return b == value; });
  }

  uint64_t element(uint64_t at, uint64_t width) const {
    if (width == 8) return load<uint64_t>(bytes_.subspan(at), shape_.order);
    return load<uint32_t>(bytes_.subspan(at), shape_.order);
  }

  // Elements of `width` in equal steps: at least kLeastSteps before the pivot, and one at it.
  RunOfBytes array(uint64_t pivot, uint64_t floor, uint64_t width) const {
    const uint64_t needed = (kLeastSteps + 1) * width;
    if (pivot < floor + needed || pivot + width > bytes_.size()) return {};
    const uint64_t mask = width == 8 ? ~uint64_t{0} : 0xffffffff;
    const uint64_t step = (element(pivot, width) - element(pivot - width, width)) & mask;
    const auto fits = [&](uint64_t at) {
      return ((element(at, width) - element(at - width, width)) & mask) == step;
    };
    RunOfBytes run;
    run.what = step == 0 ? "equal elements" : "counted elements";
    run.behind = width;
    while (pivot + run.behind + width <= bytes_.size() && fits(pivot + run.behind)) {
      run.behind += width;
    }
    run.before = width;
    while (pivot - run.before >= floor + width && fits(pivot - run.before)) run.before += width;
    const bool zeros = step == 0 && element(pivot, width) == 0;
    return run.before < needed || zeros ? RunOfBytes{} : run;
  }

  std::span<const std::byte> bytes_;
  const Shape& shape_;
};

std::string bytes_text(uint64_t n) { return std::to_string(n) + (n == 1 ? " byte" : " bytes"); }

// The word as the process has it in memory.
std::string word_text(uint64_t value, const Shape& shape) {
  std::array<std::byte, 8> bytes{};
  for (uint64_t i = 0; i < shape.word; ++i) {
    const uint64_t at = shape.order == ByteOrder::kLittle ? i : shape.word - 1 - i;
    bytes[at] = static_cast<std::byte>(value >> (8 * i));
  }
  return describe_bytes(std::span(bytes).first(shape.word));
}

struct Evidence {
  const Shape& shape;
  uint64_t base;                     // address of bytes[0]
  std::span<const std::byte> bytes;  // around the header
  uint64_t size_at;                  // position of the header's size word
  uint64_t floor;                    // position where the chunk before begins
};

// A zero byte behind a text that fills the chunk before to its last byte, and nothing else wrong.
bool is_lost_terminator(const Evidence& e, const TrampledHeader& bad) {
  if (!bad.expected || e.size_at < e.floor + 4 || e.shape.order != ByteOrder::kLittle) return false;
  const uint64_t found = e.shape.load_word(e.bytes.subspan(e.size_at));
  const auto tail = e.bytes.subspan(e.size_at - 4, 4);
  return found == (*bad.expected & ~uint64_t{0xff}) && (*bad.expected & 0xff) != 0 &&
         std::all_of(tail.begin(), tail.end(), is_text);
}

bool blame_overflow(const Evidence& e, const TrampledHeader& bad, CorruptionRow* row) {
  if (bad.before.value() == 0) return false;
  if (is_lost_terminator(e, bad)) {
    row->kind = "overflow";
    row->confidence = "likely";
    row->suspect = bad.before;
    row->message =
        "the text in the chunk before fills it to its last byte; its terminating zero "
        "was written over this header";
    return true;
  }
  const RunOfBytes run = Traces(e.bytes, e.shape).across(e.size_at, e.floor);
  if (run.before < kLeastBefore) return false;
  row->kind = "overflow";
  row->confidence = run.length() >= kLikelyLength ? "likely" : "guess";
  row->suspect = bad.before;
  row->message = run.what;
  row->message.append(" run from the chunk before over this header: it was written ")
      .append(bytes_text(run.behind))
      .append(" beyond its end");
  return true;
}

bool blame_underflow(const Evidence& e, const TrampledHeader& bad, CorruptionRow* row) {
  if (bad.is_top) return false;
  // From the chunk's own first bytes back into the header.
  const uint64_t user = e.size_at + e.shape.word;
  const RunOfBytes run = Traces(e.bytes, e.shape).across(user, e.floor);
  if (run.before < e.shape.word / 2 || run.behind < kLeastBefore) return false;
  row->kind = "underflow";
  row->confidence = run.length() >= 2 * kLikelyLength ? "likely" : "guess";
  row->suspect = bad.header + ByteCount(e.shape.header());
  row->message = run.what;
  row->message.append(" run from this header into its own chunk: that was written ")
      .append(bytes_text(run.before))
      .append(" before its start");
  return true;
}

void leave_unexplained(uint64_t found, const TrampledHeader& bad, CorruptionRow* row) {
  row->kind = "unknown";
  row->confidence = "guess";
  row->suspect = bad.before;
  row->message = bad.before.value() == 0
                     ? "nothing shows who wrote it"
                     : "nothing shows who wrote it; most often the chunk before";
  if (bad.expected && std::popcount(found ^ *bad.expected) == 1) {
    row->suspect = Address(0);
    row->message = "a single bit differs: a stray write, or a memory cell that failed";
  }
}

}  // namespace

std::string describe_bytes(std::span<const std::byte> bytes) {
  std::string text = hex_bytes(bytes);
  if (std::none_of(bytes.begin(), bytes.end(), is_text)) return text;
  text += " \"";
  for (const std::byte b : bytes) {
    const auto c = std::to_integer<char>(b);
    text += c >= 0x20 && c < 0x7f ? c : '.';
  }
  return text + "\"";
}

CorruptionRow diagnose_header(const Image& image, const Shape& shape, const TrampledHeader& bad) {
  CorruptionRow row;
  const Address size_place = bad.header + ByteCount(shape.word);
  row.address = size_place;
  const uint64_t floor_address =
      bad.before.value() != 0 && bad.before < bad.header
          ? std::max(bad.before.value(),
                     bad.header.value() - std::min(bad.header.value(), kLookAround))
          : size_place.value();
  const auto bytes =
      image.view(Address(floor_address), size_place.value() - floor_address + kLookAround);
  const uint64_t size_at = size_place.value() - floor_address;
  if (bytes.size() < size_at + shape.word) {
    row.kind = "unknown";
    row.confidence = "guess";
    row.message = "the bytes are not in the dump";
    return row;
  }
  const Evidence evidence{shape, floor_address, bytes, size_at, 0};
  row.found = describe_bytes(bytes.subspan(size_at, shape.word));
  if (bad.expected) row.expected = word_text(*bad.expected, shape);
  if (!blame_overflow(evidence, bad, &row) && !blame_underflow(evidence, bad, &row)) {
    leave_unexplained(shape.load_word(bytes.subspan(size_at)), bad, &row);
  }
  row.message = (bad.is_top ? "the size of the top chunk was overwritten: "
                            : "the size of a chunk was overwritten: ") +
                row.message;
  return row;
}

CorruptionRow diagnose_link(const Image& image, const Shape& shape, Address user, Address place,
                            std::string_view what, bool likely) {
  CorruptionRow row;
  row.address = place;
  row.kind = "use after free";
  row.found = describe_bytes(image.view(place, std::min(kShownBytes, shape.word)));
  row.suspect = user;
  row.confidence = likely ? "likely" : "guess";
  row.message.append(what).append(" leads nowhere: the free chunk was written to");
  return row;
}

CorruptionRow diagnose_double(const Image& image, const Shape& shape, Address user,
                              std::optional<Address> link) {
  CorruptionRow row;
  row.address = link.value_or(user);
  row.kind = link ? "cycle" : "double free";
  row.suspect = user;
  row.confidence = "likely";
  if (link) row.found = describe_bytes(image.view(*link, shape.word));
  row.message = link ? "a free list comes back to itself here: a chunk of it was freed twice, or "
                       "written to after the free"
                     : "the chunk is on two free lists: it was freed twice";
  return row;
}

CorruptionRow diagnose_field(const Image& image, const Shape& shape, Address place,
                             std::string_view what, uint64_t expected) {
  CorruptionRow row;
  row.address = place;
  row.kind = "unknown";
  row.found = describe_bytes(image.view(place, shape.word));
  row.expected = word_text(expected, shape);
  row.confidence = "guess";
  row.message.append(what).append(" contradicts everything else that is known of the arena");
  return row;
}

// __libc_message() maps pages of their own for {unsigned size; char text[]} and keeps the address
// in libc's __abort_msg (2.14 to 2.42): a page-aligned pointer in its data to a multiple of the
// page size and a line of text.
std::optional<std::string> find_abort_message(const Image& image, ModuleId libc) {
  constexpr uint64_t kLongest = 4096;
  const uint64_t word = image.pointer_width;
  for (const Region& region : image.regions) {
    if (region.kind != RegionKind::kModuleData || region.module != libc) continue;
    std::optional<std::string> found;
    image.holes.for_each_data(region.bytes, [&](uint64_t from, uint64_t until) {
      for (uint64_t at = from; at + word <= until && !found; at += word) {
        const auto bytes = region.bytes.subspan(at, word);
        const uint64_t target =
            word == 8 ? load<uint64_t>(bytes, image.order) : load<uint32_t>(bytes, image.order);
        if (target == 0 || target % image.page_size != 0) continue;
        const auto size = image.value<uint32_t>(Address(target));
        if (!size || *size == 0 || *size % image.page_size != 0 || *size > 16 * image.page_size) {
          continue;
        }
        const auto text =
            image.c_string(Address(target + 4), std::min<uint64_t>(*size - 4, kLongest));
        if (!text || text->size() < 4 || text->back() != '\n') continue;
        const auto line = text->substr(0, text->size() - 1);
        const bool readable = std::all_of(line.begin(), line.end(), [](char c) {
          return static_cast<unsigned char>(c) >= 0x20 || c == '\t' || c == '\n';
        });
        if (readable) found = printable(line);
      }
    });
    if (found) return found;
  }
  return std::nullopt;
}

std::optional<CorruptionRow> diagnose_abort(std::string_view message) {
  // Texts of malloc.c, 2.12 to 2.42; the first that is part of the message counts. What glibc saw
  // is certain; what that means is not, where one check catches more than one fault.
  struct Known {
    const char* part;
    const char* kind;
    const char* confidence;
    const char* meaning;
  };
  static constexpr std::array<Known, 19> kKnown = {{
      {"double free detected", "double free", "proved", "a chunk was freed that was free already"},
      {"(fasttop)", "double free", "proved", "a chunk was freed that was free already"},
      {"(!prev)", "double free", "likely",
       "a chunk was freed that the header behind it calls free already"},
      {"(top)", "double free", "likely", "memory was freed that is part of top already"},
      {"double free or corruption", "unknown", "guess",
       "the header of the freed chunk, or the one behind it, cannot be true"},
      {"corrupted top size", "overflow", "likely", "the size of the top chunk cannot be true"},
      {"corrupted size vs. prev_size", "overflow", "likely",
       "a free chunk's size and the copy behind it differ"},
      {"mismatching next->prev_size", "overflow", "likely",
       "a free chunk's size and the copy behind it differ"},
      {"unaligned tcache chunk", "use after free", "likely",
       "the link of a thread cache's list leads nowhere"},
      {"unaligned fastbin chunk", "use after free", "likely",
       "the link of a fastbin's list leads nowhere"},
      {"double linked list", "use after free", "likely", "the links of a free list contradict"},
      {"corrupted unsorted chunks", "use after free", "likely",
       "the links of a free list contradict"},
      {"unsorted double linked", "use after free", "likely", "the links of a free list contradict"},
      {"invalid next size", "overflow", "likely",
       "the header behind the freed chunk cannot be true"},
      {"invalid size", "overflow", "guess", "the header of a chunk cannot be true"},
      {"invalid old size", "overflow", "guess", "the header of a chunk cannot be true"},
      {"invalid pointer", "unknown", "guess", "what was freed is no chunk"},
      {"memory corruption", "unknown", "guess", "a free list leads to what is no chunk of it"},
      {"too many chunks detected in tcache", "unknown", "guess",
       "the counter of a thread cache is wrong"},
  }};
  static constexpr std::array<std::string_view, 9> kSpeakers = {
      "malloc()",   "free()",         "realloc()",   "munmap_chunk()",
      "corrupted ", "mremap_chunk()", "double free", "malloc_consolidate()",
      "calloc()"};
  const bool from_malloc = std::any_of(
      kSpeakers.begin(), kSpeakers.end(),
      [&](std::string_view speaker) { return message.find(speaker) != std::string_view::npos; });
  if (!from_malloc) return std::nullopt;
  for (const Known& known : kKnown) {
    if (message.find(known.part) == std::string_view::npos) continue;
    CorruptionRow row;
    row.kind = known.kind;
    row.confidence = known.confidence;
    row.message.append("libc aborted the process with \"").append(message).append("\": ");
    row.message += known.meaning;
    return row;
  }
  return std::nullopt;
}

}  // namespace residue::glibc

// Finding containers by their words first. Asking DWARF for the type of every variable would read
// all of a program's debug information; that three words in a row are {the start of a chunk, a
// place in it, a place behind that} is rare, and only such places are looked up.
//
// A variable may be out of its lifetime: a local whose constructor has not run holds what the stack
// slot held before, perhaps an old vector whose buffer is somebody else's chunk today. So a local
// counts only when its frame has come past its declaration, and (drop_shared_parts()) when nothing
// at all but that one variable refers to the buffer: neither suffices alone, because a call in the
// variable's initialiser may stand lines behind it. Globals, statics and thread-local variables are
// zero before their constructors, but not after their destructors, while the process exits: to
// their buffers only stacks and registers may refer besides, which copy what they work with.
#include "analyzer/spare.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <unordered_map>

#include "analyzer/references.h"
#include "analyzer/words.h"
#include "formats/base/text.h"
#include "symbolize/stack_locals.h"

namespace residue {
namespace {

// Look-ups of variables; a process with more candidates is not typical of anything.
constexpr size_t kMaxLookups = 20000;
// As in references.cpp: a buffer fills its chunk but for the allocator's rounding.
constexpr uint64_t slack_of(uint64_t word) { return word == 4 ? 16 : 24; }

// libstdc++'s std::deque (since 3.4), in words: map, number of its slots, then the iterators
// {cur, first, last, node} to the first element and behind the last one.
constexpr uint64_t kVectorWords = 3, kDequeWords = 10;
constexpr uint64_t kStart = 2, kFinish = 6, kCur = 0, kFirst = 1, kLast = 2, kNode = 3;

enum class Shape : uint8_t { kVector, kDeque };

bool is_container(std::string_view type, Shape shape) {
  for (const std::string_view prefix : {"const ", "volatile ", "static "}) {
    if (type.starts_with(prefix)) type.remove_prefix(prefix.size());
  }
  // "…> [4]": an array of containers; "…>::iterator" is none.
  if (!type.ends_with('>') && !type.ends_with(']')) return false;
  if (shape == Shape::kVector) {
    return type.starts_with("std::vector<") || type.starts_with("std::__1::vector<") ||
           type.starts_with("std::__cxx1998::vector<");
  }
  return type.starts_with("std::deque<") || type.starts_with("std::queue<") ||
         type.starts_with("std::__cxx1998::deque<");
}

class SpareFinder {
 public:
  SpareFinder(const Image& image, const ChunkTable& chunks, const std::vector<UnwoundStack>& stacks,
              Symbolizer* symbolizer)
      : image_(image),
        words_(image),
        chunks_(chunks),
        stacks_(stacks),
        symbolizer_(symbolizer),
        locals_(stacks.size()) {
    const auto& runs = chunks.map.runs();
    if (runs.empty()) return;
    low_ = runs.front().begin.value();
    span_ = runs.back().end.value() - low_;
  }

  std::vector<SparePart> find(const Roots& roots) {
    if (span_ == 0) return {};
    for (const RootRange& range : roots.live) {
      const bool has_variables = range.kind == RootKind::kGlobal || range.kind == RootKind::kTls ||
                                 range.kind == RootKind::kStack;
      if (!has_variables) continue;
      with_words(image_, [&]<typename W>(W) { scan<W>(range); });
    }
    return finish();
  }

 private:
  template <typename W>
  void scan(const RootRange& range) {
    image_.holes.for_each_data(range.bytes, [&](uint64_t from, uint64_t until) {
      for (uint64_t at = from; at + kVectorWords * W::kSize <= until; at += W::kSize) {
        if (W::at(range.bytes, at) - low_ >= span_) continue;
        look_at(range, range.bytes.subspan(at), range.base + ByteCount(at));
      }
    });
  }

  uint64_t word(std::span<const std::byte> bytes, uint64_t i) const {
    return words_.at(bytes, i * words_.size);
  }

  void look_at(const RootRange& range, std::span<const std::byte> bytes, Address place) {
    if (look_ups_ >= kMaxLookups) return;
    const auto pointed_to = buffer_at(word(bytes, 0));
    if (pointed_to.size == 0) return;
    if (looks_like_vector(bytes, pointed_to)) {
      const std::string holder = holder_of(range, place, Shape::kVector);
      if (holder.empty()) return;
      add(word(bytes, 1), pointed_to.start + pointed_to.size, holder, range, place);
    } else if (looks_like_deque(bytes, pointed_to)) {
      const std::string holder = holder_of(range, place, Shape::kDeque);
      if (!holder.empty()) add_deque(bytes, pointed_to, holder, range, place);
    }
  }

  struct Buffer {
    uint64_t start = 0, size = 0;  // size: usable
  };
  // The used chunk that begins just there.
  Buffer buffer_at(uint64_t pointer) const {
    uint64_t start = 0;
    const ChunkId id = chunks_.map.find(pointer, &start);
    if (id == kNone<ChunkId> || start != pointer) return {};
    if (chunks_.state[id.value()] != ChunkState::kUsed) return {};
    return {start, chunks_.map.usable(id).value()};
  }

  bool fills(const Buffer& buffer, uint64_t bytes) const {
    return bytes <= buffer.size && buffer.size - bytes < slack_of(words_.size);
  }

  bool looks_like_vector(std::span<const std::byte> bytes, const Buffer& buffer) const {
    const uint64_t end = word(bytes, 1), storage = word(bytes, 2);
    if (end < buffer.start || storage < end || !fills(buffer, storage - buffer.start)) return false;
    return (buffer.start + buffer.size - end) >= words_.size;
  }

  bool looks_like_deque(std::span<const std::byte> bytes, const Buffer& map) const {
    if (bytes.size() < kDequeWords * words_.size) return false;
    const uint64_t slots = word(bytes, 1);
    if (slots > map.size / words_.size || !fills(map, slots * words_.size)) return false;
    for (const uint64_t iterator : {kStart, kFinish}) {
      const uint64_t cur = word(bytes, iterator + kCur), first = word(bytes, iterator + kFirst);
      const uint64_t last = word(bytes, iterator + kLast), node = word(bytes, iterator + kNode);
      if (first > cur || cur >= last || node < map.start) return false;
      if (node >= map.start + slots * words_.size) return false;
      const Buffer buffer = buffer_at(first);
      if (buffer.size == 0 || !fills(buffer, last - first)) return false;
      if (image_.word(Address(node)).value_or(0) != first) return false;
    }
    return word(bytes, kStart + kNode) <= word(bytes, kFinish + kNode);
  }

  void add_deque(std::span<const std::byte> bytes, const Buffer& map, const std::string& holder,
                 const RootRange& range, Address place) {
    const uint64_t first_node = word(bytes, kStart + kNode);
    const uint64_t last_node = word(bytes, kFinish + kNode) + words_.size;
    add(map.start, first_node, holder, range, place);
    add(last_node, map.start + map.size, holder, range, place);
    add(word(bytes, kStart + kFirst), word(bytes, kStart + kCur), holder, range, place);
    const Buffer last = buffer_at(word(bytes, kFinish + kFirst));
    add(word(bytes, kFinish + kCur), last.start + last.size, holder, range, place);
  }

  void add(uint64_t begin, uint64_t end, const std::string& holder, const RootRange& range,
           Address place) {
    // A word that the last element reaches into is the element's.
    begin = (begin + words_.size - 1) & ~(words_.size - 1);
    if (begin >= end) return;
    SparePart part{Address(begin), Address(end), holder, place};
    part.is_local = range.kind == RootKind::kStack;
    part.is_deque = holder.starts_with("deque");
    parts_.push_back(std::move(part));
  }

  // "vector `name`" if a variable of that type begins at `place`.
  std::string holder_of(const RootRange& range, Address place, Shape shape) {
    ++look_ups_;
    if (range.kind == RootKind::kStack) return local_holder(range.thread, place, shape);
    const auto data = range.kind == RootKind::kTls
                          ? symbolizer_->thread_local_data(range.thread, place)
                          : symbolizer_->data(place);
    if (!data || !fits(data->type, data->size, place - data->address, shape)) return {};
    return named(shape, data->name);
  }

  bool fits(const std::string& type, uint64_t size, ByteCount offset, Shape shape) const {
    const uint64_t one = words_.size * (shape == Shape::kVector ? kVectorWords : kDequeWords);
    if (!is_container(type, shape) || size % one != 0 || offset.value() % one != 0) return false;
    return type.ends_with(']') || size == one;
  }

  static std::string named(Shape shape, const std::string& name) {
    std::string text = shape == Shape::kVector ? "vector `" : "deque `";
    return text.append(name).append("`");
  }

  std::string local_holder(uint32_t thread, Address place, Shape shape) {
    if (thread >= stacks_.size()) return {};
    auto& locals = locals_[thread];
    if (locals == nullptr) {
      locals = std::make_unique<StackLocals>(image_, stacks_[thread], [this](ModuleId module) {
        return symbolizer_->variables(module);
      });
    }
    const auto hit = locals->find(place.value());
    if (!hit) return {};
    const LocalVariable& variable = *hit->variable;
    if (!fits(variable.type, variable.size, ByteCount(hit->offset), shape)) return {};
    if (!variable.is_parameter && !is_past(thread, hit->frame, variable)) return {};
    std::string text = named(shape, variable.name).append(" of ").append(variable.function);
    return text.append(", thread ").append(std::to_string(image_.threads[thread].tid));
  }

  // Whether the frame stands at a line behind the variable's declaration.
  bool is_past(uint32_t thread, size_t frame, const LocalVariable& variable) {
    const std::array<uint64_t, 1> pc = {stacks_[thread].frames[frame].lookup_pc()};
    const auto places = symbolizer_->places(pc);
    return std::any_of(places[0].begin(), places[0].end(), [&](const CodePlace& place) {
      return place.function == variable.function && place.file == variable.file &&
             place.line > variable.line && variable.line != 0;
    });
  }

  // Sorted; where two overlap (a container seen twice), the first counts.
  std::vector<SparePart> finish() {
    std::stable_sort(parts_.begin(), parts_.end(),
                     [](const SparePart& a, const SparePart& b) { return a.begin < b.begin; });
    std::vector<SparePart> disjoint;
    for (SparePart& part : parts_) {
      if (disjoint.empty() || disjoint.back().end <= part.begin) disjoint.push_back(part);
    }
    return disjoint;
  }

  const Image& image_;
  const WordFormat words_;
  const ChunkTable& chunks_;
  const std::vector<UnwoundStack>& stacks_;
  Symbolizer* symbolizer_;
  std::vector<std::unique_ptr<StackLocals>> locals_;  // by thread
  std::vector<SparePart> parts_;
  uint64_t low_ = 0, span_ = 0;
  size_t look_ups_ = 0;
};

}  // namespace

std::vector<SparePart> find_spare_parts(const Image& image, const ChunkTable& chunks,
                                        const Roots& roots, const std::vector<UnwoundStack>& stacks,
                                        Symbolizer* symbolizer) {
  return SpareFinder(image, chunks, stacks, symbolizer).find(roots);
}

namespace {

// The chunks in which spare parts lie, and whether others than their containers refer to them.
class BufferWatch {
 public:
  BufferWatch(const ChunkMap& map, unsigned word, const std::vector<SparePart>& parts)
      : map_(map), word_(word), watched_(map.size()) {
    for (const SparePart& part : parts) {
      const uint32_t chunk = chunk_of(part);
      watched_[chunk] = true;
      watches_.try_emplace(chunk, Watch{&part});
    }
  }

  void see(Edge edge, Address location, RootKind kind) {
    if (!watched(edge)) return;
    Watch& watch = watches_.at(edge.target().value());
    const bool of_thread = kind == RootKind::kStack || kind == RootKind::kRegister;
    if (of_thread && !watch.part->is_local) return;
    const uint64_t own = (watch.part->is_deque ? kDequeWords : kVectorWords) * word_;
    const AddressRange container = {watch.part->holder_at, ByteCount(own)};
    watch.shared |= !container.contains(location);
  }
  // From a chunk; a deque's nodes have one from its map.
  void see(Edge edge) {
    if (!watched(edge)) return;
    Watch& watch = watches_.at(edge.target().value());
    watch.shared |= !watch.part->is_deque;
  }

  bool is_shared(const SparePart& part) const { return watches_.at(chunk_of(part)).shared; }

 private:
  struct Watch {
    const SparePart* part;
    bool shared = false;
  };
  bool watched(Edge edge) const { return !edge.interior() && watched_[edge.target().value()]; }
  uint32_t chunk_of(const SparePart& part) const {
    uint64_t start = 0;
    return map_.find(part.begin.value(), &start).value();
  }

  const ChunkMap& map_;
  const unsigned word_;
  std::vector<bool> watched_;
  std::unordered_map<uint32_t, Watch> watches_;
};

}  // namespace

bool drop_shared_parts(const Image& image, const ChunkMap& map, const ReferenceGraph& graph,
                       const Roots& roots, TypeFinder* types, std::vector<SparePart>* parts) {
  if (parts->empty()) return false;
  BufferWatch watch(map, image.pointer_width, *parts);
  for (const Edge edge : graph.targets.span(0, graph.targets.size())) watch.see(edge);
  EdgeFinder finder(image, map, types);
  for (const RootWord& word : roots.registers) {
    Edge edge;
    if (finder.find(word.value, &edge)) watch.see(edge, Address(0), RootKind::kRegister);
  }
  for (const RootRange& range : roots.live) {
    image.holes.for_each_data(range.bytes, [&](uint64_t from, uint64_t until) {
      with_words(image, [&]<typename W>(W) {
        Edge edge;
        for (uint64_t at = from; at + W::kSize <= until; at += W::kSize) {
          if (finder.find(W::at(range.bytes, at), &edge)) {
            watch.see(edge, range.base + ByteCount(at), range.kind);
          }
        }
      });
    });
  }
  std::vector<SparePart> kept;
  for (const SparePart& part : *parts) {
    if (!watch.is_shared(part)) kept.push_back(part);
  }
  const bool dropped = kept.size() < parts->size();
  *parts = std::move(kept);
  return dropped;
}

}  // namespace residue

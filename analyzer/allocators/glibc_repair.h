// Arenas one word of which has been overwritten.
//
// What malloc_state and heap_info say is said more than once: the size of a heap by heap_info, by
// system_mem and by the end of the top chunk; the place of top by the arena and by the chain of
// chunks. One word that contradicts the others is read as what they say, and reported.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "analyzer/allocators/glibc_layout.h"
#include "formats/image.h"

namespace residue::glibc {

struct Repair {
  Address place;
  uint64_t expected = 0;
  std::string what;     // of the word: "heap_info.size of arena 0x…"
  bool is_top = false;  // the size of a top chunk, which a neighbour may have run over
  Address before;       // user address of the chunk before it then, 0 if unknown
};

// The process's words, with those that are known to be wrong put right.
class RepairedWords {
 public:
  explicit RepairedWords(const Image& image) : image_(&image) {}

  std::optional<uint64_t> read(Address a) const {
    if (!repairs_.empty()) {
      if (const auto it = repairs_.find(a); it != repairs_.end()) return it->second.expected;
    }
    return image_->word(a);
  }
  uint64_t word(Address a) const { return read(a).value_or(0); }

  // Puts the word right if it is not. True if it was wrong.
  bool put(Address place, uint64_t expected, std::string what);
  void put_top(Address place, uint64_t expected, Address before);
  const std::map<Address, Repair>& all() const { return repairs_; }

 private:
  const Image* image_;
  std::map<Address, Repair> repairs_;
};

// Where an arena is, whatever else of it is wrong.
struct ArenaPlace {
  Address address;
  const ArenaLayout* layout = nullptr;
  Shape shape;
  Address heap;                       // thread arena: of its first heap
  uint64_t heap_info_size = 0;        // thread arena
  ModuleId module = kNone<ModuleId>;  // main arena: the module whose data holds it
};

// Puts right what can be; false if too much is wrong. `heaps`: all heap-aligned addresses whose
// first word names this arena, sorted.
bool repair_thread_arena(const Image& image, const ArenaPlace& arena,
                         const std::vector<Address>& heaps, RepairedWords* words);
bool repair_main_arena(const Image& image, const ArenaPlace& arena, RepairedWords* words);

}  // namespace residue::glibc

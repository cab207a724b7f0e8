// glibc's free lists: tcache, fastbins and bins, decoded and counted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "analyzer/allocators/glibc_arenas.h"
#include "formats/image.h"

namespace residue::glibc {

struct Tcache {
  Address user;      // user address of the chunk that holds the struct
  uint32_t tid = 0;  // 0 if no thread's TLS points to it
  const TcacheLayout* layout = nullptr;
  Shape shape;
};

// The tcache structs of all threads, found through each thread's TLS: the pointer lies at the same
// distance from the thread pointer in every thread.
std::vector<Tcache> find_tcaches(const Image& image, const Shape& shape);

// Whether the chunk with this user address can be a tcache struct: every counter agrees with its
// list's head, at least one list is not empty, and every list decodes to chunks of its size. For
// structs that no thread's TLS leads to.
bool is_filled_tcache(const Image& image, const Shape& shape, Address user,
                      const TcacheLayout& layout, bool safe_linking);

// A list link that cannot be true.
struct BadLink {
  Address user;   // of the chunk that holds it; 0 if it is the head of a list
  Address place;  // of the word
  const char* what = "";
  bool cyclic = false;  // it leads back into its own list
};

struct ListResult {
  std::vector<Address> users;  // user addresses of the chunks on the lists
  std::vector<BadLink> bad_links;
  // Chunks that are counted but not on the list any more.
  struct Missing {
    uint64_t chunk_size = 0;
    uint64_t count = 0;
  };
  std::vector<Missing> missing;
  std::vector<std::string> problems;  // broken laws
};

// `safe_linking`: links are stored as PROTECT_PTR does (2.32 on).
ListResult read_tcache(const Image& image, const Tcache& tcache, bool safe_linking);
ListResult read_fastbins(const Image& image, const Arena& arena, bool safe_linking);

// Whether list links are mangled, decided by which reading makes more of the process's own lists
// end properly. False without evidence.
bool uses_safe_linking(const Image& image, const std::vector<Tcache>& tcaches,
                       const std::vector<Arena>& arenas);

struct BinTotals {
  uint64_t chunks = 0;
  uint64_t bytes = 0;          // chunk sizes
  std::vector<Address> users;  // of the chunks, if asked for
  std::vector<BadLink> bad_links;
  std::vector<std::string> problems;
};
// The unsorted, small and large bins of one arena. A list that breaks off is read from its other
// end as well.
BinTotals read_bins(const Image& image, const Arena& arena, bool want_users = false);

}  // namespace residue::glibc

// CfiTable: from a program counter to the FDE that describes it, for one section of one module.
//
// With a binary search table (.eh_frame_hdr) only the pages of the search and of the FDE found are
// touched. Without one, or where it contradicts the section, all entries are read once, on the
// first question that needs it, into a sorted index. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "symbolize/unwind/cfi_entry.h"

namespace residue {

class CfiTable {
 public:
  // A section that is searched entry by entry. REQUIRES: section.bytes outlives this.
  static CfiTable of_section(const CfiSection& section);
  // .eh_frame behind the header at `header`; `limit` is where the module ends, since the header
  // does not say how long .eh_frame is. `section` gives order and bases.
  static CfiTable of_header(const CfiSection& section, AddressRange header, uint64_t limit);

  CfiTable(CfiTable&&) = default;

  // The FDE that covers `pc`.
  std::optional<Fde> find(uint64_t pc) const;
  const CfiSection& section() const { return section_; }
  // The header could be read and has a search table: what it does not know, .eh_frame does not.
  bool has_search_table() const { return search_.has_value(); }
  // What was wrong, empty if nothing was.
  std::string problem() const;

 private:
  struct SearchTable {
    uint64_t address = 0;  // of the first pair
    uint64_t count = 0;
    uint8_t encoding = 0;
    unsigned size = 0;  // of one value
  };
  struct IndexEntry {
    uint64_t begin = 0, end = 0;
    uint64_t fde = 0;
  };
  struct Pair {
    uint64_t begin = 0, fde = 0;
  };
  struct Lazy {
    std::once_flag once;
    std::vector<IndexEntry> index;
    std::mutex mutex;
    std::string problem;
  };

  explicit CfiTable(const CfiSection& section);
  Result<void> read_header(AddressRange header, uint64_t limit);
  Result<std::optional<Fde>> search(uint64_t pc) const;
  Result<Pair> pair_at(uint64_t n) const;
  std::optional<Fde> find_in_index(uint64_t pc) const;
  void build_index() const;
  void note(const Error& error) const;

  CfiSection section_;
  PointerBases header_bases_;
  std::optional<SearchTable> search_;
  std::unique_ptr<Lazy> lazy_;
};

}  // namespace residue

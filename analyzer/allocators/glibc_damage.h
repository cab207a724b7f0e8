// What was overwritten, by what, and who probably did it.
//
// The walk and the lists say where a heap contradicts itself; here the bytes around that place are
// read for traces of the writer. A trampled header is evidence of its own: what ran over it usually
// goes on from the neighbour's last bytes without a break (a text, a fill, an array).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analyzer/allocators/allocator.h"
#include "analyzer/allocators/glibc_layout.h"
#include "formats/image.h"

namespace residue::glibc {

// A chunk header that cannot be true.
struct TrampledHeader {
  Address header;
  // What the word of its size must have held, flags included, where the neighbours prove it.
  std::optional<uint64_t> expected;
  Address before;  // user address of the chunk before it, 0 if there is none
  bool is_top = false;
};
CorruptionRow diagnose_header(const Image& image, const Shape& shape, const TrampledHeader& bad);

// A word of a free chunk's list links that leads nowhere: somebody wrote after the free. `user`:
// of the free chunk; `place`: of the word; `what`: "the link of its cache list", ….
CorruptionRow diagnose_link(const Image& image, const Shape& shape, Address user, Address place,
                            std::string_view what, bool likely);

// A chunk that was freed twice: it is on its list, or on two lists, twice. `link`: the word that
// leads back to it, where the list is cyclic.
CorruptionRow diagnose_double(const Image& image, const Shape& shape, Address user,
                              std::optional<Address> link);

// A word of malloc's own bookkeeping that cannot be true.
CorruptionRow diagnose_field(const Image& image, const Shape& shape, Address place,
                             std::string_view what, uint64_t expected);

// The message that libc left before it aborted the process ("free(): invalid pointer"), without
// the line's end; nullopt if there is none. `libc`: the module that holds the main arena.
std::optional<std::string> find_abort_message(const Image& image, ModuleId libc);
// What that message says of the heap: a row without an address; nullopt if it is not malloc's.
std::optional<CorruptionRow> diagnose_abort(std::string_view message);

// "4141414100000000 "AAAA...."": bytes as SQL and reports show them.
std::string describe_bytes(std::span<const std::byte> bytes);

}  // namespace residue::glibc

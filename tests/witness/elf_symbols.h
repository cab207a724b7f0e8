// Finds one module's data objects by name, in its own symbol table or in its debug file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace witness {

struct Symbol {
  std::uint64_t value = 0;  // link-time address
  std::uint64_t size = 0;
};

// Looks `name` up in .symtab of `path`, then of /usr/lib/debug/.build-id/xx/yyyy.debug (where
// Debian's libc6-dbg puts it). Nothing when neither file has the symbol.
std::optional<Symbol> find_object(const std::string& path, const std::string& name);

}  // namespace witness

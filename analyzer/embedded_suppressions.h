// Suppressions that a program carries itself: LeakSanitizer's __lsan_default_suppressions().
#pragma once

#include <optional>
#include <span>

#include "analyzer/suppressions.h"
#include "formats/base/diagnostics.h"
#include "formats/image.h"
#include "symbolize/symbol_table.h"

namespace residue {

// What a function that only returns a constant returns.
struct ReturnedConstant {
  uint64_t value = 0;
  bool in_memory = false;  // `value` is the address of a word that holds it
};

// `code` begins at `pc`. nullopt if it is not decoded as such a function; x86-64, x86 and AArch64.
std::optional<ReturnedConstant> decode_returned_constant(Architecture architecture,
                                                         std::span<const std::byte> code,
                                                         uint64_t pc);

// Adds the rules of the dumped program's own list, if it has a function of that name that returns
// a constant text which is in the dump or in the program's file. What cannot be read is a note,
// a malformed line a warning.
void add_embedded_suppressions(const Image& image, const SymbolTable& symbols,
                               SuppressionList* list, Diagnostics* diagnostics);

}  // namespace residue

// Types of chunks, as far as the chunk itself tells: its vtable pointer, or that it is text.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "analyzer/snapshot.h"
#include "analyzer/words.h"
#include "formats/image.h"
#include "symbolize/symbol_table.h"

namespace residue {

class TypeFinder {
 public:
  // REQUIRES: both outlive this.
  TypeFinder(const Image& image, const SymbolTable* symbols);

  // The type of a used chunk from its first bytes. kNone if nothing is known.
  TypeId type_of(std::span<const std::byte> chunk);
  // The class whose vtable a word points to, kNone if it does not point to one. `offset`: where in
  // its chunk the word stands. A secondary vtable counts only where its base class lies.
  TypeId vtable_type(uint64_t word, uint64_t offset);

  std::vector<TypeRow> take_rows() { return std::move(rows_); }

 private:
  bool may_be_vtable(uint64_t word) const { return word - low_ < span_; }
  struct Vtable {
    TypeId type = kNone<TypeId>;
    uint64_t base_offset = 0;  // of the base class it is for, within the complete object
  };
  Vtable read_vtable(uint64_t address_point);
  bool is_function(uint64_t pointer) const;
  TypeId nameless_class(uint64_t address_point, const Module& module);
  // `*readable`: whether the pages that would hold the name are there.
  std::optional<std::string> rtti_name(uint64_t type_info, bool* readable) const;
  std::optional<std::string> symbol_name(uint64_t vtable);
  TypeId intern(TypeRow row);

  const Image& image_;
  const WordFormat words_;
  const SymbolTable* symbols_;
  // Modules' extent: one comparison keeps heap pointers and small numbers out.
  uint64_t low_ = 0;
  uint64_t span_ = 0;
  std::vector<TypeRow> rows_;
  std::unordered_map<std::string, uint32_t> ids_;  // by module and name
  std::unordered_map<uint64_t, Vtable> vtables_;   // by address point; failures are remembered too
  uint64_t last_word_ = 0;
  Vtable last_;
  uint32_t text_ = ~uint32_t{0};
};

}  // namespace residue

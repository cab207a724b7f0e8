// Owners: what keeps a chunk alive, by name: a global, a thread's stack, its TLS, a register.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "analyzer/roots.h"
#include "analyzer/snapshot.h"
#include "formats/image.h"
#include "symbolize/symbol_table.h"

namespace residue {

class OwnerTable {
 public:
  // REQUIRES: both outlive this.
  OwnerTable(const Image& image, const SymbolTable* symbols) : image_(image), symbols_(symbols) {}

  // The owner that a reference at `location` inside `range` stands for.
  OwnerId of_range(const RootRange& range, Address location);
  OwnerId of_register(uint32_t thread);
  // A stack that lies inside a chunk.
  OwnerId of_stack(uint32_t thread);
  OwnerId of_loader();

  std::vector<OwnerRow> take_rows() { return std::move(rows_); }

 private:
  OwnerId intern(OwnerRow row);
  OwnerId of_global(Address location);

  const Image& image_;
  const SymbolTable* symbols_;
  std::vector<OwnerRow> rows_;
  std::unordered_map<std::string, uint32_t> ids_;
};

}  // namespace residue

// Owners: what keeps a chunk alive, by name: a global, a thread's stack, its TLS, a register.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "analyzer/roots.h"
#include "analyzer/snapshot.h"
#include "formats/image.h"
#include "symbolize/stack_locals.h"
#include "symbolize/symbolizer.h"

namespace residue {

class OwnerTable {
 public:
  // `stacks`: one for each thread, with registers. REQUIRES: all outlive this.
  OwnerTable(const Image& image, const std::vector<UnwoundStack>& stacks, Symbolizer* symbolizer);

  // The owner that a reference at `location` inside `range` stands for.
  OwnerId of_range(const RootRange& range, Address location);
  // The same, and in `*extent` the addresses around `location` for which the answer is the same, as
  // far as that is known: at least the location itself. A global whose name is not known has an
  // extent of 0 bytes.
  OwnerId of_range(const RootRange& range, Address location, AddressRange* extent);
  OwnerId of_register(uint32_t thread);
  // A stack that lies inside a chunk.
  OwnerId of_stack(uint32_t thread);
  OwnerId of_loader();

  size_t size() const { return rows_.size(); }
  const OwnerRow& row(OwnerId id) const { return rows_[id.value()]; }
  std::vector<OwnerRow> take_rows() { return std::move(rows_); }

 private:
  OwnerId intern(OwnerRow row);
  OwnerId of_global(Address location, AddressRange* extent);
  OwnerId of_thread_local(uint32_t thread, Address location);
  OwnerId of_local(uint32_t thread, Address location);
  std::string module_name(ModuleId module) const;

  const Image& image_;
  const std::vector<UnwoundStack>& stacks_;
  Symbolizer* symbolizer_;
  std::vector<std::unique_ptr<StackLocals>> locals_;  // by thread, made on first use
  std::vector<OwnerRow> rows_;
  std::unordered_map<std::string, uint32_t> ids_;
};

}  // namespace residue

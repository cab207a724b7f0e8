#include "analyzer/owners.h"

#include "formats/base/text.h"
#include "symbolize/demangle.h"

namespace residue {

OwnerId OwnerTable::intern(OwnerRow row) {
  const std::string key =
      row.kind + '\0' + row.module + '\0' + row.name + '\0' + std::to_string(row.thread);
  const auto [it, is_new] = ids_.try_emplace(key, static_cast<uint32_t>(rows_.size()));
  if (is_new) rows_.push_back(std::move(row));
  return OwnerId(it->second);
}

OwnerId OwnerTable::of_global(Address location) {
  const Module* module = image_.module_of(location);
  const std::string module_name = module == nullptr ? "" : std::string(base_name(module->path));
  if (const auto symbol = symbols_->find_data(location)) {
    return intern({"global", demangle_symbol(std::string(symbol->name)), module_name, 0, {}, 0});
  }
  // Nameless: by place, so that the same variable is the same owner in another snapshot of the same
  // build, wherever the module was loaded.
  const uint64_t base = module == nullptr ? 0 : module->range.base.value();
  return intern(
      {"global", module_name + "+" + hex(location.value() - base), module_name, 0, {}, 0});
}

OwnerId OwnerTable::of_range(const RootRange& range, Address location) {
  const uint32_t tid = range.thread < image_.threads.size() ? image_.threads[range.thread].tid : 0;
  switch (range.kind) {
    case RootKind::kGlobal:
      return of_global(location);
    case RootKind::kTls:
      return intern(
          {"tls", "thread-local memory of thread " + std::to_string(tid), "", tid, {}, 0});
    case RootKind::kStack:
      return of_stack(range.thread);
    case RootKind::kRegister:
      return of_register(range.thread);
    case RootKind::kAnonymous: {
      const Region* region = image_.find_region(location);
      const uint64_t base = region == nullptr ? location.value() : region->range.base.value();
      return intern({"anonymous", "anonymous memory at " + hex(base), "", 0, {}, 0});
    }
    case RootKind::kFile: {
      const Region* region = image_.find_region(location);
      return intern({"file", region == nullptr ? "" : region->name, "", 0, {}, 0});
    }
  }
  return kNone<OwnerId>;
}

OwnerId OwnerTable::of_stack(uint32_t thread) {
  const uint32_t tid = image_.threads[thread].tid;
  return intern({"thread", "stack of thread " + std::to_string(tid), "", tid, {}, 0});
}

OwnerId OwnerTable::of_register(uint32_t thread) {
  const uint32_t tid = image_.threads[thread].tid;
  return intern({"register", "registers of thread " + std::to_string(tid), "", tid, {}, 0});
}

OwnerId OwnerTable::of_loader() { return intern({"system", "dynamic loader", "", 0, {}, 0}); }

}  // namespace residue

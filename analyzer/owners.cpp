#include "analyzer/owners.h"

#include "formats/base/text.h"

namespace residue {

OwnerId OwnerTable::intern(OwnerRow row) {
  const std::string key =
      row.kind + '\0' + row.module + '\0' + row.name + '\0' + std::to_string(row.thread);
  const auto [it, is_new] = ids_.try_emplace(key, static_cast<uint32_t>(rows_.size()));
  if (is_new) rows_.push_back(std::move(row));
  return OwnerId(it->second);
}

OwnerTable::OwnerTable(const Image& image, const std::vector<UnwoundStack>& stacks,
                       Symbolizer* symbolizer)
    : image_(image), stacks_(stacks), symbolizer_(symbolizer), locals_(stacks.size()) {}

std::string OwnerTable::module_name(ModuleId module) const {
  if (module == kNone<ModuleId>) return {};
  return std::string(base_name(image_.modules[module.value()].path));
}

OwnerId OwnerTable::of_global(Address location, AddressRange* extent) {
  *extent = {location, ByteCount(0)};
  if (auto data = symbolizer_->data(location)) {
    const AddressRange whole = {data->address, ByteCount(data->size)};
    *extent = whole.contains(location) ? whole : AddressRange{location, ByteCount(1)};
    return intern({"global", std::move(data->name), module_name(data->module), 0,
                   std::move(data->file), data->line});
  }
  const Module* module = image_.module_of(location);
  const std::string module_name = module == nullptr ? "" : std::string(base_name(module->path));
  // Nameless: by place, so that the same variable is the same owner in another snapshot of the same
  // build, wherever the module was loaded.
  const uint64_t base = module == nullptr ? 0 : module->range.base.value();
  return intern(
      {"global", module_name + "+" + hex(location.value() - base), module_name, 0, {}, 0});
}

OwnerId OwnerTable::of_range(const RootRange& range, Address location) {
  AddressRange extent;
  return of_range(range, location, &extent);
}

OwnerId OwnerTable::of_range(const RootRange& range, Address location, AddressRange* extent) {
  *extent = {location, ByteCount(1)};
  switch (range.kind) {
    case RootKind::kGlobal:
      return of_global(location, extent);
    case RootKind::kTls:
      return of_thread_local(range.thread, location);
    case RootKind::kStack:
      return of_local(range.thread, location);
    case RootKind::kRegister:
      return of_register(range.thread);
    case RootKind::kAnonymous: {
      const Region* region = image_.find_region(location);
      const uint64_t base = region == nullptr ? location.value() : region->range.base.value();
      if (region != nullptr) *extent = region->range;
      return intern({"anonymous", "anonymous memory at " + hex(base), "", 0, {}, 0});
    }
    case RootKind::kFile: {
      const Region* region = image_.find_region(location);
      if (region != nullptr) *extent = region->range;
      return intern({"file", region == nullptr ? "" : region->name, "", 0, {}, 0});
    }
  }
  return kNone<OwnerId>;
}

OwnerId OwnerTable::of_thread_local(uint32_t thread, Address location) {
  const uint32_t tid = image_.threads[thread].tid;
  if (auto data = symbolizer_->thread_local_data(thread, location)) {
    return intern({"tls", std::move(data->name), module_name(data->module), tid,
                   std::move(data->file), data->line});
  }
  return intern({"tls", "thread-local memory of thread " + std::to_string(tid), "", tid, {}, 0});
}

// A variable in scope where its frame stands. Stack memory outside of every variable holds spilled
// registers and temporaries, and is the thread's.
OwnerId OwnerTable::of_local(uint32_t thread, Address location) {
  if (thread < stacks_.size()) {
    auto& locals = locals_[thread];
    if (locals == nullptr) {
      locals = std::make_unique<StackLocals>(image_, stacks_[thread], [this](ModuleId module) {
        return symbolizer_->variables(module);
      });
    }
    if (const auto hit = locals->find(location.value())) {
      const Module* module =
          image_.module_of(Address(stacks_[thread].frames[hit->frame].lookup_pc()));
      OwnerRow row;
      row.kind = "local";
      row.name = hit->variable->name;
      row.name.append(" in ").append(hit->variable->function);
      row.module = module == nullptr ? "" : std::string(base_name(module->path));
      row.thread = image_.threads[thread].tid;
      row.file = hit->variable->file;
      row.line = hit->variable->line;
      return intern(std::move(row));
    }
  }
  return of_stack(thread);
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
